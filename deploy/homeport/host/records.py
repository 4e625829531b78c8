"""What is written down of a run: its begin, its plan, its end, and the figures between."""

from __future__ import annotations

import time
from dataclasses import asdict, replace
from typing import Any

from homeport.core import recovery
from homeport.core.facts import Facts
from homeport.errors import HomeportError
from homeport.host import prepare
from homeport.host.context import Context
from homeport.host.store import Store
from homeport.model import Outcome, Plan, Release, Verdict


def good(ctx: Context, release: Release, outcome: Outcome) -> Verdict:
    """A good end, with its figures."""
    took = round(time.time() - ctx.began, 1)
    held = ctx.figures.get("held_s")
    waited = f"; requests were held {held:.1f} s" if held else ""
    sentence = f"{release.id} is live after {took} s{waited}"
    return Verdict(outcome, 0, sentence, release.id, ctx.run, (), figures(ctx))


def figures(ctx: Context) -> dict[str, Any]:
    """The figures of a run so far; instants that were noted on the way are left out."""
    found = {key: value for key, value in ctx.figures.items() if not key.endswith("_at")}
    return {**found, "total_s": round(time.time() - ctx.began, 3)}


def failed(ctx: Context, error: HomeportError, outcome: Outcome) -> Verdict:
    """A bad end whose sentence is the error itself."""
    return verdict(ctx, outcome, error, str(error), "")


def verdict(
    ctx: Context, outcome: Outcome, error: HomeportError, sentence: str, release: str
) -> Verdict:
    """A bad end."""
    problems = tuple(asdict(one) for one in error.problems)
    return Verdict(outcome, error.code, sentence, release, ctx.run, problems, figures(ctx))


def begin(ctx: Context, release: str, origin: str, verb: str = "", **asked: Any) -> None:
    """Journal the begin of a run; ``asked`` is what only the request's own run may write."""
    verb = verb or ctx.request.verb
    cause = asdict(ctx.request.cause)
    ctx.journal("begin", verb=verb, release=release, cause=cause, **{"from": origin}, **asked)


def asked(ctx: Context) -> dict[str, Any]:
    """What the request asks of later ones: its key, and what becomes of the freeze."""
    found: dict[str, Any] = {"key": ctx.request.key} if ctx.request.key else {}
    if ctx.request.freeze or ctx.request.unfreeze:
        found["freeze"] = ctx.request.freeze
    return found


def serving(store: Store, app: str, run: str) -> dict[str, Any]:
    """What serves after a run, what served before it, what can be gone back to, and the freeze.

    The release to go back to is the one that the host's own mark ``previous`` is put on.
    """
    history = store.history()
    known = Facts(
        app,
        releases=store.releases(),
        link=store.read_link(),
        current=store.current(),
        history=history,
    )
    live, mine = known.committed, history.run(run)
    before = known.release(mine.origin) if mine and mine.origin else None
    back = recovery.previous(known, live) if live else None
    if mine and mine.verb == "deploy" and before and before != live:
        back = before
    return {
        "serves": _about(live),
        "before": _about(before),
        "previous": _about(back),
        "frozen": asdict(history.freeze) if history.freeze else None,
    }


def _about(release: Release | None) -> dict[str, Any] | None:
    if release is None:
        return None
    names = ("id", "image", "digest", "size")
    return {name: getattr(release, name) for name in names}


def announce(ctx: Context, plan: Plan) -> None:
    """Tell the plan before it is carried out."""
    ctx.tell({"e": "plan", **prepare.as_event(plan)})


def end(ctx: Context, verdict: Verdict) -> Verdict:
    """Journal the end of a run that was begun; the verdict."""
    known = ctx.store.history().run(ctx.run)
    if known is not None and known.end is None:
        ctx.journal("end", **record(verdict))
        # looked up after it: a run that commits nothing changes the freeze by its end
        told = serving(ctx.store, ctx.paths.app, ctx.run)
        return replace(verdict, figures={**verdict.figures, **told})
    return verdict


def record(verdict: Verdict) -> dict[str, Any]:
    """A verdict as the journal keeps it: problems without what containers wrote."""
    kept = asdict(verdict)
    kept["problems"] = [one["what"] for one in kept["problems"]]
    return kept
