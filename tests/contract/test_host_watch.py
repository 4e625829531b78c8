"""What the edge counts, and looking on at a release, against the real edge."""

from __future__ import annotations

import io
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from homeport import wire
from homeport.core.edge import site_of
from homeport.core.verdicts import Count
from homeport.errors import NoSuchRelease, ReleaseFailed
from homeport.host import detach
from homeport.host.edge import Edge
from homeport.host.engine import Engine
from homeport.host.read_watch import watch
from homeport.host.store import Lock
from homeport.model import DeployRules
from tinyapp.driver import Tiny, docker, wait

pytestmark = pytest.mark.docker
MakeApp = Callable[..., Tiny]


@contextmanager
def asking(app: Tiny) -> Iterator[None]:
    """Ask for the app's page over and over while the block runs."""
    over = threading.Event()

    def ask() -> None:
        while not over.wait(0.02):
            app.ask()

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def counted(app: Tiny) -> Count:
    """What the edge has counted for the app's site."""
    found = Edge(app.paths, Engine()).answers(site_of(app.settings(), ""))
    assert found is not None
    return found


def test_the_edge_counts_what_each_site_answers(make_app: MakeApp) -> None:
    """Good and bad answers are told apart, and counted for their own site only."""
    good, bad = make_app("good"), make_app("ill")
    good.deploy("v1", monitor=0.0)
    bad.deploy("v1", "bad-page", monitor=0.0)
    before, mine = counted(bad), counted(good)
    for _ in range(7):
        assert bad.ask().status == 500
    assert bad.ask("/ready").status == 200
    assert counted(bad).since(before) == Count(8, 7, 0)
    assert counted(good) == mine


def test_a_share_of_bad_answers_is_taken_back(make_app: MakeApp) -> None:
    """It answers its checks and fails its users: told with figures, and the one before serves."""
    app = make_app("share")
    first = app.deploy("v1", monitor=0.0).release
    with asking(app):
        verdict = app.run("deploy", "v2", "bad-page", monitor=10.0)
    assert (verdict.outcome, verdict.code) == ("taken-back", 54), verdict
    assert "answers were 5xx since the handover" in verdict.sentence
    assert "before it 0.0 %" in verdict.sentence and "watch" in verdict.figures
    assert app.serves() == first
    # what served before was no better in its answers
    sick = make_app("sick")
    sick.deploy("v1", "bad-page", monitor=0.0)
    with asking(sick):
        same = sick.run("deploy", "v2", "bad-page", monitor=3.0)
    assert same.outcome == "deployed", same


def test_nothing_is_taken_back_to_what_is_not_well(make_app: MakeApp) -> None:
    """What served before was ill when the deploy began: said beforehand, and the new one stays."""
    app = make_app("worse")
    app.deploy("v1", monitor=0.0)
    assert app.ask("/write", b"row").status == 200
    docker("exec", app.running()[0], "sh", "-c", "printf v1 > /app/data/ill")
    with asking(app):
        verdict = app.run("deploy", "v2", "bad-page", monitor=10.0)
    assert (verdict.outcome, verdict.code) == ("failed", 55), verdict
    assert "nothing to take it back to" in verdict.sentence
    assert app.ask().told()["release"] == verdict.release
    plan = next(one for one in app.events if one["e"] == "plan")
    assert "what serves is not well" in "\n".join(plan["notices"])


def test_a_taking_back_that_dies_after_its_commit_is_told_as_one(make_app: MakeApp) -> None:
    """What was bad is not told to be live, and nobody is led back to it."""
    app = make_app("cut")
    first = app.deploy("v1", monitor=0.0).release
    point = {"plan": "take-back", "step": "mark", "when": "before", "do": "kill"}
    app.paths.plug.touch(0o600)
    app.paths.plug.write_text(json.dumps(point))
    run, out = detach.new_run(), io.BytesIO()
    with asking(app):
        request = app.request("deploy", "v2", "bad-page", monitor=10.0)
        detach.start(app.paths, run, wire.encode(request))
        assert detach.follow(app.paths, run, out) == 54
    verdict = json.loads(out.getvalue().splitlines()[-1])
    assert verdict["outcome"] == "taken-back"
    assert f"was taken back to {first}" in verdict["sentence"]
    assert f"{verdict['release']} went bad in its watch: " in verdict["sentence"], "why is not told"
    wait(lambda: not Lock(app.paths.lock).held(), "the recovery ended")
    history = app.context("status").store.history()
    assert (app.serves(), history.unfinished) == (first, ())
    assert history.taken_back == (verdict["release"],)
    # by then each had its end: whoever is told looks at the host next
    ends = [one.ended_at for one in history.runs if one.id.startswith(run)]
    assert len(ends) >= 2 and max(ends) <= verdict["t"], (ends, verdict["t"])


