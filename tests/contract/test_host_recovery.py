"""Runs that die: killed executors, boots, links and containers that somebody took away."""

from __future__ import annotations

import io
import json
import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from homeport import wire
from homeport.host import agent, boot, detach
from homeport.host.engine import Engine
from homeport.host.store import Lock, Store
from homeport.model import DeployRules, Image, Request
from tinyapp.driver import Tiny, docker, wait

pytestmark = pytest.mark.docker
MakeApp = Callable[..., Tiny]


@pytest.fixture
def app(make_app: MakeApp) -> Tiny:
    """An app whose first release serves."""
    made = make_app("dies", rules=DeployRules(handover="recreate", start=8.0, drain=2.0))
    made.deploy("v1")
    return made


@pytest.fixture(scope="module")
def steady(make_app: MakeApp) -> Tiny:
    """An app whose first release serves before and after each test that uses it."""
    made = make_app("steady", rules=DeployRules(handover="recreate", start=8.0, drain=2.0))
    made.deploy("v1")
    return made


def start(app: Tiny, request: Request) -> str:
    """Start a run as the agent does: detached, under a guardian; its id."""
    run = detach.new_run()
    detach.start(app.paths, run, wire.encode(request))
    return run


def executor_of(app: Tiny, run: str) -> int:
    """The process that carries out a run: the one that holds the app's lock for it."""
    return int(wait(lambda: holder(app, run), "the executor holds the lock")["pid"])


def holder(app: Tiny, run: str) -> dict[str, Any]:
    """Who holds the app's lock, if it is that run."""
    found = Lock(app.paths.lock).held()
    return found if found.get("run") == run else {}


def parent(pid: int) -> int:
    """The process that started another."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("PPid:"))


def committed(app: Tiny, run: str) -> bool:
    """Whether a run's commit is in the journal."""
    found = Store(app.paths).history().run(run)
    return found is not None and bool(found.committed)


def ask(request: Request, answer: bytes = b"") -> tuple[int, list[dict[str, Any]]]:
    """What the agent answers to a request: its exit code and its events."""
    out = io.BytesIO()
    code = agent.main(wire.encode(request), io.BytesIO(answer), out)
    return code, [json.loads(line) for line in out.getvalue().splitlines()]


def whole(app: Tiny) -> dict[str, Any]:
    """Everything of the app that a recovery with nothing to do must leave as it is."""
    noise = {str(app.paths.lock), str(app.paths.ballast)}
    files = {key: value for key, value in app.tree().items() if key not in noise}
    runs = str(app.paths.runs)
    kept = {key: value for key, value in files.items() if not key.startswith(runs)}
    return {**kept, "containers": {key: one["State"] for key, one in app.containers().items()}}


def test_killed_in_a_hold(app: Tiny) -> None:
    """The executor dies while requests wait: the guardian has them answered within 3 seconds."""
    run = start(app, app.request("deploy", "v2"))
    pid = executor_of(app, run)
    wait(lambda: app.link() == app.hold, "the hold")
    wait(app.paths.slot("r0002").joinpath("app.sock").exists, "the new slot has begun")
    killed = time.monotonic()
    os.kill(pid, signal.SIGKILL)
    page = app.ask(timeout=15)
    took = time.monotonic() - killed
    print(f"serving again {took:.2f} s after SIGKILL in a hold")
    assert page.status == 200 and page.told()["version"] == "v1"
    assert took <= 3.0
    out = io.BytesIO()
    assert detach.follow(app.paths, run, out) == 1
    verdict = json.loads(out.getvalue().splitlines()[-1])
    assert (verdict["outcome"], verdict["run"]) == ("failed", run)
    assert "interrupted before its handover" in verdict["sentence"]
    code, events = ask(Request("attach", app.name))
    assert (code, events[0]["run"], events[-1]["outcome"]) == (1, run, "failed")
    wait(lambda: Lock(app.paths.lock).held() == {}, "the recovery ended")
    assert app.running() == [app.web_of("r0001-")] == list(app.containers())
    assert app.policy(app.web_of("r0001-")) == "unless-stopped"
    before = whole(app)
    for _ in range(2):
        verdict = app.run("recover")
        assert (verdict.outcome, verdict.code) == ("nothing-to-do", 0)
    assert whole(app) == before


