"""Upkeep of live databases, decided: who waits, what stands against it, and what is told of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from builders import facts, release, settings, slot
from homeport.backups import Backup
from homeport.core import care
from homeport.core.care import Action, Database
from homeport.core.facts import Facts
from homeport.core.maintenance import Maintenance
from homeport.errors import Problem
from homeport.model import Release

MIB = care.MIB
ONE = release(1, moving=("web",))
WORKS = release(1)
SERVER = release(1, moving=("web",), said=replace(settings(), backup=Backup("DATABASE_URL")))
SEEN = facts(ONE, live=ONE, containers=slot(ONE))
PAGED = replace(SEEN, maintenance=Maintenance("ann"))
WAL = Database("data/shop.db", 60 * MIB, 4 * MIB, "wal", "3.46.1", 1000 * MIB)
OLD = replace(WAL, name="data/old.db", wal=0, journal="delete")
BIG = replace(WAL, size=600 * MIB, free=9000 * MIB)

HOLD = "link address=unix//run/homeport/shop/hold.sock"
CARE = "release=r0001-1111111"
SOCKET = "unix//run/homeport/shop/r0001/app.sock"
RESUME = (
    f"- resume: link address={SOCKET} release=r0001-1111111  # r0001-1111111 has its database again"
)
DRAIN = f"- drain: drain address={SOCKET} within=10s  # no request may wait inside for the database"
GO_ON = "  skip hold: readers and writers go on meanwhile"
PLANS: dict[str, tuple[Action, tuple[Database, ...], Facts, Release, str]] = {
    "check": (
        "check",
        (WAL,),
        SEEN,
        ONE,
        f"- care: data-care do=check {CARE} within=21600s  # asked for\n{GO_ON}",
    ),
    "check without a log": (
        "check",
        (OLD, WAL),
        SEEN,
        ONE,
        f"- hold: {HOLD}  # whoever reads data/old.db keeps its writers away (no WAL)\n{DRAIN}\n"
        f"- care: data-care do=check {CARE} within=18s  # asked for\n{RESUME}",
    ),
    "vacuum": (
        "vacuum",
        (WAL,),
        SEEN,
        ONE,
        f"- hold: {HOLD}  # vacuum writes, and SQLite has one writer at a time\n{DRAIN}\n"
        f"- care: data-care do=vacuum {CARE} within=18s  # asked for\n{RESUME}",
    ),
    "checkpoint beside workers": (
        "checkpoint",
        (WAL,),
        SEEN,
        WORKS,
        f"- hold: {HOLD}  # checkpoint writes, and SQLite has one writer at a time\n{DRAIN}\n"
        f"- care: data-care do=checkpoint {CARE} within=18s  # asked for\n{RESUME}\n"
        "  note: what worker would write waits as long as its own timeout says",
    ),
    "analyze behind the maintenance page": (
        "analyze",
        (BIG,),
        PAGED,
        ONE,
        f"- care: data-care do=analyze {CARE} within=21600s  # asked for\n"
        "  skip hold: the maintenance page is up: no request reaches the app",
    ),
    "vacuum of PostgreSQL": (
        "vacuum",
        (),
        SEEN,
        SERVER,
        f"- care: data-care do=vacuum {CARE} within=21600s  # asked for\n{GO_ON}",
    ),
}


@pytest.mark.parametrize("name", PLANS)
def test_plans(name: str) -> None:
    """Who waits, for what, and how long at most."""
    do, databases, seen, live, text = PLANS[name]
    assert care.plan(do, databases, seen, live).text() == text


LONG = Problem(
    "requests would be held for up to 104 s, and 30 s is the limit",
    "homeport.toml: [deploy] hold",
    "vacuum writes, and SQLite has one writer at a time; half of the limit is left for a guess"
    " that is wrong",
    "homeport maintenance on, then homeport data vacuum, then homeport maintenance off",
)
FULL = Problem(
    "136 MiB of disk are needed to vacuum data/shop.db",
    "host",
    "135 MiB are free; VACUUM writes all of it anew before the old goes",
    "df -h; delete what is not needed",
)
REFUSED: dict[str, tuple[Action, tuple[Database, ...], Facts, Release, tuple[Problem, ...]]] = {
    "nothing": ("vacuum", (WAL,), SEEN, ONE, ()),
    "no database": (
        "check",
        (),
        SEEN,
        ONE,
        (
            Problem(
                "there is no database to look after",
                "r0001-1111111",
                "no SQLite file lies in the app's data",
                'for PostgreSQL: [backup] postgres = "DATABASE_URL" in homeport.toml, then deploy',
            ),
        ),
    ),
    "only a PostgreSQL": ("vacuum", (), SEEN, SERVER, ()),
    "too long for a hold": ("vacuum", (BIG,), SEEN, ONE, (LONG,)),
    "more than half of the limit": (
        "vacuum",
        (WAL, OLD),
        SEEN,
        ONE,
        (replace(LONG, what="requests would be held for up to 24 s, and 30 s is the limit"),),
    ),
    "behind the maintenance page": ("vacuum", (BIG,), PAGED, ONE, ()),
    "a check of a big one with a log": ("check", (BIG,), SEEN, ONE, ()),
    "a checkpoint goes by the log": ("checkpoint", (BIG,), SEEN, ONE, ()),
    "no room": ("vacuum", (replace(WAL, free=136 * MIB - 1),), SEEN, ONE, (FULL,)),
    "just enough room": ("vacuum", (replace(WAL, free=136 * MIB),), SEEN, ONE, ()),
    "no room for what takes none": ("analyze", (replace(WAL, free=0),), SEEN, ONE, ()),
    "a fault": (
        "analyze",
        (replace(WAL, fault="malformed"),),
        SEEN,
        ONE,
        (
            Problem(
                "data/shop.db cannot be looked after", "host", "malformed", "homeport data check"
            ),
        ),
    ),
    "a fault is what a check is for": ("check", (replace(WAL, fault="malformed"),), SEEN, ONE, ()),
    "all at once": (
        "vacuum",
        (replace(BIG, free=0), replace(OLD, fault="it is locked")),
        SEEN,
        ONE,
        (
            Problem(
                "data/old.db cannot be looked after", "host", "it is locked", "homeport data check"
            ),
            Problem(
                "1216 MiB of disk are needed to vacuum data/shop.db",
                "host",
                "0 MiB are free; VACUUM writes all of it anew before the old goes",
                "df -h; delete what is not needed",
            ),
            replace(LONG, what="requests would be held for up to 114 s, and 30 s is the limit"),
        ),
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusals(name: str) -> None:
    """Everything at once, before anybody waits."""
    do, databases, seen, live, problems = REFUSED[name]
    assert care.refusals(do, databases, seen, live) == problems


FIGURES = {"size": 1_400_000, "wal": 52_000, "pages": 341, "empty": 40}
LINE: dict[str, Any] = {"seconds": 0.42, "before": FIGURES, "after": FIGURES}
TOLD: list[tuple[str, dict[str, Any], str]] = [
    (
        "check",
        {**LINE, "problems": [], "rows": 41_000, "tables": 7},
        "x.db: whole, 341 pages, 41000 rows in 7 tables read in 0.4 s",
    ),
    (
        "check",
        {**LINE, "rows": 1, "tables": 1, "orphans": {"a -> b": 2, "no such key": 0}},
        "x.db: whole, 341 pages, 1 rows in 1 tables read in 0.4 s; rows that refer to nothing:"
        " 2 of a -> b, no such key",
    ),
    (
        "check",
        {**LINE, "rows": 1, "tables": 1, "synchronous": 0},
        "x.db: whole, 341 pages, 1 rows in 1 tables read in 0.4 s; its SQLite syncs nothing unless"
        " it is told to (synchronous=off)",
    ),
    ("check", {**LINE, "problems": ["bad"]}, "x.db: damaged, found in 0.4 s"),
    (
        "vacuum",
        {**LINE, "after": {"size": 1_236_000, "wal": 0, "pages": 301, "empty": 0}},
        "x.db: 1.4 MB -> 1.2 MB (341 pages, 40 of them empty -> 301) in 0.4 s",
    ),
    ("analyze", {**LINE, "statistics": 9}, "x.db: 9 statistics gathered in 0.4 s"),
    ("checkpoint", LINE, "x.db: 52.0 KB of log brought home in 0.4 s"),
    (
        "checkpoint",
        {**LINE, "locked": True},
        "x.db: 52.0 KB of log brought home in 0.4 s; a reader keeps the rest of it",
    ),
    (
        "vacuum",
        {"seconds": 5.04, "locked": True, "before": FIGURES},
        "x.db: not done: another writer held it for 5.0 s",
    ),
    ("vacuum", {"failed": "disk is full"}, "x.db: not done: disk is full"),
    (
        "vacuum",
        {"postgres": True, "seconds": 1, "before": {"size": 8e6}, "after": {"size": 7.5e6}},
        "x.db: 8.0 MB -> 7.5 MB, dead rows cleared and statistics gathered in 1.0 s",
    ),
    ("analyze", {"postgres": True, "seconds": 1}, "x.db: statistics gathered in 1.0 s"),
    (
        "check",
        {"postgres": True, "problems": [], "note": "no amcheck"},
        "x.db: no damage found; no amcheck",
    ),
    (
        "checkpoint",
        {"postgres": True, "failed": "PostgreSQL checkpoints by itself"},
        "x.db: not done: PostgreSQL checkpoints by itself",
    ),
]


@pytest.mark.parametrize(("do", "line", "text"), TOLD)
def test_what_was_done_is_told_in_figures(do: str, line: dict[str, Any], text: str) -> None:
    """Bytes and pages before and after, rows, seconds; or why it was not done."""
    assert care.sentence(do, "x.db", line) == text


def test_damage_is_told_with_the_way_back() -> None:
    """The first findings, how many more there are, and what to do next."""
    problem = care.damage("data/x.db", {"problems": ["a", "b", "c", "d", "e"]})
    assert problem == Problem(
        "data/x.db is damaged",
        "host",
        "a; b; c and 2 more",
        "homeport backup list shows what can be restored; docs/data.md: A database is damaged",
    )
    assert care.damage("data/x.db", {"problems": []}) is None


def test_what_was_not_done_is_no_success() -> None:
    """A writer that did not let go, a disk that is full; PostgreSQL needs no checkpoint of ours."""
    assert care.undone({"locked": True, "before": FIGURES})
    assert care.undone({"failed": "disk is full"})
    assert not care.undone({**LINE, "locked": True})
    assert not care.undone({"postgres": True, "failed": "PostgreSQL checkpoints by itself"})


@pytest.mark.parametrize(
    ("line", "made"),
    [
        (
            {"before": FIGURES, "journal": "wal", "version": "3.46.1", "free": 7},
            Database("x", 1_400_000, 52_000, "wal", "3.46.1", 7),
        ),
        ({"problems": ["a", "b"], "version": "3"}, Database("x", version="3", fault="a; b")),
        ({"locked": True}, Database("x", fault="it is locked")),
        ({"failed": "unable to open"}, Database("x", fault="unable to open")),
    ],
)
def test_a_database_as_it_was_looked_at(line: dict[str, Any], made: Database) -> None:
    """From the line of the script that looked."""
    assert care.database("x", line) == made
