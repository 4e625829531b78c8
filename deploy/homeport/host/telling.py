"""What is told of a plan and of a run, for whoever follows or asks later."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any, Mapping

from homeport import wire
from homeport.errors import HomeportError
from homeport.host.paths import Paths
from homeport.host.store import add, pressed
from homeport.planned import Plan


def as_event(plan: Plan) -> dict[str, Any]:
    """A plan as an event or an answer carries it."""
    return {
        "text": plan.text(),
        "release": plan.release,
        "mode": plan.mode,
        "steps": [wire.plain(one) for one in plan.steps],
        "skips": [wire.plain(one) for one in plan.skips],
        "notices": list(plan.notices),
    }


def tell_ended(paths: Paths, run: str, end: Mapping[str, Any], sending: str = "") -> None:
    """Tell the verdict that the journal has of a run which died before it could do so.

    ``sending`` is a set that was on its way off the box when it died.
    """
    verdict = {name: end.get(name) for name in ("outcome", "code", "sentence", "release")}
    if sending and not end.get("code"):
        sentence = f"{end.get('sentence')}; the upload of {sending} was cut short"
        verdict |= {"outcome": "failed", "code": HomeportError.code, "sentence": sentence}
    figures = end.get("figures") or {}
    tell_run(
        paths, run, {"e": "verdict", "run": run, "problems": [], "figures": figures, **verdict}
    )


def tell_run(paths: Paths, run: str, event: Mapping[str, Any]) -> None:
    """Add an event to what a run told, for whoever follows or asks later.

    What the disk takes no more is not told: no run may end half way because of that.
    """
    line = wire.encode({"t": round(time.time(), 3), **event})

    with suppress(OSError):
        paths.runs.mkdir(parents=True, exist_ok=True)
        pressed(paths, lambda: add(paths.runs / f"{run}.jsonl", line))
