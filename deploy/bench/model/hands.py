"""What the model's host does to containers and data; its files are the host's own code's to write.

The Engine here does one dull thing a call. Operations on data and Compose are short forms of the
host's; what the host has that is as dull as the Engine's calls is used as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Protocol

from bench.model.machine import APP, Box, Machine, Violation
from homeport.core import link as links
from homeport.errors import MigrationFailed, NeverHealthy, Problem, TakenBack
from homeport.host import ops_edge, ops_slot, ops_traffic
from homeport.host.causes import SERVICE
from homeport.host.look import SLOT
from homeport.model import Release

Args = Mapping[str, Any]


class Stage(Protocol):
    """Where the hands work: the machine of the moment, and who must be told of effects."""

    machine: Machine
    #: how the release that a deploy makes is ill: not at all, never healthy, or bad in its watch
    ill: Mapping[str, str]

    def effect(self, what: str) -> None:
        """Something has changed."""


class Engine:
    """The Docker Engine. There is one: the host makes further ones for its threads."""

    stage: Stage

    def containers(self, *labels: str) -> list[dict[str, Any]]:
        """The containers of the slot that the labels name."""
        slot = dict(one.split("=", 1) for one in labels)[SLOT]
        return [
            {
                "Id": f"{at}/{name}",
                "State": "running" if box.running else "exited",
                "Labels": {SERVICE: name},
            }
            for (at, name), box in sorted(self.stage.machine.boxes.items())
            if at == slot
        ]

    def inspect(self, name: str) -> dict[str, Any]:
        """Nothing that anybody here asks for."""
        return {}

    def start(self, name: str) -> None:
        """Start a container."""
        self._set(name, running=True)

    def stop(self, name: str, grace: int | None) -> None:
        """SIGTERM, and its end."""
        machine, (slot, service) = self.stage.machine, self._key(name)
        if machine.calm and service == "web" and slot in machine.asked:
            raise Violation(f"{slot} is told to end while it may have requests in flight")
        self._set(name, running=False)

    def set_policy(self, name: str, policy: str) -> None:
        """Give a container a restart policy."""
        self._set(name, policy=policy)

    def remove(self, name: str) -> None:
        """Remove a container."""
        del self.stage.machine.boxes[self._key(name)]
        self.stage.effect(f"remove {name}")

    def tag(self, image: str, name: str, mark: str) -> None:
        """Marks are for people."""

    def untag(self, name: str) -> None:
        """So is their end."""

    def _key(self, name: str) -> tuple[str, str]:
        slot, _, service = name.partition("/")
        return slot, service

    def _set(self, name: str, **how: Any) -> None:
        boxes, key = self.stage.machine.boxes, self._key(name)
        after = replace(boxes[key], **how)
        if after != boxes[key]:
            boxes[key] = after
            self.stage.effect(f"{name}: {how}")


class Edge:
    """The edge, as far as a run asks it."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    def sites(self) -> dict[str, Any]:
        """No site has anything special."""
        return {}

    def in_flight(self, address: str) -> int:
        """Requests end by themselves once the link has left a slot and somebody waits for them."""
        machine = self._stage.machine
        _, slot = links.read(APP, address)
        if machine.named() != slot:
            machine.asked -= {slot}
        return 0


def _boxes(ctx: Any, args: Args) -> str:
    release = ctx.release(str(args["release"]))
    ops_slot.sockets(ctx, {"slot": release.slot})
    machine = ctx.stage.machine
    for name in args["services"]:
        if (release.slot, name) not in machine.boxes:
            machine.boxes[release.slot, name] = Box()
            ctx.stage.effect(f"create {release.slot}/{name}")
        ctx.engine.start(f"{release.slot}/{name}")
    return ""


def _write_release(ctx: Any, args: Args) -> str:
    ctx.stage.machine.releases[ctx.fresh.id] = ctx.fresh
    ctx.stage.effect(f"release {ctx.fresh.id}")
    return ""


