"""Every way that a host can be disturbed, one after the other, each state looked at once.

A *rest* is a machine without an executor: one that was just killed, or one that came up again. From
there the guardian, the boot hook or the next request goes on, and every effect of that is a state
in which all of it may happen again, as often as there are disturbances left:

* the executor is killed, or its guardian with it; recovery and the boot hook are no exception;
* the power goes: what was not synced is there afterwards or is not, then the boot hook runs;
* Docker is restarted: what has a restart policy comes back, and the run goes on;
* a second controller asks for something while the run lives (it must be refused and change
  nothing), or gets the lock before the guardian does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from bench.model.host import Host
from bench.model.machine import APP, LOCK, Machine, Violation, release
from homeport.core import recovery
from homeport.core import link as links
from homeport.model import MODES, Mode


@dataclass(frozen=True)
class Scenario:
    """So many releases served before, then this is asked for."""

    mode: Mode
    before: int
    verb: str
    ill: str = ""

    def __str__(self) -> str:
        tail = f", {self.ill}" if self.ill else ""
        return f"{self.mode} {self.verb} after {self.before}{tail}"

    @property
    def migrates(self) -> bool:
        """Whether each release changes the schema: then code alone cannot go back."""
        return self.mode == "exclusive" and self.verb == "deploy" and not self.ill

    def host(self) -> Host:
        """The host before it, everything before having gone well."""
        number = self.before + 1
        schema = f"s{number}" if self.migrates else "s" if self.mode == "exclusive" else ""
        host = Host(self.mode, {release(number, self.mode, schema).id: self.ill}, self.migrates)
        for _ in range(self.before):
            host.ask("deploy")
        host.machine.disk.sync_all()
        settled(host.machine)
        return host


def scenarios() -> Iterator[Scenario]:
    """All of them."""
    for mode in MODES:
        yield Scenario(mode, 0, "deploy")
        yield Scenario(mode, 1, "deploy")
        yield Scenario(mode, 2, "rollback")
        yield Scenario(mode, 1, "deploy", "never healthy")
        yield Scenario(mode, 1, "deploy", "bad in its watch")


@dataclass
class Rest:
    """A machine without an executor. ``run`` is the one whose guardian lives, if there is one."""

    machine: Machine
    left: int
    path: tuple[str, ...]
    run: str = ""
    boots: bool = False


@dataclass
class Explorer:
    """What was seen so far, and what is still to be gone through."""

    disturbances: int
    states: set[int] = field(default_factory=set)
    rests: dict[int, int] = field(default_factory=dict)
    steps: dict[int, int] = field(default_factory=dict)
    todo: list[Rest] = field(default_factory=list)
    runs: int = 0

    def explore(self, scenario: Scenario) -> None:
        """Go through everything that can happen; raises Violation with the way that led there."""
        host = scenario.host()
        self.steps, self.rests = {}, {}
        start = Rest(host.machine, self.disturbances, (str(scenario),))
        self._go(host, start, scenario.verb, lambda: host.ask(scenario.verb))
        while self.todo:
            rest = self.todo.pop()
            for name, act in self._natural(host, rest):
                self._go(host, rest, name, act)
            for other in self._disturbed(rest):
                self._add(other)

    def _natural(self, host: Host, rest: Rest) -> list[tuple[str, Callable[[], object]]]:
        """Who goes on at a rest. Each must end well, whatever comes before it."""
        asked: list[tuple[str, Callable[[], object]]] = [
            (f"{verb} asked for", lambda verb=verb: host.ask(verb))  # type: ignore[misc]
            for verb in ("deploy", "rollback", "recover")
        ]
        if rest.boots:
            return [("the boot hook", host.boot)]
        if not rest.run:
            return [asked[0], asked[2]]
        acts: list[tuple[str, Callable[[], object]]] = [
            ("its guardian", lambda: host.guard(rest.run))
        ]
        return acts + (asked[:2] if rest.left else [])

    def _disturbed(self, rest: Rest) -> Iterator[Rest]:
        if not rest.left or rest.boots:
            return
        left = rest.left - 1
        if rest.run:
            yield replace(rest, left=left, run="", path=(*rest.path, "its guardian is killed"))
        machine = rest.machine.copy()
        machine.restart()
        yield replace(rest, machine=machine, left=left, path=(*rest.path, "Docker is restarted"))
        yield from _cuts(rest.machine, left, rest.path)

    def _add(self, rest: Rest) -> None:
        rest.machine.calm = False
        run = rest.machine.history.run(rest.run)
        known = (run is not None, run is not None and run.end is None)
        answered = rest.run in rest.machine.answered
        key = hash((rest.machine.key(), bool(rest.run), known, answered, rest.boots))
        self.states.add(key)
        if self.rests.get(key, -1) < rest.left:
            self.rests[key] = rest.left
            self.todo.append(rest)

    def _go(self, host: Host, rest: Rest, name: str, act: Callable[[], object]) -> None:
        """Carry something out from a rest, and whatever may happen meanwhile."""
        shakes = self._trace(host, rest, name, act, 0)
        if rest.left == self.disturbances > 0:
            for at in shakes:
                self._trace(host, rest, name, act, at)

    def _trace(
        self, host: Host, rest: Rest, name: str, act: Callable[[], object], quake: int
    ) -> list[int]:
        """Carry it out once; after which effects Docker's restart would make a difference."""
        self.runs += 1
        path = [*rest.path, name]
        shakes: list[int] = []
        host.load(rest.machine.copy())
        host.quake_at = quake

        def seen(what: str) -> None:
            if "journal" not in what and "sync" not in what and not quake:
                shakes.append(host.count)
            if host.count == quake:
                what += ", then Docker is restarted"
                path.append(what)
            if host.count >= quake:
                self._state(host, rest, (*path, what), rest.left - bool(quake))

        host.sink = seen
        try:
            act()
            host.sink = None
            if rest.machine.calm and not quake:
                _as_asked(host.machine, name)
            self._ended(host, rest, path, quake)
            _answered(host, rest)
        except Violation as violation:
            host.sink = None
            raise Violation(f"{' > '.join(path)}: {violation}") from None
        return shakes

    def _ended(self, host: Host, rest: Rest, path: list[str], quake: int) -> None:
        """All is well; or Docker's restart made the run fail, which said so, and the next mends it.

        A release that Docker stops while it is brought back looks like one that is ill.
        """
        try:
            settled(host.machine)
        except Violation:
            history = host.machine.history
            own = [run for run in history.runs if not run.id.endswith("-back")]
            if not quake or not own or history.unfinished or own[-1].good:
                raise
            self._add(Rest(host.machine.copy(), rest.left - 1, (*path, "which is told as failed")))

    def _state(self, host: Host, rest: Rest, path: tuple[str, ...], left: int) -> None:
        """A moment of a run: what may happen there."""
        machine = host.machine
        key = hash((machine.key(), host.lives, host.waits))
        self.states.add(key)
        if self.steps.get(key, -1) >= left:
            return
        self.steps[key] = left
        # whoever has just let the lock go lives on for nothing but its verdict
        if host.lives and LOCK not in path[-1] and rest.left == self.disturbances:
            for verb in ("recover", "deploy"):
                host.aside(verb)
        if host.lives and not host.waits and not rest.boots:
            raise Violation(f"{path[-1]}: a run lives without its guardian")
        if left <= 0:
            return
        now = machine.copy()
        run = "" if rest.boots else rest.run or f"run{now.runs}"
        yet = now.copy()
        # what the kernel has goes to the disk by itself, where nothing but a process dies
        yet.disk.sync_all()
        if run:
            self._add(Rest(yet, left - 1, (*path, "its executor is killed"), run))
        self._add(Rest(yet.copy(), left - 1, (*path, "executor and guardian are killed")))
        for one in _cuts(now, left - 1, path):
            self._add(one)


