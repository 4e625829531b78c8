"""Going back with data on the real Engine: what it costs, to the row, and what comes of it."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from homeport.backups import Backup, Migrate
from homeport.host import run_back, sets
from homeport.planned import Verdict
from tinyapp.driver import Tiny

pytestmark = pytest.mark.docker
MakeApp = Callable[..., Tiny]
RULES = Migrate(("python3", "/schema.py", "migrate"), ("python3", "/schema.py"), within=20.0)
UID, PHOTO = 10001, "photos/one"


@dataclass
class Shop:
    """An app whose second release broke the schema, and what its data is, read from outside."""

    app: Tiny

    @property
    def data(self) -> Path:
        """The folder that the app may write."""
        return self.app.paths.folder / "data"

    def sql(self, *statements: str) -> list[tuple[Any, ...]]:
        """Statements on the live database, as if the app had done them; the last one's rows."""
        found: list[tuple[Any, ...]] = []
        with closing(sqlite3.connect(self.data / "rows.db", isolation_level=None)) as database:
            for one in statements:
                found = database.execute(one).fetchall()
        os.chown(self.data / "rows.db", UID, UID)
        return found

    def put(self, **files: bytes | None) -> None:
        """Files that the app wrote, or took away, by name: an underscore stands for a slash."""
        for name, content in files.items():
            path = self.data / name.replace("_", "/")
            path.parent.mkdir(exist_ok=True)
            path.unlink() if content is None else path.write_bytes(content)
        for path in self.data.rglob("*"):
            os.chown(path, UID, UID)

    def seen(self) -> tuple[int, list[str], dict[str, bytes]]:
        """The schema's version, the rows, and the files that are no database."""
        ((version,),) = self.sql("PRAGMA user_version")
        rows = [f"{key} {text}" for key, text in self.sql("SELECT id, text FROM rows ORDER BY id")]
        files = {
            str(path.relative_to(self.data)): path.read_bytes()
            for path in sorted(self.data.rglob("*"))
            if path.is_file() and not path.name.startswith("rows.db")
        }
        return int(version), rows, files

    def sets(self) -> list[str]:
        """The sets by their ids, the newest last."""
        return [one.id for one in sets.known(self.app.paths)]

    def costs(self, **asked: Any) -> dict[str, Any]:
        """What the host says that a rollback or a restore would cost."""
        verb = "plan-rollback" if "release" in asked else "plan-restore"
        return run_back.plan_only(self.app.context(verb, **asked))

    def back(self, release: str, set_: str = "", **more: Any) -> Verdict:
        """A rollback, with data where a set is named."""
        return self.app.run("rollback", release=release, set=set_, **more)


@pytest.fixture(scope="module")
def shop(make_app: MakeApp) -> Iterator[Shop]:
    """v1 served and was written to, then v2 migrated, and was written to as well."""
    app = make_app("back", backup=Backup(exclude=("data/cache",)), migrate=RULES)
    made = Shop(app)
    app.deploy("v1")
    made.sql(*(f"INSERT INTO rows (text) VALUES ('row {number}')" for number in range(5)))
    made.put(photos_one=b"jpg", note=b"a note")
    app.deploy("v2")
    yield made


def lost(found: dict[str, Any]) -> list[dict[str, Any]]:
    """The places of a loss."""
    assert found["sure"] is True
    return list(found["changes"])


def test_code_alone_is_refused_with_the_loss_to_the_row(shop: Shop) -> None:
    """What was done since is told exactly, with the command that goes back; nothing is changed."""
    snapshot = shop.sets()[-1]
    assert sets.known(shop.app.paths)[-1].schema == "1"
    # ids 1 to 6 were there; the migration itself added one
    shop.sql(
        *(f"INSERT INTO rows (text) VALUES ('new {number}')" for number in range(4)),
        "UPDATE rows SET text = 'changed' WHERE id IN (2, 3)",
        "DELETE FROM rows WHERE id IN (5, 8)",
        "CREATE TABLE notes (id INTEGER PRIMARY KEY)",
        "INSERT INTO notes VALUES (1), (2)",
    )
    shop.put(photos_one=b"other", note=None, new=b"of today", cache_x=b"not saved")
    before, containers = shop.seen(), shop.app.containers()
    wanted = [
        {
            "source": "data",
            "added": 0,
            "changed": 1,
            "removed": 1,
            "files": True,
            "stay": 1,
        },
        {"source": "data/rows.db", "table": "notes", "added": 2, "changed": 0, "removed": 0}
        | {"only": "now"},
        {"source": "data/rows.db", "table": "rows", "added": 4, "changed": 2, "removed": 1},
    ]
    answer = shop.costs(release="1", set="latest")
    assert answer["set"]["id"] == snapshot and answer["checked"] is False
    assert lost(answer["loss"]) == wanted
    verdict = shop.back("1")
    assert (verdict.outcome, verdict.code) == ("refused", 34)
    (problem,) = verdict.problems
    assert problem["mend"] == f"homeport rollback {answer['release']} --with-data {snapshot}"
    assert "rows: 6 added, 2 changed, 1 removed; files: 1 changed, 1 removed" in problem["why"]
    assert "data/rows.db, rows: 4 added, 2 changed, 1 removed" in problem["why"]
    assert shop.seen() == before and shop.app.serves().startswith("r0002")
    assert {one["Id"] for one in shop.app.containers().values()} == {
        one["Id"] for one in containers.values()
    }


