"""A check-up of this host: every reading for itself, so that none that fails ends the others.

What the kernel tells is read below ``root``, which is a folder of literal files in the tests.
"""

from __future__ import annotations

import grp
import http.client
import json
import os
import platform
import pwd
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any, Callable, Mapping, TypeVar

from homeport.core import doctor as doctors
from homeport.core import envfile
from homeport.core import restic as core_restic
from homeport.core.checkup import Checkup, Docker, Owned, Setup
from homeport.core.facts import Facts, HostFacts
from homeport.errors import HomeportError, Problem
from homeport.host import causes, compose, faults, hooks, look, machine, prepare, read_edge
from homeport.host import restic, storage
from homeport.host.context import Context
from homeport.host.engine import SOCKET, Engine
from homeport.host.paths import Paths
from homeport.host.store import BALLAST, Lock
from homeport.host.unix import UnixConnection
from homeport.model import Release, Settings
from homeport.wire import plain

T = TypeVar("T")
ROOT = Path("/")
#: a Docker that hangs must not hang the check-up too, in seconds
_PATIENCE = 5.0
#: what starts Docker at boot: the daemon, its socket, or Ubuntu's snap of it
_DOCKERS = ("docker.service", "docker.socket", "snap.docker.dockerd.service")


def doctor(ctx: Context) -> list[dict[str, Any]]:
    """Every finding about this host and its app, as an answer carries them."""
    return [dict(plain(one)) for one in doctors.examine(look_at(ctx))]


def look_at(ctx: Context, root: Path = ROOT) -> Checkup:
    """All that can be seen; what cannot is left out."""
    paths, request = ctx.paths, ctx.request
    refused: tuple[Problem, ...] = ()
    rendered = None
    if request.compose:
        try:
            rendered, _ = prepare.render_today(ctx)
        except HomeportError as error:
            refused = error.problems
        except OSError as error:
            what = "the compose file cannot be looked at"
            refused = (Problem(what, "host", str(error), "df -h   (is the disk full?)"),)
    docker = _docker(ctx, root)
    known: Facts | None = None
    try:
        known = None if docker.fault else ctx.facts()
    except HomeportError as error:
        first = error.problems[0]
        docker = replace(docker, fault=f"{first.what} {first.why}".strip(), mend=first.mend)
    except OSError as error:
        docker = replace(docker, fault=f"the host cannot be read: {error}", mend="sudo dmesg")
    facts = known or _of_files(ctx, root)
    live = facts.committed
    today = look.text(paths.settings_env, strip=False)
    kept = look.text(ctx.store.env_file(live), strip=False) if live else today
    holder = Lock(paths.lock).held()
    # while a run goes on, a release that does not answer may be about to end
    asked = live is not None and not docker.fault and not holder
    if asked:
        facts = _or(lambda: prepare.asked(ctx, facts), facts)
    return Checkup(
        facts=facts,
        asked_at=request.at,
        machine=machine.look_at(root, (str(paths.folder), facts.host.docker_root)),
        setup=_setup(paths, facts, root),
        docker=docker,
        settings=request.settings,
        rendered=rendered,
        refused=refused,
        env=frozenset(envfile.entries(today)),
        differing=envfile.differing(kept, today),
        asked=asked,
        certificates=_or(lambda: _certificates(ctx, facts), dict[str, float | None]()),
        holder={key: str(one) for key, one in holder.items()},
        restic=restic.version() if _offsite(request.settings, live) else None,
        opens=core_restic.opens(look.text(paths.restic_env, strip=False)),
    )


def _offsite(asked: Settings | None, live: Release | None) -> bool:
    """Whether the app's sets are to go off the box: by what is asked here, or by what is live."""
    known = [asked, live.settings if live else None]
    return any(one.backup and one.backup.offsite for one in known if one)


def _or(read: Callable[[], T], otherwise: T) -> T:
    """What ``read`` gives, or ``otherwise`` where it cannot."""
    try:
        return read()
    except (OSError, ValueError, KeyError, TypeError, http.client.HTTPException, HomeportError):
        return otherwise


def _of_files(ctx: Context, root: Path) -> Facts:
    """What the app's own files and the kernel tell without Docker."""
    store, paths = ctx.store, ctx.paths
    free = _or(lambda: shutil.disk_usage(paths.folder).free, 0)
    host = HostFacts(
        compose=_or(lambda: compose.version(paths), ""),
        arch=platform.machine(),
        mem_available=look.memory(),
        disk_free=free,
        docker_free=_or(lambda: shutil.disk_usage(HostFacts.docker_root).free, free),
        boot_hook=look.text(paths.home / "boot-hook"),
        clock_synced=look.clock(),
        cmdline=look.cmdline(root),
    )
    return replace(
        look.of_files(paths, store, root),
        filesystems={one: storage.filesystem(Path(one)) for one in ctx.rendered.data},
        files=storage.files(ctx.rendered),
        host=host,
    )


