"""Facts: one look at the host, frozen. Reads only, and changes nothing."""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, Mapping

from homeport.core import envfile
from homeport.core.facts import Facts, HostFacts
from homeport.core.render import Rendered
from homeport.host import compose
from homeport.host.edge import NAME, Edge
from homeport.host.engine import Engine
from homeport.host.paths import Paths
from homeport.host.store import Store
from homeport.model import Container, Release

APP, SLOT = "homeport.app", "homeport.slot"
_SERVICE = "com.docker.compose.service"
_PROJECT = "com.docker.compose.project"


def facts(paths: Paths, engine: Engine, store: Store, edge: Edge) -> Facts:
    """Everything a plan may rest on but what its compose file names: ``named`` adds that."""
    releases = store.releases()
    mine = engine.containers(f"{APP}={paths.app}")
    project = engine.containers(f"{_PROJECT}={paths.app}")
    return Facts(
        app=paths.app,
        now=time.time(),
        releases=releases,
        link=store.read_link(),
        current=store.current(),
        history=store.history(),
        containers=tuple(sorted(_containers(engine, mine), key=lambda one: one.name)),
        images=frozenset(one.image for one in releases if engine.image(one.image) is not None),
        standby=_standby(paths),
        stale=stale(paths, store, releases),
        strangers=_strangers(project),
        shared_running=_shared(paths, mine),
        edge=edge.facts(),
        host=host(paths, engine),
    )


def named(known: Facts, engine: Engine, rendered: Rendered) -> Facts:
    """The facts with what is there of the networks, volumes and folders a compose file names."""
    return replace(
        known,
        networks=frozenset(one for one in rendered.networks if engine.network(one)),
        volumes=frozenset(one for one in rendered.volumes if engine.volume(one)),
        folders=frozenset(one.path for one in rendered.folders if _made(Path(one.path))),
        ours=frozenset(one.path for one in rendered.folders if _ours(Path(one.path))),
        filesystems={one: filesystem(Path(one)) for one in rendered.data},
    )


def host(paths: Paths, engine: Engine) -> HostFacts:
    """The machine as Docker and the kernel tell of it."""
    info = engine.info()
    return HostFacts(
        docker=str(info.get("ServerVersion", "")),
        compose=compose.version(paths),
        arch=str(info.get("Architecture", "")),
        memory_limits=bool(info.get("MemoryLimit", True)),
        mem_available=_memory(),
        disk_free=shutil.disk_usage(paths.folder).free,
        clock_synced=_clock(),
        boot_hook=text(paths.home / "boot-hook"),
        listeners=_listeners(engine),
    )


def stale(paths: Paths, store: Store, releases: tuple[Release, ...]) -> frozenset[str]:
    """Releases whose secrets are not today's: their containers must be made anew to go live."""
    today = text(paths.settings_env, strip=False)
    found = set()
    for one in releases:
        kept = text(store.env_file(one), strip=False)
        if envfile.with_todays(kept, today, one.settings.secrets) != envfile.with_todays(
            kept, kept, ()
        ):
            found.add(one.id)
    return frozenset(found)


def filesystem(path: Path) -> str:
    """The kind of filesystem a path lies on, by the longest mount point above it."""
    best, kind = "", ""
    target = os.path.realpath(path)
    for line in text(Path("/proc/self/mountinfo")).splitlines():
        left, _, right = line.partition(" - ")
        point = left.split()[4].replace("\\040", " ")
        inside = target == point or target.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):
            best, kind = point, right.split()[0]
    return kind


def slot_of(raw: Mapping[str, Any]) -> str:
    """The slot a container belongs to, from its labels."""
    return str((raw.get("Labels") or {}).get(SLOT, ""))


def _containers(engine: Engine, found: list[dict[str, Any]]) -> list[Container]:
    return [container for one in found if slot_of(one) for container in _container(engine, one)]


def _container(engine: Engine, one: Mapping[str, Any]) -> list[Container]:
    seen = engine.inspect(one["Id"])
    if seen is None:
        return []
    labels, state = one.get("Labels") or {}, seen["State"]
    rule = seen["HostConfig"].get("RestartPolicy") or {}
    policy = str(rule.get("Name") or "no")
    if rule.get("MaximumRetryCount"):
        policy += f":{rule['MaximumRetryCount']}"
    return [
        Container(
            id=seen["Id"],
            name=seen["Name"].lstrip("/"),
            service=str(labels.get(_SERVICE, "")),
            slot=slot_of(one),
            running=bool(state["Running"]) and not state.get("Restarting"),
            policy=policy,
            image=seen["Image"],
            started=str(state.get("StartedAt", "")),
            restarts=int(seen.get("RestartCount") or 0),
            health=str((state.get("Health") or {}).get("Status", "")),
            exit_code=int(state.get("ExitCode") or 0),
        )
    ]


def _standby(paths: Paths) -> tuple[str, ...]:
    return tuple(sorted(one.parent.name for one in paths.sockets.glob("r*/standby")))


def _strangers(project: list[dict[str, Any]]) -> tuple[str, ...]:
    names = [
        one["Names"][0].lstrip("/")
        for one in project
        if APP not in (one.get("Labels") or {}) and one.get("State") == "running"
    ]
    return tuple(sorted(names))


def _shared(paths: Paths, mine: list[dict[str, Any]]) -> str:
    if not any(not slot_of(one) for one in mine):
        return ""
    return text(paths.folder / "shared.hash") or "unknown"


def _made(path: Path) -> bool:
    """Whether a data folder exists and is the app's own already: not ours, or not empty."""
    try:
        return path.stat().st_uid != os.getuid() or any(path.iterdir())
    except PermissionError:
        return True
    except OSError:
        return False


def _ours(path: Path) -> bool:
    """Whether somebody put files into a data folder by hand, as the agent's own user."""
    try:
        return path.stat().st_uid == os.getuid() and any(path.iterdir())
    except OSError:
        return False


def _memory() -> int:
    """Bytes that new processes can have: the kernel's estimate, bounded by the cgroup's room."""
    free = 0
    for line in text(Path("/proc/meminfo")).splitlines():
        if line.startswith("MemAvailable:"):
            free = int(line.split()[1]) * 1024
    limit = text(Path("/sys/fs/cgroup/memory.max"))
    used = text(Path("/sys/fs/cgroup/memory.current"))
    if limit.isdigit() and used.isdigit():
        free = min(free, int(limit) - int(used))
    return free


def _clock() -> bool:
    """False only where a time service says that it has not synchronised yet."""
    folder = Path("/run/systemd/timesync")
    return not folder.exists() or (folder / "synchronized").exists()


def _listeners(engine: Engine) -> dict[int, str]:
    taken: dict[int, str] = {}
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in text(Path(table)).splitlines()[1:]:
            words = line.split()
            if words[3] == "0A" and not words[1].startswith(("0100007F:", "0" * 24 + "01000000:")):
                taken.setdefault(int(words[1].rsplit(":", 1)[1], 16), "a program of the host")
    for one in engine.call("GET", "/containers/json"):
        name = one["Names"][0].lstrip("/")
        for port in one.get("Ports") or []:
            if port.get("PublicPort") and name != NAME:
                taken[int(port["PublicPort"])] = f"container {name}"
    return taken


def text(path: Path, strip: bool = True) -> str:
    """What a file says, or nothing where it cannot be read."""
    try:
        found = path.read_text("utf-8", "replace")
    except OSError:
        return ""
    return found.strip() if strip else found
