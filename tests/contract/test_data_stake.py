"""A migration that goes wrong on the data itself, in the hold: code and data are as they were."""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from homeport import wire
from homeport.backups import Backup, Migrate
from homeport.errors import HostFault, Problem
from homeport.host import detach
from homeport.host.engine import Engine
from homeport.host.ops import OPS
from homeport.host.store import Lock, Store
from homeport.model import DeployRules
from tinyapp.driver import Tiny, wait

pytestmark = pytest.mark.docker
MakeApp = Callable[..., Tiny]
RULES = Migrate(("python3", "/schema.py", "migrate"), ("python3", "/schema.py"), within=20.0)
HOLD = 30.0


@pytest.fixture(scope="module")
def app(make_app: MakeApp) -> Tiny:
    """An app that serves with the schema of v1, and rows in it."""
    rules = DeployRules(start=8.0, drain=2.0, hold=HOLD)
    made = make_app("stake", backup=Backup(), migrate=RULES, rules=rules)
    made.deploy("v1", monitor=0.0)
    return made


def dump(app: Tiny) -> list[str]:
    """The live data as statements that would make it anew."""
    with sqlite3.connect(f"file:{app.paths.folder}/data/rows.db?mode=ro", uri=True) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        (found,) = database.execute("PRAGMA user_version").fetchone()
        return [str(found), *database.iterdump()]


def half(app: Tiny) -> bool:
    """Whether a migration has begun to change the live data."""
    with sqlite3.connect(f"file:{app.paths.folder}/data/rows.db?mode=ro", uri=True) as database:
        columns = [row[1] for row in database.execute("PRAGMA table_info(rows)")]
    return "of_2" in columns


def as_it_was(app: Tiny, serves: str, data: list[str]) -> None:
    """Code and data together, nothing left of what was tried, and nothing left to do."""
    assert app.serves() == serves and app.store_current() == serves
    assert dump(app) == data
    history = Store(app.paths).history()
    assert history.stake is None and history.schema == "1"
    assert Engine().containers(f"homeport.app={app.name}", "homeport.oneshot") == []
    assert app.run("recover").outcome == "nothing-to-do"


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("raises-live", "python3 /schema.py migrate ended with code 1"),
        ("hangs-live", "python3 /schema.py migrate had no end within 4 s and was stopped"),
    ],
)
def test_one_that_fails_in_the_hold(app: Tiny, fault: str, said: str) -> None:
    """It went well on the copy; half of it stood in the data, and is gone."""
    serves, data = app.serves(), dump(app)
    app.migrate = replace(RULES, within=4.0)
    begun = time.monotonic()
    verdict = app.run("deploy", "v2", fault)
    took = time.monotonic() - begun
    app.migrate = RULES
    assert (verdict.outcome, verdict.code) == ("failed", 57), (verdict.sentence, verdict.problems)
    assert said in str(verdict.problems) and serves in verdict.sentence
    steps = app.steps()
    assert steps.index("rehearse") < steps.index("hold") < steps.index("snapshot"), steps
    assert "migrate" not in steps and "smoke" not in steps, steps
    assert took < HOLD
    as_it_was(app, serves, data)


def test_an_executor_that_dies_with_it(app: Tiny) -> None:
    """The guardian ends the migration first, puts the data back, and starts what served."""
    serves, data = app.serves(), dump(app)
    run = detach.new_run()
    detach.start(app.paths, run, wire.encode(app.request("deploy", "v2", "hangs-live")))
    wait(lambda: half(app), "the migration is half-way", 60.0)
    pid = int(Lock(app.paths.lock).held()["pid"])
    os.kill(pid, signal.SIGKILL)
    killed = time.monotonic()
    page = app.ask(timeout=HOLD)
    print(f"serving again {time.monotonic() - killed:.2f} s after SIGKILL in a migration")
    assert page.status == 200 and page.told()["release"] == serves
    wait(lambda: Lock(app.paths.lock).held() == {}, "the recovery ended")
    as_it_was(app, serves, data)


def test_the_same_release_whole(app: Tiny) -> None:
    """After all that, a good one goes live with its schema."""
    app.deploy("v2", monitor=0.0)
    assert dump(app)[0] == "2" and app.serves().startswith("r")
    assert Store(app.paths).history().schema == "2"


def test_a_first_release_over_data_that_was_there(make_app: MakeApp) -> None:
    """Nothing serves that could take it back: the release itself gives the data back."""
    app = make_app("found", backup=Backup(), migrate=RULES)
    app.deploy("v1", monitor=0.0)
    assert app.run("remove").code == 0
    data = dump(app)
    verdict = app.run("deploy", "v2", "raises")
    assert (verdict.outcome, verdict.code) == ("failed", 57), (verdict.sentence, verdict.problems)
    assert "snapshot" in app.steps() and dump(app) == data
    history = Store(app.paths).history()
    assert history.stake is None and history.schema == "1"
    assert app.run("recover").outcome == "nothing-to-do" and app.containers() == {}
    app.deploy("v2", monitor=0.0)
    assert dump(app)[0] == "2"


def test_data_that_cannot_be_given_back_at_once(
    make_app: MakeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The release that would have been the first stays until the data that it found is back."""
    app = make_app("later", backup=Backup(), migrate=RULES)
    app.deploy("v1", monitor=0.0)
    assert app.run("remove").code == 0
    data = dump(app)

    def full(*_: object) -> str:
        raise HostFault(Problem("the disk is full", "host", "", "df -h"))

    with monkeypatch.context() as patch:
        patch.setitem(OPS, "restore-stake", full)
        verdict = app.run("deploy", "v2", "raises")
    assert verdict.code == 57 and "the disk is full" in verdict.sentence, verdict.sentence
    assert dump(app) != data and Store(app.paths).history().stake is not None
    assert app.run("recover").outcome == "recovered"
    assert dump(app) == data and Store(app.paths).history().stake is None
