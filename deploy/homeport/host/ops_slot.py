"""A slot: its folder of sockets, its containers, and whether it answers."""

from __future__ import annotations

import calendar
import os
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Mapping

from homeport.core import envfile, link as links
from homeport.core.verdicts import Probe, healthy, pause
from homeport.errors import HostFault, NeverHealthy, Problem, SmokeFailed, StartFailed
from homeport.host import compose
from homeport.host.context import Context
from homeport.host.paths import sync, write
from homeport.host.probe import Slot
from homeport.model import Release

Args = Mapping[str, Any]
_SERVICE = "com.docker.compose.service"
#: three good probes must span this long, in seconds
SPAN = 1.0


def sockets(ctx: Context, args: Args) -> str:
    """Make the folder that the slot's web container shares with the edge.

    Open to every uid, because the container's is not ours; its parent lets nobody else in.
    """
    folder = ctx.paths.slot(str(args["slot"]))
    folder.mkdir(parents=True, exist_ok=True)
    os.chmod(folder, 0o777)
    sync(folder.parent)
    return ""


def standby_on(ctx: Context, args: Args) -> str:
    """Put the file there that tells the slot to write nothing."""
    write(ctx.paths.slot(str(args["slot"])) / links.STANDBY, "")
    return ""


def standby_off(ctx: Context, args: Args) -> str:
    """Take it away."""
    folder = ctx.paths.slot(str(args["slot"]))
    (folder / links.STANDBY).unlink(missing_ok=True)
    sync(folder)
    return ""


def compose_up(ctx: Context, args: Args) -> str:
    """Create and start services of a slot with Compose, with today's secrets."""
    release = ctx.release(str(args["release"]))
    _refresh_secrets(ctx, release)
    # Docker would make a missing one as root's; a removed slot that comes back has none
    sockets(ctx, {"slot": release.slot})
    ctx.figures["start_at"] = time.time()
    complaint = compose.up(ctx.paths, release, [str(one) for one in args["services"]])
    if complaint:
        raise StartFailed(
            Problem(
                f"{release.id} does not start", "docker compose", complaint + _tails(ctx, release)
            )
        )
    return ""


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


def start_kept(ctx: Context, args: Args) -> str:
    """Start containers of a slot that were kept."""
    release = ctx.release(str(args["release"]))
    ctx.figures["start_at"] = time.time()
    for one in _services(ctx, release.slot, args["services"]):
        try:
            ctx.engine.start(one["Id"])
        except HostFault as error:
            raise StartFailed(*error.problems) from error
    return "kept containers"


def stop(ctx: Context, args: Args) -> str:
    """Stop a slot's containers, each with its own grace; their processes are gone then."""
    running = [one for one in ctx.containers(str(args["slot"])) if one["State"] != "exited"]
    if running:
        with ThreadPoolExecutor(len(running)) as pool:
            list(pool.map(lambda one: _new_engine(ctx).stop(one["Id"]), running))
    return ""


def _new_engine(ctx: Context) -> Any:
    """An Engine of its own for a thread: the kept connection serves one at a time."""
    return type(ctx.engine)()


def policy_on(ctx: Context, args: Args) -> str:
    """Give the committed slot the restart policies its compose file names."""
    release = ctx.release(str(args["release"]))
    for one in ctx.containers(release.slot):
        policy = release.policies.get(one["Labels"].get(_SERVICE, ""), "no")
        ctx.engine.set_policy(one["Id"], policy)
    return ""


def policy_off(ctx: Context, args: Args) -> str:
    """Take a slot's restart policies away, so that no boot brings it back."""
    for one in ctx.containers(str(args["slot"])):
        ctx.engine.set_policy(one["Id"], "no")
    return ""


def remove_slot(ctx: Context, args: Args) -> str:
    """Remove a slot's containers and its folder of sockets."""
    slot = str(args["slot"])
    for one in ctx.containers(slot):
        ctx.engine.remove(one["Id"])
    _empty(ctx, slot)
    return ""


def _empty(ctx: Context, slot: str) -> None:
    # what the container's uid left there may not be ours to delete: the folder is, by its name
    shutil.rmtree(ctx.paths.slot(slot), ignore_errors=True)


