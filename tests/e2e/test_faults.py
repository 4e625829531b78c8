"""A drawn part of `make test-faults`: runs die at points of a deploy, and nothing is broken.

Which points: HOMEPORT_FAULTS_SEED, a number; all of them: `make test-faults`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import pytest

import conftest
from bench.faults import points
from bench.faults.plans import way
from bench.faults.points import Player, Tally
from bench.faults.rig import Rig, made

pytestmark = pytest.mark.lab

SEED = int(os.environ.get("HOMEPORT_FAULTS_SEED", "6"))
#: as many as fit into a minute beside the host's own begin
MANY = 5


@pytest.fixture(scope="module")
def rig() -> Iterator[Rig]:
    """A host on which nothing is deployed yet."""
    found = Rig.up("sqlite", made(conftest.talk, ("one", "two")), conftest.talk, "drawn")
    try:
        yield found
    finally:
        found.down()


def test_a_run_that_dies_breaks_nothing(rig: Rig) -> None:
    """At each of the points one whole release serves, and the next deploy just works."""
    chosen = way("single-writer")
    drawn = points.chosen(points.every(only=chosen.name), SEED, MANY)
    tally = Tally()
    Player(rig, tally, SEED, time.monotonic() + 600, conftest.talk).play(chosen, drawn)
    assert {one.point: one.wrong for one in tally.seen} == {str(one): [] for one in drawn}
    assert tally.plans_differ == []
    assert (tally.lost, tally.doubled, tally.human_steps, tally.expectation_misses) == (0, 0, 0, 0)
    assert tally.acked > 20
