"""The table of faults: whole, tried where it says, and drawn alike by the same seed."""

from __future__ import annotations

import pytest

from bench.faults import choice, others, pairs, soak, table
from bench.faults.plans import way
from bench.images import TOP

NAMES = [one.name for one in table.FAULTS]


def test_every_name_is_there_once() -> None:
    """A figure belongs to one fault, and one that is not there is not found."""
    assert len(set(NAMES)) == len(NAMES)
    with pytest.raises(KeyError):
        table.fault("rust")


@pytest.mark.parametrize("name", NAMES)
def test_a_fault_says_what_is_expected_and_where_it_is_tried(name: str) -> None:
    """Bounds stand where something is bounded, and the place of the trial exists."""
    one = table.fault(name)
    assert (one.within > 0) == (one.felt != "no error")
    assert bool(one.since) == (one.felt == "outage")
    assert f"{one.within:g}" in one.expectation or one.felt == "no error"
    assert one.told and one.mends
    if one.tried == "pairs":
        assert name in others.BRING
    elif one.tried.startswith("tests/"):
        assert (TOP / one.tried).exists()
    else:
        assert one.tried == table.POINTS


def test_nothing_is_brought_about_that_the_table_does_not_know() -> None:
    """Neither a fault nor a mend of one."""
    assert set(others.BRING) == {one.name for one in table.FAULTS if one.tried == "pairs"}
    assert set(others.MEND) <= set(others.BRING)


def test_the_same_seed_draws_the_same_pairs() -> None:
    """Every fault meets every plan that can meet it; another seed draws other steps."""
    found = choice.every(6)
    assert found == choice.every(6) and found != choice.every(7)
    met = {(one.fault.name, one.way.name) for one in found}
    for one in table.FAULTS:
        plans = {plan for name, plan in met if name == one.name}
        new = one.name in ("registry gone", "new container OOM-killed")
        every = {"single-writer", "recreate", "exclusive"} if new else set(table.PLANS)
        assert plans == (every if one.tried == "pairs" else set())
    assert len(met) == len(found)


def test_what_comes_during_a_run_comes_at_a_step_of_it() -> None:
    """And what comes before has none."""
    for one in choice.every(6):
        steps = {step for _, step, _ in one.way.steps}
        assert (one.step in steps) == (one.fault.moment == "during"), str(one)
    (only,) = choice.every(6, "edge killed × backup")
    assert str(only).startswith("edge killed × backup / ") and only.way == way("backup")


def test_a_pair_counts_where_nothing_was_broken() -> None:
    """What was not tried is not passed."""
    tally = pairs.Pairs([pairs.Met("a"), pairs.Met("b", ["lost"])])
    told = pairs.figures(3, tally, 6)
    assert (told["pairs"], told["pairs_tried"], told["pairs_passed"]) == (3, 2, 1)
    assert told["pairs_broken"] == {"b": ["lost"]}


def test_a_soak_can_be_replayed_and_says_what_has_grown() -> None:
    """The same runs by the same seed; growth counts from where the host was as usual."""
    assert soak.drawn(6, 100) == soak.drawn(6, 100) != soak.drawn(7, 100)
    assert {one.way.name for one in soak.drawn(6, 100)} == set(soak.PLANS)
    usual = dict.fromkeys(soak.BOUNDS, 10.0)
    found = soak.Soak(2, ["1: x"], usual, {**usual, "images": 14.0, "containers": 12.0})
    told = soak.figures(found, 6)
    assert (told["soak_failed"], told["soak_grown_too_much"]) == (1, ["images"])
    assert told["soak_grown"]["containers"] == 2.0