def probe(ctx: Context, args: Args) -> str:
    """Wait until the slot is healthy, or say why it is not with the container's own words."""
    release = ctx.release(str(args["release"]))
    slot = Slot(ctx.paths, ctx.engine, release)
    good, within = int(args["good"]), float(args["within"])
    span = SPAN if good > 1 else 0.0
    before = _restarts(ctx, release)
    end = time.monotonic() + within
    probes: list[Probe] = []
    checked = ""
    while True:
        probes.append(slot.probe())
        if probes[-1].good and not checked:
            checked = _healthcheck(ctx, release)
            if checked != "passed":
                probes[-1] = Probe(probes[-1].at, False, checked)
                checked = ""
        if healthy(probes, good, span):
            break
        _still_there(ctx, release, before, probes[-1].why)
        # a good run that began in time may finish its second
        if time.monotonic() >= end and not probes[-1].good:
            why = f"{probes[-1].why}{_tails(ctx, release)}"
            what = f"{release.id} did not become healthy within {within:g} s"
            raise NeverHealthy(
                Problem(what, release.web, why, "homeport logs; mend the release, deploy again")
            )
        time.sleep(pause(probes, good, span, time.monotonic()))
    if "start_at" in ctx.figures:
        ctx.figures["container_s"] = round(time.time() - _started(ctx, release), 3)
    return f"{good} good in a row"


def _web(ctx: Context, release: Release) -> dict[str, Any]:
    found = _services(ctx, release.slot, [release.web])
    return (ctx.engine.inspect(found[0]["Id"]) or {}) if found else {}


def _started(ctx: Context, release: Release) -> float:
    """When the web container started, by Docker's own stamp."""
    text = str(_web(ctx, release).get("State", {}).get("StartedAt", ""))
    try:
        whole, _, part = text.rstrip("Z").partition(".")
        parsed = time.strptime(whole, "%Y-%m-%dT%H:%M:%S")
    except ValueError:
        return float(ctx.figures["start_at"])
    # Docker's stamps are in UTC
    return calendar.timegm(parsed) + float(f"0.{part or 0}")


def _healthcheck(ctx: Context, release: Release) -> str:
    """Run the container's own check once; ``passed`` where there is none or it passes."""
    seen = _web(ctx, release)
    test = ((seen.get("Config") or {}).get("Healthcheck") or {}).get("Test") or []
    if not test or test[0] == "NONE" or not seen.get("State", {}).get("Running"):
        return "passed"
    command = list(test[1:]) if test[0] == "CMD" else ["/bin/sh", "-c", str(test[1])]
    code, output = ctx.engine.run_in(seen["Id"], command)
    return "passed" if code == 0 else f"its health check exits with {code}: {output.strip()[-500:]}"


def _restarts(ctx: Context, release: Release) -> int:
    return int(_web(ctx, release).get("RestartCount") or 0)


def _still_there(ctx: Context, release: Release, restarts: int, why: str) -> None:
    seen = _web(ctx, release)
    state = seen.get("State") or {}
    if state.get("Running") and int(seen.get("RestartCount") or 0) == restarts:
        return
    code = state.get("ExitCode", "?")
    oom = ": it ran out of memory" if state.get("OOMKilled") else ""
    what = f"{release.web} of {release.id} ended with code {code}{oom}"
    raise StartFailed(
        Problem(what, release.web, f"{why}{_tails(ctx, release)}", "mend the release, deploy again")
    )


def smoke(ctx: Context, args: Args) -> str:
    """Run the user's own checks against the slot."""
    release = ctx.release(str(args["release"]))
    slot = Slot(ctx.paths, ctx.engine, release)
    failed = [why for why in (slot.check(one) for one in release.settings.smoke) if why]
    if failed:
        what = f"{len(failed)} of {len(release.settings.smoke)} smoke checks failed"
        mend = "mend the release or [[smoke]] in homeport.toml"
        raise SmokeFailed(Problem(what, release.id, "\n".join(failed) + _tails(ctx, release), mend))
    return f"{len(release.settings.smoke)} passed"


def _services(ctx: Context, slot: str, names: Any) -> list[dict[str, Any]]:
    found = {one["Labels"].get(_SERVICE): one for one in ctx.containers(slot)}
    return [found[name] for name in names if name in found]


def _tails(ctx: Context, release: Release) -> str:
    """The last lines of a slot's containers, and what their health checks said."""
    parts = []
    for one in ctx.containers(release.slot):
        service = one["Labels"].get(_SERVICE, "?")
        state = (ctx.engine.inspect(one["Id"]) or {}).get("State") or {}
        entries = (state.get("Health") or {}).get("Log") or []
        for entry in entries[-1:]:
            parts.append(f"health of {service}: {str(entry.get('Output', '')).strip()[-300:]}")
        text = "\n".join(dict.fromkeys(ctx.engine.logs(one["Id"], 40).splitlines()[-12:]))
        if text:
            parts.append(f"last lines of {service}:\n" + text[-1500:])
    return "\n" + "\n".join(parts) if parts else ""
