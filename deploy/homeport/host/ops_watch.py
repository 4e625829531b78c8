"""The watch: the seconds after a commit in which the engine takes a release back by itself."""

from __future__ import annotations

import http.client
import time
from typing import Any, Mapping

from homeport.core.verdicts import Look, bad
from homeport.errors import Problem, TakenBack
from homeport.host.context import Context
from homeport.host.probe import ask, judge
from homeport.model import Release, Smoke

Args = Mapping[str, Any]
PAUSE = 0.25
#: checks through the edge are this far apart, in seconds
SMOKE_PACE = 1.0


def watch(ctx: Context, args: Args) -> str:
    """Look on for so many seconds; raises TakenBack with the figures it rests on."""
    release, seconds = ctx.release(str(args["release"])), float(args["seconds"])
    end = time.monotonic() + seconds
    first = {one["Id"]: _restarts(ctx, one["Id"]) for one in ctx.containers(release.slot)}
    looks: list[Look] = []
    checks = 0
    next_check = time.monotonic()
    while True:
        smoke = ""
        now = time.monotonic()
        due = now >= next_check
        if due:
            smoke, next_check, checks = _through_edge(ctx, release), now + SMOKE_PACE, checks + 1
        if due or not looks:
            looks.append(_look(ctx, release, first, smoke))
        else:
            # between checks only the containers are looked at; the last check's result stands
            looks[-1] = _look(ctx, release, first, looks[-1].smoke)
        why = bad(looks)
        if why:
            raise TakenBack(
                Problem(f"{release.id} went bad in its watch", release.id, why, "homeport logs")
            )
        left = end - time.monotonic()
        if left <= 0:
            return f"{checks} checks through the edge passed"
        time.sleep(min(PAUSE, left))


def _look(ctx: Context, release: Release, first: Mapping[str, int], smoke: str) -> Look:
    down, unhealthy, restarts = [], [], 0
    for one in ctx.containers(release.slot):
        seen = ctx.engine.inspect(one["Id"]) or {}
        state = seen.get("State") or {}
        name = one["Labels"].get("com.docker.compose.service", "?")
        restarts += int(seen.get("RestartCount") or 0) - first.get(one["Id"], 0)
        if not state.get("Running") and state.get("ExitCode") != 0:
            down.append(name)
        if (state.get("Health") or {}).get("Status") == "unhealthy":
            unhealthy.append(name)
    return Look(time.monotonic(), restarts, tuple(down), tuple(unhealthy), smoke)


def _restarts(ctx: Context, container: str) -> int:
    return int((ctx.engine.inspect(container) or {}).get("RestartCount") or 0)


def _through_edge(ctx: Context, release: Release) -> str:
    site = release.settings.site
    checks = release.settings.smoke or (Smoke(release.settings.web.ready),)
    for one in checks:
        connection = http.client.HTTPConnection("127.0.0.1", site.port or 80, timeout=one.within)
        try:
            answer = ask(connection, one.path, site.name or "")
        except (OSError, http.client.HTTPException) as error:
            return f"GET {one.path} through the edge: {error or type(error).__name__}"
        if not release.settings.smoke:
            if answer.status >= 400:
                return f"GET {one.path} through the edge: {answer.status}"
            continue
        why = judge(one, answer)
        if why:
            return why
    return ""
