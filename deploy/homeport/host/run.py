"""Runs: what a verb that changes something does, from taking the lock to its verdict."""

from __future__ import annotations

import time
import traceback
from dataclasses import asdict
from typing import Any, Callable

from homeport.core import edge as edges
from homeport.core import plan as plans
from homeport.core import recovery
from homeport.errors import HomeportError, Internal, Problem, Refused, TakenBack
from homeport.host import prepare
from homeport.host.context import Context
from homeport.host.execute import execute
from homeport.host.ops_watch import watch
from homeport.host.store import Lock
from homeport.model import Outcome, Plan, Release, Verdict

#: how long a run waits for one that is just ending, in seconds
GRACE = 5.0
#: steps after which nothing that fails is worth taking a good release back for
_LATE = ("mark", "prune")


def run(ctx: Context) -> Verdict:
    """Carry out the request under the app's lock. Every end is journalled, whatever happens."""
    lock = Lock(ctx.paths.lock)
    about = {"run": ctx.run, "verb": ctx.request.verb, "who": ctx.request.cause.who}
    try:
        lock.take(about, GRACE)
    except HomeportError as error:
        return _failed(ctx, error, "refused")
    ctx.store.keep_ballast()
    try:
        return _VERBS["shared" if ctx.request.shared else ctx.request.verb](ctx)
    except HomeportError as error:
        return _end(ctx, _failed(ctx, error, "refused" if isinstance(error, Refused) else "failed"))
    except Exception as error:  # a mistake of ours: told as one, and the host left consistent
        ctx.tell({"e": "trace", "text": traceback.format_exc()})
        fault = Internal(
            Problem(f"{type(error).__name__}: {error}", "homeport", "", "report it, please")
        )
        return _end(ctx, _failed(ctx, fault, "failed"))
    finally:
        lock.release()


def _deploy(ctx: Context) -> Verdict:
    _recover_first(ctx)
    made = _preflight(ctx, prepare.deploy)
    live = made.facts.committed
    _begin(ctx, made.release.id, live.id if live else "")
    if made.problems:
        raise Refused(*made.problems)
    if made.same and live and not ctx.request.force:
        sentence = f"{live.id} is already live with this image and configuration"
        return _end(ctx, Verdict("already-live", 0, sentence, live.id, ctx.run))
    _announce(ctx, made.plan)
    return _carry_out(ctx, made.plan, made.release, live, "deployed")


def _rollback(ctx: Context) -> Verdict:
    _recover_first(ctx)
    made = _preflight(ctx, prepare.rollback)
    live = made.facts.committed
    _begin(ctx, made.release.id, live.id if live else "")
    if made.same:
        sentence = f"{made.release.id} is live already"
        return _end(ctx, Verdict("already-live", 0, sentence, made.release.id, ctx.run))
    _announce(ctx, made.plan)
    return _carry_out(ctx, made.plan, made.release, live, "rolled-back")


def _preflight(ctx: Context, make: Callable[[Context], prepare.Made]) -> prepare.Made:
    """Look, decide, and tell how long that took."""
    begun = time.monotonic()
    ctx.tell({"e": "step", "id": "preflight", "state": "begin", "cause": "check before changing"})
    made = make(ctx)
    seconds = round(time.monotonic() - begun, 3)
    ctx.figures["steps"] = [{"id": "preflight", "seconds": seconds}]
    state = "failed" if made.problems else "done"
    ctx.tell({"e": "step", "id": "preflight", "state": state, "seconds": seconds})
    return made


def _shared(ctx: Context) -> Verdict:
    _recover_first(ctx)
    rendered, _ = prepare.render_today(ctx)
    if rendered.problems:
        raise Refused(*rendered.problems)
    plan = plans.shared(ctx.facts(), rendered)
    _begin(ctx, "", "")
    _announce(ctx, plan)
    execute(ctx, plan)
    if not plan.steps:
        return _end(
            ctx, Verdict("nothing-to-do", 0, "the shared services are as wanted", "", ctx.run)
        )
    return _end(ctx, Verdict("shared-changed", 0, "the shared services were changed", "", ctx.run))


