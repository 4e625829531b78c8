"""Runs that look after the live databases: check, vacuum, analyze, checkpoint."""

from __future__ import annotations

from typing import Any, cast

from homeport.core import care, recovery
from homeport.core.care import Action
from homeport.errors import Damaged, HomeportError, HostFault, Problem, Refused
from homeport.host import ops_care, records, recover
from homeport.host.context import Context
from homeport.host.execute import execute
from homeport.model import Release
from homeport.planned import Outcome, Verdict


def run(ctx: Context) -> Verdict:
    """Do to the databases of what serves what the request names; it goes on serving."""
    recover.before_another(ctx)
    facts = ctx.facts()
    live, do = facts.committed, cast(Action, ctx.request.verb.partition("-")[2])
    if live is None:
        what = "nothing serves yet, so there is no data to look after"
        raise Refused(Problem(what, "host", "", "homeport deploy"))
    databases = ops_care.look(ctx, live)
    records.begin(ctx, "", live.id)
    problems = care.refusals(do, databases, facts, live)
    if problems:
        raise Refused(*problems)
    plan = care.plan(do, databases, facts, live)
    records.announce(ctx, plan)
    try:
        execute(ctx, plan)
    except HomeportError as error:
        return records.end(ctx, _failed(ctx, live, error))
    return records.end(ctx, _told(ctx, do, live))


def _failed(ctx: Context, live: Release, error: HomeportError) -> Verdict:
    """It came to nothing: whoever waits is let through again."""
    serves = f"{live.id} serves as before"
    try:
        recover.converge(ctx, recovery.plan(ctx.facts()))
    except HomeportError as more:
        serves = f"{live.id} cannot be brought back ({more})"
    return records.verdict(ctx, "failed", error, f"{error}; {serves}", "")


def _told(ctx: Context, do: Action, live: Release) -> Verdict:
    """The verdict from what each database came to."""
    told: list[dict[str, Any]] = ctx.figures["databases"]
    bad = [care.damage(str(one["database"]), one) for one in told]
    problems = [one for one in bad if one is not None]
    if problems:
        sentence = f"{len(problems)} of {len(told)} databases are damaged; {live.id} goes on"
        return records.verdict(ctx, "failed", Damaged(*problems), sentence, "")
    undone = [one for one in told if care.undone(one)]
    if undone:
        why = "; ".join(care.sentence(do, str(one["database"]), one) for one in undone)
        error = HostFault(Problem(f"{do} was not done everywhere", "host", why, "try again later"))
        return records.verdict(ctx, "failed", error, why, "")
    outcome: Outcome = "checked" if do == "check" else "cared-for"
    sentence = "; ".join(care.sentence(do, str(one["database"]), one) for one in told)
    return Verdict(outcome, 0, sentence, "", ctx.run, (), records.figures(ctx))