def test_what_fails_gives_todays_data_back(shop: Shop) -> None:
    """The release that is gone back to does not get ready: data and code are as they were."""
    shop.put(ill=b"v1")
    before, known = shop.seen(), shop.sets()
    verdict = shop.back("1", "latest")
    assert (verdict.outcome, verdict.code) == ("failed", 52), verdict.sentence
    assert shop.app.steps()[:2] == ["preflight", "verify"]
    assert shop.app.serves().startswith("r0002")
    # a file that was deleted since came back with the old data, and stays: nothing is lost by that
    assert shop.seen() == (*before[:2], {**before[2], "note": b"a note"})
    assert len(shop.sets()) == len(known) + 1, "what was saved first stays, as any set"
    history = shop.app.context("status").store.history()
    assert (history.stake, history.schema) == (None, "2")
    shop.put(ill=None)


def test_code_and_data_go_back_together(shop: Shop) -> None:
    """Schema, rows, files and code are those of the set then; today's are kept, and return."""
    before, chosen = shop.seen(), shop.costs(release="1", set="latest")["set"]["id"]
    verdict = shop.back("1", chosen[:-1])
    assert verdict.outcome == "rolled-back", (verdict.sentence, verdict.problems)
    kept = shop.sets()[-1]
    assert f"with the data of {chosen}" in verdict.sentence and kept in verdict.sentence
    assert "verify" not in shop.app.steps(), "the run before has checked it"
    version, rows, files = shop.seen()
    assert version == 1 and shop.app.serves().startswith("r0001")
    assert rows == ["1 made by 1", *(f"{number + 2} row {number}" for number in range(5))]
    assert files == {
        **{"cache/x": b"not saved", "new": b"of today", "note": b"a note"},
        PHOTO: b"jpg",
    }
    assert shop.sql("SELECT name FROM sqlite_master WHERE name = 'notes'") == []
    history = shop.app.context("status").store.history()
    assert (history.stake, history.schema) == (None, "1")

    refused = shop.app.run("restore", set=kept)
    assert (refused.code, refused.outcome) == (34, "refused")
    assert refused.problems[0]["mend"].startswith("homeport rollback r0002-")
    assert refused.problems[0]["mend"].endswith(f"--with-data {kept}")
    again = shop.back("2", kept)
    assert again.outcome == "rolled-back", (again.sentence, again.problems)
    assert shop.app.serves().startswith("r0002")
    now = shop.seen()
    assert now == before


def test_data_alone_goes_back_under_the_code_that_serves(shop: Shop) -> None:
    """A restore saves first, keeps the release, and its watch is not begun."""
    shop.app.run("backup")
    kept = shop.sets()[-1]
    before = shop.seen()
    shop.sql("DELETE FROM rows", "INSERT INTO rows (text) VALUES ('alone')")
    verdict = shop.app.run("restore", set=kept)
    assert verdict.outcome == "restored", (verdict.sentence, verdict.problems)
    assert shop.seen() == before and shop.app.serves().startswith("r0002")
    assert "watch" not in shop.app.steps() and "snapshot" in shop.app.steps()
    assert verdict.figures["loss"]["sure"] is True
    undone = shop.app.run("restore", set=shop.sets()[-1])
    assert undone.outcome == "restored" and shop.seen()[1][-1].endswith("alone")


def test_a_set_that_is_not_good_needs_insisting(shop: Shop) -> None:
    """It is checked before anybody waits; then refused; then put back if somebody insists."""
    shop.app.run("backup")
    bad = shop.sets()[-1]
    items = {one.source: one for one in sets.known(shop.app.paths)[-1].items}
    # the end of a tar is padding: whoever insists gets all that is in it
    path = shop.app.paths.backups / bad / items["data"].file
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    (shop.app.paths.backups / bad / "verified.json").unlink()
    before, served = shop.seen(), shop.app.web_of(shop.app.serves())
    began = shop.app.containers()[served]["State"]["StartedAt"]
    verdict = shop.app.run("restore", set=bad)
    assert (verdict.code, "hold" in shop.app.steps()) == (35, False), verdict.sentence
    again = shop.app.run("restore", set=bad)
    assert (again.code, again.outcome) == (35, "refused")
    assert "--unverified" in again.problems[0]["mend"]
    assert shop.app.containers()[served]["State"]["StartedAt"] == began
    insisted = shop.app.run("restore", set=bad, unverified=True)
    assert insisted.outcome == "restored", (insisted.sentence, insisted.problems)
    assert shop.seen()[1] == before[1]


def test_a_damaged_database_is_why_somebody_goes_back(shop: Shop) -> None:
    """It cannot be counted, which is said; it is kept as it lies, and the good one comes back."""
    shop.app.run("backup")
    kept, before, file = shop.sets()[-1], shop.seen(), shop.data / "rows.db"
    content = bytearray(file.read_bytes())
    content[4096 : 2 * 4096] = b"\xa5" * 4096
    file.write_bytes(content)
    loss = shop.costs(set=kept)["loss"]
    assert loss["sure"] is False
    assert any("malformed" in one.get("note", "") for one in loss["changes"]), loss
    verdict = shop.app.run("restore", set=kept)
    assert verdict.outcome == "restored", (verdict.sentence, verdict.problems)
    assert shop.seen() == before
    saved = sets.known(shop.app.paths)[-1]
    assert saved.unread == ("data/rows.db",) and saved.id in verdict.sentence
    again = shop.app.run("restore", set=saved.id)
    assert again.code == 35, "what cannot be read is no backup"
