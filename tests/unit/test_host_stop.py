"""A run that is asked to stop: before its commit it takes back, after it, it is finished."""

from __future__ import annotations

import json
import socketserver
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from builders import facts as facts_of
from builders import release
from world import World, deploying

from homeport.errors import Busy, Cancelled, HostFault, Problem
from homeport.host import carry, execute as walk, lasting, ops, ops_traffic, run as runs, stop
from homeport.host.context import Context
from homeport.host.engine import Engine
from homeport.host.paths import Paths
from homeport.host.store import Lock
from homeport.model import MODES, Cause, Mode, Request
from homeport.planned import Plan, Step

RUN = "20261126T110000-1a2b"
ANNA = Cause("anna@laptop", "the wrong branch")
OLD, NEW = release(1), release(2)


@pytest.fixture
def ctx(tmp_path: Path) -> Context:
    """The hands of a run on a host of files alone."""
    paths = Paths("shop", tmp_path)
    for folder in (paths.runs, paths.releases, paths.sockets):
        folder.mkdir(parents=True)
    told: list[Any] = []
    made = Context(
        paths, Engine(str(tmp_path / "sock")), Request("deploy", "shop"), RUN, told.append
    )
    made.figures["told"] = told
    return made


def records(ctx: Context) -> list[dict[str, Any]]:
    """The lines of the journal."""
    return [json.loads(line) for line in ctx.paths.journal.read_text().splitlines()]


def plan_of(mode: Mode) -> Plan:
    """The plan of a second deploy in a mode, as the core makes it."""
    world = World(exclusive=mode != "overlap")
    first, new = release(1, mode), release(2, mode)
    for _ in deploying(first, mode)(world):
        pass
    made: list[Plan] = []

    def keep(*given: Any, **more: Any) -> Iterator[None]:
        made.append(given[1])
        yield

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("world.walk", keep)
        for _ in deploying(new, mode)(world):
            pass
    return made[0]


