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


# --- the watch -----------------------------------------------------------------------------------
#: fewer requests than these say nothing about a release
LEAST = 20
#: a release is bad when more than this share of its answers are 5xx, and this many times as many as
#: before it; and when it turned bad all at once: this share within so many seconds
SHARE, TIMES = 0.05, 5.0
SUDDEN, RECENT = 0.25, 5.0
#: where it is not known how it was before, only this share says anything
UNKNOWN = 0.5


@dataclass(frozen=True)
class Count:
    """Requests that reached the releases behind a site: all, answered 5xx, and left unanswered.

    Of the last kind are those that a release cut by ending; the edge answers them itself.
    """

    asked: int = 0
    failed: int = 0
    cut: int = 0

    @property
    def share(self) -> float:
        """The part that went wrong; 0 where nobody asked."""
        return (self.failed + self.cut) / self.asked if self.asked else 0.0

    def since(self, before: Count) -> Count:
        """What came after ``before``; all of it where the counters began anew meanwhile."""
        gone = Count(self.asked - before.asked, self.failed - before.failed, self.cut - before.cut)
        return self if min(gone.asked, gone.failed, gone.cut) < 0 else gone


@dataclass(frozen=True)
class Look:
    """One look in a watch.

    ``restarts`` (by service) and ``count`` (of others than the engine itself) are those since the
    handover; ``smoke`` is why the last check through the edge failed, of ``checks`` so far.
    """

    at: float
    restarts: tuple[tuple[str, int], ...] = ()
    down: tuple[str, ...] = ()
    unhealthy: tuple[str, ...] = ()
    smoke: str = ""
    starved: tuple[str, ...] = ()
    count: Count = Count()
    checks: int = 0


def known(lately: Count, ever: Count) -> Count | None:
    """How what served did: while a run prepared, or since the edge's start if few asked then.

    Among the latter are answers of others, such as one that was taken back. They excuse no more
    than not knowing would, unless what serves does as badly: else None, nobody knows.
    """
    if lately.asked >= LEAST:
        return lately
    return ever if TIMES * ever.share < UNKNOWN or ever.share <= lately.share else None


def bad(looks: Sequence[Look], before: Count | None = Count()) -> str:
    """Why a watch must end in taking back, or nothing.

    ``before`` is how the last release did, None where that is not known any more.
    """
    if not looks:
        return ""
    last = looks[-1]
    if last.starved:
        return f"{', '.join(last.starved)} ran out of memory"
    if last.restarts:
        said = [f"{service} restarted {_times(number)}" for service, number in last.restarts]
        return f"{', '.join(said)} since the handover"
    if last.down:
        return f"{', '.join(last.down)} is not running any more"
    if last.unhealthy:
        return f"{', '.join(last.unhealthy)} reports itself unhealthy"
    if len(looks) >= 2 and last.smoke and looks[-2].smoke:
        return "two checks through the edge failed in a row"
    return _too_many(looks, before)


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number} times"


def _too_many(looks: Sequence[Look], before: Count | None) -> str:
    least = UNKNOWN if before is None else TIMES * before.share
    was = "unknown" if before is None else percent(before)
    last = looks[-1]
    old = next((one for one in looks if last.at - one.at <= RECENT), last)
    windows = [(last.count, SHARE, "since the handover")]
    if old is not looks[0]:
        recent = last.count.since(old.count)
        windows.append((recent, SUDDEN, f"in the last {last.at - old.at:.0f} s"))
    for count, most, when in windows:
        if count.asked >= LEAST and count.share > max(most, least):
            shares = f"{percent(count)}; before it {was}"
            return f"{wrong(count)} {when} ({shares})"
    return ""


def wrong(count: Count) -> str:
    """``3 of 40 answers were 5xx``, and what got no answer at all."""
    cut = f", {count.cut} got none" if count.cut else ""
    return f"{count.failed} of {count.asked} answers were 5xx{cut}"


def figures(looks: Sequence[Look]) -> str:
    """What a verdict on these looks rests on, in a line."""
    if not looks:
        return "nothing was looked at"
    last = looks[-1]
    restarts = sum(number for _, number in last.restarts)
    said = [wrong(last.count), f"restarted {_times(restarts)}" if restarts else "no restart"]
    passed = "" if last.smoke else " passed"
    said.append(f"{last.checks} checks through the edge{passed}")
    return ", ".join(said)


def percent(count: Count) -> str:
    """``2.5 %``; ``nobody asked`` where that is so."""
    return f"{100 * count.share:.1f} %" if count.asked else "nobody asked"
