"""Choices and refusals: which handover a deploy uses, and what stops it before it begins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Container, Iterable

from homeport.core import adopt, escape, storage
from homeport.core import edge as edges
from homeport.core.facts import Facts
from homeport.core.render import Rendered
from homeport.errors import Problem
from homeport.model import Image, Mode, Settings

MIB = 1024 * 1024
#: what a container without a memory limit is taken to need, and what must stay free besides
GUESS, SPARE = 96 * MIB, 48 * MIB
DISK_FACTOR, DISK_SPARE = 2.5, 64 * MIB
LEAST_COMPOSE, LEAST_DOCKER = (2, 35), (20, 10)
DOCKER = "curl -fsSL https://get.docker.com | sudo sh   (Docker restarts)"
_ARCH = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "armv6l": "arm"}


@dataclass(frozen=True)
class Choice:
    """The handover of a deploy, and what is said about it."""

    mode: Mode
    notices: tuple[str, ...] = ()
    #: whether there is memory for a second slot, where something is tried beside the first
    room: bool = True


def choose(settings: Settings, rendered: Rendered, facts: Facts) -> Choice:
    """The mode that the settings, the compose file and the host's memory allow."""
    asked = settings.deploy.handover
    notices: list[str] = []
    mode: Mode = asked or _default(settings, rendered)
    if rendered.alone and mode not in ("exclusive", "recreate"):
        names = ", ".join(rendered.alone)
        mode = "recreate"
        notices.append(
            f"recreate: {names} has a port, a fixed address or the network of the host, which two"
            " slots cannot share"
        )
    need = (rendered.memory or GUESS * len(rendered.services)) + SPARE
    free = facts.host.mem_available
    room = not free or free >= need
    if facts.committed is not None and _alone(settings, rendered, facts):
        assert facts.schema is not None
        change = f"{facts.schema.found} -> {facts.schema.wanted}"
        notices = [f"exclusive: the schema goes {change}, and no request may meet it half-way"]
        return Choice("exclusive", tuple(notices), room)
    two = facts.committed is not None and mode not in ("exclusive", "recreate")
    if two and not room:
        mode = "recreate"
        notices.append(
            f"recreate: two slots side by side need {need // MIB} MiB, {free // MIB} MiB are free"
        )
    return Choice(mode, tuple(notices))


def _alone(settings: Settings, rendered: Rendered, facts: Facts) -> bool:
    """Whether a migration is pending that no release may serve beside.

    A database server whose old code works on the new schema can be migrated under way; a file
    that the app writes cannot, since it could not be put back.
    """
    if settings.migrate is None or facts.schema is None or not facts.schema.pending:
        return False
    return bool(rendered.writable) or not settings.migrate.compatible


def _default(settings: Settings, rendered: Rendered) -> Mode:
    if not rendered.writable:
        return "overlap"
    return "single-writer" if settings.web.standby else "recreate"


def back_mode(old: Mode, settings: Settings, facts: Facts) -> Mode:
    """The handover of a rollback: the one its release was made for, if memory allows.

    One that was exclusive for its migration goes by what its app can do when nothing is migrated.
    """
    free = facts.host.mem_available
    if old == "exclusive":
        if settings.deploy.handover == "exclusive":
            return old
        old = "single-writer" if settings.web.standby else "recreate"
    if old != "recreate" and free and free < GUESS + SPARE:
        return "recreate"
    return old


def refusals(
    settings: Settings, rendered: Rendered, facts: Facts, image: Image, env: Container[str]
) -> tuple[Problem, ...]:
    """Everything that stops a deploy before its first change, all at once."""
    return (
        *rendered.problems,
        *escaping(settings, rendered, facts),
        *old_docker(facts),
        *old_compose(facts),
        *old_edge(facts),
        *_image(facts, image),
        *full(facts, image),
        *_memory(facts, rendered),
        *unset(settings, rendered, env),
        *impossible(settings, rendered),
        *taken(settings, facts),
        *adopt.strangers(settings, facts),
        *adopt.ports(settings, rendered, facts, edges.ports_of(edges.site_of(settings, ""))),
        *adopt.absent(settings, rendered, facts),
        *storage.problems(settings, rendered, facts),
    )


def escaping(settings: Settings, rendered: Rendered, facts: Facts) -> list[Problem]:
    """What the compose file reaches of other apps, as only the host itself can tell."""
    found = escape.problems(rendered.reached, rendered.folder, facts.neighbours, facts.leads)
    found += escape.taken(facts.others, settings.compose)
    return [one for one in found if one not in rendered.problems]


def version(text: str) -> tuple[int, ...]:
    """``(2, 40, 3)`` for ``v2.40.3-1``; empty where there is no number."""
    numbers = []
    for part in text.lstrip("v").split("-")[0].split("+")[0].split("."):
        if not part.isdigit():
            break
        numbers.append(int(part))
    return tuple(numbers)


def old_docker(facts: Facts) -> list[Problem]:
    """The Engine is missing or too old."""
    have = facts.host.docker
    return [] if version(have) >= LEAST_DOCKER else [older("Docker Engine 20.10", have)]


