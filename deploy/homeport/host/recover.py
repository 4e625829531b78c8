"""Recovery on this host: its plan carried out, watches finished, verdicts given."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Mapping

from homeport.core import plan as plans
from homeport.core import recovery, unfinished
from homeport.core.facts import Facts
from homeport.core.journal import Run
from homeport.errors import HomeportError, HostFault, LeftBad, Problem, ReleaseFailed, TakenBack
from homeport.host import oneshot, records, telling
from homeport.host.context import Context
from homeport.host.execute import execute
from homeport.host.ops_watch import watch
from homeport.model import Release
from homeport.planned import Outcome, Plan, Verdict

#: what became of a run that died after its handover
_GOOD: Mapping[str, Outcome] = {
    "rollback": "rolled-back",
    "restore": "restored",
    "take-back": "rolled-back",
}
#: looks after which a host that still changes under recovery is left to the next run
LOOKS = 3


@dataclass(frozen=True)
class Watched:
    """How an interrupted watch ended: whose, why it was bad, and whether it was taken back."""

    release: str = ""
    error: HomeportError | None = None
    taken: bool = False
    #: why it was not, where there was something to take it back to
    kept: ReleaseFailed | None = None


def recover(ctx: Context) -> bool:
    """Make the host match its link, and give every run that died its verdict. True if it had to.

    What does not get well is taken back where its watch was interrupted, as the watch would have.
    Raises ReleaseFailed where what is committed does not get well; all else is done then too.
    """
    # what a dead run let loose on the data ends first
    oneshot.clear(ctx)
    facts = ctx.facts()
    _understood(facts)
    left = facts.history.unfinished
    plan = recovery.plan(facts)
    mine = ctx.run if any(one.id == ctx.run for one in left) else ""
    left = tuple(one for one in left if one.id != mine)
    live, failure = unfinished.goal(facts), None
    if plan.steps:
        if not mine:
            records.begin(ctx, live.id if live else "", "")
        try:
            converge(ctx, plan)
        except ReleaseFailed as error:
            failure = error
        if not mine:
            records.end(ctx, _recovered(ctx, live, failure))
    if failure and live != facts.committed:
        watched, failure = _stay(ctx, facts, failure)
    else:
        watched = _give_up(ctx, left, failure) if failure else _finish_watch(ctx)
    # read again: recovery may have found the handover that a run died before writing down
    history = ctx.store.history()
    names = {one.id for one in left} & {one.id for one in history.unfinished}
    died = [one for one in history.runs if one.id in names]
    serves, blamed = history.committed, history.blamed
    ends = [_close(ctx, one, serves, watched, blamed(one.release)) for one in died]
    # whoever follows one of them looks at the host next: by then each has its end
    for verdict in ends:
        _tell(ctx, verdict)
    if failure and not watched.taken:
        raise failure
    return bool(plan.steps or left)


def _recovered(ctx: Context, live: Release | None, failure: ReleaseFailed | None) -> Verdict:
    name = live.id if live else ""
    if failure:
        return records.verdict(ctx, "failed", failure, f"{name} does not get well", name)
    sentence = f"{name} serves" if live else "nothing serves, and nothing runs"
    return Verdict("recovered", 0, sentence, name, ctx.run)


def needed(facts: Facts) -> bool:
    """Whether a run was left unfinished, the host does not match its link, or nobody can tell."""
    return bool(recovery.plan(facts).steps or facts.history.unfinished or facts.unrecorded)


def _understood(facts: Facts) -> None:
    """Raises HostFault where what serves cannot be told: then nothing at all is changed."""
    why = recovery.not_understood(facts)
    if why is not None:
        raise HostFault(why)


def converge(ctx: Context, plan: Plan) -> None:
    """Carry the plan out, and what a late effect of a dead run makes necessary after it.

    A container that Docker was just starting when the run died appears after the first look.
    """
    with ctx.stop.deaf():
        for _ in range(LOOKS):
            if not plan.steps:
                return
            records.announce(ctx, plan)
            execute(ctx, plan)
            plan = recovery.plan(ctx.facts())


def before_another(ctx: Context) -> None:
    """Recovery as the first step of another run, under a run of its own; nothing if not needed.

    What is committed may be past recovery: then the run is perhaps the fix, and goes on.
    """
    facts = ctx.facts()
    if not needed(facts):
        return
    _understood(facts)
    ctx.notice("an earlier run did not end well: recovering first")
    own, ctx.run = ctx.run, f"{ctx.run}{unfinished.FIRST}"
    try:
        recover(ctx)
    except ReleaseFailed as error:
        ctx.notice(f"what served cannot be brought back ({error}); going on with what was asked")
    except HomeportError as error:
        stake = ctx.store.history().stake
        if stake is None:
            raise
        # nothing serves until the data is in order, and another set may be the way to that
        ctx.notice(f"the data of {stake.set} cannot be put back: {error.text()}")
        if not ctx.request.set:
            mend = "homeport restore SET, with a set of homeport backup list"
            what = f"the data of {stake.set} cannot be put back"
            raise HostFault(Problem(what, "host", str(error), mend), *error.problems) from error
    finally:
        ctx.run = own
        ctx.figures.clear()


def _finish_watch(ctx: Context) -> Watched:
    """Finish an interrupted watch; what was bad is taken back where there is something good."""
    facts = ctx.facts()
    release, origin = facts.committed, unfinished.watch_left(facts)
    if release is None or origin is None:
        return Watched()
    good = recovery.way_back(facts, release, origin)
    try:
        if good and unfinished.watch_failed_at_boot(facts):
            raise TakenBack(Problem("two boots without a finished watch", release.id, "", ""))
        watch(ctx, {"release": release.id, "seconds": min(release.monitor, 10.0)})
    except TakenBack as error:
        return _back(ctx, release, good, error)
    return Watched()


def _back(ctx: Context, bad: Release, good: Release | None, error: HomeportError) -> Watched:
    """Take back to what is good; where that does not get well either, what there is serves on."""
    if good is None:
        return Watched(bad.id, error)
    try:
        take_back(ctx, bad, good, error)
    except ReleaseFailed as kept:
        try:
            converge(ctx, recovery.plan(ctx.facts()))
        except ReleaseFailed as failure:
            ctx.notice(failure.text())
        return Watched(bad.id, error, kept=kept)
    return Watched(bad.id, error, taken=True)


def _give_up(ctx: Context, left: tuple[Run, ...], error: HomeportError) -> Watched:
    """Take back what was in its watch when its run died, and does not get well any more."""
    facts = ctx.facts()
    release, origin = facts.committed, unfinished.watch_left(facts)
    if release is None or origin is None or not any(one.committed == release.id for one in left):
        return Watched()
    return _back(ctx, release, recovery.way_back(facts, release, origin), error)


def _stay(ctx: Context, facts: Facts, kept: ReleaseFailed) -> tuple[Watched, ReleaseFailed | None]:
    """A taking back that died cannot be finished: what was bad is brought back, if it can be."""
    bad = facts.committed
    assert bad is not None
    error = TakenBack(Problem("its taking back was interrupted", bad.id, "", ""))
    for one in facts.history.unfinished:
        if one.verb == "take-back" and not one.committed:
            _tell(ctx, _close(ctx, one, bad.id, Watched()))
    try:
        converge(ctx, recovery.plan(ctx.facts()))
    except ReleaseFailed as failure:
        return Watched(bad.id, error, kept=kept), failure
    return Watched(bad.id, error, kept=kept), None


def _close(ctx: Context, run: Run, serves: str, watched: Watched, blamed: str = "") -> Verdict:
    """Write the end of a run that died without one.

    ``serves`` is the release that does now, and ``blamed`` why the run's own was taken back.
    """
    release, committed = run.release, run.committed
    if committed and committed == watched.release:
        what = "taken back" if watched.taken else "is not well, with nothing to take it back to"
        what = f"not taken back ({watched.kept})" if watched.kept else what
        outcome: Outcome = "taken-back" if watched.taken else "failed"
        code = TakenBack.code if watched.taken else LeftBad.code
        sentence = f"{release} was interrupted in its watch and {what}: {watched.error}"
    elif committed and committed != serves:
        # nothing but taking back comes between a commit and the end of its run
        outcome, code = "taken-back", TakenBack.code
        sentence = f"{release} was taken back to {serves}; the run died before it could say so"
        sentence = f"{blamed}; {sentence}" if blamed else sentence
    elif committed:
        outcome = _GOOD.get(run.verb, "deployed")
        code, sentence = 0, f"{release} was interrupted after its handover and finished by recovery"
    else:
        outcome, code = "failed", HomeportError.code
        sentence = unfinished.cut_short(run.id, run.verb, release)
    figures = records.serving(ctx.store, ctx.paths.app, run.id)
    verdict = Verdict(outcome, code, sentence, release, run.id, (), figures)
    ctx.store.append({"k": "end", **records.record(verdict)})
    return verdict


def _tell(ctx: Context, verdict: Verdict) -> None:
    """Tell whoever follows a run that died how it ended."""
    telling.tell_run(ctx.paths, verdict.run, {"e": "verdict", **asdict(verdict)})


def take_back(ctx: Context, bad: Release, good: Release, error: HomeportError) -> None:
    """A rollback plan with a record of its own."""
    ctx.notice(f"{error}: taking back to {good.id}")
    own, ctx.run = ctx.run, f"{ctx.run}-back"
    try:
        records.begin(ctx, good.id, bad.id, verb="take-back", why=str(error))
        plan = plans.take_back(ctx.facts(), bad, good)
        with ctx.stop.deaf():
            execute(ctx, plan)
        records.end(ctx, Verdict("rolled-back", 0, f"{good.id} serves again", good.id, ctx.run))
    except HomeportError as failure:
        sentence = f"{good.id} did not come back: {failure}"
        records.end(ctx, records.verdict(ctx, "failed", failure, sentence, good.id))
        raise
    finally:
        ctx.run = own
