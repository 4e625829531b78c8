"""Why a container is not well, in its own words: how it ended, its health check, what it wrote."""

from __future__ import annotations

import calendar
import time
from typing import Any, Mapping

from homeport.core.tails import telling
from homeport.host.context import Context
from homeport.host.look import SERVICE as SERVICE
from homeport.model import Release

MIB = 1024 * 1024
#: what Docker says of SIGKILL: 128 and the signal's number
KILLED = 137
#: lines to look for a cause in, and characters of them to show
LINES, MOST = 300, 2000


def instant(stamp: str) -> float:
    """The seconds since the epoch of Docker's ``2026-01-31T12:00:00.123456789Z``; 0 for none."""
    whole, _, part = stamp.rstrip("Z").partition(".")
    try:
        parsed = time.strptime(whole, "%Y-%m-%dT%H:%M:%S")
    except ValueError:
        return 0.0
    # Docker's stamps are in UTC; before its first end a container has one of the year 1
    return calendar.timegm(parsed) + float(f"0.{part or 0}") if parsed.tm_year > 1 else 0.0


def starved(seen: Mapping[str, Any]) -> bool:
    """Whether the kernel killed a process of this container for want of memory."""
    return bool((seen.get("State") or {}).get("OOMKilled"))


def killed(seen: Mapping[str, Any]) -> bool:
    """Whether SIGKILL ended it, and Docker knows of no want of memory."""
    return (seen.get("State") or {}).get("ExitCode") == KILLED and not starved(seen)


def ended(service: str, seen: Mapping[str, Any]) -> str:
    """How a container ended, in a sentence without its end."""
    limit = int((seen.get("HostConfig") or {}).get("Memory") or 0)
    at = f" at its limit of {limit // MIB} MiB" if limit else ""
    if starved(seen):
        return f"{service} ran out of memory{at}"
    if killed(seen):
        # with version 1 of cgroups Docker hears of want of memory only while the container is there
        return f"{service} was killed (code 137), maybe for want of memory{at}"
    return f"{service} ended with code {(seen.get('State') or {}).get('ExitCode', '?')}"


def mend(seen: Mapping[str, Any]) -> str:
    """What helps."""
    if starved(seen):
        return "raise deploy.resources.limits.memory in the compose file, or mend the leak"
    if killed(seen):
        return (
            "`sudo dmesg | grep -i oom` says whether it was memory: raise its limit, or free some"
        )
    return "mend the release, deploy again"


def told(ctx: Context, release: Release) -> str:
    """What the slot's containers say themselves; it begins with a new line, or is empty."""
    parts = []
    for one in ctx.containers(release.slot):
        service = one["Labels"].get(SERVICE, "?")
        seen = ctx.engine.inspect(one["Id"]) or {}
        state = seen.get("State") or {}
        for entry in ((state.get("Health") or {}).get("Log") or [])[-1:]:
            said = ctx.masked(str(entry.get("Output", ""))).strip()
            parts.append(f"health of {service}: {said[-300:]}")
        if starved(seen):
            parts.append(ended(service, seen))
        again = int(seen.get("RestartCount") or 0)
        # of one that was started again the words before its end matter, not its new beginning
        until = instant(str(state.get("FinishedAt", ""))) if again else 0.0
        text = telling(ctx.masked(ctx.engine.logs(one["Id"], LINES, until)))[-MOST:]
        if text:
            head = f"{ended(service, seen)}; its lines before" if again else f"lines of {service}"
            parts.append(f"{head}:\n{text}")
    return "\n" + "\n".join(parts) if parts else ""
