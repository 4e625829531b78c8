"""Facts: one look at the host, frozen. Reads only, and changes nothing."""

from __future__ import annotations

import os
import re
import shutil
import time
from dataclasses import replace
from email.utils import mktime_tz, parsedate_tz
from pathlib import Path
from typing import Any, Mapping

from homeport.core import envfile
from homeport.core.journal import History
from homeport.core.maintenance import UNTIL, Maintenance
from homeport.core.facts import Facts, HostFacts
from homeport.core.oneshot import LABEL
from homeport.core.render import Rendered
from homeport.host import compose, lasting, neighbours, offsite_memory, proc, saving, spare
from homeport.host import storage
from homeport.host.edge import Edge
from homeport.host.engine import Engine
from homeport.host.paths import Paths
from homeport.host.proc import text as text
from homeport.host.store import Store
from homeport.model import Container, Release

APP, SLOT = "homeport.app", "homeport.slot"
SERVICE = "com.docker.compose.service"
_PROJECT = "com.docker.compose.project"
_CMDLINES = ("boot/firmware/cmdline.txt", "boot/cmdline.txt")
_FOLDER = "com.docker.compose.project.working_dir"


def facts(paths: Paths, engine: Engine, store: Store, edge: Edge) -> Facts:
    """Everything a plan may rest on but what its compose file names: ``named`` adds that."""
    # first: a Docker that will not do is said before anything else is asked of it
    machine = host(paths, engine)
    known = of_files(paths, store)
    releases, history = known.releases, known.history
    mine = engine.containers(f"{APP}={paths.app}")
    project = engine.containers(f"{_PROJECT}={paths.app}")
    return replace(
        known,
        containers=tuple(sorted(_containers(engine, mine), key=lambda one: one.name)),
        images=frozenset(
            one.image for one in releases if lasting.there(engine, paths.folder, one.image)
        ),
        standby=_standby(paths),
        stale=stale(paths, store, releases),
        strangers=_strangers(project),
        left_behind=_left_behind(paths, project),
        shared_running=_shared(paths, mine),
        edge=edge.facts(),
        maintenance=_maintenance(paths, history),
        offsite=offsite_memory.known(paths),
        host=machine,
    )


def of_files(paths: Paths, store: Store, root: Path = Path("/")) -> Facts:
    """What the app's own files tell; Docker is not asked for it."""
    known = Facts(
        app=paths.app,
        now=time.time(),
        releases=store.releases(),
        link=store.read_link(),
        current=store.current(),
        history=store.history(),
        lost=spare.lost(paths),
    )
    return saving.look(paths, known, root)


def named(known: Facts, engine: Engine, rendered: Rendered) -> Facts:
    """The facts with what is there of the networks, volumes and folders a compose file names."""
    return replace(
        known,
        networks=frozenset(one for one in rendered.networks if engine.network(one)),
        volumes=frozenset(one for one in rendered.volumes if engine.volume(one)),
        missing=frozenset(one.path for one in rendered.needed if _absent(Path(one.path))),
        folders=frozenset(one.path for one in rendered.folders if _made(Path(one.path))),
        ours=frozenset(one.path for one in rendered.folders if _ours(Path(one.path))),
        filesystems=storage.filesystems(engine, rendered),
        files=storage.files(rendered),
        neighbours=neighbours.apps(Paths(known.app, Path(rendered.folder).parent)),
        leads=neighbours.leads(rendered),
        others=neighbours.others(engine, rendered, known.app),
    )


