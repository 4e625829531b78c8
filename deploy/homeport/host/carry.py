"""Carrying out a plan that makes a release live, and what becomes of one that goes wrong."""

from __future__ import annotations

import traceback
from typing import Callable

from homeport.core import estimate, recovery, saving
from homeport.errors import (
    Cancelled,
    HomeportError,
    HostFault,
    Internal,
    LeftBad,
    Problem,
    ReleaseFailed,
    TakenBack,
)
from homeport.host import ops, ops_migrate, postgres_client, records, recover, schema
from homeport.host.context import Context
from homeport.host.execute import execute
from homeport.model import Release
from homeport.planned import Outcome, Plan, Verdict

#: steps after the watch: nothing that fails there is worth taking a good release back for
LATE = ("drain", "retire", "mark", "prune", "prune-sets")


Undo = Callable[[Context, Release, HomeportError], Verdict]


def out(
    ctx: Context,
    plan: Plan,
    release: Release,
    old: Release | None,
    outcome: Outcome,
    undo: Undo | None = None,
) -> Verdict:
    """Carry the plan out, and what must be done where a step of it fails; the verdict.

    ``undo`` does that for a plan after which another release is not live.
    """
    try:
        with postgres_client.keeping(ctx):
            _stages(ctx, plan, release)
    except HomeportError as failed:
        error = ops_migrate.left(ctx, failed)
        if undo:
            return undo(ctx, release, error)
        return went_wrong(ctx, release, old, error, outcome)
    except Exception as error:  # a mistake of ours in mid-plan: the same way back as for a fault
        ctx.tell({"e": "trace", "text": traceback.format_exc()})
        schema.forget(ctx)
        fault = Internal(
            Problem(f"{type(error).__name__}: {error}", "homeport", "", "report it, please")
        )
        if undo:
            return undo(ctx, release, fault)
        return went_wrong(ctx, release, old, fault, outcome)
    return records.end(ctx, records.good(ctx, release, outcome))


def _stages(ctx: Context, plan: Plan, release: Release) -> None:
    """The plan; where it has a rehearsal, what that took decides how people wait for the rest."""
    first, rest = saving.rehearsed(plan)
    execute(ctx, first)
    if not rest.steps:
        return
    took = estimate.rehearsed(ctx.figures)
    if took is not None and plan.mode == "exclusive":
        rules = release.settings.deploy
        found = estimate.estimate(took, estimate.usual(ctx.store.history()), rules.drain)
        ctx.notice(estimate.text(found, rules.hold))
        ctx.figures["estimated_hold_s"] = round(found.there, 1)
        if not estimate.fits(found, rules.hold) and not ctx.paths.maintenance.exists():
            rest = saving.paged(rest, found.most)
            records.announce(ctx, rest)
    execute(ctx, rest)


def went_wrong(
    ctx: Context, release: Release, old: Release | None, error: HomeportError, outcome: Outcome
) -> Verdict:
    """What was begun is taken back, before the commit by recovery and after it by a rollback."""
    mine = ctx.store.history().run(ctx.run)
    committed = mine is not None and mine.committed == release.id
    if committed and mine is not None and mine.step in LATE:
        ctx.notice(f"{mine.step}: {error.text()}")
        return records.end(ctx, records.good(ctx, release, outcome))
    if committed:
        return records.end(ctx, _after_commit(ctx, release, old, error))
    ctx.notice("taking back what was begun")
    ill = converged(ctx)
    live = ctx.facts().committed
    if live is not None and live.id == release.id:
        # the link was written, and what came right after it failed
        sentence = f"{release.id} serves, though its handover was not gone through: {error}"
        return records.end(ctx, records.verdict(ctx, "failed", error, sentence, release.id))
    known = ctx.store.history()
    # without the release nobody could reach the data that is still to be put back
    needed = known.stake is not None and known.stake.release == release.id and live is None
    if release.id not in known.served and not needed:
        ctx.store.drop_release(release.id)
        if any(one["id"] == "pull" for one in ctx.figures.get("steps", ())):
            ops.forget_image(ctx, release.image)
    serves = f"{old.id} serves as before" if old else "nothing served before"
    if ill:
        serves = f"{old.id} cannot be brought back ({ill})" if old else f"{serves} ({ill})"
        if isinstance(error, Cancelled):
            # stopped, and not as it was before: that is no good end of a cancel
            error = HostFault(*error.problems)
    said = f"{error}: " if isinstance(error, Cancelled) else ""
    sentence = f"{said}{release.id} did not go live; {serves}"
    return records.end(ctx, records.verdict(ctx, "failed", error, sentence, release.id))


def _after_commit(
    ctx: Context, release: Release, old: Release | None, error: HomeportError
) -> Verdict:
    """What is live is not well: taken back, unless there is nothing good to go back to."""
    facts, origin = ctx.facts(), old.id if old else ""
    good = recovery.way_back(facts, release, origin)
    parted = recovery.data_stands_between(facts, release, origin)
    if good is not None and good == old and ctx.sick:
        ctx.notice(f"not taken back: {good.id} was not well either ({ctx.sick})")
        good = None
    sentence = f"{release.id} is live but not well, and there is nothing to take it back to"
    if parted:
        sentence = (
            f"{release.id} is live but not well, and is not taken back by itself: {parted};"
            " homeport rollback tells what going back with the data would cost"
        )
    if good is not None:
        try:
            recover.take_back(ctx, release, good, error)
        except HomeportError as failure:
            ill, live = converged(ctx), ctx.facts().committed
            serves = f"nothing serves ({ill})" if ill or not live else f"{live.id} serves"
            sentence = f"{error}; taking back to {good.id} failed: {failure}; {serves}"
            error = LeftBad(*error.problems, *failure.problems)
            return records.verdict(ctx, "failed", error, sentence, release.id)
        sentence = f"{error}; {good.id} serves again"
        taken = TakenBack(*error.problems)
        return records.verdict(ctx, "taken-back", taken, sentence, release.id)
    error = LeftBad(*error.problems) if isinstance(error, TakenBack) else error
    return records.verdict(ctx, "failed", error, sentence, release.id)


def converged(ctx: Context) -> str:
    """Make the host match its link again; why what is committed does not get well, or nothing."""
    try:
        recover.converge(ctx, recovery.plan(ctx.facts()))
    except ReleaseFailed as failure:
        return str(failure)
    except HomeportError as failure:
        # told whole: what mends it is not what mends the release
        ctx.notice(failure.text())
        return str(failure)
    return ""
