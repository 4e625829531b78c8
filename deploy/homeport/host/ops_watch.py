"""The watch: the seconds after a commit in which the engine takes a release back by itself."""

from __future__ import annotations

import time
from typing import Any, Mapping

from homeport.core.verdicts import Count, bad, figures, known
from homeport.errors import Problem, TakenBack
from homeport.host import causes
from homeport.host.context import Context
from homeport.host.watching import PAUSE, Watching

Args = Mapping[str, Any]


def watch(ctx: Context, args: Args) -> str:
    """Look on for so many seconds; raises TakenBack with the figures it rests on."""
    release, seconds = ctx.release(str(args["release"])), float(args["seconds"])
    end = time.monotonic() + seconds
    before = _before(ctx)
    watching = Watching(ctx, release, ctx.answers.get("handover"))
    shown = 0
    while True:
        look = watching.look()
        why = bad(watching.looks, before)
        said = figures(watching.looks)
        ctx.figures["watch"] = said
        if why:
            what = f"{release.id} went bad in its watch: {why}"
            more = f"{look.smoke}\n{said}{causes.told(ctx, release)}".strip()
            mend = "mend the release, deploy again; homeport logs shows what serves now"
            raise TakenBack(Problem(what, release.id, more, mend))
        left = end - time.monotonic()
        if left <= 0:
            return said
        if look.checks > shown:
            shown = look.checks
            ctx.tell({"e": "look", "left": round(left, 1), **watching.told(before)})
        time.sleep(min(PAUSE, left))


def _before(ctx: Context) -> Count | None:
    """How the release before did, as far as the edge's counters tell.

    None where this run did not see the handover: recovery finishes a watch that another began.
    """
    last = ctx.answers.get("handover")
    if last is None:
        return None
    return known(last.since(ctx.answers.get("begin", last)), last)