def host(paths: Paths, engine: Engine) -> HostFacts:
    """The machine as Docker and the kernel tell of it."""
    info = engine.info()
    root = str(info.get("DockerRootDir") or HostFacts.docker_root)
    return HostFacts(
        docker=str(info.get("ServerVersion", "")),
        compose=compose.version(paths),
        arch=str(info.get("Architecture", "")),
        memory_limits=bool(info.get("MemoryLimit", True)),
        mem_available=memory(),
        disk_free=shutil.disk_usage(paths.folder).free,
        docker_root=root,
        docker_free=_free(root, paths.folder),
        clock_synced=clock(),
        boot_hook=text(paths.home / "boot-hook"),
        cmdline=cmdline(),
        listeners=_listeners(engine, paths.edge_name),
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
            service=str(labels.get(SERVICE, "")),
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


def _left_behind(paths: Paths, project: list[dict[str, Any]]) -> dict[str, str]:
    """Folders below the folder of a project started by hand, where that is not the app's own."""
    found = {}
    for one in project:
        labels = one.get("Labels") or {}
        base = str(labels.get(_FOLDER, "")).rstrip("/") + "/"
        if APP in labels or not base.startswith("/") or base == f"{paths.folder}/":
            continue
        for mount in one.get("Mounts") or []:
            source = str(mount.get("Source", ""))
            if mount.get("Type") == "bind" and mount.get("RW") and source.startswith(base):
                found[source] = f"{paths.folder}/{source[len(base):]}"
    return found


def _shared(paths: Paths, mine: list[dict[str, Any]]) -> str:
    # a one-shot container that was left over is nobody's service
    if all(slot_of(one) or LABEL in (one.get("Labels") or {}) for one in mine):
        return ""
    return text(paths.folder / "shared.hash") or "unknown"


def _maintenance(paths: Paths, history: History) -> Maintenance | None:
    """The page that is up, if one is, and who put it there."""
    if not paths.maintenance.exists():
        return None
    said = parsedate_tz(text(paths.sockets / UNTIL))
    until = mktime_tz(said) if said else 0.0
    mine = [run for run in history.runs if run.verb == "maintenance"]
    if not mine:
        return Maintenance(until=until)
    cause = mine[-1].cause
    return Maintenance(
        str(cause.get("who", "")), str(cause.get("why", "")), mine[-1].began, float(until)
    )


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


def _absent(path: Path) -> bool:
    """Whether there is nothing at a path; False where it cannot be looked at."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False


def memory() -> int:
    """Bytes that new processes can have: the kernel's estimate, bounded by the cgroup's room."""
    free = proc.memory(Path("/")).get("MemAvailable", 0)
    for folder, most, now in _CGROUP:
        limit, used = text(Path(folder, most)), text(Path(folder, now))
        if limit.isdigit() and used.isdigit():
            # what the cgroup only caches can be had back, and is counted as used
            cached = _CACHED.findall(text(Path(folder, "memory.stat")))
            room = int(limit) - int(used) + max(map(int, cached), default=0)
            free = min(free, max(room, 1))
    return free


#: v1 has the whole tree's beside the cgroup's own
_CACHED = re.compile(r"^(?:total_)?inactive_file (\d+)$", re.MULTILINE)
#: folder, limit and use in bytes: of cgroup v2, then of v1
_CGROUP = (
    ("/sys/fs/cgroup", "memory.max", "memory.current"),
    ("/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes"),
)


def _free(root: str, instead: Path) -> int:
    """Bytes free where Docker keeps images; where a container's agent may not see that, ours."""
    try:
        return shutil.disk_usage(root).free
    except OSError:
        return shutil.disk_usage(instead).free


def cmdline(root: Path = Path("/")) -> str:
    """Where this system keeps its kernel's command line: older ones of a Pi right in /boot."""
    return next((f"/{one}" for one in _CMDLINES if (root / one).exists()), HostFacts().cmdline)


def clock() -> bool:
    """False only where a time service says that it has not synchronised yet."""
    folder = Path("/run/systemd/timesync")
    return not folder.exists() or (folder / "synchronized").exists()


def _listeners(engine: Engine, edge: str) -> dict[int, str]:
    taken: dict[int, str] = {}
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in text(Path(table)).splitlines()[1:]:
            words = line.split()
            if words[3] == "0A" and not words[1].startswith(("0100007F:", "0" * 24 + "01000000:")):
                taken.setdefault(int(words[1].rsplit(":", 1)[1], 16), "a program of the host")
    for one in engine.call("GET", "/containers/json"):
        name = one["Names"][0].lstrip("/")
        for port in one.get("Ports") or []:
            if port.get("PublicPort") and name != edge:
                project = (one.get("Labels") or {}).get(_PROJECT)
                of = f" of the Compose project {project}" if project else ""
                taken[int(port["PublicPort"])] = f"container {name}{of}"
    return taken
