"""When a backup is due: a table of clocks, with the days on which they are set forward and back."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone, tzinfo
from functools import cache
from zoneinfo import ZoneInfo

import pytest
from homeport.core import schedule

BERLIN, UTC = ZoneInfo("Europe/Berlin"), timezone.utc
KATHMANDU = timezone(timedelta(hours=5, minutes=45))
#: clocks are set at midnight there: at the end of 5 September, 24:00 is 01:00
SANTIAGO = ZoneInfo("America/Santiago")


def offset(zone: tzinfo) -> schedule.Offset:
    """How far the clocks of a zone are ahead of UTC, as its rules have it."""

    @cache
    def ahead(at: float) -> float:
        found = datetime.fromtimestamp(at, zone).utcoffset()
        assert found is not None
        return found.total_seconds()

    return ahead


def at(text: str) -> float:
    """The instant of ``2026-03-29 01:30``, always in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=timezone.utc).timestamp()


#: rule, zone, now → the last instant of the rule and the next one, all instants in UTC
SLOTS: dict[str, tuple[str, tzinfo, str, str, str]] = {
    "later today": ("03:30", UTC, "2026-01-10 02:00", "2026-01-09 03:30", "2026-01-10 03:30"),
    "at the very instant": (
        *("03:30", UTC, "2026-01-10 03:30"),
        *("2026-01-10 03:30", "2026-01-11 03:30"),
    ),
    "the host's own clock counts": (
        *("03:30", BERLIN, "2026-01-10 02:29"),
        *("2026-01-09 02:30", "2026-01-10 02:30"),
    ),
    "tomorrow there is still today here": (
        *("00:10", KATHMANDU, "2026-01-10 18:30"),
        *("2026-01-10 18:25", "2026-01-11 18:25"),
    ),
    "the night that has no 02:30": (
        *("02:30", BERLIN, "2026-03-29 06:00"),
        *("2026-03-29 01:30", "2026-03-30 00:30"),
    ),
    "before the hour that is left out": (
        *("02:30", BERLIN, "2026-03-29 00:59"),
        *("2026-03-28 01:30", "2026-03-29 01:30"),
    ),
    "the night that has 02:30 twice, between the two": (
        *("02:30", BERLIN, "2026-10-25 01:00"),
        *("2026-10-25 00:30", "2026-10-26 01:30"),
    ),
    "midnight, where it is left out": (
        *("00:00", SANTIAGO, "2026-09-06 12:00"),
        *("2026-09-06 04:00", "2026-09-07 03:00"),
    ),
    "midnight": ("00:00", UTC, "2026-01-01 00:00", "2026-01-01 00:00", "2026-01-02 00:00"),
    "hourly": ("hourly", UTC, "2026-01-10 02:59", "2026-01-10 02:00", "2026-01-10 03:00"),
    "hourly, on the hour": (
        *("hourly", UTC, "2026-01-10 02:00"),
        *("2026-01-10 02:00", "2026-01-10 03:00"),
    ),
    "hourly while the clock is set back": (
        *("hourly", BERLIN, "2026-10-25 01:10"),
        *("2026-10-25 01:00", "2026-10-25 02:00"),
    ),
}


@pytest.mark.parametrize("name", SLOTS)
def test_slots(name: str) -> None:
    """The instants before and after now that a rule names."""
    rule, zone, now, before, after = SLOTS[name]
    assert schedule.latest(rule, at(now), offset(zone)) == at(before)
    assert schedule.following(rule, at(now), offset(zone)) == at(after)


@pytest.mark.parametrize("zone", [UTC, BERLIN, KATHMANDU, SANTIAGO])
@pytest.mark.parametrize("rule", ["02:30", "00:00", "23:59", "hourly"])
def test_a_year_has_every_slot_once(rule: str, zone: tzinfo) -> None:
    """Ticked through a year: once each day of that zone or each hour, whatever the clock does."""
    begin, end = at("2026-01-01 12:00"), at("2027-01-01 12:00")
    made: list[float] = []
    clock = offset(zone)
    now = begin
    while now < end:
        if schedule.due(rule, now, clock, made[-1:]):
            made.append(now)
        now += schedule.TICK
    # the first tick makes up what was missed before the year began
    assert len(made) == (365 * 24 if rule == "hourly" else 366)
    assert len({datetime.fromtimestamp(one, zone).date() for one in made}) >= 365


#: rule, now, good, tried, sure → due
DUE: dict[str, tuple[str, str, list[str], list[str], bool, bool]] = {
    "no schedule": ("", "2026-01-10 04:00", [], [], True, False),
    "never backed up": ("03:30", "2026-01-10 04:00", [], [], True, True),
    "made since": ("03:30", "2026-01-10 04:00", ["2026-01-10 03:31"], [], True, False),
    "a deploy's, made right before": (
        *("03:30", "2026-01-10 04:00", ["2026-01-10 03:29"], [], True, True),
    ),
    "a week off": ("03:30", "2026-01-10 17:00", ["2026-01-03 03:31"], [], True, True),
    "a week off is made up once": (
        *("03:30", "2026-01-10 17:30", ["2026-01-03 03:31", "2026-01-10 17:15"], [], True, False),
    ),
    "failed a moment ago": ("03:30", "2026-01-10 04:00", [], ["2026-01-10 03:45"], True, False),
    "failed an hour ago": ("03:30", "2026-01-10 04:46", [], ["2026-01-10 03:45"], True, True),
    "failed yesterday": (*("03:30", "2026-01-10 03:40", [], ["2026-01-10 03:15"], True, True),),
    "hourly, failed at the last one": (
        *("hourly", "2026-01-10 04:01", [], ["2026-01-10 03:45"], True, True),
    ),
    "a clock that ran ahead and was set right": (
        *("03:30", "2026-01-10 04:00", ["2027-05-05 03:31"], [], True, True),
    ),
    "after that, made": (
        *("03:30", "2026-01-10 04:15", ["2027-05-05 03:31", "2026-01-10 04:00"], [], True, False),
    ),
    "a board without a battery, before it has the time": (
        *("03:30", "1970-01-01 00:03", ["2026-01-10 03:31"], [], False, False),
    ),
    "the same, by a try": (*("03:30", "1970-01-01 00:03", [], ["2026-01-10 03:31"], False, False),),
    "a clock that nobody sets, and nothing against it": (
        *("03:30", "2026-01-10 04:00", ["2026-01-09 03:31"], [], False, True),
    ),
    "two readings of one clock": (
        *("03:30", "2026-01-10 04:00", ["2026-01-10 04:01"], [], True, False),
    ),
}


@pytest.mark.parametrize("name", DUE)
def test_due(name: str) -> None:
    """What was missed is made up once, a failure is tried again later, clocks may jump."""
    rule, now, good, tried, sure, expected = DUE[name]
    found = schedule.due(rule, at(now), schedule.utc, map(at, good), map(at, tried), sure)
    assert found is expected


def test_overdue() -> None:
    """Twice the schedule, and a week where there is none."""
    assert [schedule.overdue(one) / 3600 for one in ("hourly", "03:30", "")] == [2, 48, 168]
