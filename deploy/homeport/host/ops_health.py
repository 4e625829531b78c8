"""Whether a new slot is good: the engine's own probes, the container's check, the user's checks."""

from __future__ import annotations

import time
from typing import Any, Callable, Mapping

from homeport.core.verdicts import Probe, healthy, pause
from homeport.errors import NeverHealthy, Problem, SmokeFailed, StartFailed
from homeport.host import causes
from homeport.host.causes import SERVICE
from homeport.host.context import Context
from homeport.host.ops_slot import services_of
from homeport.host.probe import Slot
from homeport.model import Release

Args = Mapping[str, Any]
#: three good probes must span this long, in seconds
SPAN = 1.0
_AGAIN = "mend the release, deploy again"


def probe(ctx: Context, args: Args) -> str:
    """Wait until the slot is healthy, or say why it is not with the container's own words."""
    release = ctx.release(str(args["release"]))
    slot = Slot(ctx.paths, ctx.engine, release, ctx.masked)
    good, within = int(args["good"]), float(args["within"])
    before = _restarts(ctx, release)

    def there(why: str) -> None:
        ctx.stop.look()
        _still_there(ctx, release, before, why)

    why = until_healthy(
        slot.probe,
        lambda left: healthcheck(ctx, _web(ctx, release), left),
        there,
        good,
        within,
    )
    if why:
        what = f"{release.id} did not become healthy within {within:g} s"
        why += causes.told(ctx, release)
        raise NeverHealthy(
            Problem(what, release.web, why, "homeport logs; mend the release, deploy again")
        )
    if "start_at" in ctx.figures:
        begun = causes.instant(str(_web(ctx, release).get("State", {}).get("StartedAt", "")))
        began = begun or float(ctx.figures["start_at"])
        ctx.figures["container_s"] = round(max(0.0, time.time() - began), 3)
    return f"{good} good in a row"


def until_healthy(
    ask: Callable[[], Probe],
    check: Callable[[float], str],
    there: Callable[[str], None],
    good: int,
    within: float,
) -> str:
    """Probe until a release is healthy; why it is not after so many seconds, or nothing.

    Args:
        ask: one probe.
        check: the container's own check, run once, with the seconds that are left; ``passed``.
        there: raises where it has ended; told why the last probe was bad.
        good: probes in a row; more than one span a second.
        within: seconds.
    """
    span = SPAN if good > 1 else 0.0
    end = time.monotonic() + within
    probes: list[Probe] = []
    checked = ""
    while True:
        probes.append(ask())
        if probes[-1].good and not checked:
            checked = check(end - time.monotonic())
            if checked != "passed":
                probes[-1] = Probe(probes[-1].at, False, checked)
                checked = ""
        # what has ended while the last probe was good must not go live either
        there(probes[-1].why)
        if healthy(probes, good, span):
            return ""
        # a good run that began in time may finish its second
        if time.monotonic() >= end and not probes[-1].good:
            return probes[-1].why
        time.sleep(pause(probes, good, span, time.monotonic()))


def _web(ctx: Context, release: Release) -> dict[str, Any]:
    found = services_of(ctx, release.slot, [release.web])
    return (ctx.engine.inspect(found[0]["Id"]) or {}) if found else {}


def healthcheck(
    ctx: Context, seen: Mapping[str, Any], left: float, of: Mapping[str, Any] | None = None
) -> str:
    """Run a container's own check once; ``passed`` where there is none or it passes.

    It gets its own timeout, and no more than what is ``left`` of the start, in seconds. ``of`` is
    the container that has the check, where that is another one.
    """
    own_check = ((seen if of is None else of).get("Config") or {}).get("Healthcheck") or {}
    test = own_check.get("Test") or []
    if not test or test[0] == "NONE" or not seen.get("State", {}).get("Running"):
        return "passed"
    command = list(test[1:]) if test[0] == "CMD" else ["/bin/sh", "-c", str(test[1])]
    # Docker's own unit is the nanosecond; where a check names no timeout, Docker takes 30 s
    own = float(own_check.get("Timeout") or 0) / 1e9 or 30.0
    timeout = min(own, max(left, 1.0))
    try:
        code, output = ctx.engine.run_in(seen["Id"], command, timeout)
    except TimeoutError:
        return f"its health check does not end within {timeout:.0f} s"
    said = ctx.masked(output).strip()[-500:]
    return "passed" if code == 0 else f"its health check exits with {code}: {said}"


def _restarts(ctx: Context, release: Release) -> int:
    return int(_web(ctx, release).get("RestartCount") or 0)


def _still_there(ctx: Context, release: Release, restarts: int, why: str) -> None:
    """Raise StartFailed where a container of the slot has ended, or was killed for its memory."""
    begun = float(ctx.figures.get("start_at", time.time()))
    for one in ctx.containers(release.slot):
        service = one["Labels"].get(SERVICE, "?")
        seen = ctx.engine.inspect(one["Id"]) or {}
        state = seen.get("State") or {}
        gone = not state.get("Running")
        if service != release.web:
            # a kept worker that is started only after the commit ended long ago
            late = causes.instant(str(state.get("FinishedAt", ""))) >= begun
            gone = gone and late and state.get("ExitCode") != 0
        elif int(seen.get("RestartCount") or 0) != restarts:
            gone = True
        if gone or (state.get("Running") and causes.starved(seen)):
            what = f"{causes.ended(service, seen)} in {release.id}"
            more = f"{why}{causes.told(ctx, release)}".strip()
            raise StartFailed(Problem(what, service, more, causes.mend(seen)))
    if not _web(ctx, release):
        raise StartFailed(
            Problem(f"{release.web} of {release.id} is gone", release.web, why, _AGAIN)
        )


def smoke(ctx: Context, args: Args) -> str:
    """Run the user's own checks against the slot."""
    release = ctx.release(str(args["release"]))
    slot = Slot(ctx.paths, ctx.engine, release, ctx.masked)
    failed = [why for why in (slot.check(one) for one in release.settings.smoke) if why]
    if failed:
        what = f"{len(failed)} of {len(release.settings.smoke)} smoke checks failed"
        mend = "mend the release or [[smoke]] in homeport.toml"
        raise SmokeFailed(
            Problem(what, release.id, "\n".join(failed) + causes.told(ctx, release), mend)
        )
    return f"{len(release.settings.smoke)} passed"
