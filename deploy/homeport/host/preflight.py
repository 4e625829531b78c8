"""The first step of a run that makes a release live: look and decide, with nothing changed."""

from __future__ import annotations

import time
from typing import Callable, TypeVar

from homeport.host import recover
from homeport.host.context import Context
from homeport.host.prepare import Made

M = TypeVar("M", bound=Made)


def preflight(ctx: Context, make: Callable[[Context], M]) -> M:
    """Look, decide, and tell how long that took; recover first where a run was left unfinished."""
    begun = time.monotonic()
    ctx.tell({"e": "step", "id": "preflight", "state": "begin", "cause": "check before changing"})
    made = make(ctx)
    ctx.count("begin")
    if recover.needed(made.facts):
        recover.before_another(ctx)
        made = make(ctx)
    seconds = round(time.monotonic() - begun, 3)
    ctx.figures["steps"] = [{"id": "preflight", "seconds": seconds}]
    state = "failed" if made.problems else "done"
    ctx.tell({"e": "step", "id": "preflight", "state": state, "seconds": seconds})
    return made
