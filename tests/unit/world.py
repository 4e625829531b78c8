"""A model of one host: it carries out plans one smallest effect at a time, and can die anywhere.

It looks after each effect whether a promise is broken at that very moment.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, Callable, Iterator

from builders import APP, line
from homeport.backups import Backup, Manifest
from homeport.core import care, journal, plan as plans, plan_back, plan_data, recovery, saving
from homeport.core.edge import Wanted
from homeport.core.facts import Facts, Schema
from homeport.core.maintenance import Maintenance
from homeport.core.policy import Choice
from homeport.core.render import Folder, Rendered
from homeport.model import Container, Mode, Release
from homeport.planned import Plan, Step


@lru_cache(maxsize=4096)
def folded(lines: tuple[str, ...]) -> journal.History:
    """The history of these lines: mostly a line more than one that was asked for before."""
    return journal.fold(lines[-1:], folded(lines[:-1])) if lines else journal.History()


@dataclass
class Box:
    """A container of the model."""

    running: bool = False
    policy: str = "no"


@dataclass
class World:
    """What a host holds of one app. ``exclusive``: two releases must never both write.

    ``data`` is the schema that the data has, "half" in the middle of a change, and after a colon
    whatever else is in it; ``sets`` are copies.
    """

    exclusive: bool
    releases: dict[str, Release] = field(default_factory=dict)
    boxes: dict[tuple[str, str], Box] = field(default_factory=dict)
    standby: set[str] = field(default_factory=set)
    link: str | None = None
    current: str = ""
    journal: list[str] = field(default_factory=list)
    runs: int = 0
    data: str = ""
    page: bool = False
    sets: dict[str, str] = field(default_factory=dict)

    def copy(self) -> World:
        """The same world once more; releases are frozen and shared."""
        boxes = {key: replace(box) for key, box in self.boxes.items()}
        return replace(
            self,
            releases=dict(self.releases),
            boxes=boxes,
            standby=set(self.standby),
            journal=list(self.journal),
            sets=dict(self.sets),
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
            maintenance=Maintenance() if self.page else None,
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
        for one in self.releases.values():
            if one.slot in writers and one.schema:
                has = self.data.split(":")[0]
                assert one.schema == has, f"{one.slot} runs on the schema {has}"
        pinned = {at for (at, _), box in self.boxes.items() if box.policy != "no"}
        assert len(pinned) <= 1, f"two slots come back at a boot: {sorted(pinned)}"

    @property
    def run(self) -> str:
        """The run that goes on."""
        return f"run-{self.runs}"

    def write(self, kind: str, run: str, **rest: Any) -> None:
        """A line of the journal."""
        self.journal.append(line(kind, run, float(len(self.journal)), **rest))


Effects = Iterator[None]
#: operations that change nothing of what the model has
ELSEWHERE = (
    *("drain", "watch", "sockets", "pull", "verify", "verify-sets", "rehearse"),
    *("prune-replaced", "offsite", "offsite-prune", "data-care"),
)


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
    elif step.do in ("backup", "snapshot"):
        name = f"{step.do}-{world.run}"
        world.sets[name] = world.data
        yield
        world.write("stake" if step.do == "snapshot" else "set", world.run, set=name)
    elif step.do == "migrate":
        assert fresh is not None
        world.write("schema", world.run, schema="")
        world.data = "half"
        yield
        world.data = fresh.schema
        yield
        if not args.get("later"):
            world.write("schema", world.run, schema=fresh.schema)
    elif step.do == "schema":
        assert fresh is not None
        assert world.data == fresh.schema, "it would go live on another schema"
        world.write("schema", world.run, schema=fresh.schema)
    elif step.do == "restore-data":
        world.write("schema", world.run, schema="")
        yield
        world.data = "half"
        yield
        world.data = world.sets[str(args["set"])]
        yield
        world.write("schema", world.run, schema=args["schema"])
    elif step.do == "restore-stake":
        world.data = "half"
        yield
        world.data = world.sets[str(args["set"])]
        yield
        world.write("stake", world.run, set="")
    elif step.do in ("page-up", "page-down"):
        world.page = step.do == "page-up"
    elif step.do == "mark":
        world.current = str(args["release"])
    elif step.do == "prune-sets":
        for name in args["sets"]:
            del world.sets[name]
            yield
    elif step.do == "prune":
        for name in args["releases"]:
            gone = world.releases.pop(name).slot
            for key in [key for key in world.boxes if key[0] == gone]:
                del world.boxes[key]
            yield
    else:
        assert step.do in ELSEWHERE, f"unknown to the model: {step.do}"
    yield


def walk(
    world: World, plan: Plan, verb: str, origin: str, fresh: Release | None, **asked: Any
) -> Effects:
    """Carry out a plan as the executor does: intent, effects, outcome."""
    world.runs += 1
    run = world.run
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


def deploying(
    new: Release, mode: Mode, paged: bool = False, found: bool = False, **asked: Any
) -> Start:
    """A deploy of ``new``; ``asked`` goes into the line that begins it.

    ``paged``: it takes longer than requests may wait. ``found``: the data's folder is there.
    """
    folders = (Folder(f"/opt/{APP}/data", "web", "/data"),) * found

    def begin(world: World) -> Effects:
        now = world.facts()
        if new.schema:
            now = replace(now, schema=Schema(world.data, new.schema))
        now = replace(now, folders=frozenset(one.path for one in folders))
        seen = Rendered(writable=("web",), folders=folders)
        made = plans.deploy(now, new, seen, Choice(mode), Wanted())
        if paged:
            first, rest = saving.rehearsed(made)
            made = replace(made, steps=(*first.steps, *saving.paged(rest, 90.0).steps))
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


def going_back(target: Release, name: str) -> Start:
    """A rollback to ``target`` with the data of a set: a restore, where that serves already."""

    def begin(world: World) -> Effects:
        now = world.facts()
        assert now.committed is not None
        set_ = Manifest(name, APP, target.id, 1.0, target.schema)
        if target == now.committed:
            return walk(world, plan_back.restore(now, set_, target), "restore", target.id, None)
        data = plan_back.moved(now, set_, target)
        made = plans.rollback(now, target, "recreate", Wanted(), data)
        return walk(world, made, "rollback", now.committed.id, None)

    return begin


def removing(world: World) -> Effects:
    """The app is taken from the host."""
    now = world.facts()
    assert now.committed is not None
    return walk(world, plans.remove(now, Wanted()), "remove", now.committed.id, None)


def backing_up(hold: bool) -> Start:
    """A set of copies of what serves, with requests held or not."""

    def begin(world: World) -> Effects:
        now = world.facts()
        assert now.committed is not None
        made = plan_data.backup(now, now.committed, Backup(), "asked for", hold)
        return walk(world, made, "backup", now.committed.id, None)

    return begin


def caring(world: World) -> Effects:
    """The live database is written anew while requests are held."""
    now = world.facts()
    assert now.committed is not None
    made = care.plan("vacuum", (care.Database("data/shop.db", journal="wal"),), now, now.committed)
    return walk(world, made, "data-vacuum", now.committed.id, None)


def taking_back(good: Release) -> Start:
    """The release that serves is taken back to ``good``."""

    def begin(world: World) -> Effects:
        now = world.facts()
        assert now.committed is not None
        return walk(
            world, plans.take_back(now, now.committed, good), "take-back", now.committed.id, None
        )

    return begin
