"""Runs: what a verb that changes something does, from taking the lock to its verdict."""

from __future__ import annotations

import time
import traceback
from typing import Callable, cast

from homeport.core import edge as edges
from homeport.core import plan as plans
from homeport.core import recovery
from homeport.errors import Frozen, HomeportError, Internal, Problem, Refused, TakenBack
from homeport.host import prepare, records, recover
from homeport.host.context import Context
from homeport.host.execute import execute
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
        return records.failed(ctx, error, "refused")
    ctx.store.keep_ballast()
    try:
        return _again(ctx) or _VERBS["shared" if ctx.request.shared else ctx.request.verb](ctx)
    except HomeportError as error:
        return records.end(
            ctx, records.failed(ctx, error, "refused" if isinstance(error, Refused) else "failed")
        )
    except Exception as error:  # a mistake of ours: told as one, and the host left consistent
        ctx.tell({"e": "trace", "text": traceback.format_exc()})
        fault = Internal(
            Problem(f"{type(error).__name__}: {error}", "homeport", "", "report it, please")
        )
        return records.end(ctx, records.failed(ctx, fault, "failed"))
    finally:
        lock.release()


def _again(ctx: Context) -> Verdict | None:
    """The verdict of the run that did already what this request asks, where there is one.

    An earlier run of the key that nobody carries out any more is recovered first, and decided by
    how that ends.
    """
    key = ctx.request.key
    if not key or all(one.key != key for one in ctx.store.history().runs):
        return None
    recover.before_another(ctx)
    run = ctx.store.history().answered(key)
    if run is None or run.end is None:
        return None
    ctx.notice(f"run {run.id} has done this already: its verdict again, nothing is started")
    figures = run.end.get("figures")
    now = records.serving(ctx.store, ctx.paths.app, run.id)
    told = {**(figures if isinstance(figures, dict) else {}), **now}
    outcome, sentence = run.end.get("outcome"), str(run.end.get("sentence", ""))
    return Verdict(cast(Outcome, outcome), 0, sentence, run.release, run.id, (), told)


def _deploy(ctx: Context) -> Verdict:
    made = _preflight(ctx, prepare.deploy)
    live = made.facts.committed
    same = live is not None and made.same and not ctx.request.force
    # a deploy that changes nothing uses up no number
    name = live.id if live and same else "" if made.frozen else made.release.id
    records.begin(ctx, name, live.id if live else "", **records.asked(ctx))
    if made.problems:
        raise (Frozen if made.frozen else Refused)(*made.problems)
    if live and same:
        sentence = f"{live.id} is already live with this image and configuration"
        return records.end(ctx, Verdict("already-live", 0, sentence, live.id, ctx.run))
    records.announce(ctx, made.plan)
    return _carry_out(ctx, made.plan, made.release, live, "deployed")


def _rollback(ctx: Context) -> Verdict:
    made = _preflight(ctx, prepare.rollback)
    live = made.facts.committed
    records.begin(ctx, made.release.id, live.id if live else "", **records.asked(ctx))
    if made.same:
        sentence = f"{made.release.id} is live already"
        return records.end(ctx, Verdict("already-live", 0, sentence, made.release.id, ctx.run))
    records.announce(ctx, made.plan)
    return _carry_out(ctx, made.plan, made.release, live, "rolled-back")


def _preflight(ctx: Context, make: Callable[[Context], prepare.Made]) -> prepare.Made:
    """Look, decide, and tell how long that took; recover first where a run was left unfinished."""
    begun = time.monotonic()
    ctx.tell({"e": "step", "id": "preflight", "state": "begin", "cause": "check before changing"})
    made = make(ctx)
    if recover.needed(made.facts):
        recover.before_another(ctx)
        made = make(ctx)
    seconds = round(time.monotonic() - begun, 3)
    ctx.figures["steps"] = [{"id": "preflight", "seconds": seconds}]
    state = "failed" if made.problems else "done"
    ctx.tell({"e": "step", "id": "preflight", "state": state, "seconds": seconds})
    return made


def _shared(ctx: Context) -> Verdict:
    recover.before_another(ctx)
    rendered, _ = prepare.render_today(ctx)
    if rendered.problems:
        raise Refused(*rendered.problems)
    plan = plans.shared(ctx.facts(), rendered)
    records.begin(ctx, "", "")
    records.announce(ctx, plan)
    execute(ctx, plan)
    if not plan.steps:
        return records.end(
            ctx, Verdict("nothing-to-do", 0, "the shared services are as wanted", "", ctx.run)
        )
    return records.end(
        ctx, Verdict("shared-changed", 0, "the shared services were changed", "", ctx.run)
    )


def _freeze(ctx: Context) -> Verdict:
    recover.before_another(ctx)
    records.begin(ctx, "", "", freeze=True)
    sentence = "deploys are refused from now on; homeport unfreeze lifts it"
    return records.end(ctx, Verdict("frozen", 0, sentence, "", ctx.run))


def _unfreeze(ctx: Context) -> Verdict:
    recover.before_another(ctx)
    if ctx.store.history().freeze is None:
        return Verdict("nothing-to-do", 0, "deploys are not frozen", "", ctx.run)
    records.begin(ctx, "", "", freeze=False)
    return records.end(ctx, Verdict("unfrozen", 0, "deploys are possible again", "", ctx.run))


def _remove(ctx: Context) -> Verdict:
    facts = ctx.facts()
    ctx.wanted = edges.wanted(facts.edge, ctx.paths.app, None)
    plan = plans.remove(facts, ctx.wanted)
    live = facts.committed
    records.begin(ctx, "", live.id if live else "")
    records.announce(ctx, plan)
    execute(ctx, plan)
    sentence = f"{ctx.paths.app} is removed; {ctx.paths.folder} and its volumes are kept"
    return records.end(ctx, Verdict("removed", 0, sentence, "", ctx.run))


def _recover(ctx: Context) -> Verdict:
    changed = recover.recover(ctx)
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
    "freeze": _freeze,
    "unfreeze": _unfreeze,
}


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
    return records.end(ctx, records.good(ctx, release, outcome))


def _went_wrong(
    ctx: Context, release: Release, old: Release | None, error: HomeportError, outcome: Outcome
) -> Verdict:
    mine = ctx.store.history().run(ctx.run)
    committed = mine is not None and mine.committed == release.id
    if committed and mine is not None and mine.step in _LATE:
        ctx.notice(f"{mine.step}: {error.text()}")
        return records.end(ctx, records.good(ctx, release, outcome))
    good = recovery.way_back(ctx.facts(), release, old.id if old else "") if committed else None
    if committed and good is not None:
        recover.take_back(ctx, release, good, error)
        sentence = f"{release.id} went bad after its handover; {good.id} serves again"
        taken = TakenBack(*error.problems)
        return records.end(ctx, records.verdict(ctx, "taken-back", taken, sentence, release.id))
    if committed:
        sentence = f"{release.id} is live but not well, and there is nothing to take it back to"
        return records.end(ctx, records.verdict(ctx, "failed", error, sentence, release.id))
    ctx.notice("taking back what was begun")
    recover.converge(ctx, recovery.plan(ctx.facts()))
    if release.id not in ctx.store.history().served:
        ctx.store.drop_release(release.id)
    serves = f"{old.id} serves as before" if old else "nothing served before"
    return records.end(
        ctx,
        records.verdict(
            ctx, "failed", error, f"{release.id} did not go live; {serves}", release.id
        ),
    )
