"""When a scheduled backup is due: pure arithmetic on instants, by the host's own clock.

A rule is "HH:MM", once a day, or "hourly". What was missed while the host was off is made up once,
however long that was. A clock that jumps makes no second backup and none too few: an instant that
lies ahead of now is of a clock that was wrong, and counts for nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

#: how many seconds the host's clock is ahead of UTC at an instant
Offset = Callable[[float], float]
HOURLY = "hourly"
HOUR, DAY = 3600.0, 86400.0
#: how often the host looks whether a backup is due, in seconds
TICK = 900.0
#: a backup that failed is tried again so long after it began, in seconds
AGAIN = 3600.0
#: two clocks of the same host, read one after the other, may differ so much, in seconds
SLACK = 120.0


def utc(at: float) -> float:
    """The offset of a clock that shows UTC."""
    return 0.0


def latest(rule: str, now: float, offset: Offset) -> float:
    """The last instant at or before ``now`` that the rule names."""
    if rule == HOURLY:
        return now - now % HOUR
    return max(at for at in _around(rule, now, offset) if at <= now)


def following(rule: str, now: float, offset: Offset) -> float:
    """The first instant after ``now`` that the rule names."""
    if rule == HOURLY:
        return now - now % HOUR + HOUR
    return min(at for at in _around(rule, now, offset) if at > now)


def _around(rule: str, now: float, offset: Offset) -> list[float]:
    """The rule's instants of the days around ``now``; a shift of the clock is at most a day."""
    hours, _, minutes = rule.partition(":")
    today = (now + offset(now)) // DAY
    past = int(hours) * HOUR + int(minutes) * 60
    return [_at((today + days) * DAY + past, offset) for days in (-2, -1, 0, 1, 2)]


def _at(shown: float, offset: Offset) -> float:
    """The instant at which the host's clock shows so many seconds since 1970.

    The first of two where the clock is set back. A time that is left out where it is set forward
    is as long after midnight as it would have been.
    """
    by_yesterday = shown - offset(shown - DAY)
    by_then = shown - offset(by_yesterday)
    first_to_show = (at for at in (by_yesterday, by_then) if at + offset(at) == shown)
    return next(first_to_show, by_yesterday)


def due(
    rule: str,
    now: float,
    offset: Offset,
    good: Iterable[float] = (),
    tried: Iterable[float] = (),
    sure: bool = True,
) -> bool:
    """Whether a backup is to be made now.

    ``good`` are the instants of backups that count, ``tried`` those at which a scheduled one
    began; ``sure`` is whether the clock is known to be right. Without that, a backup that lies
    ahead tells that the clock is behind, as after the boot of a board without a battery: nothing
    is due until it is right.
    """
    if not rule:
        return False
    made, begun = sorted(good), sorted(tried)
    if not sure and any(at > now + SLACK for at in (*made, *begun)):
        return False
    slot = latest(rule, now, offset)
    if any(slot <= at <= now + SLACK for at in made):
        return False
    return not any(slot <= at <= now + SLACK and at > now - AGAIN for at in begun)


def overdue(rule: str) -> float:
    """How old the newest backup may be before that is worth a warning: twice the schedule."""
    return 2 * HOUR if rule == HOURLY else 2 * DAY if rule else 7 * DAY
