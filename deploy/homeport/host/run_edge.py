"""Runs that change the edge outside of a deploy: its sites, its image, a maintenance page."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from homeport.core import edge as edges
from homeport.core import plan as plans
from homeport.core import policy, recovery
from homeport.core.facts import Facts
from homeport.errors import HomeportError, Problem, Refused
from homeport.host import prepare, records, recover
from homeport.host.context import Context
from homeport.host.execute import execute
from homeport.planned import Plan, Verdict

BACK = "homeport maintenance off"


def apply(ctx: Context) -> Verdict:
    """The edge as homeport.toml says now."""
    recover.before_another(ctx)
    facts = ctx.facts()
    ctx.wanted = edges.applied(facts.edge, ctx.paths.app, _site(ctx, facts))
    records.begin(ctx, "", "")
    settings = ctx.request.settings
    problems = policy.taken(settings, facts) if settings else []
    if problems:
        raise Refused(*problems)
    return _changed(ctx, plans.edge("edge-apply", ctx.wanted), "the edge is as wanted")


def _site(ctx: Context, facts: Facts) -> dict[str, Any] | None:
    """What homeport.toml asks for; an app that nobody reaches yet gets no site by itself."""
    live, settings = facts.committed, ctx.request.settings
    if live is None or settings is None:
        known = facts.edge.sites.get(ctx.paths.app)
        return dict(known) if known else None
    now = replace(live.settings, site=settings.site, deploy=settings.deploy)
    inner = (facts.edge.sites.get(ctx.paths.app) or {}).get("inner")
    return edges.site_of(now, prepare.network(ctx, live), inner)


def upgrade(ctx: Context) -> Verdict:
    """The edge from the image that this Homeport asks for."""
    recover.before_another(ctx)
    records.begin(ctx, "", "")
    pull = plans.edge_pull()
    records.announce(ctx, pull)
    execute(ctx, pull)
    facts = ctx.facts()
    ctx.wanted = edges.upgraded(facts.edge)
    verdict = _changed(ctx, plans.edge("edge-upgrade", ctx.wanted), f"the edge is {edges.IMAGE}")
    if ctx.wanted.change and verdict.code == 0:
        # nothing refers to the image it was made from; Docker keeps it where something does
        ctx.engine.untag(facts.edge.image)
    return verdict


def _changed(ctx: Context, plan: Plan, same: str) -> Verdict:
    records.announce(ctx, plan)
    if not plan.steps:
        return records.end(ctx, Verdict("nothing-to-do", 0, same, "", ctx.run))
    try:
        execute(ctx, plan)
    except HomeportError as error:
        try:
            recover.converge(ctx, recovery.plan(ctx.facts()))
        except HomeportError as more:
            ctx.notice(f"it could not be brought back either: {more}")
        runs = "the one from before runs" if ctx.edge.facts().running else "and it does not run"
        sentence = f"the edge was not changed; {runs}"
        return records.end(ctx, records.verdict(ctx, "failed", error, sentence, ""))
    gap = ctx.figures.get("edge_gap_s")
    away = f"; every app on it was away for {gap:.1f} s" if gap else ""
    sentence = f"the edge was changed: {plan.steps[0].cause}{away}"
    verdict = Verdict("edge-changed", 0, sentence, "", ctx.run, (), records.figures(ctx))
    return records.end(ctx, verdict)


def maintenance_on(ctx: Context) -> Verdict:
    """The maintenance page for everybody, from the next request on."""
    recover.before_another(ctx)
    facts = ctx.facts()
    if ctx.paths.app not in facts.edge.sites:
        what = f"the edge does not answer for {ctx.paths.app} yet"
        raise Refused(Problem(what, ctx.paths.edge_name, "", "homeport deploy"))
    if not facts.edge.current:
        why = "another version of Homeport configured it"
        what = "the edge does not know the maintenance page"
        raise Refused(Problem(what, ctx.paths.edge_name, why, "homeport edge apply"))
    records.begin(ctx, "", "", verb="maintenance")
    plan = plans.page(ctx.request.cause.why, ctx.request.minutes)
    records.announce(ctx, plan)
    execute(ctx, plan)
    sentence = f"everybody gets the maintenance page until: {BACK}"
    return records.end(ctx, Verdict("maintenance", 0, sentence, "", ctx.run))


def maintenance_off(ctx: Context) -> Verdict:
    """The app for everybody again, from the next request on."""
    recover.before_another(ctx)
    if ctx.facts().maintenance is None:
        return Verdict("nothing-to-do", 0, "no maintenance page is up", "", ctx.run)
    records.begin(ctx, "", "", verb="maintenance")
    plan = plans.page_down()
    records.announce(ctx, plan)
    execute(ctx, plan)
    return records.end(ctx, Verdict("maintenance", 0, "the app answers again", "", ctx.run))
