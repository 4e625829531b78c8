"""Which sets go: a table of what lies there, and what goes of it for which reason."""

from __future__ import annotations

import itertools

import pytest
from homeport.core import retention
from homeport.core.kept import Kept
from saving import at, kept

NOW = at("2026-03-31 13:00")
OLD = "older than 30 days"
THIN = "not the last of its day, and not of the newest 2"
FAILED = "it failed its check, and a newer one is good"
NOBODY = "nobody verified it, and a newer one is good"

#: sets, schemas of the releases that are kept, the stake → what goes, by the day and hour of its id
TABLE: dict[str, tuple[list[Kept], tuple[str, ...], str, dict[str, str]]] = {
    "nothing": ([], (), "", {}),
    "fewer than are to be kept, however old": (
        *([kept("2025-01-01"), kept("2025-01-02")], (), "", {}),
    ),
    "a month": (
        [kept("2026-02-20"), kept("2026-03-02"), kept("2026-03-30"), kept("2026-03-31")],
        *((), "", {"20260220T12": OLD}),
    ),
    "a day of many deploys": (
        [kept(f"2026-03-31 0{hour}:00") for hour in range(5)],
        *((), "", {"20260331T00": THIN, "20260331T01": THIN, "20260331T02": THIN}),
    ),
    "a day of many deploys, some time ago": (
        [
            *(kept(f"2026-03-20 0{hour}:00") for hour in range(3)),
            *(kept("2026-03-30"), kept("2026-03-31")),
        ],
        *((), "", {"20260320T00": THIN, "20260320T01": THIN}),
    ),
    "a failed one after the good ones stays to be looked at": (
        *([kept("2026-03-30"), kept("2026-03-31", "failed")], (), "", {}),
    ),
    "a failed one before a good one": (
        [kept("2026-03-30", "failed"), kept("2026-03-31")],
        *((), "", {"20260330T12": FAILED}),
    ),
    "nothing but failed ones": (
        [kept("2025-03-30", "failed"), kept("2026-03-30", "failed")],
        *((), "", {}),
    ),
    "failed ones do not use up the count": (
        [
            *(kept("2025-01-01"), kept("2025-01-02")),
            *(kept("2026-03-30", "failed"), kept("2026-03-31", "failed")),
        ],
        *((), "", {}),
    ),
    "unverified, with a newer good one": (
        [kept("2026-03-30", "unverified"), kept("2026-03-31")],
        *((), "", {"20260330T12": NOBODY}),
    ),
    "a kept release has an old schema": (
        [
            *(kept("2025-01-01", schema="a"), kept("2025-01-02", schema="a")),
            *(kept("2026-03-30", schema="b"), kept("2026-03-31", schema="b")),
        ],
        *(("a", "b"), "", {"20250101T12": OLD}),
    ),
    "no kept release has it any more": (
        [
            kept("2025-01-02", schema="a"),
            *(kept("2026-03-30", schema="b"), kept("2026-03-31", schema="b")),
        ],
        *(("b",), "", {"20250102T12": OLD}),
    ),
    "what a migration left behind is newer than the newest verified one of its schema": (
        [
            *(kept("2026-03-30 10:00", schema="a"), kept("2026-03-30 10:01", "unverified", "a")),
            *(kept("2026-03-31 10:00", schema="b"), kept("2026-03-31 11:00", schema="b")),
        ],
        *(("a", "b"), "", {}),
    ),
    "and an older one is not": (
        [
            *(kept("2026-03-30 10:00", "unverified", "a"), kept("2026-03-30 10:01", schema="a")),
            *(kept("2026-03-31 10:00", schema="b"), kept("2026-03-31 11:00", schema="b")),
        ],
        *(("a", "b"), "", {"20260330T10": NOBODY}),
    ),
    "an unfinished run would have to restore it": (
        [kept("2025-01-01", "unverified"), kept("2026-03-30"), kept("2026-03-31")],
        *((), "20250101T120000-0000", {}),
    ),
    "a clock that ran ahead": (
        [kept("2025-01-01"), kept("2026-03-31"), kept("2031-01-01")],
        *((), "", {"20250101T12": OLD}),
    ),
}

