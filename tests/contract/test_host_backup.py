"""``homeport backup`` of a real app on the real Engine: made, held for, checked again, let go."""

from __future__ import annotations

import os
import signal
import sqlite3
from collections import namedtuple
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest

from homeport.backups import Backup
from homeport.core.oneshot import LABEL
from homeport.core import freshness
from homeport.errors import HostFault, NoSuchRelease, Refused, Unverified
from homeport.host import look, read, read_data, schedule, sets
from homeport.host.store import Store
from homeport.model import Cause, DeployRules
from homeport.planned import Verdict
from test_host_deploy import Traffic
from test_host_recovery import executor_of, start
from tinyapp.driver import Tiny, docker, wait

pytestmark = pytest.mark.docker
MakeApp = Callable[..., Tiny]
Usage = namedtuple("Usage", "total used free")
RULES = Backup(schedule="hourly", keep=1, days=1)


@pytest.fixture(scope="module")
def app(make_app: MakeApp) -> Tiny:
    """An app with a database, whose backups are asked for."""
    rules = DeployRules(handover="recreate", start=8.0, drain=2.0)
    made = make_app("saves", rules=rules, backup=RULES)
    made.deploy("v1")
    with closing(sqlite3.connect(made.paths.folder / "data" / "food.db")) as database, database:
        database.execute("CREATE TABLE food (id INTEGER PRIMARY KEY, name TEXT)")
        database.executemany("INSERT INTO food (name) VALUES (?)", [(str(n),) for n in range(500)])
    docker(
        "run", "--rm", "--user", "0", "-v", f"{made.paths.folder}/data:/d", made.image("v1"), *OWN
    )
    return made


OWN = ("python3", "-c", "import os; os.chown('/d/food.db', 10001, 10001)")


def listed(app: Tiny) -> dict[str, Any]:
    """What ``homeport backup list`` says."""
    return read_data.listing(app.context("status"))


def good(verdict: Verdict) -> Verdict:
    """A verdict that is expected to be one."""
    assert verdict.code == 0, (verdict.sentence, verdict.problems)
    return verdict


def leftovers(app: Tiny) -> list[str]:
    """What a backup must not leave: sets half made, and containers that were to be gone."""
    half = [one.name for one in app.paths.backups.glob(".*")]
    mine = ("--filter", f"label=homeport.app={app.name}", "--filter", f"label={LABEL}")
    return half + docker("ps", "-aq", *mine).split()


def test_a_set_is_made_checked_and_told_of(app: Tiny) -> None:
    """The verdict and the figures say what was saved; list, status and history tell it later."""
    verdict = good(app.run("backup"))
    one = listed(app)["sets"][0]
    assert verdict.outcome == "backed-up" and verdict.sentence.startswith(one["id"])
    assert (one["state"], one["why"], one["release"]) == ("verified", "asked for", app.serves())
    assert {(each["kind"], each["source"]) for each in one["items"]} >= {
        ("sqlite", "data/food.db"),
        ("folder", "data"),
    }
    assert verdict.figures["backup"]["bytes"] == one["size"] > 4096
    assert verdict.figures["verify_s"] == one["verify_seconds"] > 0
    seen = read.status(app.context("status"))["backup"]
    assert seen["verified"]["id"] == one["id"] and seen["configured"]
    run = read.history(app.context("history"))[0]
    assert (run["verb"], run["outcome"], run["code"]) == ("backup", "backed-up", 0)
    assert leftovers(app) == []


def test_a_damaged_set_is_named_and_goes_once_there_is_a_better_one(app: Tiny) -> None:
    """35, and where it is damaged; it does not count; the next good one lets it go."""
    good(app.run("backup"))
    name = listed(app)["sets"][0]["id"]
    path = next(app.paths.backups.glob(f"{name}/*.sqlite"))
    raw = bytearray(path.read_bytes())
    raw[5000] ^= 1
    os.chmod(path.parent, 0o2770)
    path.unlink()
    path.write_bytes(raw)
    verdict = app.run("backup-verify", set=name[:15])
    assert (verdict.outcome, verdict.code) == ("failed", Unverified.code)
    assert any("data/food.db" in one["where"] for one in verdict.problems), verdict.problems
    seen = listed(app)
    assert seen["sets"][0]["state"] == "failed"
    assert f"the set {name} failed its check" in [one["what"] for one in seen["problems"]]
    assert app.run("backup-verify", set="latest").code == Unverified.code
    every = app.run("backup-verify", set="all")
    assert every.code == Unverified.code and len(every.figures["verified"]) == len(seen["sets"])

    good(app.run("backup"))
    assert "prune-sets" in app.steps()
    left = listed(app)["sets"]
    assert name not in [one["id"] for one in left] and left[0]["state"] == "verified"
    assert (
        good(app.run("backup-verify")).sentence == f"{left[0]['id']}: restored, looked at, and good"
    )
    assert good(app.run("backup-prune")).outcome == "nothing-to-do"


def test_a_set_of_one_instant_fails_no_request(app: Tiny) -> None:
    """Requests wait while it is copied, not while it is checked, and then go on."""
    link = app.link()
    with Traffic(app) as traffic:
        verdict = good(app.run("backup", hold=True))
    assert traffic.bad == [] and traffic.asked > 20
    assert app.link() == link and app.serves() == verdict.release
    steps = app.steps()
    assert steps[:4] == ["hold", "drain", "backup", "serve"] and steps[4] == "verify"
    held = verdict.figures["held_s"]
    assert 0 < held < 10 and traffic.slowest <= held + 2.0
    assert f"requests were held {held:.1f} s" in verdict.sentence


