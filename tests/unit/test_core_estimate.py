"""What is said of a hold beforehand, from what was rehearsed and what earlier runs took."""

from __future__ import annotations

import pytest

from homeport.core import estimate
from homeport.core.estimate import Estimate, Rehearsed, Usual
from homeport.core.journal import History, Run

TIMES = Rehearsed(snapshot=0.3, migrate=1.0, boot=4.0, restore=0.5)


@pytest.mark.parametrize(
    ("times", "known", "drain", "found"),
    [
        # nothing is known of earlier: an orderly end, and the old one boots as the new one did
        (TIMES, Usual(), 10.0, Estimate(7.3, 5.5, 21.8)),
        (TIMES, Usual(drain=0.2, stop=0.7, boot=3.0), 10.0, Estimate(6.2, 4.5, 20.5)),
        # what may take less than it usually does is cut at that
        (TIMES, Usual(drain=9.0, stop=0.7, boot=3.0), 2.0, Estimate(8.0, 4.5, 12.5)),
        (Rehearsed(), Usual(0.0, 0.0, 0.0), 0.0, Estimate(0.0, 1.0, 1.0)),
    ],
)
def test_the_hold(times: Rehearsed, known: Usual, drain: float, found: Estimate) -> None:
    made = estimate.estimate(times, known, drain)
    assert (made.there, made.back, made.most) == pytest.approx(
        (found.there, found.back, found.most)
    )


@pytest.mark.parametrize(
    ("found", "hold", "said"),
    [
        (
            Estimate(7.3, 5.5, 21.8),
            30.0,
            "requests will wait about 7.3 s, and 5.5 s longer if the release fails and what serves "
            "now must come back; the edge holds them for up to 30 s",
        ),
        (
            Estimate(14.2, 12.0, 35.2),
            30.0,
            "requests will wait about 14 s, and 12 s longer if the release fails and what serves "
            "now must come back; with a full drain that is more than the 30 s that the edge may "
            "hold them: the maintenance page answers meanwhile",
        ),
    ],
)
def test_what_is_said_of_it(found: Estimate, hold: float, said: str) -> None:
    assert estimate.text(found, hold) == said
    assert estimate.fits(found, hold) is ("maintenance page" not in said)


def test_the_way_back_must_fit_too() -> None:
    """A deploy that fails at its very end has its requests wait for both ways."""
    assert estimate.fits(Estimate(10.0, 10.0, 30.0), 30.0)
    assert not estimate.fits(Estimate(10.0, 10.0, 30.1), 30.0)


def run(id: str, code: int = 0, **seconds: float) -> Run:
    steps = [{"id": step, "seconds": took} for step, took in seconds.items()]
    return Run(id, "deploy", "", "", 0.0, end={"code": code, "figures": {"steps": steps}})


@pytest.mark.parametrize(
    ("runs", "found"),
    [
        ((), Usual()),
        ((run("a", drain=0.2, retire=1.1, start=0.5, healthy=2.0),), Usual(0.2, 1.1, 2.5)),
        # the longest counts, and a run that ended badly says nothing
        ((run("a", drain=0.2), run("b", drain=0.4), run("c", 50, drain=9.0)), Usual(0.4)),
        # half a boot is none
        ((run("a", start=0.5), run("b", healthy=1.0)), Usual()),
        # only the last five that say anything
        ((run("a", drain=9.0), *(run(str(n), drain=0.1) for n in range(5)), run("z")), Usual(0.1)),
        ((Run("a", "deploy", "", "", 0.0, end={"code": 0, "figures": {"steps": "odd"}}),), Usual()),
        ((Run("a", "deploy", "", "", 0.0, end={"code": 0}),), Usual()),
    ],
)
def test_what_earlier_runs_took(runs: tuple[Run, ...], found: Usual) -> None:
    assert estimate.usual(History(runs)) == found


@pytest.mark.parametrize(
    ("figures", "found"),
    [
        ({}, None),
        ({"rehearsed": {"migrate": 1.0, "boot": 4}}, Rehearsed(0.0, 1.0, 4.0, 0.0)),
        ({"rehearsed": "odd"}, None),
    ],
)
def test_what_was_rehearsed(figures: dict[str, object], found: Rehearsed | None) -> None:
    assert estimate.rehearsed(figures) == found
