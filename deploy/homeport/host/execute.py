"""Walking a plan: intent, effect, outcome, one step after the other. Nothing is decided here."""

from __future__ import annotations

import time
from typing import Any

from homeport.errors import HomeportError, to_wire
from homeport.host.context import Context
from homeport.host.ops import OPS
from homeport.model import Plan


def execute(ctx: Context, plan: Plan) -> None:
    """Carry out every step in order; the first error ends the walk and is raised.

    The journal has the intent, synced, before an effect begins, and the outcome after it. An
    outcome is written together with the intent that follows it: nothing happens in between, and a
    sync less a step is what an SD card is spared.
    """
    outcome: list[dict[str, Any]] = []
    for step in plan.steps:
        ctx.store.append(*outcome, ctx.record("intent", step=step.id, do=step.do))
        outcome = []
        ctx.tell({"e": "step", "id": step.id, "state": "begin", "cause": step.cause})
        begun = time.monotonic()
        try:
            note = OPS[step.do](ctx, step.args)
        except HomeportError as error:
            ctx.journal("failed", step=step.id, why=to_wire(error))
            seconds = round(time.monotonic() - begun, 3)
            ctx.tell({"e": "step", "id": step.id, "state": "failed", "seconds": seconds})
            raise
        seconds = round(time.monotonic() - begun, 3)
        ctx.figures.setdefault("steps", []).append({"id": step.id, "seconds": seconds})
        done = {"step": step.id, "seconds": seconds}
        if step.commit:
            done["committed"] = str(step.args["release"])
        outcome = [ctx.record("done", **done)]
        ctx.tell({"e": "step", "id": step.id, "state": "done", "seconds": seconds, "note": note})
    if outcome:
        ctx.store.append(*outcome)