def old_compose(facts: Facts) -> list[Problem]:
    """Compose is missing or too old."""
    have = facts.host.compose
    return [] if version(have) >= LEAST_COMPOSE else [older("Docker Compose 2.35", have)]


def older(needed: str, found: str) -> Problem:
    """What is told of a version that will not do, or of none."""
    why, mend = f"it has {found or 'none'}", f"on the host: {DOCKER}"
    return Problem(f"{needed} or newer is needed", "host", why, mend)


def old_edge(facts: Facts) -> list[Problem]:
    """The edge that runs is of an older version than it must be."""
    edge = facts.edge
    if not (edge.running and edge.version and version(edge.version) < edges.LEAST):
        return []
    what = f"the edge is Caddy {edge.version}; 2.11.4 is needed"
    why = "older ones lose the body of a request that was held"
    return [Problem(what, "host", why, "homeport edge upgrade")]


def _image(facts: Facts, image: Image) -> list[Problem]:
    found = []
    arch = _ARCH.get(facts.host.arch, facts.host.arch)
    have = {platform.split("/")[1] for platform in image.platforms if platform.count("/") >= 1}
    if have and arch not in have:
        found.append(
            Problem(
                f"the image is not built for this host's {arch}",
                image.ref,
                f"it is built for {', '.join(sorted(have))}",
                f"docker buildx build --platform linux/{arch} …",
            )
        )
    return found


def full(facts: Facts, image: Image) -> list[Problem]:
    """Too little room where images lie, or where the app's folder does."""
    found, folder = [], f"/opt/{facts.app}"
    if image.pinned not in facts.images:
        need, root = int(DISK_FACTOR * image.size) + DISK_SPARE, facts.host.docker_root
        found += _room(root, facts.host.docker_free, need, "docker image prune -a")
    return found + _room(folder, facts.host.disk_free, DISK_SPARE, "df -h shows what is full")


def _room(where: str, free: int, need: int, mend: str) -> list[Problem]:
    if free >= need:
        return []
    why = f"{free // MIB} MiB are free"
    mend = f"{mend}; delete what is not needed"
    return [Problem(f"{need // MIB} MiB of disk are needed", f"host: {where}", why, mend)]


def _memory(facts: Facts, rendered: Rendered) -> list[Problem]:
    """Too little even for one slot at a time, by what small containers are taken to need."""
    live = facts.committed
    freed = GUESS * len(live.moving) if live and facts.running(live) else 0
    need, free = GUESS * len(rendered.services) + SPARE, facts.host.mem_available
    if not free or free + freed >= need:
        return []
    beside = " once the old release has stopped" if freed else ""
    return [
        Problem(
            f"about {need // MIB} MiB of memory are needed",
            "host",
            f"about {(free + freed) // MIB} MiB are free{beside}",
            "stop what else runs there (docker stats; ps aux --sort=-rss), or add memory or swap",
        )
    ]


def unset(settings: Settings, rendered: Rendered, env: Container[str]) -> list[Problem]:
    """Variables that the compose file or [secrets] names and ``env`` does not."""
    return valueless(settings.app, (*rendered.variables, *settings.secrets), env)


def valueless(app: str, names: Iterable[str], env: Container[str]) -> list[Problem]:
    """A problem for each variable that has no value on the host."""
    return [
        Problem(
            f"{name} has no value",
            f"/opt/{app}/app.env",
            "the compose file or [secrets] names it",
            f"add a line {name}=… there",
        )
        for name in dict.fromkeys(names)
        if name not in env
    ]


def impossible(settings: Settings, rendered: Rendered) -> list[Problem]:
    """A handover was asked for that the app cannot do."""
    asked, found = settings.deploy.handover, []
    where = "homeport.toml: [deploy] handover"
    if asked == "single-writer" and not settings.web.standby:
        why = "the new release must be able to start without writing"
        mend = (
            'set [web] standby = true if the app heeds HOMEPORT_STANDBY, else handover = "recreate"'
        )
        found.append(Problem("single-writer needs an app that can stand by", where, why, mend))
    if asked in ("overlap", "single-writer") and rendered.alone:
        why = f"{', '.join(rendered.alone)} has a port, a fixed address or the host's network"
        found.append(Problem(f"{asked} is not possible", where, why, 'set handover = "recreate"'))
    return found


def taken(settings: Settings, facts: Facts) -> list[Problem]:
    """Another app or program answers where this one wants to."""
    asked, found = edges.site_of(settings, ""), []
    other = edges.clash(facts.edge, settings.app, asked)
    where = "homeport.toml: [site]"
    if other:
        why = f"the app {other} answers there already"
        mend = "give this app another name or port"
        found.append(Problem(f"port {asked['port']} is taken", where, why, mend))
    same = edges.addressed(facts.edge, settings.app, asked)
    if same and not other:
        what = f"port {asked['port']} has a certificate for one IP address only"
        why = f"the app {same} answers by its address there"
        found.append(Problem(what, where, why, "name this app without an address, or another port"))
    for port in edges.ports_of(asked):
        holder = facts.host.listeners.get(port)
        if not holder or port in facts.edge.ports or other:
            continue
        mend = adopt.free(settings, port, holder)
        found.append(Problem(f"port {port} of the host is taken", where, f"by {holder}", mend))
    return found
