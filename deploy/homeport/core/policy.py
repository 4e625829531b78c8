"""Choices and refusals: which handover a deploy uses, and what stops it before it begins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Mapping

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
#: filesystems on which SQLite's locks or its shared memory do not work
UNSAFE = frozenset(
    ("nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "virtiofs", "fuse.sshfs", "vboxsf")
)
_ARCH = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "armv6l": "arm"}


@dataclass(frozen=True)
class Choice:
    """The handover of a deploy, and what is said about it."""

    mode: Mode
    notices: tuple[str, ...] = ()


def choose(settings: Settings, rendered: Rendered, facts: Facts) -> Choice:
    """The mode that the settings, the compose file and the host's memory allow."""
    asked = settings.deploy.handover
    notices: list[str] = []
    mode: Mode = asked or _default(settings, rendered)
    if rendered.alone and mode != "recreate":
        names = ", ".join(rendered.alone)
        mode = "recreate"
        notices.append(
            f"recreate: {names} has a port or network of the host, which two slots cannot share"
        )
    need = (rendered.memory or GUESS * len(rendered.services)) + SPARE
    free = facts.host.mem_available
    two = facts.committed is not None and mode != "recreate"
    if two and free and free < need:
        mode = "recreate"
        notices.append(
            f"recreate: two slots side by side need {need // MIB} MiB, {free // MIB} MiB are free"
        )
    return Choice(mode, tuple(notices))


def _default(settings: Settings, rendered: Rendered) -> Mode:
    if not rendered.writable:
        return "overlap"
    return "single-writer" if settings.web.standby else "recreate"


def back_mode(old: Mode, settings: Settings, facts: Facts) -> Mode:
    """The handover of a rollback: the one its release was made for, if memory allows."""
    free = facts.host.mem_available
    if old != "recreate" and free and free < GUESS + SPARE:
        return "recreate"
    return old


def refusals(
    settings: Settings, rendered: Rendered, facts: Facts, image: Image, env: Mapping[str, str]
) -> tuple[Problem, ...]:
    """Everything that stops a deploy before its first change, all at once."""
    return (
        *rendered.problems,
        *_host(facts),
        *_image(facts, image),
        *_env(settings, rendered, env),
        *_mode(settings, rendered),
        *_site(settings, facts),
        *_strangers(settings, facts),
        *_data(rendered, facts),
    )


def warnings(facts: Facts) -> tuple[str, ...]:
    """What a person should know and nothing is stopped for."""
    found = []
    host = facts.host
    if not host.boot_hook:
        found.append(
            "the boot hook is missing: after a power cut nothing mends itself (homeport setup)"
        )
    if not host.memory_limits:
        found.append(
            "memory limits have no effect on this kernel: add cgroup_enable=memory cgroup_memory=1"
            " to /boot/firmware/cmdline.txt and reboot"
        )
    if not host.clock_synced:
        found.append("the clock is not synchronised: check timedatectl")
    found += [
        f"{path} holds files of the user homeport; an app that runs as another one cannot write"
        f" there: sudo chown -R UID:GID {path}"
        for path in sorted(facts.ours)
    ]
    if facts.history.garbled:
        found.append(
            f"{facts.history.garbled} lines of the journal cannot be read; they are skipped"
        )
    return tuple(found)


def version(text: str) -> tuple[int, ...]:
    """``(2, 40, 3)`` for ``v2.40.3-1``; empty where there is no number."""
    numbers = []
    for part in text.lstrip("v").split("-")[0].split("+")[0].split("."):
        if not part.isdigit():
            break
        numbers.append(int(part))
    return tuple(numbers)


def _host(facts: Facts) -> list[Problem]:
    host, found = facts.host, []
    if version(host.docker) < LEAST_DOCKER:
        why = f"it has {host.docker or 'none'}"
        found.append(
            Problem(
                "Docker Engine 20.10 or newer is needed",
                "host",
                why,
                "https://docs.docker.com/engine/install/",
            )
        )
    if version(host.compose) < LEAST_COMPOSE:
        why = f"it has {host.compose or 'none'}"
        mend = "sudo apt-get install docker-compose-plugin"
        found.append(Problem("Docker Compose 2.35 or newer is needed", "host", why, mend))
    edge = facts.edge
    if edge.running and edge.version and version(edge.version) < edges.LEAST:
        why = "older ones lose the body of a request that was held"
        mend = "docker rm -f homeport-edge, then deploy again"
        found.append(
            Problem(f"the edge is Caddy {edge.version}; 2.11.4 is needed", "host", why, mend)
        )
    return found


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
    need = int(DISK_FACTOR * image.size) + DISK_SPARE
    if image.pinned not in facts.images and facts.host.disk_free < need:
        free = facts.host.disk_free // MIB
        mend = "docker image prune -a, or delete what is not needed"
        found.append(
            Problem(f"{need // MIB} MiB of disk are needed", "host", f"{free} MiB are free", mend)
        )
    return found


def _env(settings: Settings, rendered: Rendered, env: Mapping[str, str]) -> list[Problem]:
    missing = [name for name in rendered.variables if name not in env]
    missing += [name for name in settings.secrets if name not in env and name not in missing]
    where = f"/opt/{settings.app}/app.env"
    return [
        Problem(
            f"{name} has no value",
            where,
            "the compose file or [secrets] names it",
            f"add a line {name}=… there",
        )
        for name in missing
    ]


def _mode(settings: Settings, rendered: Rendered) -> list[Problem]:
    asked, found = settings.deploy.handover, []
    where = "homeport.toml: [deploy] handover"
    if asked == "single-writer" and not settings.web.standby:
        why = "the new release must be able to start without writing"
        mend = (
            'set [web] standby = true if the app heeds HOMEPORT_STANDBY, else handover = "recreate"'
        )
        found.append(Problem("single-writer needs an app that can stand by", where, why, mend))
    if asked in ("overlap", "single-writer") and rendered.alone:
        why = f"{', '.join(rendered.alone)} has a port or network of the host"
        found.append(Problem(f"{asked} is not possible", where, why, 'set handover = "recreate"'))
    return found


def _site(settings: Settings, facts: Facts) -> list[Problem]:
    site, found = edges.site_of(settings, ""), []
    other = edges.clash(facts.edge, settings.app, site)
    where = "homeport.toml: [site]"
    if other:
        why = f"the app {other} answers there already"
        found.append(
            Problem(
                f"port {site['port']} is taken", where, why, "give this app another name or port"
            )
        )
    port = int(site["port"])
    holder = facts.host.listeners.get(port)
    if holder and port not in facts.edge.ports and not other:
        mend = f"stop it (sudo ss -ltnp 'sport = :{port}' shows it), or set another [site] port"
        if holder.startswith("container "):
            mend = f"docker stop {holder.split()[1]}, or set another [site] port"
        found.append(Problem(f"port {port} of the host is taken", where, f"by {holder}", mend))
    return found


def _strangers(settings: Settings, facts: Facts) -> list[Problem]:
    if not facts.strangers:
        return []
    return [
        Problem(
            f"a Compose project {settings.app!r} runs already",
            "host",
            f"containers: {', '.join(facts.strangers)}",
            f"docker compose -p {settings.app} down   (its volumes stay and are taken over)",
        )
    ]


def _data(rendered: Rendered, facts: Facts) -> list[Problem]:
    return [
        Problem(
            f"{path} lies on {facts.filesystems[path]}",
            "host",
            "a SQLite database there would be damaged",
            "move the app's data to a local disk",
        )
        for path in rendered.data
        if facts.filesystems.get(path) in UNSAFE
    ]
