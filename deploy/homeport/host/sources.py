"""What a release may write that outlives it: its declared data, folders and named volumes alike.

As the containers of its moving services have it mounted, so that nothing is guessed from text.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from homeport.backups import Backup, Item
from homeport.core import link as links
from homeport.core.saving import asked
from homeport.host import postgres_find
from homeport.host.context import Context
from homeport.host.oneshot import OneShot
from homeport.model import Release

#: where a set lies in a one-shot container, and how long one may be at work in seconds
SET, LONGEST = "/homeport-set", 6 * 3600.0
#: the name that Docker gives a volume which has none: it goes with its container
_ANONYMOUS = re.compile(r"\A[0-9a-f]{64}\Z")
#: what a volume is named with where a folder has all its other names
_VOLUME = "volume:"


@dataclass(frozen=True)
class Mount:
    """One mount of declared data. ``source`` is as a set names it, ``target`` the container's path.

    A folder below the app's own is named as seen from there, a volume by its name in the compose
    file.
    """

    source: str
    target: str
    service: str
    #: what is not saved, as seen from the mount
    exclude: tuple[str, ...] = ()
    #: "file" or "socket" where it is no folder
    single: str = ""


def rules(ctx: Context, release: Release) -> Release:
    """The release with what is to be saved of it: where it names nothing, what the next one says.

    Only its own look at a copy stays out then: the older image may not have it. A PostgreSQL
    database that the next one names first is saved too, where this one is told of it.
    """
    wanted, coming = asked(release.settings), asked(ctx.fresh.settings) if ctx.fresh else None
    if wanted is None:
        wanted = replace(coming or Backup(), check=())
    elif coming and coming.postgres and not wanted.postgres:
        value = postgres_find.environment(ctx, release).get(coming.postgres, "")
        if value.startswith("postgres"):
            wanted = replace(wanted, postgres=coming.postgres)
    return replace(release, settings=replace(release.settings, backup=wanted))


@dataclass(frozen=True)
class _Place:
    """Something mounted that a service may write, under the path that Docker knows it by."""

    kind: str
    real: str
    target: str
    service: str
    #: how people may call it, the name that sets prefer first
    names: tuple[str, ...]
    #: whatever else is mounted below it: what lies there is not reached through this mount
    holes: tuple[str, ...] = ()
    single: str = ""


def declared(ctx: Context, release: Release) -> tuple[Mount, ...]:
    """The folders and volumes of declared data, each once, the web service's first."""
    return tuple(one for one in _named(ctx, release) if not one.single)


def singles(ctx: Context, release: Release) -> tuple[Mount, ...]:
    """Files and sockets that are mounted by themselves: no set has them."""
    return tuple(one for one in _named(ctx, release) if one.single)


def within(items: Iterable[Item], source: str, target: str) -> list[Item]:
    """The databases of a set that lie in a mount: two services may have others at its path."""
    mine = [one for one in items if one.kind == "sqlite" and one.mount == target]
    return [one for one in mine if one.source.startswith(f"{source}/")]


def _named(ctx: Context, release: Release) -> list[Mount]:
    """Each place once, under a name that no other one has, unless it is left out."""
    left = release.settings.backup.exclude if release.settings.backup else ()
    places = _places(ctx, release)
    taken = [(one, one.names) for one in places if one.kind == "bind"]
    # where two volumes want one name it is the same one's in every release
    for one in sorted(places, key=lambda one: one.real):
        if one.kind == "volume":
            taken.append((one, _free(one, taken)))
    names = dict(taken)
    found = []
    for one in places:
        exclude = _below(left, names[one])
        if "." not in exclude:
            mount = Mount(names[one][0], one.target, one.service, exclude, one.single)
            found.append((one, mount))
    kept = [one for one, _ in found if not one.single]
    return [mount for one, mount in found if not any(_covers(by, one) for by in kept)]


