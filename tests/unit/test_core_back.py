"""Which set is meant, and what stands between data and code, as tables of literal text."""

from __future__ import annotations

from dataclasses import replace

import pytest
from builders import facts, release, slot
from homeport.backups import Manifest, Verified
from homeport.core import back, loss, plan_back
from homeport.core.facts import Facts
from homeport.errors import Problem

ONE = replace(release(1), schema="a", came_from="a")
TWO = replace(release(2), schema="b", came_from="a")


def copies(number: int, release_: str = ONE.id, schema: str = "a", why: str = "") -> Manifest:
    """The set that was made on that day of November."""
    return Manifest(
        f"202611{number:02}T030000-00{number:02}", "shop", release_, 1.0, schema, 2.0, why
    )


FIRST, SECOND, THIRD = copies(1), copies(2), copies(3, TWO.id, "b")


def seen(*sets: Manifest, bad: tuple[Manifest, ...] = (), schema: str = "b") -> Facts:
    """Two releases served, the second with a migration; these sets are there, all checked."""
    found = facts(ONE, TWO, live=TWO, containers=(*slot(ONE, False), *slot(TWO, pinned=True)))
    checked = {
        one.id: Verified(one.id, 1.0, one not in bad, ("a.db: torn",) * (one in bad))
        for one in sets
    }
    return replace(
        found, sets=sets, verified=checked, history=replace(found.history, schema=schema)
    )


ALL = seen(FIRST, SECOND, THIRD)


def said(found: Manifest | Problem | None) -> str:
    """A set by its id, a problem by its text."""
    return found.text() if isinstance(found, Problem) else found.id if found else ""


FINDS: dict[str, tuple[str, str]] = {
    "by its id": (said(back.find(ALL, SECOND.id, ONE)), SECOND.id),
    "by the start of it": (said(back.find(ALL, "20261103", ONE)), THIRD.id),
    "the latest with data that the release can use": (
        said(back.find(ALL, "latest", ONE)),
        SECOND.id,
    ),
    "the latest for the newer one": (said(back.find(ALL, "latest", TWO)), THIRD.id),
    "the latest that is good": (
        said(back.find(seen(FIRST, SECOND, THIRD, bad=(SECOND,)), "latest", ONE)),
        FIRST.id,
    ),
    "the latest, but none that was saved damaged": (
        said(back.find(seen(FIRST, replace(SECOND, unread=("data/food.db",))), "latest", ONE)),
        FIRST.id,
    ),
    "the latest, which nobody has checked yet": (
        said(back.find(replace(ALL, verified={}), "latest", ONE)),
        SECOND.id,
    ),
    "none that it could use": (
        said(back.find(seen(FIRST), "latest", TWO)),
        """\
host: there is no set that r0002-2222222 could use
  why:  there are: 20261101T030000-0001 (a)
  mend: homeport backup list""",
    ),
    "more than one": (
        said(back.find(ALL, "202611", ONE)),
        """\
host: 202611 is the start of 3 sets
  why:  there are: 20261101T030000-0001 (a), 20261102T030000-0002 (a), 20261103T030000-0003 (b)
  mend: homeport backup list""",
    ),
    "no such one": (
        said(back.find(seen(*(copies(day, schema="") for day in range(1, 9))), "2025", ONE)),
        """\
host: there is no set 2025
  why:  there are: 20261103T030000-0003, 20261104T030000-0004, 20261105T030000-0005,\
 20261106T030000-0006, 20261107T030000-0007, 20261108T030000-0008 and 2 older ones
  mend: homeport backup list""",
    ),
    "none at all": (
        said(back.find(seen(), "x", ONE)),
        """\
host: there is no set x
  why:  there are: none
  mend: homeport backup list""",
    ),
}


@pytest.mark.parametrize("name", FINDS)
def test_sets_are_found(name: str) -> None:
    """By a name that means one of them, or as the latest of use."""
    found, wanted = FINDS[name]
    assert found == wanted


def test_a_set_that_is_not_good_is_refused() -> None:
    """With what was found wrong, and how somebody with nothing better insists."""
    known = seen(FIRST, SECOND, bad=(SECOND,))
    assert back.unsound(known, FIRST) is None and back.checked(known, FIRST)
    assert back.unsound(replace(known, verified={}), FIRST) is None
    assert not back.checked(replace(known, verified={}), FIRST)
    assert said(back.unsound(known, SECOND) and back.unsound(known, SECOND)) == """\
host: 20261102T030000-0002 is not good
  why:  a.db: torn
  mend: another set of homeport backup list; or --unverified, if there is no better one"""
    assert not back.checked(known, SECOND)
    torn = back.unsound(known, replace(FIRST, unread=("data/food.db",)))
    assert torn is not None and torn.why.startswith("data/food.db could not be read")


def test_data_that_the_code_cannot_use_is_refused() -> None:
    """With the release that can, and the command that brings both back."""
    assert back.misfit(ALL, THIRD, TWO) is None and back.misfit(ALL, FIRST, ONE) is None
    problem = back.misfit(ALL, FIRST, TWO)
    assert problem is not None
    assert problem.text() == """\
host: r0002-2222222 cannot use the data of 20261101T030000-0001
  why:  r0002-2222222 is made for schema b, and the database has a
  mend: homeport rollback r0001-1111111 --with-data 20261101T030000-0001"""
    alone = replace(ALL, releases=(TWO,))
    other = back.misfit(alone, FIRST, TWO)
    assert other is not None and other.mend == "homeport backup list"


def test_a_set_without_a_schema_has_its_releases() -> None:
    """Sets of an app that says nothing of schemas fit everywhere; others by who made them."""
    plain = copies(4, TWO.id, "")
    assert back.schema_of(ALL, plain) == "b"
    assert back.schema_of(ALL, copies(4, "r0009-9999999", "")) == ""


def test_going_back_alone_is_refused_in_numbers() -> None:
    """What the code cannot use, what going back with data costs, and the command that does it."""
    lost = loss.of(SECOND.id, 0.0, 600.0, [loss.Change("data/food.db", "purchases", 12, 3, 1)])
    why = "r0001-1111111 is made for schema a, and r0002-2222222 changed it to b"
    assert back.parted(ONE, why, replace(SECOND, why="before r0002-2222222"), lost).text() == f"""\
host: r0001-1111111 cannot use the database as it is
  why:  {why}; going back with data is possible:
20261102T030000-0002 (before r0002-2222222): it would undo the writes of the last 10 minutes:\
 rows: 12 added, 3 changed, 1 removed
  data/food.db, purchases: 12 added, 3 changed, 1 removed
  mend: homeport rollback r0001-1111111 --with-data 20261102T030000-0002"""
    assert "what it would undo is not known" in back.parted(ONE, why, SECOND, None).why
    assert back.parted(ONE, why, None, None).why == f"{why}; no set has data that it could use"


def test_the_check_before_anybody_waits() -> None:
    """A set that nobody checked is checked first, by a plan of its own."""
    assert plan_back.verify(SECOND, ONE).text() == (
        "- verify: verify release=r0001-1111111 set=20261102T030000-0002"
        "  # a copy counts when it was restored"
    )
