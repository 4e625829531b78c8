"""Walking a plan: intent, effect, outcome, one step after the other. Nothing is decided here."""

from __future__ import annotations

import time
from dataclasses import astuple
from typing import Any

from homeport.errors import HomeportError, Problem, to_wire
from homeport.host.context import Context
from homeport.host.ops import OPS
from homeport.planned import Plan


def execute(ctx: Context, plan: Plan) -> None:
    """Carry out every step in order; the first error ends the walk and is raised.

    The journal has the intent, synced, before an effect begins, and the outcome after it. An
    outcome is written together with the intent that follows it: nothing happens in between, and a
    sync less a step is what an SD card is spared. Where somebody asked the run to stop, it ends
    before a step as well, up to the one that commits.
    """
    outcome: list[dict[str, Any]] = []
    for step in plan.steps:
        stopped = ctx.stop.before(step)
        if stopped:
            if outcome:
                ctx.store.append(*outcome)
            raise stopped
        ctx.store.append(*outcome, ctx.record("intent", step=step.id, do=step.do))
        outcome = []
        ctx.tell({"e": "step", "id": step.id, "state": "begin", "cause": step.cause})
        begun = time.monotonic()
        if ctx.plug:
            ctx.plug(plan.verb, step.id, "before")
        try:
            note = OPS[step.do](ctx, step.args)
        except HomeportError as error:
            if ctx.plug:
                ctx.plug(plan.verb, step.id, "after")
            error.problems = tuple(
                Problem(*(ctx.masked(text) for text in astuple(one))) for one in error.problems
            )
            error.args = tuple(ctx.masked(str(one)) for one in error.args)
            ctx.journal("failed", step=step.id, why=to_wire(error))
            seconds = round(time.monotonic() - begun, 3)
            ctx.tell({"e": "step", "id": step.id, "state": "failed", "seconds": seconds})
            raise
        if ctx.plug:
            ctx.plug(plan.verb, step.id, "after")
        seconds = round(time.monotonic() - begun, 3)
        ctx.figures.setdefault("steps", []).append({"id": step.id, "seconds": seconds})
        done = {"step": step.id, "seconds": seconds}
        if step.commit:
            done["committed"] = str(step.args["release"])
        outcome = [ctx.record("done", **done)]
        ctx.tell({"e": "step", "id": step.id, "state": "done", "seconds": seconds, "note": note})
    if outcome:
        ctx.store.append(*outcome)
