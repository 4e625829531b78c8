"""Runs: what a verb that changes something does, from taking the lock to its verdict."""

from __future__ import annotations

import traceback
from dataclasses import replace
from typing import Callable

from homeport.core import edge as edges
from homeport.core import plan as plans
from homeport.core import policy
from homeport.core import stake as stakes
from homeport.core.care import ACTIONS
from homeport.errors import Busy, Frozen, HomeportError, Internal, Problem, Refused
from homeport.host import carry, endings, look, oneshot, postgres_major, prepare, records, recover
from homeport.host import run_back, run_care, run_data, run_edge, run_offsite, uploading
from homeport.host.context import Context
from homeport.host.execute import execute
from homeport.host.preflight import preflight
from homeport.host.store import Lock
from homeport.model import Settings
from homeport.planned import Verdict

#: how long a run waits for one that is just ending, in seconds
GRACE = 5.0


def run(ctx: Context) -> Verdict:
    """Carry out the request under the app's lock, and after it what needs no such lock.

    Every end is journalled, whatever happens.
    """
    verdict = _locked(ctx)
    return uploading.carry(ctx, ctx.away, verdict) if ctx.away else verdict


def _locked(ctx: Context) -> Verdict:
    lock = Lock(ctx.paths.lock)
    about = {"run": ctx.run, "verb": ctx.request.verb, "who": ctx.request.cause.who}
    try:
        lock.take(about, max(GRACE, ctx.request.wait), _waiting(ctx, lock))
    except Busy as error:
        return records.failed(ctx, _doing(ctx, lock, error), "refused")
    except HomeportError as error:
        return records.failed(ctx, error, "refused")
    ctx.store.keep_ballast()
    try:
        if ctx.paths.plug.exists():
            from homeport.host import plug  # no run but a test's has one

            ctx.plug = plug.take(ctx.paths)
        oneshot.clear(ctx)
        ctx.store.sweep()
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


def _waiting(ctx: Context, lock: Lock) -> Callable[[], None]:
    """What is done while another run holds the app: it is told for whom, and heeded who asks."""
    told: list[str] = []

    def waiting() -> None:
        ctx.stop.waiting()
        if told or ctx.request.wait <= GRACE:
            return
        held = lock.holder()
        told.append(str(held.get("run", "")))
        other = f"{held.get('verb', 'a run')} {told[0]} by {held.get('who') or 'somebody'}"
        ctx.notice(f"waiting for {other} to end, {ctx.request.wait:g} s at most")

    return waiting


def _doing(ctx: Context, lock: Lock, error: Busy) -> Busy:
    """The refusal with what the run that holds the app is at."""
    run = ctx.store.history().run(str(lock.holder().get("run", "")))
    if run is None or not run.step:
        return error
    first = error.problems[0]
    return Busy(replace(first, why=f"{first.why}; it is at {run.step}"))


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
    verdict, now = endings.of(run), records.serving(ctx.store, ctx.paths.app, run.id)
    return replace(verdict, figures={**verdict.figures, **now})


def _deploy(ctx: Context) -> Verdict:
    made = preflight(ctx, prepare.deploy)
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
    fetch = plans.fetch(made.facts, made.release)
    if fetch.steps:
        # what its migration would do, the release alone can tell
        records.announce(ctx, fetch)
        try:
            execute(ctx, fetch)
            made = prepare.deploy(ctx, made.release.number)
            if made.problems:
                raise Refused(*made.problems)
        except HomeportError as error:
            return carry.went_wrong(ctx, made.release, live, error, "deployed")
    if made.facts.schema is not None:
        ctx.journal("schema", schema=made.facts.schema.found)
    records.announce(ctx, made.plan)
    return carry.out(ctx, made.plan, made.release, live, "deployed")


def _rollback(ctx: Context) -> Verdict:
    if ctx.request.set:
        return run_back.rollback(ctx)
    made = preflight(ctx, prepare.rollback)
    live = made.facts.committed
    records.begin(ctx, made.release.id, live.id if live else "", **records.asked(ctx))
    if made.same:
        sentence = f"{made.release.id} is live already"
        return records.end(ctx, Verdict("already-live", 0, sentence, made.release.id, ctx.run))
    run_back.alone(ctx, made.facts, made.release)
    records.announce(ctx, made.plan)
    return carry.out(ctx, made.plan, made.release, live, "rolled-back")


def _restore_from(ctx: Context) -> Verdict:
    made = run_offsite.made(ctx)
    return carry.out(ctx, made.plan, made.release, None, "restored")


def _shared(ctx: Context) -> Verdict:
    recover.before_another(ctx)
    rendered, _ = prepare.render_today(ctx)
    settings = ctx.request.settings or Settings(ctx.paths.app)
    facts = ctx.facts()
    named = look.named(facts, ctx.engine, rendered)
    problems = (*rendered.problems, *policy.escaping(settings, rendered, named))
    problems += postgres_major.problems(ctx, rendered, settings.compose)
    if problems:
        raise Refused(*problems)
    plan = plans.shared(facts, rendered)
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
    if stakes.due(facts.history.stake, facts.app, facts.link):
        # its data belongs in order before nobody looks after it any more
        try:
            recover.before_another(ctx)
        except HomeportError as error:
            ctx.notice(f"{error.text()}\nthe app is removed all the same; its sets are kept")
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
    "restore": run_back.restore,
    "shared": _shared,
    "remove": _remove,
    "recover": _recover,
    "freeze": _freeze,
    "unfreeze": _unfreeze,
    "edge-apply": run_edge.apply,
    "edge-upgrade": run_edge.upgrade,
    "maintenance-on": run_edge.maintenance_on,
    "maintenance-off": run_edge.maintenance_off,
    **run_data.VERBS,
    **{f"data-{do}": run_care.run for do in ACTIONS},
    "restore-from": _restore_from,
}
