"""Runs that somebody stops, on a real Engine: what served serves, and nothing is left of them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from homeport.errors import Cancelled, TooLate
from homeport.host import endings
from homeport.host.engine import Engine
from homeport.host.store import Lock, Store
from homeport.model import MODES, Cause, DeployRules, Mode, Request
from test_host_recovery import ask, committed, start
from tinyapp.driver import Tiny, wait

pytestmark = pytest.mark.docker
MakeApp = Callable[..., Tiny]


@pytest.fixture(scope="module")
def app(make_app: MakeApp) -> Tiny:
    """An app whose first release serves before each test, and after it."""
    made = make_app("stops", rules=DeployRules(start=20.0, drain=20.0))
    made.deploy("v1")
    return made


def at(app: Tiny, run: str, step: str) -> bool:
    """Whether the run is at a step, or past it."""
    ids = [one.get("id") for one in endings.told(app.paths, run) if one["e"] == "step"]
    return step in ids


def stopped(app: Tiny, run: str) -> dict[str, str]:
    """Ask a run to stop; its verdict, which says who asked."""
    begun = time.monotonic()
    request = Request("cancel", app.name, release=run, cause=Cause("anna", "the wrong branch"))
    code, events = ask(request)
    print(f"stopped after {time.monotonic() - begun:.2f} s")
    assert (code, events[-1]["outcome"]) == (Cancelled.code, "cancelled"), events[-1]
    assert "anna stopped the run" in events[-1]["sentence"]
    wait(lambda: Lock(app.paths.lock).held() == {}, "the run has let go")
    end = Store(app.paths).history().run(run)
    assert end is not None and end.end is not None and "anna" in str(end.end["problems"])
    return dict(events[-1])


@pytest.mark.parametrize("mode", MODES)
def test_stopped_while_it_gets_ready(app: Tiny, mode: Mode) -> None:
    """In every way of handing over: the release before serves, and only its containers are left."""
    app.mode(mode)
    served, before = app.serves(), app.running()
    run = start(app, app.request("deploy", "v2", "never-ready"))
    wait(lambda: at(app, run, "healthy"), "it waits for the new release", 60)
    verdict = stopped(app, run)
    assert verdict["sentence"].endswith(f"did not go live; {served} serves as before")
    assert app.serves() == served and app.running() == before == sorted(app.containers())
    assert [one.id for one in Store(app.paths).releases()] == [served]
    assert app.run("recover").outcome == "nothing-to-do"


def test_stopped_in_a_drain(app: Tiny) -> None:
    """Requests are held and one is slow: the hold is over at once, and that one gets its answer."""
    app.mode("recreate")
    served, pages = app.serves(), []
    slow = threading.Thread(target=lambda: pages.append(app.ask("/slow?6", timeout=30)))
    slow.start()
    wait(lambda: app_in_flight(app) > 0, "the slow request is in flight")
    run = start(app, app.request("deploy", "v2"))
    wait(lambda: at(app, run, "drain"), "it drains", 60)
    held = threading.Thread(target=lambda: pages.append(app.ask(timeout=30)))
    held.start()
    stopped(app, run)
    for one in (slow, held):
        one.join()
    assert [page.status for page in pages] == [200, 200] and app.serves() == served


def app_in_flight(app: Tiny) -> int:
    """Requests that the edge waits for an answer to, at the app."""
    from homeport.host.edge import Edge

    return Edge(app.paths, Engine()).in_flight(app.link()) or 0


def test_after_the_commit_it_is_finished(app: Tiny) -> None:
    """Asked in the watch, the run goes on; whoever asked is told, and so is who asks once more."""
    app.mode("overlap")
    served = app.serves()
    run = start(app, app.request("deploy", "v2", monitor=3.0))
    wait(lambda: committed(app, run), "the commit", 60)
    request = Request("cancel", app.name, release=run, cause=Cause("anna"))
    code, events = ask(request)
    assert (code, events[-1]["outcome"]) == (0, "deployed")
    assert "watch" in str(events[-1]["figures"]) and app.serves() != served
    code, events = ask(request)
    assert (code, events[-1]["outcome"]) == (TooLate.code, "nothing-to-do")
    assert f"run {run} is over: " in events[-1]["sentence"]
    assert app.run("rollback", release=served).outcome == "rolled-back"


def test_two_at_once(app: Tiny) -> None:
    """The second waits and is stopped, or leaves; the first is none the worse for either."""
    app.mode("overlap")
    first = start(app, app.request("deploy", "v2", monitor=8.0))
    wait(lambda: committed(app, first), "the commit", 60)
    second = start(app, app.request("deploy", "v1", wait=120.0, force=True))
    wait(
        lambda: f"waiting for deploy {first}" in str(list(endings.told(app.paths, second))),
        "the second waits",
    )
    code, events = ask(Request("cancel", app.name, release=second, cause=Cause("anna")))
    assert (code, events[-1]["outcome"]) == (Cancelled.code, "cancelled")
    assert events[-1]["problems"][0]["where"] == "while it waited for another run"
    code, events = ask(Request("attach", app.name))
    assert (code, events[0]["run"], events[-1]["outcome"]) == (0, first, "deployed")