def test_killed_in_its_watch(app: Tiny) -> None:
    """The executor dies after the commit: the guardian finishes the watch; it is a success."""
    run = start(app, app.request("deploy", "v2", monitor=2.0))
    pid = executor_of(app, run)
    wait(lambda: committed(app, run), "the commit", 20)
    os.kill(pid, signal.SIGKILL)
    assert detach.follow(app.paths, run, io.BytesIO()) == 0
    wait(lambda: Lock(app.paths.lock).held() == {}, "the recovery ended")
    assert app.ask().told()["version"] == "v2"
    assert Store(app.paths).current() == Store(app.paths).history().committed
    end = Store(app.paths).history().run(run)
    assert end is not None and end.end is not None and end.end["outcome"] == "deployed"


def test_killed_with_its_guardian(app: Tiny) -> None:
    """Both die while requests wait: whoever follows the run has it recovered, and gets its end."""
    run = start(app, app.request("deploy", "v2"))
    pid = executor_of(app, run)
    wait(lambda: app.link() == app.hold, "the hold")
    for one in (parent(pid), pid):
        os.kill(one, signal.SIGKILL)
    out, since = io.BytesIO(), time.monotonic()
    assert detach.follow(app.paths, run, out) == 1
    print(f"told of its end {time.monotonic() - since:.2f} s after both were killed")
    verdict = json.loads(out.getvalue().splitlines()[-1])
    assert (verdict["outcome"], verdict["run"]) == ("failed", run)
    assert app.ask(timeout=5).told()["version"] == "v1"
    wait(lambda: Lock(app.paths.lock).held() == {}, "the recovery ended")
    assert Store(app.paths).history().unfinished == ()
    assert app.running() == [app.web_of("r0001-")] == list(app.containers())


def test_two_boots_in_a_watch_take_the_release_back(app: Tiny) -> None:
    """A release under which the host goes down twice before its watch is over is taken back."""
    run = start(app, app.request("deploy", "v2", monitor=20.0))
    pid = executor_of(app, run)
    wait(lambda: committed(app, run), "the commit", 20)
    for one in (parent(pid), pid):
        os.kill(one, signal.SIGKILL)
    wait(lambda: Lock(app.paths.lock).held() == {}, "the lock died with them")
    Store(app.paths).append({"k": "boot", "run": ""})
    for name in app.running():
        docker("kill", "-s", "KILL", name)
    assert boot.main() == 0
    assert app.ask().told()["version"] == "v1"
    end = Store(app.paths).history().run(run)
    assert end is not None and end.end is not None and end.end["outcome"] == "taken-back"
    assert "two boots without a finished watch" in end.end["sentence"], "the cause is hidden"
    assert app.running() == [app.web_of("r0001-")]


def test_a_boot_opens_a_hold(steady: Tiny) -> None:
    """Booted with the link on hold and the containers gone down, the committed release serves."""
    Store(steady.paths).write_link(steady.hold)
    docker("kill", "-s", "KILL", *steady.running())
    assert steady.name in boot.apps()
    assert boot.main() == 0
    assert steady.ask(timeout=5).told()["version"] == "v1"
    boots = steady.paths.journal.read_text().count('"k":"boot"')
    assert boot.main() == 0
    assert steady.paths.journal.read_text().count('"k":"boot"') == boots + 1


def _no_link(app: Tiny) -> None:
    app.paths.link.unlink()


def _garbage(app: Tiny) -> None:
    app.paths.link.write_bytes(b"\xff\x00 not an address")


def _no_container(app: Tiny) -> None:
    docker("rm", "-f", *app.containers())


