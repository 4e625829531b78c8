"""Verbs that only read: what is live, what happened, what the app writes."""

from __future__ import annotations

import threading
from dataclasses import asdict
from typing import Any

from homeport.core import cautions
from homeport.core import edge as edges
from homeport.core import envfile, offsite, recovery, tls
from homeport.core.facts import Facts
from homeport.core.journal import Run
from homeport.errors import Problem, UsageError
from homeport.host import look, read_data
from homeport.host.context import Context
from homeport.host.probe import Slot
from homeport.host.store import Lock
from homeport.model import Release

#: how often who follows a log hears that somebody is there, in seconds
BEAT = 10.0


def status(ctx: Context) -> dict[str, Any]:
    """What serves, how it is, what can be gone back to, and what needs a person."""
    facts = ctx.facts()
    live = facts.committed
    holder = Lock(ctx.paths.lock).held()
    answer: dict[str, Any] = {
        "app": ctx.paths.app,
        "release": live.id if live else "",
        "unrecorded": facts.unrecorded,
        "image": live.image if live else "",
        "digest": live.digest if live else "",
        "since": facts.history.committed_at,
        "healthy": _healthy(ctx, facts, live),
        "services": _services(facts, live),
        "link": facts.link or "",
        "mode": live.mode if live else "",
        "site": _site(facts, live),
        "releases": [_release(facts, one) for one in facts.releases],
        "running": holder,
        "unfinished": [one.id for one in facts.history.unfinished if one.id != holder.get("run")],
        "warnings": [*cautions.warnings(facts), *_warnings(ctx, facts, live, bool(holder))],
        "edge": {"version": facts.edge.version, "running": facts.edge.running},
        "host": {
            "docker": facts.host.docker,
            "compose": facts.host.compose,
            "disk_free": facts.host.disk_free,
            "mem_available": facts.host.mem_available,
        },
        "backup": read_data.summary(facts),
        "offsite": _offsite(facts, live),
        "frozen": asdict(facts.history.freeze) if facts.history.freeze else None,
        "maintenance": asdict(facts.maintenance) if facts.maintenance else None,
    }
    return answer


def _offsite(facts: Facts, live: Release | None) -> str:
    newest, backup = facts.newest(), live.settings.backup if live else None
    name = newest.manifest.id if newest else ""
    return offsite.sentence(facts.offsite, backup, facts.now, name)


def _healthy(ctx: Context, facts: Facts, live: Release | None) -> bool:
    if live is None or not facts.running(live):
        return False
    return Slot(ctx.paths, ctx.engine, live).probe().good


def _services(facts: Facts, live: Release | None) -> list[dict[str, Any]]:
    if live is None:
        return []
    return [
        {
            "name": one.service,
            "container": one.name,
            "state": "running" if one.running else f"ended ({one.exit_code})",
            "health": one.health,
            "restarts": one.restarts,
        }
        for one in facts.slot(live.slot)
    ]


def _site(facts: Facts, live: Release | None) -> str:
    if live is None:
        return ""
    site = facts.edge.sites.get(facts.app) or edges.site_of(live.settings, "")
    safe = "https://" if tls.on(site) else ""
    return ", ".join(f"{safe}{name}" for name in tls.names(site)) or f"port {site['port']}"


def _release(facts: Facts, release: Release) -> dict[str, Any]:
    return {
        "id": release.id,
        "image": release.image,
        "created": release.created,
        "served": release in facts.served,
        "taken_back": release.id in facts.history.taken_back,
        "can_roll_back": facts.way_back(release),
    }


def _warnings(ctx: Context, facts: Facts, live: Release | None, busy: bool) -> list[str]:
    found = []
    if not busy and recovery.plan(facts).steps:
        found.append("the host does not match its link: homeport recover")
    if live is not None:
        kept = look.text(ctx.store.env_file(live), strip=False)
        names = envfile.differing(kept, look.text(ctx.paths.settings_env, strip=False))
        if names:
            found.append(
                f"app.env differs from the live release in {', '.join(names)}: deploy to apply"
            )
    return found


def history(ctx: Context) -> list[dict[str, Any]]:
    """Every run, the latest first."""
    found = []
    for run in reversed(ctx.store.history().runs):
        end = run.end or {}
        figures = end.get("figures") or {}
        found.append(
            {
                "run": run.id,
                "verb": run.verb,
                "release": run.release,
                "from": run.origin,
                "outcome": end.get("outcome", "unfinished"),
                "code": end.get("code"),
                "sentence": end.get("sentence", ""),
                "at": run.began,
                "seconds": _took(run) if run.end else None,
                "who": run.cause.get("who", ""),
                "why": run.cause.get("why", ""),
                "url": run.cause.get("url", ""),
                "held_seconds": figures.get("held_s"),
                "sets": list(run.sets),
                "put_back": figures.get("put_back", ""),
            }
        )
    return found


def _took(run: Run) -> float:
    """The seconds that a run took, by a clock that does not jump where it was told by one."""
    told = ((run.end or {}).get("figures") or {}).get("total_s")
    if isinstance(told, (int, float)):
        return round(float(told), 1)
    return round(max(0.0, run.ended_at - run.began), 1)


def logs(ctx: Context) -> None:
    """Tell the last lines of the live slot's containers, or of one service, and follow if asked."""
    facts = ctx.facts()
    live = facts.committed
    wanted = ctx.request.release
    mine = [one for one in facts.slot(live.slot) if wanted in ("", one.service)] if live else []
    if not mine:
        names = ", ".join(live.moving) if live else "nothing serves"
        what, why = f"there is no service {wanted!r}", f"there are: {names}"
        mend = f"homeport logs {live.web}" if live else "homeport deploy"
        raise UsageError(Problem(what, "host", why, mend))
    for one in mine:
        if ctx.request.follow and one == mine[-1]:
            _follow(ctx, one.service, one.id)
        else:
            for line in ctx.engine.logs(one.id, ctx.request.lines).splitlines():
                ctx.tell({"e": "log", "service": one.service, "line": line})


def _follow(ctx: Context, service: str, container: str) -> None:
    over = threading.Event()

    def beat() -> None:
        # a container that writes nothing must not look like a connection that was lost
        while not over.wait(BEAT):
            ctx.tell({"e": "alive"})

    threading.Thread(target=beat, daemon=True).start()
    try:
        for data in ctx.engine.follow(container, ctx.request.lines):
            for line in data.decode("utf-8", "replace").splitlines():
                ctx.tell({"e": "log", "service": service, "line": line})
    finally:
        over.set()
