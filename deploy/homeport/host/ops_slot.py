"""A slot: its folder of sockets, its containers, and whether it answers."""

from __future__ import annotations

import os
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Mapping

from homeport.core import envfile, link as links
from homeport.errors import HostFault, Problem, StartFailed
from homeport.host import causes, compose, lasting
from homeport.host.causes import SERVICE
from homeport.host.context import Context
from homeport.host.paths import make, sync, write
from homeport.model import Release

Args = Mapping[str, Any]
#: what a slot that never served gets to end, in seconds
MOMENT = 1
#: Docker's own grace where a compose file names none, in seconds
DEFAULT_GRACE = 10


def sockets(ctx: Context, args: Args) -> str:
    """Make the folder that the slot's web container shares with the edge.

    Open to every uid, because the container's is not ours; its parent lets nobody else in.
    """
    folder = ctx.paths.slot(str(args["slot"]))
    make(folder)
    os.chmod(folder, 0o777)
    sync(folder.parent)
    return ""


def standby_on(ctx: Context, args: Args) -> str:
    """Put the file there that tells the slot to write nothing.

    The folder is open to the slot, which may have left anything by that name: nothing is followed.
    """
    path = ctx.paths.slot(str(args["slot"])) / links.STANDBY
    _away(path)
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644))
    sync(path.parent)
    return ""


def standby_off(ctx: Context, args: Args) -> str:
    """Take it away."""
    folder = ctx.paths.slot(str(args["slot"]))
    if folder.exists():
        _away(folder / links.STANDBY)
        sync(folder)
    return ""


def _away(path: Path) -> None:
    """Take a name away, whatever has it: a folder of another uid can only be renamed."""
    try:
        path.unlink(missing_ok=True)
    except IsADirectoryError:
        os.rename(path, path.with_name(f"{path.name}-{time.time_ns()}"))


def compose_up(ctx: Context, args: Args) -> str:
    """Create and start services of a slot with Compose, with today's secrets."""
    release = ctx.release(str(args["release"]))
    _refresh_secrets(ctx, release)
    # Docker would make a missing one as root's; a removed slot that comes back has none
    sockets(ctx, {"slot": release.slot})
    ctx.figures["start_at"] = time.time()
    names = [str(one) for one in args["services"]]
    complaint = ""
    if release.web in names and _inner(ctx):
        complaint = compose.up(ctx.paths, release, names, "--no-start")
        _hide(ctx, release)
    complaint = complaint or compose.up(ctx.paths, release, names)
    if complaint:
        why, mend = complaint + causes.told(ctx, release), "mend the release, deploy again"
        raise StartFailed(Problem(f"{release.id} does not start", "docker compose", why, mend))
    # while they come up: once the link names them, a boot must be able to start them again
    whole = lasting.flush(ctx.engine, ctx.paths.folder)
    return "" if whole else "the disk is still writing them out"


def _refresh_secrets(ctx: Context, release: Release) -> None:
    path = ctx.store.env_file(release)
    kept = path.read_text()
    try:
        today = ctx.paths.settings_env.read_text()
    except FileNotFoundError:
        today = ""
    fresh = envfile.with_todays(kept, today, release.settings.secrets)
    if fresh != kept:
        write(path, fresh, 0o600)


def _inner(ctx: Context) -> Mapping[str, Any]:
    """Where shared services of the app find the edge by the web service's name, if they do."""
    return (ctx.edge.sites().get(ctx.paths.app) or {}).get("inner") or {}


def _hide(ctx: Context, release: Release) -> None:
    """Take the web service's name from its container, before that starts: the edge has it.

    Compose gives every container its service's name on each network, and who asked for that name
    would reach one slot past the edge.
    """
    inner = _inner(ctx)
    for one in services_of(ctx, release.slot, [release.web] if inner else []):
        seen = ctx.engine.inspect(one["Id"]) or {}
        joined = (seen.get("NetworkSettings") or {}).get("Networks") or {}
        names = (joined.get(inner["network"]) or {}).get("Aliases") or []
        if inner["name"] in names:
            ctx.engine.leave(str(inner["network"]), one["Id"])
            kept = [name for name in names if name != inner["name"]]
            ctx.engine.connect(str(inner["network"]), one["Id"], kept)


