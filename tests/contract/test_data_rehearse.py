"""A deploy with a migration is tried on a copy first: whatever is wrong there touches nobody."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace

import pytest

from homeport.backups import Backup, Migrate
from homeport.host import ops_backup
from homeport.host.engine import Engine
from homeport.host.rehearsal import FOLDER
from homeport.model import Smoke
from homeport.planned import Verdict
from tinyapp.driver import Tiny

pytestmark = pytest.mark.docker
MakeApp = Callable[..., Tiny]
RULES = Migrate(("python3", "/schema.py", "migrate"), ("python3", "/schema.py"), within=20.0)


@pytest.fixture(scope="module")
def app(make_app: MakeApp) -> Tiny:
    """An app that serves with the schema of v1, and rows in it."""
    made = make_app("rehearse", backup=Backup(), migrate=RULES)
    made.deploy("v1", "strict", monitor=0.0)
    assert version(made) == 1
    return made


def version(app: Tiny) -> int:
    """What the live data has, read from outside."""
    with sqlite3.connect(f"file:{app.paths.folder}/data/rows.db?mode=ro", uri=True) as database:
        (found,) = database.execute("PRAGMA user_version").fetchone()
    return int(found)


def state(app: Tiny) -> tuple[str, list[str]]:
    """What serves, and the live data as statements that would make it anew."""
    with sqlite3.connect(f"file:{app.paths.folder}/data/rows.db?mode=ro", uri=True) as database:
        return app.serves(), list(database.iterdump())


def said(verdict: Verdict) -> str:
    return "\n".join(" ".join(one.values()) for one in verdict.problems)


def untouched(app: Tiny, verdict: Verdict, before: tuple[str, list[str]]) -> None:
    """It ended in the rehearsal: nobody waited, and all is as it was."""
    assert (verdict.outcome, verdict.code) == ("failed", 56), (verdict.sentence, said(verdict))
    assert "hold" not in app.steps() and "verify" in app.steps(), app.steps()
    assert state(app) == before and version(app) == 1
    assert app.store_current() == before[0]
    assert Engine().containers(f"homeport.app={app.name}", "homeport.oneshot") == []
    assert list(app.paths.backups.glob(".*")) == []
    assert not (app.paths.folder / FOLDER).exists()


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("raises", ["on a copy of the data: python3 /schema.py migrate ended with code 1"]),
        ("needs", ["on a copy of the data:", "KeyError: 'MIGRATION_KEY'"]),
        ("idle", ["the schema is at 1 instead of 2"]),
        ("never-ready", ["did not become healthy within 5 s", "the database is on fire"]),
        ("exit", ["web ended with code 1", "cannot find my configuration"]),
    ],
)
def test_what_fails_on_the_copy(app: Tiny, fault: str, words: list[str]) -> None:
    """It is told with the release's own words, and the deploy ends there."""
    before = state(app)
    verdict = app.run("deploy", "v2", fault)
    for one in words:
        assert one in said(verdict), said(verdict)
    untouched(app, verdict, before)


def test_a_migration_that_hangs(app: Tiny) -> None:
    """It is over with its time, on the copy."""
    before = state(app)
    app.migrate = replace(RULES, within=2.0)
    verdict = app.run("deploy", "v2", "hangs")
    app.migrate = RULES
    assert "had no end within 2 s and was stopped" in said(verdict)
    untouched(app, verdict, before)


def test_smoke_checks_are_asked_there_too(app: Tiny) -> None:
    before = state(app)
    app.smoke = (Smoke("/"),)
    verdict = app.run("deploy", "v2", "bad-page")
    app.smoke = ()
    assert "1 of 1 smoke checks failed" in said(verdict)
    untouched(app, verdict, before)


def test_a_word_that_does_not_hold(app: Tiny) -> None:
    """--check-compatible: what serves now is started on the migrated copy, and does not like it."""
    before = state(app)
    app.migrate = replace(RULES, compatible=True)
    verdict = app.run("deploy", "v2", check_compatible=True)
    app.migrate = RULES
    assert f"{before[0]} does not work on the schema that" in said(verdict)
    assert "these are not my tables" in said(verdict)
    assert "compatible = false" in said(verdict)
    untouched(app, verdict, before)


@pytest.mark.parametrize("code,last", [(35, "preflight"), (56, "verify")])
def test_a_set_without_the_database(
    app: Tiny, monkeypatch: pytest.MonkeyPatch, code: int, last: str
) -> None:
    """Nothing is tried, since the migration would reach the database itself: once the set is
    taken, and again before the rehearsal, whatever was thought of the set."""
    before = state(app)
    if code == 56:
        monkeypatch.setattr(ops_backup, "saving", SimpleNamespace(uncovered=lambda *_: ()))
    app.backup = Backup(postgres="DATABASE_URL")
    verdict = app.run("deploy", "v2")
    app.backup = Backup()
    assert (verdict.outcome, verdict.code) == ("failed", code), (verdict.sentence, said(verdict))
    assert "has no copy of the database that would be migrated" in said(verdict)
    assert not {"rehearse", "hold", "migrate"} & {*app.steps()} and last in app.steps()
    assert state(app) == before and version(app) == 1


def test_a_good_one(app: Tiny) -> None:
    """What its parts took is told before anybody waits, and is in the record."""
    verdict = app.deploy("v2", monitor=0.0)
    assert version(app) == 2
    took = verdict.figures["rehearsed"]
    assert {*took} == {"snapshot", "restore", "migrate", "boot"} and took["boot"] >= 1.0
    assert "requests will wait about" in app.notices()
    steps = app.steps()
    assert steps.index("rehearse") < steps.index("hold") < steps.index("migrate"), steps


def test_a_word_that_holds(app: Tiny) -> None:
    """v2 is not strict: it works on what v3 makes of its data."""
    app.migrate = replace(RULES, compatible=True)
    verdict = app.deploy("v3", monitor=0.0, check_compatible=True)
    assert "old_boot" in verdict.figures["rehearsed"] and version(app) == 3
