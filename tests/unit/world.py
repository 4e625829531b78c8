"""A model of one host: it carries out plans one smallest effect at a time, and can die anywhere.

It looks after each effect whether a promise is broken at that very moment.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, Callable, Iterator

from builders import APP, line
from homeport.core import journal, plan as plans, recovery
from homeport.core.edge import Wanted
from homeport.core.facts import Facts
from homeport.core.policy import Choice
from homeport.core.render import Rendered
from homeport.model import Container, Mode, Plan, Release, Step


@lru_cache(maxsize=16)
def folded(lines: tuple[str, ...]) -> journal.History:
    """The history of these lines; a world asks for the same one many times."""
    return journal.fold(lines)


@dataclass
class Box:
    """A container of the model."""

    running: bool = False
    policy: str = "no"


@dataclass
class World:
    """What a host holds of one app. ``exclusive``: two releases must never both write."""

    exclusive: bool
    releases: dict[str, Release] = field(default_factory=dict)
    boxes: dict[tuple[str, str], Box] = field(default_factory=dict)
    standby: set[str] = field(default_factory=set)
    link: str | None = None
    current: str = ""
    journal: list[str] = field(default_factory=list)
    runs: int = 0

    def copy(self) -> World:
        """The same world once more; releases are frozen and shared."""
        boxes = {key: replace(box) for key, box in self.boxes.items()}
        return replace(
            self,
            releases=dict(self.releases),
            boxes=boxes,
            standby=set(self.standby),
            journal=list(self.journal),
        )

    def facts(self) -> Facts:
        """One look, as the host takes it: sorted, frozen."""
        found = tuple(
            Container(f"{at}-{name}", f"{APP}-{at}-{name}-1", name, at, box.running, box.policy)
            for (at, name), box in sorted(self.boxes.items())
        )
        return Facts(
            APP,
            releases=tuple(self.releases[one] for one in sorted(self.releases)),
            link=self.link,
            current=self.current,
            history=folded(tuple(self.journal)),
            containers=found,
            images=frozenset(one.image for one in self.releases.values()),
            standby=tuple(sorted(self.standby)),
        )

    def running(self) -> set[str]:
        """The slots of which something runs."""
        return {at for (at, _), box in self.boxes.items() if box.running}

    def check(self) -> None:
        """What must hold at every moment, crash or not."""
        if not self.exclusive:
            return
        writers = self.running() - self.standby
        assert len(writers) <= 1, f"two writers: {sorted(writers)}"
        pinned = {at for (at, _), box in self.boxes.items() if box.policy != "no"}
        assert len(pinned) <= 1, f"two slots come back at a boot: {sorted(pinned)}"

    def write(self, kind: str, run: str, **rest: Any) -> None:
        """A line of the journal."""
        self.journal.append(line(kind, run, float(len(self.journal)), **rest))


Effects = Iterator[None]


def effects(world: World, step: Step, fresh: Release | None) -> Effects:
    """The smallest effects of a step, one a turn. Nothing a real operation relies on is assumed."""
    args = step.args
    at = str(args.get("slot", "")) or str(args.get("release", "")).split("-")[0]
    mine = [key for key in sorted(world.boxes) if key[0] == at]
    if step.do == "write-release":
        assert fresh is not None
        world.releases[fresh.id] = fresh
        yield
    elif step.do in ("compose-up", "start-kept"):
        for name in args["services"]:
            if step.do == "start-kept":
                assert (at, name) in world.boxes, f"{step.id}: there is no kept {at} {name}"
            world.boxes.setdefault((at, name), Box())
            yield
            world.boxes[(at, name)].running = True
            yield
    elif step.do == "stop":
        for key in mine:
            world.boxes[key].running = False
            yield
    elif step.do in ("policy-on", "policy-off"):
        for key in mine:
            on = step.do == "policy-on"
            rules = world.releases[str(args["release"])].policies if on else {}
            world.boxes[key].policy = rules.get(key[1], "no")
            yield
    elif step.do == "remove-slot":
        for key in mine:
            del world.boxes[key]
            yield
        world.standby.discard(at)
    elif step.do == "standby-on":
        world.standby.add(at)
    elif step.do == "standby-off":
        world.standby.discard(at)
    elif step.do == "link":
        if "release" in args:
            served = world.releases[str(args["release"])]
            assert args["address"] == served.link
            assert world.boxes[(at, served.web)].running, "the link would name a dead address"
        world.link = str(args["address"])
    elif step.do == "unlink":
        world.link = None
    elif step.do in ("probe", "smoke"):
        assert world.boxes[(at, "web")].running, f"{step.id}: nothing to ask"
    elif step.do == "mark":
        world.current = str(args["release"])
    elif step.do == "prune":
        for name in args["releases"]:
            gone = world.releases.pop(name).slot
            for key in [key for key in world.boxes if key[0] == gone]:
                del world.boxes[key]
            yield
    else:
        assert step.do in ("drain", "watch", "sockets", "pull"), f"unknown to the model: {step.do}"
    yield


def walk(
    world: World, plan: Plan, verb: str, origin: str, fresh: Release | None, **asked: Any
) -> Effects:
    """Carry out a plan as the executor does: intent, effects, outcome."""
    world.runs += 1
    run = f"run-{world.runs}"
    world.write("begin", run, verb=verb, release=plan.release, **{"from": origin}, **asked)
    yield
    for step in plan.steps:
        world.write("intent", run, step=step.id, do=step.do)
        yield
        for _ in effects(world, step, fresh):
            world.check()
            yield
        said = {"committed": step.args["release"]} if step.commit else {}
        world.write("done", run, step=step.id, **said)
        yield
    world.write("end", run, outcome="deployed")
    yield


def recover(world: World) -> Effects:
    """What the host does: the plan of recovery under a run of its own, then an end for the dead."""
    found = recovery.plan(world.facts())
    if found.steps:
        yield from walk(world, found, "recover", "", None)
    for run in folded(tuple(world.journal)).unfinished:
        world.write("end", run.id, outcome="deployed" if run.committed else "failed")
        yield


def all_of(effects_: Effects) -> int:
    """Carry out everything; how many effects there were."""
    return sum(1 for _ in effects_)


def some_of(effects_: Effects, count: int) -> None:
    """Carry out so many effects, then die."""
    for _ in range(count):
        next(effects_)


Start = Callable[[World], Effects]


def deploying(new: Release, mode: Mode, **asked: Any) -> Start:
    """A deploy of ``new``; ``asked`` goes into the line that begins it."""

    def begin(world: World) -> Effects:
        now = world.facts()
        made = plans.deploy(now, new, Rendered(), Choice(mode), Wanted())
        before = now.committed.id if now.committed else ""
        return walk(world, made, "deploy", before, new, **asked)

    return begin


def rolling_back(target: Release, mode: Mode, **asked: Any) -> Start:
    """A rollback to ``target``; ``asked`` goes into the line that begins it."""

    def begin(world: World) -> Effects:
        now = world.facts()
        assert now.committed is not None
        made = plans.rollback(now, target, mode, Wanted())
        return walk(world, made, "rollback", now.committed.id, None, **asked)

    return begin


def taking_back(good: Release) -> Start:
    """The release that serves is taken back to ``good``."""

    def begin(world: World) -> Effects:
        now = world.facts()
        assert now.committed is not None
        return walk(
            world, plans.take_back(now, now.committed, good), "take-back", now.committed.id, None
        )

    return begin
