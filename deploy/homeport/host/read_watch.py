"""What ``homeport watch`` answers: how the release that serves is doing, once a second."""

from __future__ import annotations

import math
import time

from homeport.core.verdicts import Count
from homeport.errors import NoSuchRelease, Problem, ReleaseFailed
from homeport.host.context import Context
from homeport.host.store import Lock
from homeport.host.watching import PACE, Watching
from homeport.model import Release


def watch(ctx: Context) -> None:
    """Tell a look a second, for the seconds the request asks for or until the reader leaves.

    Nothing is taken back from here: a run that watches does so itself, and is named. Raises
    ReleaseFailed where the last look was bad, NoSuchRelease where nothing serves.
    """
    asked = ctx.request.monitor
    end = time.monotonic() + (math.inf if asked is None else asked)
    watching = Watching(ctx, _live(ctx), None)
    while True:
        due = time.monotonic() + PACE
        live = _live(ctx)
        if live.id != watching.release.id:
            ctx.notice(f"{live.id} serves now, no longer {watching.release.id}")
            watching = Watching(ctx, live, None)
        watching.look()
        # how it did before is the run's to know: here any share of bad answers counts by itself
        told = watching.told(Count())
        holder = Lock(ctx.paths.lock).held()
        ctx.tell({"e": "look", "run": holder.get("run", ""), **told})
        left = min(due, end) - time.monotonic()
        if left <= 0 and time.monotonic() >= end:
            if told["bad"]:
                why = f"{told['bad']}; {told['text']}"
                raise ReleaseFailed(
                    Problem(f"{live.id} is not well", live.id, why, "homeport logs")
                )
            return
        time.sleep(max(left, 0))


def _live(ctx: Context) -> Release:
    live = ctx.facts().committed
    if live is None:
        raise NoSuchRelease(Problem("nothing serves yet", "host", "", "homeport deploy"))
    return live