def _remove(ctx: Context) -> Verdict:
    facts = ctx.facts()
    ctx.wanted = edges.wanted(facts.edge, ctx.paths.app, None)
    plan = plans.remove(facts, ctx.wanted)
    live = facts.committed
    _begin(ctx, "", live.id if live else "")
    _announce(ctx, plan)
    execute(ctx, plan)
    sentence = f"{ctx.paths.app} is removed; {ctx.paths.folder} and its volumes are kept"
    return _end(ctx, Verdict("removed", 0, sentence, "", ctx.run))


def _recover(ctx: Context) -> Verdict:
    changed = recover(ctx)
    live = ctx.facts().committed
    name = live.id if live else ""
    if not changed:
        return Verdict(
            "nothing-to-do", 0, f"{name or 'nothing'} serves as it should", name, ctx.run
        )
    return Verdict("recovered", 0, f"{name or 'nothing'} serves", name, ctx.run)


_VERBS: dict[str, Callable[[Context], Verdict]] = {
    "deploy": _deploy,
    "rollback": _rollback,
    "shared": _shared,
    "remove": _remove,
    "recover": _recover,
}


# --- recovery ------------------------------------------------------------------------------------
def recover(ctx: Context) -> bool:
    """Make the host match its link, and give every run that died its verdict. True if it had to."""
    facts = ctx.facts()
    left = facts.history.unfinished
    plan = recovery.plan(facts)
    mine = ctx.run if any(one.id == ctx.run for one in left) else ""
    left = tuple(one for one in left if one.id != mine)
    live = facts.committed
    if plan.steps:
        if not mine:
            _begin(ctx, live.id if live else "", "")
        _announce(ctx, plan)
        execute(ctx, plan)
        if not mine:
            sentence = f"{live.id} serves" if live else "nothing serves, and nothing runs"
            _end(ctx, Verdict("recovered", 0, sentence, plan.release, ctx.run))
    taken = _finish_watch(ctx)
    for one in left:
        _close(ctx, one.id, one.verb, one.release, one.committed, taken)
    return bool(plan.steps or left)


def _recover_first(ctx: Context) -> None:
    """Recovery as the first step of another run, under a run of its own."""
    facts = ctx.facts()
    if not recovery.plan(facts).steps and not facts.history.unfinished:
        return
    ctx.notice("an earlier run did not end well: recovering first")
    own, ctx.run = ctx.run, f"{ctx.run}-recover"
    try:
        recover(ctx)
    finally:
        ctx.run = own
        ctx.figures.clear()


def _finish_watch(ctx: Context) -> str:
    """Finish an interrupted watch; the release that was taken back by it, or nothing."""
    facts = ctx.facts()
    release, origin = facts.committed, recovery.watch_left(facts)
    if release is None or origin is None:
        return ""
    good = recovery.way_back(facts, release, origin)
    try:
        if good and recovery.watch_failed_at_boot(facts):
            raise TakenBack(Problem("two boots without a finished watch", release.id, "", ""))
        watch(ctx, {"release": release.id, "seconds": min(release.monitor, 10.0)})
    except TakenBack as error:
        if good is None:
            return ""
        _take_back(ctx, release, good, error)
        return release.id
    return ""


def _close(ctx: Context, run_: str, verb: str, release: str, committed: str, taken: str) -> None:
    """Write the end of a run that died without one."""
    if committed and committed == taken:
        outcome: Outcome = "taken-back"
        code, sentence = TakenBack.code, f"{release} was interrupted in its watch and taken back"
    elif committed:
        outcome = "rolled-back" if verb == "rollback" else "deployed"
        code, sentence = 0, f"{release} was interrupted after its handover and finished by recovery"
    else:
        outcome, code = "failed", HomeportError.code
        sentence = f"{verb} {release} was interrupted before its handover and taken back".replace(
            "  ", " "
        )
    verdict = Verdict(outcome, code, sentence, release, run_)
    ctx.store.append({"k": "end", **_record(verdict)})
    prepare.tell_run(ctx.paths, run_, {"e": "verdict", **asdict(verdict)})