def dying(app: Tiny, version: str, fault: str, step: str) -> str:
    """Begin a deploy that is watched, and dies after a step of its taking back; its run."""
    point = {"plan": "take-back", "step": step, "when": "after", "do": "kill"}
    app.paths.plug.touch(0o600)
    app.paths.plug.write_text(json.dumps(point))
    run, request = detach.new_run(), app.request("deploy", version, fault, monitor=30.0)
    detach.start(app.paths, run, wire.encode(request))
    return run


def followed(app: Tiny, run: str) -> dict[str, Any]:
    """The verdict that whoever follows a run is told; recovery is over then."""
    out = io.BytesIO()
    code = detach.follow(app.paths, run, out)
    verdict: dict[str, Any] = json.loads(out.getvalue().splitlines()[-1])
    assert verdict["code"] == code
    wait(lambda: not Lock(app.paths.lock).held(), "the recovery ended")
    assert app.context("status").store.history().unfinished == ()
    assert app.run("recover").outcome == "nothing-to-do"
    return verdict


def decree(app: Tiny, version: str, word: str) -> None:
    """A version is ``ill`` or ``dead`` from now on."""
    docker("exec", app.running()[0], "sh", "-c", f"printf {version} > /app/data/{word}")


def test_a_taking_back_that_died_is_gone_on_with(make_app: MakeApp) -> None:
    """The bad release cannot get well any more: nobody waits for that."""
    app = make_app("goes-on", rules=DeployRules(start=30.0, drain=2.0))
    first = app.deploy("v1", monitor=0.0).release
    assert app.ask("/write", b"row").status == 200
    run = dying(app, "v2", "", "unpin")
    wait(lambda: app.serves() != first, "the handover", 60)
    decree(app, "v2", "ill")
    began, verdict = time.monotonic(), followed(app, run)
    assert time.monotonic() - began < 30, "the bad release was waited for"
    assert (verdict["outcome"], verdict["code"]) == ("taken-back", 54), verdict
    assert f"was taken back to {first}" in verdict["sentence"]
    assert f"{verdict['release']} went bad in its watch: " in verdict["sentence"], "why is not told"
    assert app.context("status").store.history().taken_back == (verdict["release"],)
    assert app.running() == [app.web_of(first)] and app.ask().told()["release"] == first


def test_a_taking_back_that_died_and_cannot_go_on(make_app: MakeApp) -> None:
    """What served before does not start any more: the bad release is brought back, and told so."""
    app = make_app("stays", rules=DeployRules(start=3.0, drain=2.0))
    app.deploy("v1", monitor=0.0)
    assert app.ask("/write", b"row").status == 200
    decree(app, "v1", "dead")
    with asking(app):
        verdict = followed(app, dying(app, "v2", "bad-page", "unpin"))
    assert (verdict["outcome"], verdict["code"]) == ("failed", 55), verdict
    assert "not taken back (" in verdict["sentence"]
    assert app.running() == [app.web_of(verdict["release"])]
    assert app.ask().told()["release"] == verdict["release"]


def test_what_is_dead_in_its_watch_is_taken_back_by_recovery(make_app: MakeApp) -> None:
    """The power went away in the watch, and the release does not start any more."""
    app = make_app("given-up", rules=DeployRules(start=3.0, drain=2.0))
    first = app.deploy("v1", monitor=0.0).release
    assert app.ask("/write", b"row").status == 200
    second = app.deploy("v2", monitor=2.0)
    cut_in_watch(app)
    decree(app, "v2", "dead")
    docker("stop", "--time", "1", app.running()[0])
    assert app.run("recover").outcome == "recovered"
    run = app.context("status").store.history().run(second.run)
    assert run is not None and run.end is not None
    assert (run.end["outcome"], run.end["code"]) == ("taken-back", 54), run.end
    assert "was interrupted in its watch and taken back: " in run.end["sentence"]
    assert app.running() == [app.web_of(first)] and app.run("recover").outcome == "nothing-to-do"


def cut_in_watch(app: Tiny) -> None:
    """Leave the journal as it stood when the last run was killed in its watch."""
    lines = app.paths.journal.read_text().splitlines(keepends=True)
    died = max(at for at, line in enumerate(lines) if '"intent"' in line and '"watch"' in line)
    app.paths.journal.write_text("".join(lines[: died + 1]))


