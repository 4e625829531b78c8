"""What is said of backups: from literal facts to literal words, and whether it is grave."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from builders import facts, line, release, settings
from homeport.backups import Backup
from homeport.core import cautions, freshness, journal
from homeport.core.facts import Facts, HostFacts
from homeport.core.kept import Kept, Saving, Ticker
from saving import at, kept

NOW = at("2026-03-31 13:00")
TICKS = Ticker("systemd", True, NOW - 600, NOW - 86400)
NIGHTLY, NEVER = Backup(schedule="03:30"), Backup()


def seen(backup: Backup | None, *sets: Kept, more: tuple[str, ...] = (), **rest: Any) -> Facts:
    """A host on which r0001 serves since 1 March, with these sets and lines of its journal."""
    one = release(1, said=replace(settings(), backup=backup))
    began = at("2026-03-01")
    lines = [line("begin", "d", began, verb="deploy", release=one.id)]
    lines += [line("done", "d", began, step="handover", committed=one.id)]
    lines += [line("end", "d", began, outcome="deployed", code=0), *more]
    known = facts(one, live=one, now=NOW, host=HostFacts(boot_hook="systemd"))
    return replace(
        known,
        history=journal.fold(lines),
        sets=tuple(each.manifest for each in sets),
        verified={each.manifest.id: each.verified for each in sets if each.verified},
        saving=Saving(**{"ticker": TICKS, **rest}),
    )


def ran(when: str, code: int, who: str = "ann") -> tuple[str, ...]:
    """A run of ``backup`` that began then and ended with that code."""
    begun = line("begin", "b", at(when), verb="backup", cause={"who": who})
    said = "no room" if code else "good"
    return (begun, line("end", "b", at(when) + 9, outcome="x", code=code, sentence=said))


GOOD = kept("2026-03-31 03:30")
DAY2, WEEK = "one should be no older than 2 days", "one should be no older than 7 days"
NOTHING = "no backup is made by itself"

#: facts → (grave, what, why, mend) of each
TABLE: dict[str, tuple[Facts, list[tuple[bool, str, str, str]]]] = {
    "all is well": (seen(NIGHTLY, GOOD), []),
    "nothing is live": (facts(now=NOW), []),
    "no data and no [backup]": (seen(None), []),
    "data and no [backup]": (
        seen(None, declared=("/data", "/uploads")),
        [
            (
                False,
                "nothing is saved of /data, /uploads",
                "homeport.toml has no [backup]: a dead disk takes it along",
                "[backup] in homeport.toml, then homeport deploy",
            )
        ],
    ),
    "never backed up": (
        seen(NIGHTLY),
        [(True, "there is no verified backup", DAY2, "homeport backup now")],
    ),
    "never backed up, and live for an hour": (
        replace(seen(NEVER), now=at("2026-03-01 13:00")),
        [(False, "there is no verified backup", WEEK, "homeport backup now")],
    ),
    "an unverified one is none": (
        seen(NIGHTLY, kept("2026-03-31 03:30", "unverified")),
        [(True, "there is no verified backup", DAY2, "homeport backup now")],
    ),
    "the schedule was missed twice": (
        seen(NIGHTLY, kept("2026-03-29 03:30")),
        [(True, "the newest verified backup is 2 days old", DAY2, "homeport backup now")],
    ),
    "once is no reason": (seen(NIGHTLY, kept("2026-03-30 03:30")), []),
    "hourly, and three hours ago": (
        seen(Backup(schedule="hourly"), kept("2026-03-31 10:00")),
        [
            (
                *(True, "the newest verified backup is 3 h old"),
                *("one should be no older than 2 h", "homeport backup now"),
            )
        ],
    ),
    "by deploys only, and no deploy for a week": (
        seen(NEVER, kept("2026-03-24 03:30")),
        [(True, "the newest verified backup is 7 days old", WEEK, "homeport backup now")],
    ),
    "a set failed its check": (
        seen(NIGHTLY, GOOD, kept("2026-03-31 12:00", "failed")),
        [
            (
                *(True, "the set 20260331T120000-0000 failed its check"),
                *("data/shop.db: 3 rows are missing in foods", "homeport backup now"),
            )
        ],
    ),
    "one failed, and a newer one is good": (
        seen(NIGHTLY, kept("2026-03-30 12:00", "failed"), GOOD),
        [],
    ),
    "the last backup failed": (
        seen(NIGHTLY, GOOD, more=ran("2026-03-31 12:00", 60)),
        [(True, "the last backup failed", "no room", "homeport backup now")],
    ),
    "a failed one is told once": (
        seen(NIGHTLY, GOOD, kept("2026-03-31 12:00", "failed"), more=ran("2026-03-31 12:00", 35)),
        [(True, "the last backup failed", "no room", "homeport backup now")],
    ),
    "one failed before the newest good one": (
        seen(NIGHTLY, GOOD, more=ran("2026-03-31 02:00", 60)),
        [],
    ),
    "a clock that ran ahead": (seen(NIGHTLY, kept("2027-01-01")), []),
    "nothing ticks": (
        seen(NIGHTLY, GOOD, ticker=Ticker()),
        [
            (
                *(True, "nothing on the host runs the schedule of backups", NOTHING),
                "homeport setup --host USER@ADDRESS",
            )
        ],
    ),
    "the timer was taken off": (
        seen(NIGHTLY, GOOD, ticker=replace(TICKS, runs=False)),
        [
            (
                *(True, "what runs the schedule of backups is switched off", NOTHING),
                "homeport setup --host USER@ADDRESS",
            )
        ],
    ),
    "it is there and does not tick": (
        seen(NIGHTLY, GOOD, ticker=replace(TICKS, at=NOW - 7300)),
        [
            (
                True,
                "the schedule of backups has not run for 2 h",
                "it should look every quarter of an hour whether one is due",
                "homeport setup --host USER@ADDRESS",
            )
        ],
    ),
    "the host was off for a week and has just come up": (
        seen(NIGHTLY, GOOD, ticker=replace(TICKS, at=NOW - 7 * 86400, since=NOW - 60)),
        [],
    ),
    "it was installed a moment ago": (
        seen(NIGHTLY, GOOD, ticker=Ticker("cron", True, 0.0, NOW - 60)),
        [],
    ),
    "without a schedule nothing needs to tick": (seen(NEVER, GOOD, ticker=Ticker()), []),
}


@pytest.mark.parametrize("name", TABLE)
def test_what_is_said(name: str) -> None:
    """Each with why and what mends it."""
    known, expected = TABLE[name]
    found = freshness.judge(known)
    assert [
        (one.grave, one.problem.what, one.problem.why, one.problem.mend) for one in found
    ] == expected
    # a deploy's plan and status say the same
    said = [one for check, one in cautions.cautions(known) if check.startswith("backup")]
    assert said == [one.problem for one in found]


NEXT: dict[str, tuple[Facts, bool, float | None]] = {
    "tomorrow": (seen(NIGHTLY, GOOD), False, at("2026-04-01 03:30")),
    "due": (seen(NIGHTLY, kept("2026-03-30 03:30")), True, NOW),
    "failed a moment ago": (
        seen(NIGHTLY, more=ran("2026-03-31 12:55", 60, "schedule")),
        *(False, at("2026-04-01 03:30")),
    ),
    "went well, and somebody took its set away": (
        seen(NIGHTLY, more=ran("2026-03-31 12:55", 0, "schedule")),
        *(True, NOW),
    ),
    "a person's try is none of the schedule's": (
        seen(NIGHTLY, more=ran("2026-03-31 12:55", 60)),
        *(True, NOW),
    ),
    "nobody ticks": (seen(NIGHTLY, GOOD, ticker=Ticker()), False, None),
    "no schedule": (seen(NEVER), False, None),
    "no [backup]": (seen(None), False, None),
    "nothing is live": (facts(now=NOW), False, None),
    "the time before the clock is set": (
        replace(seen(NIGHTLY, GOOD), now=60.0, host=HostFacts(clock_synced=False)),
        *(False, at("1970-01-01 03:30")),
    ),
}


@pytest.mark.parametrize("name", NEXT)
def test_the_next_one(name: str) -> None:
    """Whether one is due now, and when the next one is made by itself."""
    known, due, when = NEXT[name]
    assert (freshness.due(known), freshness.next_at(known)) == (due, when)


def test_spans() -> None:
    """In the unit in which a person would say it."""
    spans = [freshness.span(one) for one in (-5, 59, 7199, 7200, 172799, 172800)]
    assert spans == ["0 min", "0 min", "119 min", "2 h", "47 h", "2 days"]
