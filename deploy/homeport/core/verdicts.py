"""Verdicts on what was observed: is a slot healthy, does a watch still pass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Sequence


@dataclass(frozen=True)
class Probe:
    """One look at a slot: when, whether it was good, and why not. ``declared`` is its release."""

    at: float
    good: bool
    why: str = ""
    declared: str = ""


def healthy(probes: Sequence[Probe], good: int, span: float) -> bool:
    """Whether the last ``good`` probes were good, in a row, over at least ``span`` seconds."""
    last = probes[-good:]
    if len(last) < good or not all(one.good for one in last):
        return False
    run = [one for one in _trailing(probes)]
    return run[-1].at - run[0].at >= span


def pause(probes: Sequence[Probe], good: int, span: float, now: float) -> float:
    """Seconds until the next probe: soon after a bad one, else ``good`` of them fill ``span``.

    Counted from the first good probe, so that what happens between two (the container's own health
    check) is not waited for on top.
    """
    if not probes[-1].good:
        return 0.03
    run = _trailing(probes)
    due = run[0].at + len(run) * span / max(good - 1, 1)
    return max(0.02, due - now)


def _trailing(probes: Sequence[Probe]) -> list[Probe]:
    run: list[Probe] = []
    for one in reversed(probes):
        if not one.good:
            break
        run.append(one)
    return run[::-1] or list(probes[-1:])


@dataclass(frozen=True)
class Look:
    """One look in a watch: restarts since its start, services that are down, health, smoke."""

    at: float
    restarts: int = 0
    down: tuple[str, ...] = ()
    unhealthy: tuple[str, ...] = ()
    smoke: str = ""


def bad(looks: Sequence[Look]) -> str:
    """Why a watch must end in taking back, or nothing. Names the figures it rests on."""
    if not looks:
        return ""
    last = looks[-1]
    if last.restarts:
        return f"it restarted {last.restarts} times since the handover"
    if last.down:
        return f"{', '.join(last.down)} is not running any more"
    if last.unhealthy:
        return f"{', '.join(last.unhealthy)} reports itself unhealthy"
    if len(looks) >= 2 and looks[-1].smoke and looks[-2].smoke:
        return f"two checks through the edge failed in a row: {last.smoke}"
    return ""
