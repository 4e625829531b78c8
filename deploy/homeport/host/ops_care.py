"""Upkeep of the live databases, in a one-shot container of the release that serves."""

from __future__ import annotations

from typing import Any, Mapping

from homeport.core import care
from homeport.core.care import Database
from homeport.host import postgres_care, sources
from homeport.host.context import Context
from homeport.host.oneshot import OneShot
from homeport.model import Release

Args = Mapping[str, Any]
#: seconds that a locked database is waited for
WAIT = 5.0
#: seconds for a look that reads nothing but figures
LOOK = 60.0


def look(ctx: Context, release: Release) -> tuple[Database, ...]:
    """The live SQLite databases as they are: read, not touched."""
    found = _each(ctx, release, "look", LOOK)
    return tuple(care.database(name, line) for name, line in found)


def upkeep(ctx: Context, args: Args) -> str:
    """Check, vacuum, analyze or checkpoint every database; what was done is in the figures.

    Damage is no failure of this step: it is told once everybody is answered again.
    """
    do, release = str(args["do"]), ctx.release(str(args["release"]))
    within = float(args["within"])
    told: list[dict[str, Any]] = [
        {"database": name, **{key: line[key] for key in line if key != "path"}}
        for name, line in _each(ctx, release, do, within)
    ]
    if care.postgres(release):
        told.append(_postgres(ctx, release, do, within))
    ctx.figures["databases"] = told
    for one in told:
        ctx.notice(care.sentence(do, str(one["database"]), one))
    return f"{len(told)} database{'s' * (len(told) != 1)}"


def _each(
    ctx: Context, release: Release, do: str, within: float
) -> list[tuple[str, dict[str, Any]]]:
    """What ``inside/care.py`` tells of each database, by the name that sets have for it."""
    found: dict[str, dict[str, Any]] = {}
    saved = ctx.facts().sets[-1:]
    for service in release.moving:
        mine = [one for one in sources.declared(ctx, release) if one.service == service]
        if not mine:
            continue
        known = {
            f"{one.target}/{item.source[len(one.source) + 1:]}"
            for one in mine
            for item in (saved[0].items if saved else ())
            if item.kind == "sqlite" and item.source.startswith(f"{one.source}/")
        }
        mounts = [{"path": one.target, "exclude": list(one.exclude)} for one in mine]
        asked = {"do": do, "mounts": mounts, "known": sorted(known), "wait": WAIT}
        for line in OneShot(ctx, release, service).script("care", asked, within=within):
            path = str(line["path"])
            over = next(one for one in mine if path.startswith(f"{one.target.rstrip('/')}/"))
            found[f"{over.source}/{path[len(over.target.rstrip('/')) + 1:]}"] = line
    return sorted(found.items())


def _postgres(ctx: Context, release: Release, do: str, within: float) -> dict[str, Any]:
    """The same for the database server: it brings its log home by itself."""
    assert release.settings.backup is not None
    about = {"database": release.settings.backup.postgres, "postgres": True}
    if do == "checkpoint":
        return {**about, "failed": "PostgreSQL checkpoints by itself"}
    if do == "check":
        return {**about, **postgres_care.look(ctx, release, within)}
    tend = postgres_care.vacuum if do == "vacuum" else postgres_care.analyze
    told = tend(ctx, release, within)
    sizes = {at: {"size": told[at]} for at in ("before", "after")}
    return {**about, **told, **sizes}