def test_one_that_fails_in_its_hold_lets_requests_go_on(
    app: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mistake of ours too: the link names what served, and the verdict says what failed."""
    link = app.link()

    def take(*_: object) -> None:
        raise RuntimeError("out of paper")

    monkeypatch.setattr(sets, "take", take)
    with Traffic(app) as traffic:
        verdict = app.run("backup", hold=True)
    assert verdict.outcome == "failed" and "out of paper" in verdict.sentence
    assert app.link() == link and traffic.bad == []
    assert "the last backup failed" in [one["what"] for one in listed(app)["problems"]]
    monkeypatch.undo()
    good(app.run("backup"))
    assert listed(app)["problems"][0]["check"] == "backup-schedule", "nobody ticks on this machine"


def test_one_that_is_killed_in_its_hold(app: Tiny) -> None:
    """The guardian lets requests go on; nothing of the set is left by the next one."""
    link, before = app.link(), listed(app)["sets"]
    run = start(app, app.request("backup", hold=True))
    executor = executor_of(app, run)
    wait(lambda: app.link() == app.hold, "the hold")
    os.kill(executor, signal.SIGKILL)
    wait(lambda: app.link() == link, "requests go on")
    wait(lambda: (mine := Store(app.paths).history().run(run)) and mine.end, "its end is told")
    assert app.serves()
    found = Store(app.paths).history().run(run)
    assert found is not None and found.end is not None
    assert found.end["sentence"] == "backup was interrupted; homeport status tells what stands"
    assert [one["id"] for one in listed(app)["sets"]] == [one["id"] for one in before]
    good(app.run("backup"))
    assert leftovers(app) == []


def test_the_schedule_makes_what_is_due_as_a_run_of_its_own(
    app: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under a guardian and the app's lock; what is fresh is left alone."""
    monkeypatch.setattr(schedule.boot, "apps", lambda: [app.name])
    assert schedule.main() == 0
    runs = len(Store(app.paths).history().runs)
    assert schedule.main() == 0 and len(Store(app.paths).history().runs) == runs
    for one in listed(app)["sets"]:
        sets.drop(app.paths, one["id"])
    assert schedule.main() == 0
    made = Store(app.paths).history().runs[-1]
    assert (made.verb, made.cause["who"], made.good) == ("backup", "schedule", True)
    assert listed(app)["sets"][0]["why"] == "scheduled, hourly"


def test_without_room_nothing_is_begun(app: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refused by what the last set took; status and the list tell that the last try failed."""
    before = listed(app)["sets"]
    monkeypatch.setattr(look.shutil, "disk_usage", lambda path: Usage(10**9, 10**9 - 5000, 5000))
    verdict = app.run("backup")
    assert (verdict.outcome, verdict.code) == ("refused", Refused.code)
    assert "no room" in verdict.sentence and app.steps() == []
    monkeypatch.undo()
    seen = listed(app)
    assert [one["id"] for one in seen["sets"]] == [one["id"] for one in before]
    assert ("the last backup failed", verdict.sentence) in [
        (one["what"], one["why"]) for one in seen["problems"]
    ]
    good(app.run("backup"))
    assert any("the data is saved and the copy tried first" in one for one in noted(app))


def noted(app: Tiny) -> list[str]:
    """What the last run's plan said beforehand."""
    return [text for one in app.events if one["e"] == "plan" for text in one["notices"]]


def test_a_line_that_is_down_takes_nothing_from_the_set_on_the_box(make_app: MakeApp) -> None:
    """The verdict says which part failed; the schedule makes no other set because of it."""
    away = replace(RULES, offsite="rest:http://127.0.0.1:9/nobody/")
    app = make_app("away", backup=away)
    keys = app.paths.folder / "restic.env"
    keys.write_text("RESTIC_PASSWORD=for-a-test\n")
    keys.chmod(0o600)
    app.deploy("v1")
    verdict = app.run("backup", cause=Cause("schedule"))
    one = listed(app)["sets"][0]
    assert one["state"] == "verified" and verdict.code == HostFault.code
    said = f"{one['id']} is saved and verified: "
    assert verdict.sentence.startswith(said) and "; it is not off the box: " in verdict.sentence
    assert "127.0.0.1:9" in verdict.problems[0]["where"], verdict.problems
    assert not freshness.due(app.context("status").facts())
    told = [one["what"] for one in listed(app)["problems"]]
    assert "the last backup failed" not in told


def test_what_is_refused(app: Tiny, make_app: MakeApp) -> None:
    """A set that is not there, and an app whose homeport.toml asks for no backups."""
    assert app.run("backup-verify", set="19700101T000000-0000").code == NoSuchRelease.code
    bare = make_app("bare")
    assert bare.run("backup").code == NoSuchRelease.code
    bare.deploy("v1")
    verdict = bare.run("backup")
    assert (verdict.outcome, verdict.code) == ("refused", Refused.code)
    assert "has no [backup]" in verdict.problems[0]["why"]
    warned = read.status(bare.context("status"))["warnings"]
    assert any(one.startswith("nothing is saved of /app/data, /app/keep") for one in warned)