def test_a_taking_back_that_fails_leaves_something_serving(make_app: MakeApp) -> None:
    """What served before does not start any more: both causes are told, and the new one serves."""
    app = make_app("stuck", rules=DeployRules(start=3.0, drain=2.0))
    first = app.deploy("v1", monitor=0.0).release
    assert app.ask("/write", b"row").status == 200
    docker("exec", app.running()[0], "sh", "-c", "printf v1 > /app/data/dead")
    with asking(app):
        verdict = app.run("deploy", "v2", "bad-page", monitor=10.0)
    assert (verdict.outcome, verdict.code) == ("failed", 55), verdict
    assert f"taking back to {first} failed" in verdict.sentence
    told = "\n".join(f"{one['what']} {one['why']}" for one in verdict.problems)
    assert "answers were 5xx" in told and "dead by decree" in told
    assert app.ask().told()["release"] == verdict.release
    assert app.running() == [app.web_of(verdict.release)]
    assert app.context("status").store.history().unfinished == ()
    assert app.run("recover").outcome == "nothing-to-do"


def test_a_watch_that_recovery_finds_bad_is_told_so(make_app: MakeApp) -> None:
    """A first release whose run died in its watch and that went ill is not called deployed."""
    app = make_app("alone")
    first = app.deploy("v1", monitor=2.0)
    assert app.ask("/write", b"row").status == 200
    docker("exec", app.running()[0], "sh", "-c", "printf v1 > /app/data/ill")
    cut_in_watch(app)
    assert app.run("recover").outcome == "recovered"
    run = app.context("status").store.history().run(first.run)
    assert run is not None and run.end is not None
    assert (run.end["outcome"], run.end["code"]) == ("failed", 55), run.end
    assert "two checks through the edge failed in a row" in run.end["sentence"]
    assert app.ask().told()["release"] == first.release


def test_recovery_that_can_take_nothing_back_leaves_what_serves(make_app: MakeApp) -> None:
    """What served before does not start any more: the bad release goes on, and both are told."""
    app = make_app("neither", rules=DeployRules(start=3.0, drain=2.0))
    app.deploy("v1", monitor=0.0)
    assert app.ask("/write", b"row").status == 200
    docker("exec", app.running()[0], "sh", "-c", "printf v1 > /app/data/dead")
    second = app.run("deploy", "v2", "bad-page", monitor=3.0)
    assert second.outcome == "deployed"
    cut_in_watch(app)
    with asking(app):
        app.run("recover")
    run = app.context("status").store.history().run(second.run)
    assert run is not None and run.end is not None
    assert (run.end["outcome"], run.end["code"]) == ("failed", 55), run.end
    assert "not taken back (" in run.end["sentence"] and "5xx" in run.end["sentence"]
    assert app.running() == [app.web_of(second.release)]
    assert app.ask().told()["release"] == second.release
    assert app.context("status").store.history().unfinished == ()
    assert app.run("recover").outcome == "nothing-to-do"


def test_what_cannot_start_stops_no_fix(make_app: MakeApp) -> None:
    """A release that crashes over and over, long after its watch, is replaced all the same."""
    app = make_app("dead", rules=DeployRules(start=3.0, drain=2.0))
    first = app.deploy("v1", monitor=0.0).release
    app.deploy("v2", monitor=0.0)
    web = app.running()[0]
    assert app.ask("/write", b"row").status == 200
    docker("exec", web, "sh", "-c", "printf v2 > /app/data/dead; kill -TERM 1")

    def down() -> bool:
        """Whether Docker waits for seconds before its next try, so that a look finds it down."""
        seen = app.containers()[web]
        return bool(seen["State"]["Restarting"]) and int(seen["RestartCount"]) >= 5

    wait(down, "a crash loop", 60)
    assert app.run("maintenance-on").code == 0
    assert app.run("maintenance-off").code == 0
    # each of them has tried to start it, and Docker's count began anew
    wait(down, "a crash loop", 60)
    back = app.run("rollback")
    assert (back.outcome, back.release) == ("rolled-back", first), back
    assert "cannot be brought back" in app.notices() and app.serves() == first
    fixed = app.deploy("v3", monitor=0.0)
    assert app.serves() == fixed.release
    left = app.context("status").store.history().unfinished
    assert left == ()


def test_looking_on(make_app: MakeApp) -> None:
    """A look a second at what serves, good or bad; it changes nothing."""
    app = make_app("look")
    with pytest.raises(NoSuchRelease):
        watch(app.context("watch", monitor=1.0))
    first = app.deploy("v1", monitor=0.0).release
    watch(app.context("watch", monitor=1.2))
    looks = [one for one in app.events if one["e"] == "look"]
    assert len(looks) >= 2 and {one["release"] for one in looks} == {first}
    assert not [one for one in looks if one["bad"]] and looks[-1]["checks"] >= 2
    second = app.deploy("v2", "bad-page", monitor=0.0).release
    with asking(app), pytest.raises(ReleaseFailed) as failure:
        watch(app.context("watch", monitor=2.5))
    assert "answers were 5xx" in failure.value.problems[0].why
    assert app.ask().told()["release"] == second
