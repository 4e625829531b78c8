"""The freeze, and a request asked twice, on the real Engine with real, detached runs."""

from __future__ import annotations

import io
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from homeport import wire
from homeport.errors import Frozen
from homeport.host import agent, detach, joining, prepare, read
from homeport.host.store import Store
from homeport.model import Cause, DeployRules
from tinyapp.driver import Tiny, wait

pytestmark = pytest.mark.docker
MakeApp = Callable[..., Tiny]
RULES = DeployRules(handover="overlap", start=8.0, drain=2.0)
KEY, OTHER = "5" * 32, "6" * 32


def asked(app: Tiny, verb: str, version: str = "v1", **more: Any) -> dict[str, Any]:
    """The verdict that a request gets at the agent's door."""
    payload = wire.encode(app.request(verb, version, **more))
    out = io.BytesIO()
    code = agent.main(payload, io.BytesIO(), out)
    told = [json.loads(line) for line in out.getvalue().splitlines()]
    assert told[-1]["e"] == "verdict" and told[-1]["code"] == code
    return dict(told[-1])


def begun(app: Tiny) -> list[str]:
    """The runs that the journal knows, in their order."""
    return [one.id for one in Store(app.paths).history().runs]


def reaches(app: Tiny, run: str, step: str) -> None:
    """Wait until a run has begun a step."""

    def there() -> bool:
        seen = Store(app.paths).history().run(run)
        return seen is not None and seen.step == step

    wait(there, f"{run} begins {step}", 20.0)


def kill(app: Tiny) -> None:
    """SIGKILL the executor of the run that goes on, and its guardian first."""
    executor = int(json.loads(app.paths.lock.read_text())["pid"])
    guardian = int(Path(f"/proc/{executor}/stat").read_text().rsplit(")", 1)[1].split()[1])
    assert guardian > 1
    for pid in (guardian, executor):
        os.kill(pid, signal.SIGKILL)
    wait(lambda: not any(joining.going_on(app.paths, key) for key in (KEY, OTHER)), "both are gone")


def test_no_deploy_goes_through_while_frozen(make_app: MakeApp) -> None:
    """rollback --freeze stops deploys and nothing else, until a person lifts it; status tells."""
    app = make_app("frozen", rules=RULES)
    first, second = app.deploy("v1").release, app.deploy("v2").release
    why = Cause("ann", "v2 loses the till", "https://git.example/7")
    back = app.run("rollback", freeze=True, cause=why)
    assert (back.outcome, app.serves()) == ("rolled-back", first)
    assert back.figures["serves"]["id"] == first and back.figures["before"]["id"] == second
    assert back.figures["frozen"]["why"] == why.why
    was = app.containers()
    for version in ("v1", "v3"):
        refused = app.run("deploy", version, force=True)
        assert (refused.outcome, refused.code) == ("refused", Frozen.code), refused
        (problem,) = refused.problems
        assert "ann: v2 loses the till" in problem["why"] and "unfreeze" in problem["mend"]
        assert refused.figures["serves"]["id"] == first
    assert app.containers().keys() == was.keys() and app.serves() == first
    told = read.status(app.context("status"))["frozen"]
    assert (told["who"], told["why"], told["url"]) == (why.who, why.why, why.url)
    planned = prepare.plan_only(app.context("plan", "v3"))
    assert planned["frozen"] == told and "frozen" in planned["problems"][0]["what"]
    assert app.run("rollback", release=second).outcome == "rolled-back"
    assert app.run("deploy", shared=True).outcome == "nothing-to-do"
    lifted = app.run("unfreeze")
    assert lifted.outcome == "unfrozen" and lifted.figures["frozen"] is None
    assert app.run("unfreeze").outcome == "nothing-to-do"
    third = app.deploy("v3")
    assert third.release.startswith("r0003-"), "a deploy that met the freeze used up a number"
    assert third.figures["frozen"] is None and third.figures["previous"]["id"] == second


def test_a_deploy_can_lift_it(make_app: MakeApp) -> None:
    """deploy --unfreeze lifts it with its own commit; one that fails leaves it as it was."""
    app = make_app("lift", rules=DeployRules(handover="overlap", start=3.0, drain=2.0))
    app.deploy("v1")
    frozen = app.run("freeze", cause=Cause("ann", "holidays"))
    assert frozen.outcome == "frozen" and frozen.figures["frozen"]["who"] == "ann"
    failed = app.run("deploy", "v2", "exit", unfreeze=True)
    assert failed.outcome == "failed" and failed.figures["frozen"]["why"] == "holidays"
    assert app.run("deploy", "v2").code == Frozen.code
    assert app.deploy("v2", unfreeze=True).figures["frozen"] is None
    live = app.run("rollback", release=app.serves(), freeze=True)
    assert live.outcome == "already-live" and app.run("deploy", "v3").code == Frozen.code


def test_a_second_request_joins_the_first(make_app: MakeApp) -> None:
    """While the run goes on it is followed; once it ended well its verdict is given again."""
    app = make_app("joins", rules=RULES)
    app.deploy("v1")
    payload = wire.encode(app.request("deploy", "v2", key=KEY, monitor=2.0))
    run = detach.new_run()
    detach.start(app.paths, run, payload)
    followed = asked(app, "deploy", "v2", key=KEY, monitor=2.0)
    assert (followed["run"], followed["outcome"]) == (run, "deployed")
    runs = begun(app)
    again = asked(app, "deploy", "v2", key=KEY, monitor=2.0)
    assert (again["run"], again["outcome"], again["code"]) == (run, "deployed", 0)
    assert again["figures"]["serves"]["id"] == again["release"] == app.serves()
    assert begun(app) == runs
    # a job that goes back and is run again does not go one further back
    app.deploy("v3")
    back = asked(app, "rollback", key=OTHER)
    assert back["outcome"] == "rolled-back" and back["release"] == again["release"]
    assert asked(app, "rollback", key=OTHER)["run"] == back["run"]
    assert app.serves() == back["release"]
    # what it did no longer stands: it is done anew
    app.deploy("v4")
    anew = asked(app, "deploy", "v2", key=KEY)
    assert anew["run"] != run and anew["outcome"] == "deployed" and app.serves() == anew["release"]


def test_a_run_that_died_is_not_waited_for(make_app: MakeApp) -> None:
    """Dead before its handover: recovered and done anew. Dead after it: finished, and not twice."""
    app = make_app("died", rules=RULES)
    first = app.deploy("v1").release
    run = detach.new_run()
    slow = app.request("deploy", "v2", "never-ready", key=KEY)
    detach.start(app.paths, run, wire.encode(slow))
    reaches(app, run, "healthy")
    assert joining.going_on(app.paths, KEY) == run
    kill(app)
    done = asked(app, "deploy", "v2", key=KEY, monitor=0.5)
    assert done["outcome"] == "deployed" and done["run"] != run and app.serves() != first
    ended = Store(app.paths).history().run(run)
    assert ended is not None and ended.end is not None and ended.end["outcome"] == "failed"

    run = detach.new_run()
    again = {"key": OTHER, "freeze": True, "monitor": 3.0}
    detach.start(app.paths, run, wire.encode(app.request("rollback", **again)))
    reaches(app, run, "watch")
    kill(app)
    told = asked(app, "rollback", **again)
    assert (told["run"], told["outcome"], told["code"]) == (run, "rolled-back", 0), told
    assert app.serves() == told["release"] == first and told["figures"]["frozen"]
