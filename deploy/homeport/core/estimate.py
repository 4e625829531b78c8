"""How long requests will wait in an exclusive deploy, told before it holds them: from what its
rehearsal took, and what earlier runs did.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Mapping

from homeport.core.journal import History

#: runs that are looked back at: what a host did long ago says little about it today
RECENT = 5
#: what ends in an orderly way ends in about this, where no run tells, in seconds
QUICK = 1.0
#: steps of a run: what is in flight ends, and its processes
DRAIN, STOP = "drain", "retire"
#: steps that start a release and find it healthy
BOOT = ("start", "healthy")


@dataclass(frozen=True)
class Rehearsed:
    """What the parts of a deploy took on the copy, in seconds."""

    snapshot: float = 0.0
    migrate: float = 0.0
    boot: float = 0.0
    restore: float = 0.0


@dataclass(frozen=True)
class Usual:
    """What earlier runs took, in seconds; None where none tells."""

    drain: float | None = None
    stop: float | None = None
    boot: float | None = None


@dataclass(frozen=True)
class Estimate:
    """Seconds that requests wait: ``there`` if all goes well, ``back`` on top if it fails last.

    ``most`` is both, with a drain that takes all it may.
    """

    there: float
    back: float
    most: float


def rehearsed(figures: Mapping[str, Any]) -> Rehearsed | None:
    """What a run noted of its rehearsal; None where there was none."""
    found = figures.get("rehearsed")
    if not isinstance(found, Mapping):
        return None
    names = ("snapshot", "migrate", "boot", "restore")
    return Rehearsed(*(float(found.get(name) or 0.0) for name in names))


def usual(history: History) -> Usual:
    """The longest of what the last good runs took for each part: a host is not always as quick."""
    runs = [_seconds(run.end) for run in history.runs if run.good and run.end is not None]
    recent = [one for one in runs if one][-RECENT:]

    def most(*steps: str) -> float | None:
        known = [sum(one[step] for step in steps) for one in recent if {*steps} <= one.keys()]
        return max(known, default=None)

    return Usual(most(DRAIN), most(STOP), most(*BOOT))


def _seconds(end: Mapping[str, Any]) -> dict[str, float]:
    figures = end.get("figures")
    steps = figures.get("steps") if isinstance(figures, Mapping) else None
    found: dict[str, float] = {}
    for one in steps if isinstance(steps, list) else ():
        if isinstance(one, Mapping) and isinstance(one.get("seconds"), (int, float)):
            found[str(one.get("id"))] = float(one["seconds"])
    return found


def estimate(times: Rehearsed, known: Usual, drain: float) -> Estimate:
    """What the hold of a deploy will take.

    Args:
        times: what its rehearsal took.
        known: what earlier runs took. Without any, the old release boots as the new one did.
        drain: seconds that requests in flight may take to end.
    """
    ends = known.stop if known.stop is not None else QUICK
    work = ends + times.snapshot + times.migrate + times.boot
    # the new release's processes end first on the way back, and nobody waits for their requests
    back = QUICK + times.restore + (known.boot if known.boot is not None else times.boot)
    waits = min(drain, known.drain if known.drain is not None else QUICK)
    return Estimate(waits + work, back, drain + work + back)


def fits(found: Estimate, hold: float) -> bool:
    """Whether nobody's wait is cut off at the hold limit, however the deploy goes."""
    return found.most <= hold


def text(found: Estimate, hold: float) -> str:
    """What is said of it beforehand."""
    said = (
        f"requests will wait about {_about(found.there)}, and {_about(found.back)} longer "
        "if the release fails and what serves now must come back"
    )
    if fits(found, hold):
        return f"{said}; the edge holds them for up to {hold:g} s"
    return (
        f"{said}; with a full drain that is more than the {hold:g} s that the edge may hold them: "
        "the maintenance page answers meanwhile"
    )


def _about(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
