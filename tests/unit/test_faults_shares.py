"""Who plays which points, and which mistakes a host must show: by names alone."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from bench.faults.__main__ import HOSTS, shares
from bench.faults.mutants import MUTANTS, named
from bench.faults.plans import way
from bench.faults.points import every
from bench.faults.shown import SCENARIOS
from bench.images import TOP

#: the mistakes of a protocol like this one that peers have made, by their names here
ASKED = {
    "commit before journal",
    "lock not tied to its holder",
    "restart policy set too early",
    "link replaced in place",
    "recovery not idempotent",
}


def test_every_point_is_played_by_one_host_of_its_kind() -> None:
    """Whole plans, and none of the hosts has much more to do than another."""
    found = shares(every())
    assert sorted(str(one) for mine in found.values() for one in mine) == sorted(map(str, every()))
    for host, mine in found.items():
        assert {one.way.host for one in mine} == {HOSTS[host]}
    held = {host: {one.way.name for one in mine} for host, mine in found.items()}
    assert not held["one"] & held["two"]
    many = [len(mine) for mine in found.values()]
    assert max(many) <= 1.25 * min(many)


def test_a_part_needs_no_host_more_than_it_has_plans() -> None:
    """One plan is one host's; nothing is nobody's."""
    assert list(shares(every(only="overlap"))) == ["three"]
    assert len(shares(every(only="backup"))) == 1
    assert shares([]) == {}


def test_what_peers_got_wrong_is_shown_by_model_and_host() -> None:
    """Every scenario is of a mistake that there is, and each mistake asked for has one."""
    assert ASKED <= set(SCENARIOS) <= {one.name for one in MUTANTS}


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_mistake_can_be_made_in_an_agent(name: str, tmp_path: Path) -> None:
    """In a copy of the package, which still compiles; the code has not moved away from it."""
    package = tmp_path / "homeport"
    shutil.copytree(TOP / "deploy" / "homeport", package)
    named(name).apply(package)
    changed = (package / named(name).file).read_text()
    assert changed != (TOP / "deploy" / "homeport" / named(name).file).read_text()


def test_a_point_of_a_scenario_is_one_of_its_plan() -> None:
    """A step that is renamed takes the scenarios that die there with it."""
    steps = {step for _, step, _ in way("single-writer").steps}
    assert {"handover", "start", "healthy"} <= steps