#: sets, the instants of those with what somebody gave up → what goes
GIVEN_UP: dict[str, tuple[list[Kept], list[str], dict[str, str]]] = {
    "as it lay, with a newer good one": (
        [kept("2026-03-30", "unverified"), kept("2026-03-31")],
        *(["20260330T12"], {}),
    ),
    "another as it lay was nobody's to give up": (
        [
            *(kept("2026-03-29", "unverified"), kept("2026-03-30", "unverified")),
            kept("2026-03-31"),
        ],
        *(["20260330T12"], {"20260329T12": NOBODY}),
    ),
    "it failed the check that somebody had it put to": (
        *([kept("2026-03-30", "failed"), kept("2026-03-31")], ["20260330T12"], {}),
    ),
    "good, of a day of many": (
        [
            kept("2026-03-20 01:00"),
            kept("2026-03-20 02:00"),
            kept("2026-03-30"),
            kept("2026-03-31"),
        ],
        *(["20260320T01"], {}),
    ),
    "on its last day": (
        *([kept("2026-03-01 13:00", "unverified"), kept("2026-03-31")], ["20260301T13"], {}),
    ),
    "and after it": (
        [kept("2026-03-01 12:59", "unverified"), kept("2026-03-31")],
        *(["20260301T12"], {"20260301T12": NOBODY}),
    ),
    "good, and after it": (
        [kept("2026-03-01 12:59"), kept("2026-03-30"), kept("2026-03-31")],
        *(["20260301T12"], {"20260301T12": OLD}),
    ),
}


@pytest.mark.parametrize("name", GIVEN_UP)
def test_what_was_given_up_stays_for_a_while(name: str) -> None:
    """Whatever its state and however many came after it; nothing else stays because of it."""
    sets, named, expected = GIVEN_UP[name]
    given_up = [one.manifest.id for one in sets if one.manifest.id[:11] in named]
    found = retention.gone(sets, 2, 30, NOW, given_up=given_up)
    assert {one.set[:11]: one.why for one in found} == expected


@pytest.mark.parametrize("name", TABLE)
def test_what_goes(name: str) -> None:
    """By count and age, and never what a way back needs; the oldest first, each with its reason."""
    sets, schemas, stake, expected = TABLE[name]
    found = retention.gone(sets, 2, 30, NOW, schemas, stake)
    assert {one.set[:11]: one.why for one in found} == expected
    assert [one.set for one in found] == sorted(one.set for one in found)


@pytest.mark.parametrize("keep", [1, 2, 7])
def test_it_never_takes_what_is_needed(keep: int) -> None:
    """Every mixture of states and schemas of four sets: the last good one, and each schema's."""
    days = [f"2025-0{month}-01" for month in range(1, 5)]
    for states in itertools.product(("verified", "failed", "unverified"), repeat=4):
        for schemas in itertools.product("ab", repeat=4):
            sets = [kept(*one) for one in zip(days, states, schemas)]
            gone = {one.set for one in retention.gone(sets, keep, 1, NOW, ("a", "b"))}
            left = [one for one in sets if one.manifest.id not in gone]
            good = [one for one in sets if one.state == "verified"]
            assert not good or good[-1] in left
            assert len([one for one in left if one.state == "verified"]) >= min(keep, len(good))
            for schema in "ab":
                mine = [one for one in good if one.manifest.schema == schema]
                assert not mine or mine[-1] in left


def test_twice_changes_nothing() -> None:
    """What is left after a pruning is all that the next one would leave."""
    sets = [
        kept(f"2026-0{month}-{day:02d} {hour:02d}:00", schema="a")
        for month in (1, 2, 3)
        for day in range(1, 29)
        for hour in (1, 2, 3)
    ]
    gone = {one.set for one in retention.gone(sets, 7, 30, NOW, ("a",))}
    left = [one for one in sets if one.manifest.id not in gone]
    assert retention.gone(left, 7, 30, NOW, ("a",)) == ()
    # the newest seven are of the 26th to the 28th; before them one a day, from the 2nd on
    assert len(left) == 7 + 24