# --- carrying out --------------------------------------------------------------------------------
def _carry_out(
    ctx: Context, plan: Plan, release: Release, old: Release | None, outcome: Outcome
) -> Verdict:
    try:
        execute(ctx, plan)
    except HomeportError as error:
        return _went_wrong(ctx, release, old, error, outcome)
    except Exception as error:  # a mistake of ours in mid-plan: the same way back as for a fault
        ctx.tell({"e": "trace", "text": traceback.format_exc()})
        fault = Internal(
            Problem(f"{type(error).__name__}: {error}", "homeport", "", "report it, please")
        )
        return _went_wrong(ctx, release, old, fault, outcome)
    return _end(ctx, _good(ctx, release, outcome))


def _went_wrong(
    ctx: Context, release: Release, old: Release | None, error: HomeportError, outcome: Outcome
) -> Verdict:
    mine = ctx.store.history().run(ctx.run)
    committed = mine is not None and mine.committed == release.id
    if committed and mine is not None and mine.step in _LATE:
        ctx.notice(f"{mine.step}: {error.text()}")
        return _end(ctx, _good(ctx, release, outcome))
    good = recovery.way_back(ctx.facts(), release, old.id if old else "") if committed else None
    if committed and good is not None:
        _take_back(ctx, release, good, error)
        sentence = f"{release.id} went bad after its handover; {good.id} serves again"
        taken = TakenBack(*error.problems)
        return _end(ctx, _verdict(ctx, "taken-back", taken, sentence, release.id))
    if committed:
        sentence = f"{release.id} is live but not well, and there is nothing to take it back to"
        return _end(ctx, _verdict(ctx, "failed", error, sentence, release.id))
    ctx.notice("taking back what was begun")
    plan = recovery.plan(ctx.facts())
    execute(ctx, plan)
    if release.id not in ctx.store.history().served:
        ctx.store.drop_release(release.id)
    serves = f"{old.id} serves as before" if old else "nothing served before"
    return _end(
        ctx, _verdict(ctx, "failed", error, f"{release.id} did not go live; {serves}", release.id)
    )


def _take_back(ctx: Context, bad: Release, good: Release, error: HomeportError) -> None:
    """A rollback plan with a record of its own."""
    ctx.notice(f"{error}: taking back to {good.id}")
    own, ctx.run = ctx.run, f"{ctx.run}-back"
    try:
        _begin(ctx, good.id, bad.id, verb="take-back")
        plan = plans.take_back(ctx.facts(), bad, good)
        execute(ctx, plan)
        _end(ctx, Verdict("rolled-back", 0, f"{good.id} serves again", good.id, ctx.run))
    finally:
        ctx.run = own


def _good(ctx: Context, release: Release, outcome: Outcome) -> Verdict:
    took = round(time.time() - ctx.began, 1)
    held = ctx.figures.get("held_s")
    waited = f"; requests were held {held:.1f} s" if held else ""
    sentence = f"{release.id} is live after {took} s{waited}"
    return Verdict(outcome, 0, sentence, release.id, ctx.run, (), _figures(ctx))


def _figures(ctx: Context) -> dict[str, Any]:
    found = {key: value for key, value in ctx.figures.items() if not key.endswith("_at")}
    return {**found, "total_s": round(time.time() - ctx.began, 3)}


def _failed(ctx: Context, error: HomeportError, outcome: Outcome) -> Verdict:
    return _verdict(ctx, outcome, error, str(error), "")


def _verdict(
    ctx: Context, outcome: Outcome, error: HomeportError, sentence: str, release: str
) -> Verdict:
    problems = tuple(asdict(one) for one in error.problems)
    return Verdict(outcome, error.code, sentence, release, ctx.run, problems, _figures(ctx))


def _begin(ctx: Context, release: str, origin: str, verb: str = "") -> None:
    verb = verb or ctx.request.verb
    cause = asdict(ctx.request.cause)
    ctx.journal("begin", verb=verb, release=release, cause=cause, **{"from": origin})


def _announce(ctx: Context, plan: Plan) -> None:
    ctx.tell({"e": "plan", **prepare.as_event(plan)})


def _end(ctx: Context, verdict: Verdict) -> Verdict:
    known = ctx.store.history().run(ctx.run)
    if known is not None and known.end is None:
        ctx.journal("end", **_record(verdict))
    return verdict


def _record(verdict: Verdict) -> dict[str, Any]:
    kept = asdict(verdict)
    kept["problems"] = [one["what"] for one in kept["problems"]]
    return kept