def start_kept(ctx: Context, args: Args) -> str:
    """Start containers of a slot that were kept."""
    release = ctx.release(str(args["release"]))
    ctx.figures["start_at"] = time.time()
    _hide(ctx, release)
    for one in services_of(ctx, release.slot, args["services"]):
        try:
            ctx.engine.start(one["Id"])
        except HostFault as error:
            raise StartFailed(*error.problems) from error
    return "kept containers"


def stop(ctx: Context, args: Args) -> str:
    """Stop a slot's containers, each with its own grace; their processes are gone then.

    ``within`` bounds the grace in seconds: of all, or of the service ``only``.
    """
    only, within = str(args.get("only", "")), args.get("within")
    killed = _stop_all(ctx, str(args["slot"]), None if within is None else int(within), only)
    for name, seconds in killed:
        ctx.notice(f"{name} did not heed SIGTERM within {seconds:.0f} s and was killed")
    return f"{', '.join(name for name, _ in killed)} killed" if killed else ""


def _stop_all(
    ctx: Context, slot: str, within: int | None, only: str = ""
) -> list[tuple[str, float]]:
    """Stop what runs; the services that had to be killed, and after how many seconds."""
    ended = ("exited", "created", "dead")
    running = [one for one in ctx.containers(slot) if one["State"] not in ended]

    def stop_one(one: Mapping[str, Any]) -> tuple[str, float] | None:
        engine, name, begun = _new_engine(ctx), one["Labels"].get(SERVICE, "?"), time.monotonic()
        grace = within if only in ("", name) else None
        if grace is not None:
            own = ((engine.inspect(one["Id"]) or {}).get("Config") or {}).get("StopTimeout")
            # a bound only ever shortens what the compose file grants
            grace = min(grace, DEFAULT_GRACE if own is None else int(own))
        engine.stop(one["Id"], grace)
        seen = engine.inspect(one["Id"]) or {}
        return (name, time.monotonic() - begun) if causes.killed(seen) else None

    if not running:
        return []
    with ThreadPoolExecutor(len(running)) as pool:
        return [one for one in pool.map(stop_one, running) if one]


def _new_engine(ctx: Context) -> Any:
    """An Engine of its own for a thread: the kept connection serves one at a time."""
    return type(ctx.engine)()


def policy_on(ctx: Context, args: Args) -> str:
    """Give the committed slot the restart policies its compose file names."""
    release = ctx.release(str(args["release"]))
    for one in ctx.containers(release.slot):
        policy = release.policies.get(one["Labels"].get(SERVICE, ""), "no")
        ctx.engine.set_policy(one["Id"], policy)
    return ""


def policy_off(ctx: Context, args: Args) -> str:
    """Take a slot's restart policies away, so that no boot brings it back."""
    mine = ctx.containers(str(args["slot"]))
    for one in mine:
        ctx.engine.set_policy(one["Id"], "no")
    if mine and lasting.apart(ctx.engine, ctx.paths.folder):
        # elsewhere the link's own sync takes it along: never may the link last before this does
        lasting.flush(ctx.engine, ctx.paths.folder)
    return ""


def remove_slot(ctx: Context, args: Args) -> str:
    """Remove a slot's containers, with a moment to end by themselves, and its folder of sockets."""
    slot = str(args["slot"])
    _stop_all(ctx, slot, MOMENT)
    for one in ctx.containers(slot):
        ctx.engine.remove(one["Id"])
    _empty(ctx, slot)
    return ""


def _empty(ctx: Context, slot: str) -> None:
    # what the container's uid left there may not be ours to delete: the folder is, by its name
    shutil.rmtree(ctx.paths.slot(slot), ignore_errors=True)


def services_of(ctx: Context, slot: str, names: Any) -> list[dict[str, Any]]:
    """Every container of these services, by the order of the names: a worker may have several."""
    found = ctx.containers(slot)
    return [one for name in names for one in found if one["Labels"].get(SERVICE) == name]