def _places(ctx: Context, release: Release) -> list[_Place]:
    """Whatever the moving services may write: told apart by what it is, not by its name."""
    found: dict[tuple[str, str], _Place] = {}
    for service in release.moving:
        like = OneShot(ctx, release, service).like
        mounts, host = like.get("Mounts") or [], like.get("HostConfig") or {}
        parts = {
            str(one["Target"]): str((one.get("VolumeOptions") or {}).get("Subpath") or "")
            for one in host.get("Mounts") or []
        }
        points = [str(one.get("Destination")) for one in mounts] + list(host.get("Tmpfs") or {})
        # Docker tells them in any order
        for one in sorted(mounts, key=lambda one: str(one.get("Destination"))):
            target, kind = str(one.get("Destination")), str(one.get("Type"))
            part = parts.get(target, "").strip("/")
            names = _names(ctx, one, part)
            if not names or not one.get("RW") or target == links.RUN:
                continue
            real = str(one["Source"]) if kind == "bind" else names[-1].removeprefix(_VOLUME)
            holes = tuple(point for point in points if _below_it(point, target))
            single = _single(real) if kind == "bind" else ""
            made = _Place(kind, real, target, service, names, holes, single)
            found.setdefault((kind, real), made)
    return list(found.values())


def _single(path: str) -> str:
    """What it is if it is no folder; what the agent may not look at is taken for one."""
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return ""
    return "" if stat.S_ISDIR(mode) else "file" if stat.S_ISREG(mode) else "socket"


def _free(place: _Place, taken: list[tuple[_Place, tuple[str, ...]]]) -> tuple[str, ...]:
    """The names of a volume that neither are nor hold another one's."""
    volume = place.real.partition("/")[0]
    others = [
        name
        for one, names in taken
        if one.kind == "bind" or one.real.partition("/")[0] != volume
        for name in names
    ]
    return tuple(
        name
        for name in place.names
        if not any(_same(name, one) or _same(one, name) for one in others)
    )


def _below_it(path: str, folder: str) -> bool:
    return path.startswith(f"{folder.rstrip('/')}/") and path != folder


def _same(path: str, folder: str) -> bool:
    """Whether a path is a folder's, or the folder."""
    return path == folder or _below_it(path, folder)


def _covers(folder: _Place, place: _Place) -> bool:
    """Whether one holds all of another: nothing is mounted over any of it where that one is."""
    if folder.kind != place.kind or not _below_it(place.real, folder.real):
        return False
    there = folder.target.rstrip("/") + place.real[len(folder.real.rstrip("/")) :]
    return not any(_same(there, hole) or _same(hole, there) for hole in folder.holes)


def grouped(mounts: Iterable[Mount]) -> dict[str, list[Mount]]:
    """The mounts by the service whose user and image reach them."""
    found: dict[str, list[Mount]] = {}
    for one in mounts:
        found.setdefault(one.service, []).append(one)
    return found


def _names(ctx: Context, mount: Mapping[str, Any], part: str) -> tuple[str, ...]:
    """How people may call what is mounted, the name in sets first; none for what is no data.

    ``part`` is what of a volume is mounted. The last name of a volume can be no folder's.
    """
    if mount.get("Type") == "volume":
        name = str(mount.get("Name", ""))
        if _ANONYMOUS.match(name):
            return ()
        whole = (name.removeprefix(f"{ctx.paths.app}_"), name, f"{_VOLUME}{name}")
        return tuple(f"{one}/{part}" if part else one for one in whole)
    if mount.get("Type") == "bind":
        path, own = str(mount.get("Source", "")), f"{ctx.paths.folder}/"
        return (path.removeprefix(own), path) if path.startswith(own) else (path,)
    return ()


def _below(paths: tuple[str, ...], names: tuple[str, ...]) -> tuple[str, ...]:
    """What of the paths lies in a mount of these names, as seen from it; "." for all of it."""
    found = []
    for path in (one.removeprefix("./").rstrip("/") for one in paths):
        for name in names:
            if path == name:
                found.append(".")
            elif path.startswith(f"{name}/"):
                found.append(path.removeprefix(f"{name}/"))
    return tuple(dict.fromkeys(found))