# --- Docker
def _docker(ctx: Context, root: Path) -> Docker:
    systemd = (root / "run/systemd/system").is_dir()
    fault, mend = _fault(os.environ.get("HOMEPORT_DOCKER_SOCKET", SOCKET), systemd)
    if fault:
        return Docker(fault, mend)
    nothing: list[Mapping[str, Any]] = []
    info: dict[str, Any] = _or(ctx.engine.info, dict[str, Any]())
    mine = _or(lambda: _mine(ctx.engine, ctx.paths.app), nothing)
    return Docker(
        storage=str(info.get("Driver", "")),
        cgroup=f"v{info.get('CgroupVersion') or 1}",
        unbounded=tuple(sorted(_name(one) for one in mine if _grows(one))),
        killed=tuple(sorted(_name(one) for one in mine if causes.starved(one))),
        strays=_or(lambda: _strays(ctx), dict[str, str]()),
    )


def _fault(socket: str, systemd: bool) -> tuple[str, str]:
    """Why Docker does not answer, and what mends that; nothing if it does."""
    connection = UnixConnection(socket, _PATIENCE)
    start = "sudo systemctl start docker" if systemd else "sudo service docker start"
    try:
        connection.request("GET", "/_ping")
        status = connection.getresponse().status
        if status == 200:
            return "", ""
        return f"Docker answers {status}", "sudo journalctl -u docker -n 50"
    except (OSError, http.client.HTTPException) as error:
        if isinstance(error, PermissionError):
            start = f"sudo usermod -aG docker {_user(os.getuid())}"
        elif not isinstance(error, (FileNotFoundError, ConnectionRefusedError)):
            start = start.replace(" start", " restart")
        return faults.silent(socket, error).problems[0].what, start
    finally:
        connection.close()


def _mine(engine: Engine, app: str) -> list[Mapping[str, Any]]:
    found = [engine.inspect(one["Id"]) for one in engine.containers(f"{look.APP}={app}")]
    return [one for one in found if one is not None]


def _name(seen: Mapping[str, Any]) -> str:
    return str(seen["Name"]).lstrip("/")


def _grows(seen: Mapping[str, Any]) -> bool:
    """Whether a container writes a log file that nothing ever cuts."""
    log = (seen.get("HostConfig") or {}).get("LogConfig") or {}
    bounded = (log.get("Config") or {}).get("max-size")
    return bool(seen["State"].get("Running")) and log.get("Type") == "json-file" and not bounded


def _strays(ctx: Context) -> dict[str, str]:
    """Image names and networks of the app's that no release stands behind.

    Containers are not among them: recovery clears a slot that has no release. Volumes are not
    either: they hold data.
    """
    app, releases = ctx.paths.app, ctx.store.releases()
    slots = {one.slot for one in releases}
    found = {}
    query = {"filters": json.dumps({"reference": [f"{app}:r[0-9]*"]})}
    for one in ctx.engine.call("GET", "/images/json", query=query):
        for tag in one.get("RepoTags") or ():
            if tag.startswith(f"{app}:r") and tag.partition(":")[2] not in slots:
                found[f"the image {tag}"] = f"docker image rm {tag}"
    used = set(ctx.rendered.networks)
    for one in (compose.project(ctx.paths, release) for release in releases):
        used.update(str(each.get("name")) for each in (one.get("networks") or {}).values())
    query = {"filters": json.dumps({"label": [f"{look.APP}={app}"]})}
    for one in ctx.engine.call("GET", "/networks", query=query):
        if one["Name"] not in used:
            found[f"the network {one['Name']}"] = f"docker network rm {one['Name']}"
    return found


def _certificates(ctx: Context, facts: Facts) -> dict[str, float | None]:
    """Name → when its certificate ends, for what the edge answers for this app over HTTPS."""
    site = facts.edge.sites.get(ctx.paths.app)
    told = read_edge.site_of(ctx, ctx.paths.app, site)["certificates"] if site else []
    return {str(one["name"]): one["ends"] for one in told}


# --- what setup left
def _setup(paths: Paths, facts: Facts, root: Path) -> Setup:
    user = _user(os.getuid())
    systemd = (root / "run/systemd/system").is_dir()
    kept = [paths.settings_env, paths.folder / ".env", *paths.releases.glob("*/env")]
    kept += [paths.restic_env] if paths.restic_env.exists() else []
    folders = (paths.home, paths.home / "agent", paths.home / "edge", paths.home / "run")
    return Setup(
        user=user,
        groups=_groups(),
        systemd=systemd,
        hook_runs=hooks.runs(facts.host.boot_hook, root, "boot"),
        lingers=(root / "var/lib/systemd/linger" / user).exists() if systemd else None,
        docker_at_boot=hooks.wanted(root, *_DOCKERS) if systemd else None,
        folders=tuple(_owned(one) for one in (*folders, paths.folder, paths.releases)),
        secrets=tuple(_owned(one) for one in kept),
        ballast=_or(lambda: paths.ballast.stat().st_size >= BALLAST, False),
    )


def _user(uid: int) -> str:
    return _or(lambda: pwd.getpwuid(uid).pw_name, str(uid))


def _owned(path: Path) -> Owned:
    try:
        found = path.stat()
    except OSError:
        return Owned(str(path))
    return Owned(str(path), _user(found.st_uid), found.st_mode & 0o7777)


def _groups() -> tuple[str, ...]:
    """The groups that this login has."""
    return tuple(sorted(_or(lambda: grp.getgrgid(one).gr_name, str(one)) for one in os.getgroups()))