def _nothing_left(app: Tiny) -> None:
    _no_container(app)
    docker("run", "--rm", "-v", f"{app.paths.sockets}:/s", app.image("v1"), "true")
    for path in sorted(app.paths.sockets.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()


def _no_policy(app: Tiny) -> None:
    Engine().set_policy(app.web_of("r0001-"), "no")


def _standing_by(app: Tiny) -> None:
    (app.paths.slot("r0001") / "standby").touch()


def _no_current(app: Tiny) -> None:
    (app.paths.folder / "current").unlink()


def test_whatever_was_taken_away_is_put_back(steady: Tiny) -> None:
    """Recovery puts each back, and a second one finds nothing to do."""
    for harm in (
        _no_link,
        _garbage,
        _no_container,
        _nothing_left,
        _no_policy,
        _standing_by,
        _no_current,
    ):
        harm(steady)
        verdict = steady.run("recover")
        assert verdict.outcome == "recovered", (harm.__name__, verdict)
        told = steady.ask(timeout=5).told()
        assert (told["version"], told["standby"]) == ("v1", False), harm.__name__
        assert steady.policy(steady.web_of("r0001-")) == "unless-stopped"
        assert Store(steady.paths).current().startswith("r0001-")
        assert steady.run("recover").outcome == "nothing-to-do", harm.__name__


def test_a_run_that_died_gets_its_verdict_from_the_next(app: Tiny) -> None:
    """A run without an end, and a slot it left running, are dealt with before the next deploy."""
    app.mode("overlap")
    context = app.context("deploy")
    context.journal("begin", verb="deploy", release="r0007-aaaaaaa", cause={})
    docker(
        "run",
        "-d",
        "--stop-timeout=1",
        "--label",
        f"homeport.app={app.name}",
        "--label",
        "homeport.slot=r0007",
        app.image("v1"),
    )
    assert len(app.running()) == 2
    verdict = app.deploy("v2")
    assert verdict.release.startswith("r0008-")
    assert app.running() == [app.web_of("r0008-")] and app.containers("r0007") == {}
    died = Store(app.paths).history().run(context.run)
    assert died is not None and died.end is not None and died.end["outcome"] == "failed"
    assert "recovering first" in app.notices()


def test_only_one_run_at_a_time(steady: Tiny) -> None:
    """While a run holds the app another is refused with who, and changes nothing."""
    lock = Lock(steady.paths.lock)
    lock.take({"run": "r", "verb": "deploy", "who": "ci"})
    before = whole(steady)
    try:
        code, events = ask(steady.request("deploy", "v2"))
    finally:
        lock.release()
    assert code == 31 and events[-1]["outcome"] == "refused"
    assert "by ci holds the app" in events[-1]["problems"][0]["what"]
    assert whole(steady) == before


# --- the agent's door ----------------------------------------------------------------------------
def test_the_door_answers_every_request(app: Tiny) -> None:
    """Each verb through the agent itself: reads, a deploy to its verdict, and refusals."""
    for verb, key in (("status", "release"), ("plan", "text")):
        code, events = ask(app.request(verb, "v2"))
        assert code == 0 and events[0]["data"][key]
    assert ask(app.request("history"))[1][0]["data"][0]["outcome"] == "deployed"
    code, events = ask(app.request("logs"))
    assert code == 0 and "v1 serves" in events[0]["line"]
    assert ask(app.request("logs", release="nobody"))[0] == 2
    app.mode("overlap")
    code, events = ask(app.request("deploy", "v2"))
    assert (code, events[-1]["outcome"]) == (0, "deployed")
    assert [one["e"] for one in events[:1]] == ["run"] and app.ask().told()["version"] == "v2"
    code, events = ask(Request("attach", app.name, release=events[0]["run"]))
    assert (code, events[-1]["outcome"]) == (0, "deployed")
    for refused in (
        Request("attach", app.name, release="../../etc/passwd"),
        Request("dance", app.name),
    ):
        assert ask(refused)[0] == 2
    absent = Request("status", "never-set-up")
    code, events = ask(absent)
    assert code == 24 and "homeport setup" in events[-1]["problems"][0]["mend"]
    out = io.BytesIO()
    assert agent.main(b"{nonsense", io.BytesIO(), out) == 2
    assert json.loads(out.getvalue())["outcome"] == "refused"
    strange = replace(app.request("status"), app="another-app")
    assert ask(strange)[0] == 2 and ask(Request("status", "../etc"))[0] == 2


def test_an_image_nobody_has_is_asked_for(steady: Tiny) -> None:
    """An image without a registry is asked for; if it does not come nothing begins."""
    request = replace(steady.request("deploy"), image=Image("homeport-test/not-built:yet"))
    before = whole(steady)
    code, events = ask(request, b"image failed\n")
    assert events[0] == {"e": "need", "need": "image", "ref": "homeport-test/not-built:yet"}
    assert code == 1 and "did not arrive" in events[-1]["sentence"]
    assert whole(steady) == before
