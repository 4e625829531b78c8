"""Runs about sets of copies: making one, checking them again, letting old ones go."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import replace

from homeport.backups import Backup
from homeport.core import back, freshness, plan_data, recovery, room
from homeport.core.saving import asked
from homeport.core.facts import Facts
from homeport.core.kept import Kept
from homeport.errors import HomeportError, Internal, NoSuchRelease, Problem, Refused
from homeport.host import records, recover, run_offsite
from homeport.host.context import Context
from homeport.host.execute import execute
from homeport.model import Release
from homeport.planned import Outcome, Plan, Verdict

ALL = "all"


def backup(ctx: Context) -> Verdict:
    """Make a set of what is live, verify it, and let old ones go."""
    facts, live, rules = _begun(ctx)
    cause = ctx.request.cause
    by = f"scheduled, {rules.schedule}" if cause.who == freshness.SCHEDULE else "asked for"
    plan = plan_data.backup(facts, live, rules, cause.why or by, ctx.request.hold)
    plan = replace(plan, notices=(*plan.notices, *room.estimate(facts, plan)))
    problems = plan_data.too_long(facts, live) if ctx.request.hold else ()
    problems += room.refusals(facts, plan)
    if problems:
        raise Refused(*problems)
    verdict = _carry_out(ctx, plan, live, "backed-up", "no backup was made that counts")
    if verdict.code == 0 and rules.offsite:
        ctx.away = plan_data.away(rules)
    return records.end(ctx, _told(ctx, verdict))


def _told(ctx: Context, verdict: Verdict) -> Verdict:
    """The verdict with what came of it in numbers, if a set was made that counts."""
    facts = ctx.facts()
    run = facts.history.run(ctx.run)
    mine = [one for one in facts.copies if run and one.manifest.id in run.sets]
    if not mine or mine[-1].state != "verified":
        return verdict
    made = mine[-1].manifest
    if verdict.code:
        sentence = f"{made.id} is saved and verified here; what came after it failed"
        return replace(verdict, sentence=f"{sentence}: {verdict.problems[0]['what']}")
    took = made.ended - made.created
    held = ctx.figures.get("held_s")
    waited = f"; requests were held {held:.1f} s" if held else ""
    sentence = f"{made.id} is saved and verified: {made.size / 1e6:.1f} MB in {took:.1f} s{waited}"
    return replace(verdict, sentence=sentence)


def verify(ctx: Context) -> Verdict:
    """Restore sets to a scratch place once more, and look at what comes out."""
    facts, live, _ = _begun(ctx)
    asked = ctx.request.set
    found = _asked(facts, live, asked)
    verdict = _carry_out(ctx, plan_data.verify(found), live, "verified", "a set does not hold")
    if verdict.code == 0:
        many = f"all {len(found)} sets" if asked == ALL else found[-1].manifest.id
        sentence = f"{many}: restored, looked at, and good"
        verdict = Verdict("verified", 0, sentence, live.id, ctx.run, (), verdict.figures)
    return records.end(ctx, verdict)


def _asked(facts: Facts, live: Release, name: str) -> tuple[Kept, ...]:
    """The set by the start of its id, the newest, or all of them."""
    every = facts.copies
    if not every:
        raise NoSuchRelease(Problem("there is no set yet", "host", "", "homeport backup now"))
    if name in ("", back.LATEST):
        return every[-1:]
    if name == ALL:
        return every
    found = back.find(facts, name, live)
    if isinstance(found, Problem):
        raise NoSuchRelease(found)
    return tuple(one for one in every if one.manifest == found)


def prune(ctx: Context) -> Verdict:
    """Let go the sets that are beyond what is kept."""
    facts, live, rules = _begun(ctx)
    plan = plan_data.prune(facts, rules)
    verdict = _carry_out(ctx, plan, live, "pruned", "not every set that goes is gone")
    if verdict.code == 0:
        gone = len(plan.steps[0].args["sets"]) if plan.steps else 0
        left = len(facts.copies) - gone
        sentence = f"{gone} sets are let go, {left} are kept"
        outcome: Outcome = "pruned" if gone else "nothing-to-do"
        verdict = Verdict(outcome, 0, sentence, live.id, ctx.run, (), verdict.figures)
    return records.end(ctx, verdict)


def _begun(ctx: Context) -> tuple[Facts, Release, Backup]:
    """The facts after recovery, what is live and what it asks to be saved; the run is begun."""
    recover.before_another(ctx)
    facts = ctx.facts()
    live = facts.committed
    records.begin(ctx, "", live.id if live else "")
    if live is None:
        raise NoSuchRelease(Problem("nothing serves yet", "host", "", "homeport deploy"))
    rules = asked(live.settings)
    if rules is None:
        why = f"the homeport.toml that {live.id} was deployed with has no [backup]"
        mend = "write it ([backup], keys: docs/homeport-toml.md), then homeport deploy"
        raise Refused(Problem("nothing is to be saved", "host", why, mend))
    return facts, live, rules


def _carry_out(ctx: Context, plan: Plan, live: Release, outcome: Outcome, bad: str) -> Verdict:
    """Execute a plan; what went wrong as a verdict, with requests going on as before."""
    records.announce(ctx, plan)
    try:
        execute(ctx, plan)
        return Verdict(outcome, 0, "", live.id, ctx.run, (), records.figures(ctx))
    except HomeportError as caught:
        error = caught
    except Exception as fault:  # a mistake of ours: requests must not wait for ever because of it
        ctx.tell({"e": "trace", "text": traceback.format_exc()})
        what = f"{type(fault).__name__}: {fault}"
        error = Internal(Problem(what, "homeport", "", "report it, please"))
    try:
        recover.converge(ctx, recovery.plan(ctx.facts()))
    except HomeportError as more:
        ctx.notice(f"what serves could not be brought back: {more}")
    return records.verdict(ctx, "failed", error, f"{bad}: {error}", live.id)


VERBS: dict[str, Callable[[Context], Verdict]] = {
    freshness.VERB: backup,
    "backup-verify": verify,
    "backup-prune": prune,
    "backup-drill": run_offsite.drill,
}
