"""Going back with data: which set, what it costs, and the run that does it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from homeport import wire
from homeport.backups import Manifest
from homeport.core import back, estimate, plan_back, saving, schemas
from homeport.core import loss as losses
from homeport.core.facts import Facts
from homeport.errors import (
    Cancelled,
    HomeportError,
    HostFault,
    NeedsData,
    NoSuchRelease,
    Problem,
    Refused,
    Unverified,
)
from homeport.host import carry, loss, prepare, records, restoring, sources, telling
from homeport.host.context import Context
from homeport.host.execute import execute
from homeport.host.preflight import preflight
from homeport.host.store import Lock
from homeport.model import Release
from homeport.planned import Plan, Verdict

#: where nothing tells how long a release takes to start, in seconds
BOOT = 5.0
#: bytes a second that even a slow card takes
PACE = 10e6


@dataclass(frozen=True)
class Made(prepare.Made):
    """A plan that puts data back, and the set it takes it from."""

    set: Manifest = Manifest("", "", "", 0.0)
    lost: losses.Loss = losses.Loss("", 0.0, 0.0)


def alone(ctx: Context, facts: Facts, target: Release) -> None:
    """Raise NeedsData where the code of a release cannot go back alone, with what it would cost."""
    why = schemas.fits(facts, target)
    if not why:
        return
    set_, live = back.latest(facts, target), facts.committed
    lost = loss.of(ctx, live, set_) if set_ and live else None
    ctx.figures.update({"loss": lost.data()} if lost else {})
    raise NeedsData(back.parted(target, why, set_, lost))


def rollback(ctx: Context) -> Verdict:
    """Code and data go back together."""
    made = _begun(ctx)
    return carry.out(ctx, made.plan, made.release, made.facts.committed, "rolled-back")


def restore(ctx: Context) -> Verdict:
    """The data alone goes back, under the code that serves."""
    made = _begun(ctx)
    return carry.out(ctx, made.plan, made.release, made.release, "restored", _not_restored)


def plan_only(ctx: Context) -> dict[str, Any]:
    """What going back with data would do and cost; a run that goes on is not disturbed."""
    lock = Lock(ctx.paths.lock)
    lock.take({"run": ctx.run, "verb": ctx.request.verb, "who": ctx.request.cause.who}, 1.0)
    try:
        made = make(ctx)
    finally:
        lock.release()
    return {
        **telling.as_event(made.plan),
        "set": wire.plain(made.set),
        "checked": back.checked(made.facts, made.set),
        "loss": made.lost.data(),
        "said": list(back.said(made.set, made.lost)),
    }


def make(ctx: Context) -> Made:
    """The plan that the request asks for; raises Refused with whatever stands against it."""
    facts = prepare.asked(ctx, ctx.facts())
    live = facts.committed
    if live is None:
        why = "what is put back is put under a release that serves"
        raise NoSuchRelease(Problem("nothing serves yet", "host", why, "homeport deploy"))
    with_code = "rollback" in ctx.request.verb
    target = prepare.target(facts, ctx.request.release) if with_code else live
    if target.id == live.id and with_code:
        mend = f"homeport restore {ctx.request.set}"
        raise Refused(Problem(f"{live.id} is live: its data goes back by itself", "", "", mend))
    ctx.fresh = target
    set_ = _set(ctx, facts, target)
    placed(ctx, set_, target)
    facts, plan = _plan(ctx, facts, set_, target)
    return Made(facts, target, plan, set=set_, lost=loss.of(ctx, live, set_))


def _set(ctx: Context, facts: Facts, target: Release) -> Manifest:
    """The set that is meant; raises Refused where it is none, or none for that code."""
    found = back.find(facts, ctx.request.set, target)
    if isinstance(found, Problem):
        raise Refused(found)
    misfit, unsound = back.misfit(facts, found, target), back.unsound(facts, found)
    if misfit:
        raise NeedsData(misfit)
    if unsound and not ctx.request.unverified:
        raise Unverified(unsound)
    return found


def placed(ctx: Context, set_: Manifest, target: Release) -> None:
    """Raise Refused for a set with data for which the release has no mount.

    Whoever insists gets the rest put back.
    """
    if ctx.request.unverified:
        return
    try:
        mounts = sources.declared(ctx, sources.rules(ctx, target))
    except HostFault:
        # its containers cannot be made now: the run itself will say why, or will say what is left
        return
    if gone := restoring.homeless(set_, mounts):
        names = ", ".join(one.source for one in gone)
        what = f"{target.id} has no mount for {names} of {set_.id}"
        mend = "a release that mounts it, or --unverified to put back the rest"
        raise Refused(Problem(what, "host", "it would be left out", mend))


def _plan(ctx: Context, facts: Facts, set_: Manifest, target: Release) -> tuple[Facts, Plan]:
    anyway = ctx.request.unverified
    if facts.committed == target:
        plan = plan_back.restore(facts, set_, target, anyway)
    else:
        data = plan_back.moved(facts, set_, target, anyway)
        facts, plan = prepare.toward(ctx, facts, target, data)
    rules, found = target.settings.deploy, _estimate(facts, set_, target)
    said = estimate.text(found, rules.hold)
    if not estimate.fits(found, rules.hold) and not ctx.paths.maintenance.exists():
        plan = replace(saving.paged(plan, found.most), skips=plan.skips)
    return facts, replace(plan, notices=(*plan.notices, said))


def _estimate(facts: Facts, set_: Manifest, target: Release) -> estimate.Estimate:
    """How long requests will wait: as long as the last set took, and as the check of this one."""
    known = estimate.usual(facts.history)
    newest = facts.sets[-1]
    checked = facts.verified.get(set_.id)
    times = estimate.Rehearsed(
        snapshot=max(0.0, newest.ended - newest.created),
        migrate=checked.seconds if checked else set_.size / PACE,
        boot=known.boot if known.boot is not None else BOOT,
        restore=newest.size / PACE,
    )
    return estimate.estimate(times, known, target.settings.deploy.drain)


def _begun(ctx: Context) -> Made:
    """The run begun, its set checked, and what it will cost told."""
    made = preflight(ctx, make)
    live = made.facts.committed
    records.begin(ctx, made.release.id, live.id if live else "", **records.asked(ctx))
    if not back.checked(made.facts, made.set) and not ctx.request.unverified:
        check = plan_back.verify(made.set, made.release)
        records.announce(ctx, check)
        execute(ctx, check)
        made = make(ctx)
    for line in back.said(made.set, made.lost):
        ctx.notice(line)
    ctx.figures["put_back"] = made.set.id
    ctx.figures["loss"] = made.lost.data()
    records.announce(ctx, made.plan)
    return made


def _not_restored(ctx: Context, release: Release, error: HomeportError) -> Verdict:
    """What becomes of a restore that goes wrong: before its commit today's data comes back."""
    mine = ctx.store.history().run(ctx.run)
    if mine is not None and mine.committed == release.id:
        sentence = f"{release.id} serves with the data that was put back, though not all is well"
        return records.end(ctx, records.verdict(ctx, "failed", error, sentence, release.id))
    ctx.notice("taking back what was begun")
    ill = carry.converged(ctx)
    serves = f"{release.id} cannot be brought back ({ill})" if ill else f"{release.id} serves"
    if ill and isinstance(error, Cancelled):
        error = HostFault(*error.problems)
    said = f"{error}: " if isinstance(error, Cancelled) else ""
    sentence = f"{said}no data was put back; {serves}"
    return records.end(ctx, records.verdict(ctx, "failed", error, sentence, release.id))
