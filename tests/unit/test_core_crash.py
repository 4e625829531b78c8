"""Plans and recovery against an exhaustive model: a crash after every single effect of each."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Iterator

import pytest
from builders import HOLD, release, settings
from homeport.backups import Migrate
from homeport.core import plan as plans, recovery
from homeport.core.edge import Wanted
from homeport.core.policy import Choice
from homeport.core.render import Rendered
from homeport.model import MODES, Mode, Release
from homeport.planned import Plan
from world import (
    Effects,
    World,
    all_of,
    backing_up,
    caring,
    deploying,
    going_back,
    recover,
    removing,
    rolling_back,
    some_of,
    taking_back,
    walk,
)

MIGRATES = replace(settings(), migrate=Migrate(("up",), ("look",)))


def _tells(text: str) -> bool:
    """Whether a line of a finished run says more than that a step was begun or done."""
    kind, step = (json.loads(text).get(key) for key in ("k", "step"))
    return kind in ("begin", "end", "schema") or (kind == "done" and step in ("handover", "watch"))


@dataclass(frozen=True)
class Scenario:
    """What served before, what is begun, and which release it makes live."""

    before: tuple[int, ...]
    begin: str
    number: int
    mode: Mode
    moving: tuple[str, ...] = ("web", "worker")
    kept: bool = True
    paged: bool = False

    def __str__(self) -> str:
        served = "+".join(str(one) for one in self.before) or "nothing"
        tail = " with the page" if self.paged else ""
        tail += f"{'' if self.kept else ' recreated'} {'+'.join(self.moving)}"
        return f"{self.mode} {self.begin} {self.number} after {served}{tail}"

    def make(self, number: int) -> Release:
        """A release of this scenario: each deploy that is exclusive has a schema of its own."""
        if self.mode != "exclusive":
            return release(number, self.mode, self.moving)
        schema = f"s{number}" if self.begin in ("deploy", "remove") else "s"
        return release(number, self.mode, self.moving, MIGRATES, schema)

    def world(self) -> World:
        """The host after everything that came before went well."""
        world = World(exclusive=self.mode != "overlap")
        for number in self.before:
            all_of(deploying(self.make(number), self.mode)(world))
        # what is over is told in short, which says the same and is read three times as fast
        long = world.facts().history
        world.journal = [one for one in world.journal if _tells(one)]
        short = world.facts().history
        assert replace(long, runs=()) == replace(short, runs=(), committed_at=long.committed_at)
        if not self.kept:
            serves = f"r{self.before[-1]:04d}"
            world.boxes = {key: box for key, box in world.boxes.items() if key[0] == serves}
        return world

    def start(self, world: World) -> Effects:
        """Begin it."""
        new = self.make(self.number)
        if self.begin == "deploy":
            return deploying(new, self.mode, self.paged)(world)
        if self.begin == "rollback":
            return rolling_back(new, self.mode)(world)
        return taking_back(new)(world)


SCENARIOS = [
    Scenario(before, begin, number, mode, moving, kept)
    for mode in MODES
    for moving in (("web",), ("web", "worker"))
    for before, begin, number, kept in (
        ((), "deploy", 1, True),
        ((1,), "deploy", 2, True),
        ((1, 2), "deploy", 3, True),
        ((1, 2), "rollback", 1, True),
        ((1, 2), "rollback", 1, False),
        ((1, 2, 3), "rollback", 1, True),
        ((1, 2), "take-back", 1, True),
        ((1, 2), "take-back", 1, False),
    )
]
SCENARIOS.append(Scenario((1, 2), "deploy", 3, "exclusive", paged=True))


def power_cut(world: World) -> None:
    """Everything stops; at the boot Docker starts what has a restart policy."""
    for box in world.boxes.values():
        box.running = box.policy != "no"
    world.check()
    world.write("boot", "")


def settled(world: World, live: Release | None) -> None:
    """What must hold once recovery is through."""
    now = world.facts()
    assert now.committed == live
    world.check()
    assert not world.standby and not world.page
    assert now.history.stake is None
    if live is None:
        assert not world.running() and world.link is None
        return
    assert world.link == live.link and world.current == live.id
    assert now.running(live) and world.running() == {live.slot}
    has = world.data.split(":")[0]
    assert has == now.history.schema == live.schema, f"{live.id} serves on the schema {has}"
    for (at, name), box in world.boxes.items():
        assert box.policy == (live.policies[name] if at == live.slot else "no")
    assert {one.slot for one in now.containers} <= {one.slot for one in now.served}
    again = recovery.plan(now)
    assert again.steps == (), again.text()
    assert now.history.committed == live.id, "a later hold would fall back to an older release"


def crashes(scenario: Scenario) -> Iterator[tuple[int, World, Release | None]]:
    """The world after every number of effects, and the release that must serve after recovery.

    A taking back goes on from where it was: what it was begun for is ill.
    """
    world = scenario.world()
    old, new = world.facts().committed, scenario.make(scenario.number)
    run = scenario.start(world)
    count = 0
    while True:
        begun = any(one.verb == "take-back" for one in world.facts().history.unfinished)
        yield count, world.copy(), new if begun or world.link == new.link else old
        if next(run, "over") == "over":
            return
        count += 1


@pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
@pytest.mark.parametrize("power", [False, True], ids=["killed", "power cut"])
def test_a_crash_after_any_effect_ends_in_one_whole_release(
    scenario: Scenario, power: bool
) -> None:
    """Old or new serves, whole, by what the link said; nothing else runs or would come back."""
    seen = set()
    for _, world, live in crashes(scenario):
        if power:
            power_cut(world)
        all_of(recover(world))
        settled(world, live)
        seen.add(live.id if live else "")
    assert len(seen) == 2, "every scenario has crashes before and after its commit"


@pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
def test_no_plan_breaks_a_promise_while_it_runs(scenario: Scenario) -> None:
    """A run that nothing disturbs leaves nothing to recover, and the new release serves."""
    world = scenario.world()
    count = all_of(scenario.start(world))
    assert count > 10
    settled(world, scenario.make(scenario.number))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("begin", ["deploy", "rollback"])
def test_recovery_may_die_as_well(mode: Mode, begin: str) -> None:
    """A recovery killed after any effect of its own is finished by the next one."""
    scenario = Scenario((1, 2), begin, 3 if begin == "deploy" else 1, mode)
    for _, world, live in crashes(scenario):
        whole = world.copy()
        for count in range(0, all_of(recover(whole)), 5):
            again = world.copy()
            some_of(recover(again), count)
            power_cut(again)
            all_of(recover(again))
            settled(again, live)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("begin", ["rollback", "deploy"])
@pytest.mark.parametrize("power", [False, True], ids=["killed", "power cut"])
def test_the_freeze_changes_with_the_commit_or_not_at_all(
    mode: Mode, begin: str, power: bool
) -> None:
    """Wherever a rollback --freeze or a deploy --unfreeze dies, the freeze goes with what serves.

    The recovery may die as well, before or after it wrote down the commit that the dead run made.
    """
    back = begin == "rollback"
    scenario = Scenario((1, 2), begin, 1 if back else 3, mode)
    world = scenario.world()
    new = scenario.make(scenario.number)
    if not back:
        world.write("begin", "frozen", verb="freeze", freeze=True, cause={"who": "ann"})
        world.write("end", "frozen", outcome="frozen", code=0)
        assert world.facts().history.freeze is not None
    start = rolling_back if back else deploying
    run, seen = start(new, mode, freeze=back)(world), set()
    while next(run, "over") != "over":
        went = world.link == new.link
        whole = world.copy()
        if power:
            power_cut(whole)
        for count in range(0, all_of(recover(whole.copy())) + 1, 7):
            again = whole.copy()
            some_of(recover(again), count)
            all_of(recover(again))
            settled(again, new if went else scenario.make(2))
            assert (again.facts().history.freeze is not None) == (went == back)
        seen.add(went)
    assert seen == {False, True}
    assert (world.facts().history.freeze is not None) == back


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("power", [False, True], ids=["killed", "power cut"])
def test_a_removal_that_dies_is_not_begun_or_the_end(mode: Mode, power: bool) -> None:
    """The app serves whole, or nothing of it is left but its releases; then it can come again."""
    scenario = Scenario((1, 2), "remove", 2, mode)
    world = scenario.world()
    run, seen = removing(world), set()
    while next(run, "over") != "over":
        again = world.copy()
        if power:
            power_cut(again)
        all_of(recover(again))
        live = again.facts().committed
        settled(again, live)
        assert live in (None, scenario.make(2)) and (live or not again.boxes)
        seen.add(live.id if live else "")
        new = scenario.make(3)
        all_of(deploying(new, mode)(again))
        settled(again, new)
    assert len(seen) == 2 and world.facts().committed is None


@pytest.mark.parametrize("hold", [False, True], ids=["", "hold"])
@pytest.mark.parametrize("power", [False, True], ids=["killed", "power cut"])
def test_a_backup_that_dies_leaves_what_served_serving(hold: bool, power: bool) -> None:
    """Requests that it held go on, to the release that had them; nothing else changes."""
    scenario = Scenario((1, 2), "backup", 2, "exclusive")
    world, live, links = scenario.world(), scenario.make(2), set()
    run = backing_up(hold)(world)
    while next(run, "over") != "over":
        links.add(world.link)
        again = world.copy()
        if power:
            power_cut(again)
        all_of(recover(again))
        settled(again, live)
        all_of(deploying(scenario.make(3), "exclusive")(again))
        settled(again, scenario.make(3))
    assert links == ({live.link, HOLD} if hold else {live.link})
    settled(world, live)
    assert world.sets, "a backup without a set"


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("power", [False, True], ids=["killed", "power cut"])
def test_upkeep_that_dies_changes_nothing_about_who_serves(mode: Mode, power: bool) -> None:
    """What served serves on, and nobody waits any more; so after upkeep that nothing disturbs."""
    scenario = Scenario((1, 2), "remove", 2, mode)
    world = scenario.world()
    run, held = caring(world), 0
    while next(run, "over") != "over":
        again = world.copy()
        held += again.link == HOLD
        if power:
            power_cut(again)
        all_of(recover(again))
        settled(again, scenario.make(2))
    assert held > 3
    settled(world, scenario.make(2))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("power", [False, True], ids=["killed", "power cut"])
def test_a_first_deploy_that_dies_gives_the_data_back_that_it_found(
    mode: Mode, power: bool
) -> None:
    """Until its commit it can be done as if it had not been; the recovery may die as well."""
    new = release(1, mode, ("web", "worker"), MIGRATES, "s1")
    world, seen = World(True, data="s0"), set()
    run = deploying(new, mode, found=True)(world)
    while next(run, "over") != "over":
        whole = world.copy()
        live = new if world.link == new.link else None
        if power:
            power_cut(whole)
        for count in range(0, all_of(recover(whole.copy())) + 1, 3):
            again = whole.copy()
            some_of(recover(again), count)
            all_of(recover(again))
            settled(again, live)
            assert again.data == ("s1" if live else "s0")
        seen.add((live.id if live else "", world.data))
    assert seen == {("", "s0"), ("", "half"), ("", "s1"), (new.id, "s1")}
    settled(world, new)


@pytest.mark.parametrize("mode", MODES)
def test_the_next_deploy_works_after_any_crash_and_may_fail(mode: Mode) -> None:
    """After recovery a deploy goes through; one that dies while it holds loses nothing either."""
    for _, world, live in crashes(Scenario((1,), "deploy", 2, mode)):
        all_of(recover(world))
        next_ = release(3, "single-writer", schema=live.schema if live else "")
        held = world.copy()
        held.exclusive = False
        run = deploying(next_, "single-writer")(held)
        while held.link != HOLD:
            next(run)
        all_of(recover(held))
        settled(held, live)
        all_of(deploying(next_, mode)(world))
        settled(world, next_)


def test_the_model_finds_a_plan_that_lets_two_releases_write() -> None:
    """A plan with its standby step cut out is caught."""
    scenario = Scenario((1,), "deploy", 2, "single-writer")
    world = scenario.world()
    new = scenario.make(2)
    made = plans.deploy(world.facts(), new, Rendered(), Choice("single-writer"), Wanted())
    kept = tuple(one for one in made.steps if one.do != "standby-on")
    with pytest.raises(AssertionError, match="two writers"):
        all_of(walk(world, Plan("deploy", new.id, kept), "deploy", "", new))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("target", [1, 2], ids=["rollback with data", "restore"])
@pytest.mark.parametrize("power", [False, True], ids=["killed", "power cut"])
def test_data_goes_back_with_the_commit_or_not_at_all(mode: Mode, target: int, power: bool) -> None:
    """Wherever it dies, code and data are both as they were or both as was asked, told as it was.

    The recovery may die as well, in the middle of putting today's data back.
    """
    scenario = Scenario((1, 2), "deploy", 2, mode)
    world, live = scenario.world(), replace(scenario.make(2), schema="s2")
    old = replace(scenario.make(1), schema="s1")
    world.releases = {one.id: one for one in (old, live)}
    world.data, world.sets = "s2:today", {"then": f"s{target}:then"}
    world.write("begin", "x", verb="x")
    world.write("schema", "x", schema="s2")
    world.write("end", "x", code=0)
    back, seen = (old, live)[target - 1], set()
    run = going_back(back, "then")(world)
    while next(run, "over") != "over":
        went = world.link == back.link and world.data == world.sets["then"]
        whole = world.copy()
        if power:
            power_cut(whole)
        for count in range(0, all_of(recover(whole.copy())) + 1, 5):
            again = whole.copy()
            some_of(recover(again), count)
            power_cut(again) if power else None
            all_of(recover(again))
            settled(again, back if went else live)
            assert again.data == (world.sets["then"] if went else "s2:today")
            told = again.facts().history.run(world.run)
            assert told is not None and told.committed == (back.id if went else "")
        seen.add(went)
    assert seen == {False, True}
    assert world.data == world.sets["then"] and world.facts().history.stake is None
    assert world.sets.pop(f"snapshot-{world.run}") == "s2:today", "today's data is kept"
