"""What going back costs, as tables of literal text."""

from __future__ import annotations

from typing import Any

import pytest
from homeport.core import loss

SET = "20261126T031500-1a2b"
T0 = 1_800_000_000.0
DB = "data/food.db"


def lost(*changes: loss.Change, minutes: float = 42.0) -> loss.Loss:
    """A loss since that many minutes ago."""
    return loss.of(SET, T0, T0 + 60 * minutes, changes)


def rows(table: str, added: int = 0, changed: int = 0, removed: int = 0, **rest: Any) -> Any:
    """A change in a table."""
    return loss.Change(DB, table, added, changed, removed, **rest)


SEVERAL = (
    rows("purchases", 12, 3, 1),
    rows("foods", 0, 1),
    rows("log", 40, least=True),
    loss.Change("data/photos", "", 0, 2, 1, files=True, stay=3),
)
TABLE: dict[str, tuple[loss.Loss, str]] = {
    "nothing": (
        lost(),
        "nothing of the last 42 minutes would be lost",
    ),
    "one table": (
        lost(rows("purchases", 12, 3, 1), minutes=0.5),
        """\
it would undo the writes of the last 1 minute: rows: 12 added, 3 changed, 1 removed
data/food.db, purchases: 12 added, 3 changed, 1 removed""",
    ),
    "files that are new and stay": (
        lost(loss.Change("data/photos", files=True, stay=3)),
        """\
nothing of the last 42 minutes would be lost
data/photos (files): 3 new ones stay""",
    ),
    "a table without rows": (
        lost(rows("x", only="now")),
        """\
it would undo the writes of the last 42 minutes: tables without rows
data/food.db, x: is new since""",
    ),
    "several, the largest first": (
        lost(*SEVERAL, minutes=61.2),
        """\
it would undo the writes of the last 62 minutes: rows: at least 52 added, 4 changed, 1 removed;\
 files: 2 changed, 1 removed
data/food.db, log: at least 40 added
data/food.db, purchases: 12 added, 3 changed, 1 removed
data/photos (files): 2 changed, 1 removed, 3 new ones stay
data/food.db, foods: 1 changed""",
    ),
    "what a migration did": (
        lost(
            rows("meals", 2, only="now"), rows("old", removed=3, only="then"), rows("x", only="now")
        ),
        """\
it would undo the writes of the last 42 minutes: rows: 2 added, 3 removed
data/food.db, old: was dropped since, 3 removed
data/food.db, meals: is new since, 2 added
data/food.db, x: is new since""",
    ),
    "what is not known": (
        lost(rows("", note="cannot be read: file is not a database"), rows("log", least=True)),
        """\
it would undo the writes of the last 42 minutes: rows: nobody knows how many
data/food.db: cannot be read: file is not a database
data/food.db, log: not looked through, there was no time left""",
    ),
    "many tables": (
        lost(*(rows(f"t{number:02}", 20 - number) for number in range(15))),
        "\n".join(
            (
                "it would undo the writes of the last 42 minutes: rows: 195 added",
                *(f"data/food.db, t{number:02}: {20 - number} added" for number in range(12)),
                "and 3 more",
            )
        ),
    ),
    "a clock that was set back": (
        lost(rows("a", 1), minutes=-5),
        """\
it would undo the writes of the last 0 minutes: rows: 1 added
data/food.db, a: 1 added""",
    ),
}


@pytest.mark.parametrize("name", TABLE)
def test_the_loss_in_words(name: str) -> None:
    """What a person is told before anything goes back."""
    found, text = TABLE[name]
    assert "\n".join((found.sentence(), *found.lines())) == text


def test_the_loss_as_data() -> None:
    """All figures, whatever was named in words, and whether they are all there is."""
    assert lost(*SEVERAL).data() == {
        "set": SET,
        "since": T0,
        "minutes": 42,
        "sure": False,
        "added": 52,
        "changed": 6,
        "removed": 2,
        "changes": [
            {"source": DB, "table": "foods", "added": 0, "changed": 1, "removed": 0},
            {
                "source": DB,
                "table": "log",
                "added": 40,
                "changed": 0,
                "removed": 0,
                "least": True,
            },
            {"source": DB, "table": "purchases", "added": 12, "changed": 3, "removed": 1},
            {
                "source": "data/photos",
                "added": 0,
                "changed": 2,
                "removed": 1,
                "files": True,
                "stay": 3,
            },
        ],
    }
    assert lost(rows("a", 1)).data()["sure"] is True
    assert lost().data()["sure"] is True and lost().nothing


def test_what_counted_is_not_trusted() -> None:
    """It ran in an app's image and tells names from an app's database: no more than that."""
    line = {"table": "a\x1b[2Jb\n", "added": "9", "changed": -4, "removed": True, "only": "x"}
    assert loss.change(DB, line) == loss.Change(DB, "a [2Jb")
    line = {"table": "t" * 500, "added": 3, "least": 1, "only": "now", "note": "n\x00\n" * 200}
    found = loss.change(DB, line)
    assert len(found.table) == 120 and len(found.note) <= 200 and found.least
    assert loss.change("data", {"added": 1, "removed": 2}) == loss.Change(
        "data", "", 0, 0, 2, files=True, stay=1
    )
    assert found.added == 3 and found.only == "now" and "\n" not in found.note