def _probe(ctx: Any, args: Args) -> str:
    release = ctx.release(str(args["release"]))
    up = ctx.stage.machine.boxes.get((release.slot, "web"), Box()).running
    if not up or ctx.stage.ill.get(release.id) == "never healthy":
        raise NeverHealthy(Problem("it does not answer", release.id))
    return ""


def watch(ctx: Any, args: Args) -> str:
    """The watch: bad where the release is meant to be, or one of its services does not run."""
    release: Release = ctx.release(str(args["release"]))
    up = ctx.facts().running(release)
    if not up or ctx.stage.ill.get(release.id) == "bad in its watch":
        raise TakenBack(Problem("it went bad in its watch", release.id))
    return ""


def _saved(ctx: Any, kind: str) -> str:
    machine = ctx.stage.machine
    name = f"{kind}-{ctx.run}"
    machine.sets[name] = machine.data
    ctx.stage.effect(f"a set of {machine.data}")
    return name


def _backup(ctx: Any, args: Args) -> str:
    ctx.journal("set", set=_saved(ctx, "backup"))
    return ""


def _snapshot(ctx: Any, args: Args) -> str:
    name = _saved(ctx, "snapshot")
    ctx.store.append(ctx.record("set", set=name), ctx.record("stake", set=name))
    return ""


def _change(ctx: Any, data: str) -> None:
    for content in ("half", data):
        ctx.stage.machine.data = content
        ctx.stage.effect(f"the data is {content}")


def _migrate(ctx: Any, args: Args) -> str:
    ctx.journal("schema", schema="")
    schema = ctx.release(str(args["release"])).schema
    _change(ctx, schema)
    if not args.get("later"):
        ctx.journal("schema", schema=schema)
    return ""


def _known(ctx: Any, args: Args) -> str:
    schema = ctx.release(str(args["release"])).schema
    if ctx.stage.machine.data != schema:
        raise MigrationFailed(Problem("the schema is another one", schema))
    ctx.journal("schema", schema=schema)
    return ""


def _restore_stake(ctx: Any, args: Args) -> str:
    data = ctx.stage.machine.sets[str(args["set"])]
    _change(ctx, data)
    ctx.store.append(ctx.record("schema", schema=data), ctx.record("stake", set=""))
    return ""


def _mark(ctx: Any, args: Args) -> str:
    ctx.store.set_current(ctx.release(str(args["release"])))
    return ""


def _prune(ctx: Any, args: Args) -> str:
    for name in args["releases"]:
        if name in ctx.stage.machine.releases:
            ops_slot.remove_slot(ctx, {"slot": ctx.release(name).slot})
            ctx.store.drop_release(name)
    return ""


def _nothing(ctx: Any, args: Args) -> str:
    return ""


#: what a step's ``do`` names: the host's own operation, or the short form of it
OPS: dict[str, Callable[[Any, Args], str]] = {
    "sockets": ops_slot.sockets,
    "standby-on": ops_slot.standby_on,
    "standby-off": ops_slot.standby_off,
    "start-kept": ops_slot.start_kept,
    "stop": ops_slot.stop,
    "policy-on": ops_slot.policy_on,
    "policy-off": ops_slot.policy_off,
    "remove-slot": ops_slot.remove_slot,
    "link": ops_traffic.link,
    "drain": ops_traffic.drain,
    "page-up": ops_edge.page_up,
    "page-down": ops_edge.page_down,
    "compose-up": _boxes,
    "write-release": _write_release,
    "probe": _probe,
    "watch": watch,
    "backup": _backup,
    "snapshot": _snapshot,
    "migrate": _migrate,
    "schema": _known,
    "restore-stake": _restore_stake,
    "mark": _mark,
    "prune": _prune,
    "verify": _nothing,
    "rehearse": _nothing,
    "prune-sets": _nothing,
}