@pytest.mark.parametrize("mode", MODES)
def test_stopped_before_any_step(
    mode: Mode, ctx: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before each step up to the commit the run ends and is taken back; from there on it finishes.

    What it leaves is what a crash between two steps leaves, after each of which test_core_crash
    has recovery try; and what carries that out is the same: ``recovery.plan`` by ``converged``.
    """
    plan = plan_of(mode)
    commit = next(at for at, step in enumerate(plan.steps) if step.commit)
    assert 2 < commit < len(plan.steps) - 2
    for at in range(len(plan.steps)):
        paths = Paths("shop", tmp_path / str(at))
        for folder in (paths.runs, paths.releases, paths.sockets):
            folder.mkdir(parents=True)
        mine = Context(paths, ctx.engine, ctx.request, RUN, lambda event: None)
        done: list[str] = []

        def op(given: Context, args: Any, at: int = at, done: list[str] = done) -> str:
            done.append(plan.steps[len(done)].id)
            if len(done) == at:
                stop.ask(given.paths, RUN, ANNA)
            return ""

        taken: list[int] = []
        monkeypatch.setattr(walk, "OPS", {step.do: op for step in plan.steps})
        monkeypatch.setattr(ops, "forget_image", lambda ctx, image: None)
        monkeypatch.setattr(carry, "converged", lambda ctx: taken.append(1) or "")
        monkeypatch.setattr(Context, "facts", lambda self: facts_of(releases=(OLD,), link=OLD.link))
        mine.journal("begin", verb="deploy", release=NEW.id, **{"from": OLD.id})
        if at == 0:
            stop.ask(paths, RUN, ANNA)
        verdict = carry.out(mine, plan, NEW, OLD, "deployed")
        journal = records(mine)
        if at <= commit:
            assert (verdict.outcome, verdict.code) == ("cancelled", Cancelled.code), at
            assert done == [step.id for step in plan.steps[:at]] and taken == [1]
            assert verdict.sentence == (
                f"anna@laptop stopped the run: {NEW.id} did not go live; {OLD.id} serves as before"
            )
            assert verdict.problems[0]["where"] == f"before {plan.steps[at].id}"
            assert verdict.problems[0]["why"] == "the wrong branch"
            kinds = [(one["k"], one.get("step")) for one in journal]
            assert ("intent", plan.steps[at].id) not in kinds[2 * at :]
            assert kinds.count(("done", plan.steps[at - 1].id)) >= 1 or at == 0
        else:
            assert (verdict.outcome, verdict.code) == ("deployed", 0), at
            assert done == [step.id for step in plan.steps] and taken == []
        assert journal[-1]["k"] == "end" and journal[-1]["outcome"] == verdict.outcome


def test_one_that_cannot_be_taken_back_is_no_good_end(
    ctx: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped, and what served does not come back: a fault, not a cancel that went well."""
    monkeypatch.setattr(walk, "OPS", {"pull": lambda ctx, args: ""})
    monkeypatch.setattr(carry, "converged", lambda ctx: "Docker is gone")
    monkeypatch.setattr(Context, "facts", lambda self: facts_of())
    stop.ask(ctx.paths, RUN, ANNA)
    verdict = carry.out(
        ctx, Plan("deploy", NEW.id, (Step("pull", "pull", ""),)), NEW, OLD, "deployed"
    )
    assert (verdict.outcome, verdict.code) == ("failed", HostFault.code)
    assert "cannot be brought back (Docker is gone)" in verdict.sentence


def test_recovery_heeds_nobody(ctx: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    """What takes back or brings back is done to its end; the run heeds again after it."""
    monkeypatch.setattr(walk, "OPS", {"link": lambda ctx, args: ""})
    stop.ask(ctx.paths, RUN, ANNA)
    plan = Plan("recover", "", (Step("link", "link", ""),))
    with ctx.stop.deaf():
        walk.execute(ctx, plan)
    with pytest.raises(Cancelled) as caught:
        walk.execute(ctx, plan)
    assert str(caught.value) == "anna@laptop stopped the run"
    walk.execute(ctx, plan)  # what comes after it takes back, and is not stopped again


def test_who_asked_may_be_lost(ctx: Context) -> None:
    """A file with anything in it stops the run; it says "somebody"."""
    for text in ("", "[]", '{"who": 3}', "\x00"):
        stop.path(ctx.paths, RUN).write_text(text)
        found = stop.Stop(stop.path(ctx.paths, RUN)).before(Step("pull", "pull", ""))
        assert found is not None and "somebody stopped the run" in str(found), text


@pytest.mark.parametrize(
    ("do", "commit", "ends"),
    [("pull", False, True), ("schema", False, True), ("migrate", False, False)]
    + [("restore-data", False, False), ("watch", False, False), ("pull", True, False)],
)
def test_the_middle_of_a_step(ctx: Context, do: str, commit: bool, ends: bool) -> None:
    """A wait is broken off where nothing is being written that people work on, else it goes on."""
    assert ctx.stop.before(Step(do, do, "", commit=commit)) is None
    over = threading.Event()
    stop.ask(ctx.paths, RUN, ANNA)

    def block() -> None:
        with ctx.stop.breaks(over.set):
            assert over.wait(10 if ends else 3 * stop.LOOK) is ends

    if not ends:
        block()
        ctx.stop.look()
        return
    with pytest.raises(Cancelled) as caught:
        block()
    assert caught.value.problems[0].where == f"at {do}"
    ctx.stop.look()  # heeded once


def test_blocks_in_blocks_and_what_else_goes_wrong_in_them(ctx: Context) -> None:
    """The inner cancel passes through the outer block; an error of its own is told as itself."""
    ctx.stop.before(Step("rehearse", "rehearse", ""))
    with pytest.raises(HostFault, match="no room"):
        with ctx.stop.breaks(lambda: None):
            raise HostFault(Problem("no room"))
    over = threading.Event()
    stop.ask(ctx.paths, RUN, ANNA)
    with pytest.raises(Cancelled):
        with ctx.stop.breaks(lambda: None):
            with ctx.stop.breaks(over.set):
                assert over.wait(10)
                raise HostFault(Problem("it was killed"))


def test_a_drain_is_not_waited_for(ctx: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests in flight are waited for no longer; what is taken back lets them be."""
    ctx.stop.before(Step("drain", "drain", ""))
    monkeypatch.setattr(ctx.edge, "in_flight", lambda address: 5)
    threading.Timer(0.3, stop.ask, (ctx.paths, RUN, ANNA)).start()
    begun = time.monotonic()
    with pytest.raises(Cancelled):
        ops_traffic.drain(ctx, {"address": "x", "within": 30.0})
    assert time.monotonic() - begun < 10


class Stalled(socketserver.StreamRequestHandler):
    """An Engine whose pulls begin and bring nothing."""

    def handle(self) -> None:
        """Answer what is asked on one connection."""
        while line := self.rfile.readline():
            while self.rfile.readline().strip():
                pass
            body = b'{"ApiVersion":"1.41","Version":"29"}' if b"/version" in line else b"{}"
            if b"/images/create" not in line:
                head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n"
                self.wfile.write(head.encode() + body)
                continue
            getattr(self.server, "pulls").append(line)
            self.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            self.rfile.readline()  # until the other side hangs up
            getattr(self.server, "left").set()


def test_a_pull_that_stands_still_is_left(ctx: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection of the pull is cut, so that the Engine ends it, and the image is let go."""
    gone: list[str] = []
    monkeypatch.setattr(lasting, "flush", lambda *given: True)
    monkeypatch.setattr(ops, "forget_image", lambda ctx, ref: gone.append(ref))
    with socketserver.ThreadingUnixStreamServer(ctx.engine._path, Stalled) as server:
        server.daemon_threads = True
        server.pulls, server.left = [], threading.Event()  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        ctx.stop.before(Step("pull", "pull", ""))
        ref = "registry.test/shop@sha256:" + "0" * 64

        def ask() -> None:
            end = time.monotonic() + 10
            while not server.pulls and time.monotonic() < end:  # type: ignore[attr-defined]
                time.sleep(0.01)
            stop.ask(ctx.paths, RUN, ANNA)

        threading.Thread(target=ask, daemon=True).start()
        with pytest.raises(Cancelled):
            ops.pull(ctx, {"image": ref})
        assert server.left.wait(10)  # type: ignore[attr-defined]
        server.shutdown()
    assert gone == [ref]


@pytest.fixture
def busy(ctx: Context) -> Iterator[Callable[[], None]]:
    """Another run holds the app."""
    other = Lock(ctx.paths.lock)
    other.take({"run": "20261126T105900-ffff", "verb": "deploy", "who": "ben"})
    ctx.store.append({"k": "begin", "run": "20261126T105900-ffff", "verb": "deploy"})
    ctx.store.append({"k": "intent", "run": "20261126T105900-ffff", "step": "healthy"})
    yield other.release
    other.release()


def test_the_refusal_says_what_the_other_run_is_at(
    ctx: Context, busy: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two controllers at once: the second is told whose run it is, which, and what it is at."""
    monkeypatch.setattr(runs, "GRACE", 0.1)
    verdict = runs.run(ctx)
    assert (verdict.outcome, verdict.code) == ("refused", Busy.code)
    problem = verdict.problems[0]
    assert problem["what"] == "deploy 20261126T105900-ffff by ben holds the app"
    assert problem["why"].startswith("since ") and problem["why"].endswith("s; it is at healthy")
    assert problem["mend"].startswith("homeport attach 20261126T105900-ffff ")


def test_one_that_waits_says_so_and_begins_when_it_may(
    ctx: Context, busy: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """--wait: the other run is named at once, and the wait ends with it."""
    monkeypatch.setattr(runs, "GRACE", 0.1)
    ctx.request = Request("freeze", "shop", wait=30.0)
    began: list[float] = []
    monkeypatch.setitem(runs._VERBS, "freeze", lambda ctx: began.append(time.monotonic()))
    monkeypatch.setattr(runs.oneshot, "clear", lambda ctx: None)
    threading.Timer(0.5, busy).start()
    begun = time.monotonic()
    runs.run(ctx)
    assert began and 0.4 < began[0] - begun < 10
    notices = [one["text"] for one in ctx.figures["told"] if one["e"] == "notice"]
    assert notices == ["waiting for deploy 20261126T105900-ffff by ben to end, 30 s at most"]


def test_one_that_waits_may_be_stopped(ctx: Context, busy: Callable[[], None]) -> None:
    """It never began, and says who stopped it."""
    ctx.request = Request("deploy", "shop", wait=60.0)
    threading.Timer(0.2, stop.ask, (ctx.paths, RUN, ANNA)).start()
    verdict = runs.run(ctx)
    assert (verdict.outcome, verdict.code) == ("cancelled", Cancelled.code)
    assert verdict.problems[0]["where"] == "while it waited for another run"
