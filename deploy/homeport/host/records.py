"""What is written down of a run: its begin, its plan, its end, and the figures between."""

from __future__ import annotations

import time
from dataclasses import asdict, replace
from typing import Any

from homeport.core import recovery
from homeport.core.facts import Facts
from homeport.errors import Cancelled, HomeportError, HostFault
from homeport.host import telling
from homeport.host.context import Context
from homeport.host.store import Store
from homeport.model import Release
from homeport.planned import Outcome, Plan, Verdict


def good(ctx: Context, release: Release, outcome: Outcome) -> Verdict:
    """A good end, with its figures."""
    took = round(time.monotonic() - ctx.started, 1)
    held = ctx.figures.get("held_s")
    waited = f"; requests were held {held:.1f} s" if held else ""
    away = "; the maintenance page is still up" if ctx.paths.maintenance.exists() else ""
    sentence = f"{release.id} is live after {took} s{_with_data(ctx)}{waited}{away}"
    return Verdict(outcome, 0, sentence, release.id, ctx.run, (), figures(ctx))


def _with_data(ctx: Context) -> str:
    """Which set went back, and which has what was there before."""
    back, saved = ctx.figures.get("put_back"), ctx.figures.get("snapshot") or {}
    if not back:
        return ""
    return f" with the data of {back}; what was there before is kept as {saved.get('set', '?')}"


def figures(ctx: Context) -> dict[str, Any]:
    """The figures of a run so far; instants that were noted on the way are left out."""
    found = {key: value for key, value in ctx.figures.items() if not key.endswith("_at")}
    return {**found, "total_s": round(time.monotonic() - ctx.started, 3)}


def failed(ctx: Context, error: HomeportError, outcome: Outcome) -> Verdict:
    """A bad end whose sentence is the error itself."""
    return verdict(ctx, outcome, error, str(error), "")


def verdict(
    ctx: Context, outcome: Outcome, error: HomeportError, sentence: str, release: str
) -> Verdict:
    """A bad end; the outcome of a run that somebody stopped is that."""
    if isinstance(error, Cancelled):
        outcome = "cancelled"
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
    ctx.tell({"e": "plan", **telling.as_event(plan)})


def end(ctx: Context, verdict: Verdict) -> Verdict:
    """Journal the end of a run that was begun; the verdict."""
    known = ctx.store.history().run(ctx.run)
    if known is not None and known.end is None:
        try:
            ctx.journal("end", **record(verdict))
        except HostFault as error:
            # the disk is full: what is told is the run's own verdict, and recovery ends the record
            ctx.notice(error.text())
        # looked up after it: a run that commits nothing changes the freeze by its end
        told = serving(ctx.store, ctx.paths.app, ctx.run)
        return replace(verdict, figures={**verdict.figures, **told})
    return verdict


def again(ctx: Context, verdict: Verdict) -> Verdict:
    """Journal the end of a run that ended once more, with what it did after it; the verdict.

    It stands for the first one then; a death before it leaves that.
    """
    try:
        ctx.journal("end", **record(verdict))
    except HostFault as error:
        ctx.notice(error.text())
    return verdict


def record(verdict: Verdict) -> dict[str, Any]:
    """A verdict as the journal keeps it: problems without what containers wrote."""
    kept = asdict(verdict)
    kept["problems"] = [one["what"] for one in kept["problems"]]
    return kept
