"""Recovery on this host: its plan carried out, watches finished, verdicts given."""

from __future__ import annotations

from dataclasses import asdict

from homeport.core import plan as plans
from homeport.core import recovery
from homeport.core.facts import Facts
from homeport.errors import HomeportError, Problem, TakenBack
from homeport.host import prepare, records
from homeport.host.context import Context
from homeport.host.execute import execute
from homeport.host.ops_watch import watch
from homeport.model import Outcome, Plan, Release, Verdict

#: looks after which a host that still changes under recovery is left to the next run
LOOKS = 3


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
            records.begin(ctx, live.id if live else "", "")
        converge(ctx, plan)
        if not mine:
            sentence = f"{live.id} serves" if live else "nothing serves, and nothing runs"
            records.end(ctx, Verdict("recovered", 0, sentence, plan.release, ctx.run))
    taken = _finish_watch(ctx)
    # read again: recovery may have found the handover that a run died before writing down
    names = {one.id for one in left}
    for one in (run for run in ctx.store.history().runs if run.id in names):
        _close(ctx, one.id, one.verb, one.release, one.committed, taken)
    return bool(plan.steps or left)


def needed(facts: Facts) -> bool:
    """Whether a run was left unfinished, or the host does not match its link."""
    return bool(recovery.plan(facts).steps or facts.history.unfinished)


def converge(ctx: Context, plan: Plan) -> None:
    """Carry the plan out, and what a late effect of a dead run makes necessary after it.

    A container that Docker was just starting when the run died appears after the first look.
    """
    for _ in range(LOOKS):
        if not plan.steps:
            return
        records.announce(ctx, plan)
        execute(ctx, plan)
        plan = recovery.plan(ctx.facts())


def before_another(ctx: Context) -> None:
    """Recovery as the first step of another run, under a run of its own; nothing if not needed."""
    if not needed(ctx.facts()):
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
        take_back(ctx, release, good, error)
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
    figures = records.serving(ctx.store, ctx.paths.app, run_)
    verdict = Verdict(outcome, code, sentence, release, run_, (), figures)
    ctx.store.append({"k": "end", **records.record(verdict)})
    prepare.tell_run(ctx.paths, run_, {"e": "verdict", **asdict(verdict)})


def take_back(ctx: Context, bad: Release, good: Release, error: HomeportError) -> None:
    """A rollback plan with a record of its own."""
    ctx.notice(f"{error}: taking back to {good.id}")
    own, ctx.run = ctx.run, f"{ctx.run}-back"
    try:
        records.begin(ctx, good.id, bad.id, verb="take-back")
        plan = plans.take_back(ctx.facts(), bad, good)
        execute(ctx, plan)
        records.end(ctx, Verdict("rolled-back", 0, f"{good.id} serves again", good.id, ctx.run))
    finally:
        ctx.run = own
