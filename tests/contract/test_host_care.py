"""Upkeep of a live database on the real Engine: in figures, with nobody failing meanwhile."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from homeport import wire
from homeport.host import detach
from homeport.host.engine import Engine
from homeport.host.oneshot import LABEL
from homeport.host.store import Lock
from homeport.model import DeployRules
from test_host_deploy import Traffic
from tinyapp.driver import Tiny, docker, wait

pytestmark = pytest.mark.docker
MakeApp = Callable[..., Tiny]
FILE = "/app/data/shop.db"
#: a database with so much in it that a vacuum has something to do
MAKE = f"""
import sqlite3
db = sqlite3.connect({FILE!r}, isolation_level=None)
db.execute("PRAGMA journal_mode = wal")
db.execute("PRAGMA synchronous = off")
db.execute("CREATE TABLE foods (id INTEGER PRIMARY KEY, name TEXT)")
db.execute("CREATE INDEX by_name ON foods (name)")
db.execute("BEGIN")
db.executemany("INSERT INTO foods VALUES (?, ?)", ((n, str(n) * 60) for n in range(40000)))
db.execute("COMMIT")
db.execute("DELETE FROM foods WHERE id >= 4000")
"""
#: one row a moment, until a file says that it is enough; how often it had to give up
WRITER = f"""
import os, sqlite3, time
db = sqlite3.connect({FILE!r}, timeout=10, isolation_level=None)
wrote = failed = 0
print("begun", flush=True)
while not os.path.exists("/app/data/enough"):
    try:
        db.execute("INSERT INTO foods (name) VALUES ('while it went on')")
        wrote += 1
    except sqlite3.OperationalError:
        failed += 1
    time.sleep(0.005)
print(wrote, failed)
"""


def inside(app: Tiny, program: str) -> str:
    """What a program prints that runs in the live container, as the app's user."""
    web = next(name for name in app.running() if name.endswith("-web-1"))
    return docker("exec", web, "python3", "-c", program)


@pytest.fixture(scope="module")
def app(make_app: MakeApp) -> Iterator[Tiny]:
    """An app that serves, with a database in its folder."""
    made = make_app("care", rules=DeployRules(start=8.0, drain=2.0))
    made.deploy("v1")
    inside(made, MAKE)
    yield made


def figures(app: Tiny, do: str) -> dict[str, Any]:
    """Do it, see it succeed, and answer what it says of the one database."""
    verdict = app.run(f"data-{do}")
    assert verdict.code == 0, (verdict.sentence, verdict.problems)
    told = verdict.figures["databases"]
    assert [one["database"] for one in told] == ["data/shop.db"]
    return dict(told[0])


def test_a_check_counts_every_row_and_lets_everybody_go_on(app: Tiny) -> None:
    """Whole, with its rows; nobody was held, nothing was written."""
    with Traffic(app) as traffic:
        told = figures(app, "check")
    assert (told["problems"], told["rows"], told["tables"]) == ([], 4000, 1)
    assert traffic.asked > 0 and not traffic.bad
    assert "hold" not in app.steps() and app.steps() == ["care"]


def test_a_vacuum_under_traffic_and_a_writer(app: Tiny) -> None:
    """The file gets small, no request fails, a worker's writes wait, and all rows are there."""
    told: list[str] = []
    writer = threading.Thread(target=lambda: told.append(inside(app, WRITER)))
    writer.start()
    try:
        with Traffic(app) as traffic:
            found = figures(app, "vacuum")
    finally:
        inside(app, "open('/app/data/enough', 'w').close()")
        writer.join(60)
    wrote, failed = (int(one) for one in told[0].split()[1:])
    assert failed == 0 < wrote
    assert not traffic.bad and traffic.asked > 0
    assert app.steps() == ["hold", "drain", "care", "resume"]
    # some client really waited for it
    assert traffic.slowest > found["seconds"] > 0
    assert found["before"]["empty"] > 500 and found["after"]["size"] < found["before"]["size"] / 3
    assert figures(app, "check")["rows"] == 4000 + wrote
    assert (app.paths.folder / "data").stat().st_uid == 10001


def test_the_log_comes_home_and_statistics_are_gathered(app: Tiny) -> None:
    """Beside an app that has the database open."""
    keep = (
        f"import sqlite3, time; db = sqlite3.connect({FILE!r}, isolation_level=None);"
        "db.execute('PRAGMA wal_autocheckpoint = 0');"
        "db.execute(\"INSERT INTO foods (name) VALUES ('late')\"); time.sleep(3600)"
    )
    web = next(iter(app.running()))
    docker("exec", "-d", web, "python3", "-c", keep)
    log = app.paths.folder / "data" / "shop.db-wal"
    wait(lambda: log.exists() and log.stat().st_size, "there is a log")
    found = figures(app, "checkpoint")
    assert found["before"]["wal"] > 0 == found["after"]["wal"]
    assert figures(app, "analyze")["statistics"] >= 1


def test_an_executor_that_is_killed_in_it_keeps_nobody_waiting(app: Tiny) -> None:
    """The boot hook's recovery lets requests through, and what was left of the work is gone."""
    hang = f"import sqlite3, time; db = sqlite3.connect({FILE!r}, isolation_level=None);"
    hang += "db.execute('BEGIN IMMEDIATE'); print('has it', flush=True); time.sleep(60)"
    web = next(iter(app.running()))
    docker("exec", "-d", web, "python3", "-c", hang)
    run = detach.new_run()
    detach.start(app.paths, run, wire.encode(app.request("data-vacuum")))
    wait(lambda: app.link() == app.hold, "requests are held")
    mine = f"homeport.app={app.name}"
    wait(lambda: Engine().containers(mine, LABEL), "the work has begun")
    holder = Lock(app.paths.lock).held()
    assert holder["run"] == run
    os.kill(int(holder["pid"]), signal.SIGKILL)
    wait(lambda: app.link() != app.hold, "the guardian's recovery", 30)
    wait(lambda: not Lock(app.paths.lock).held(), "recovery ends", 30)
    assert app.serves() and not Engine().containers(mine, LABEL)


def test_a_damaged_database_is_an_exit_code_of_its_own(app: Tiny) -> None:
    """What is wrong, and what to do next; the app goes on, and a vacuum is refused."""
    inside(app, f"open({FILE!r}, 'r+b').write(b'not a database')")
    verdict = app.run("data-check")
    assert (verdict.outcome, verdict.code) == ("failed", 36)
    assert [one["what"] for one in verdict.problems] == ["data/shop.db is damaged"]
    assert "homeport backup list" in verdict.problems[0]["mend"]
    assert app.serves()
    refused = app.run("data-vacuum")
    assert (refused.outcome, refused.code) == ("refused", 30) and not app.steps()
    assert [one["why"] for one in refused.problems] == ["it is no SQLite database any more"]