def _cuts(machine: Machine, left: int, path: tuple[str, ...]) -> Iterator[Rest]:
    """Every way that a power cut can leave a machine, up again, its boot hook to come."""
    for way, disk in machine.disk.after_cut():
        cut = machine.copy()
        cut.disk = disk
        cut.restart()
        yield Rest(cut, left, (*path, f"the power goes ({way})"), boots=True)


def settled(machine: Machine) -> None:
    """What must hold once a run, recovery or the boot hook is through. Raises Violation."""
    machine.check()
    now, live = machine.facts(), machine.facts().committed
    history, name = now.history, live.id if live else ""
    wrong = {
        "something is still in standby": bool(machine.standby),
        "the page is still up": now.maintenance is not None,
        "data is still at stake": history.stake is not None,
        "a run has no end": bool(history.unfinished),
        f"{name or 'nothing'} serves, not {machine.expected}": name != machine.expected
        and machine.expected not in history.taken_back,
        "something comes up by itself": any(
            box.policy != (live.policies[key[1]] if live and key[0] == live.slot else "no")
            for key, box in machine.boxes.items()
        ),
        "a second recovery changes something": bool(recovery.plan(now).steps),
        "containers are left of what never served": not {one.slot for one in now.containers}
        <= {one.slot for one in now.served},
    }
    if live is None:
        wrong["something runs"] = bool(machine.running())
        wrong["the link says something"] = links.read(APP, machine.link)[0] != "missing"
    else:
        has = machine.data.partition(":")[0]
        wrong["the link is not the release's"] = machine.link != live.link
        wrong["current is not the link's"] = now.current != live.id
        wrong["it does not serve alone"] = not now.running(live) or machine.running() != {live.slot}
        wrong[f"it serves on the schema {has}"] = not has == history.schema == live.schema
        wrong["the journal has another release"] = history.committed != live.id
    for run in history.runs:
        good = run.end is not None and run.end.get("outcome") in ("deployed", "rolled-back")
        wrong[f"{run.id} is told to be good"] = good and run.committed != run.release
    for sentence, broken in wrong.items():
        if broken:
            raise Violation(sentence)


def _as_asked(machine: Machine, verb: str) -> None:
    """What nobody disturbs does what it is for, or is taken back."""
    ends = [run.end for run in machine.history.runs if run.end is not None]
    if not ends or ends[-1].get("outcome") in (None, "refused"):
        raise Violation(f"{verb} came to nothing: {ends[-1:]}")


def _answered(host: Host, rest: Rest) -> None:
    """Whoever follows a run that has a guardian gets its verdict."""
    if rest.run and rest.run not in host.machine.answered:
        raise Violation(f"nobody ever tells how {rest.run} ended")
