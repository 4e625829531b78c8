"""A set put somewhere: into a scratch place to see whether it can be, or where the data belongs.

Both are done by the same script in the app's own image, so what a check proves is what a restore
does.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from homeport import wire
from homeport.backups import Item, Manifest
from homeport.core import room
from homeport.errors import HostFault, Internal, NoSuchRelease, Problem
from homeport.host import postgres, sources
from homeport.host.context import Context
from homeport.host.oneshot import Bind, OneShot
from homeport.host.sources import LONGEST, SET, Mount, grouped, within
from homeport.model import Release

#: what it means that the restoring script failed: it names the file itself
FAILED = ("the copies cannot be put in place", "on the host: df -h; then the same again")
#: where the scratch place lies in a one-shot container
SCRATCH = "/homeport-scratch"


class Unreadable(HostFault):
    """The set itself cannot be told: what is wrong with its manifest, in sentences."""


@dataclass(frozen=True)
class Copy:
    """A set in a scratch place, and how a one-shot container gets to see it as its data.

    ``replace`` has a folder of the host's for every declared mount of the release, an empty one
    where the set has nothing for it: what runs on a copy never reaches the data itself.
    """

    replace: Mapping[str, str]
    seconds: float
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    #: what is wrong with the copies or with what came out of them
    problems: tuple[str, ...] = ()


def read(folder: Path) -> Manifest:
    """The manifest of a set in a folder; raises Unreadable with all that is wrong with it."""
    mend = "homeport backup list; homeport backup now"
    try:
        text = (folder / "manifest.json").read_bytes()
        signed = (folder / "manifest.sha256").read_text().strip()
        if hashlib.sha256(text).hexdigest() != signed:
            raise ValueError("it is not what was saved: its bytes differ")
        manifest = wire.decode(Manifest, json.loads(text))
    except (OSError, ValueError) as error:
        why = str(error.strerror) if isinstance(error, OSError) else str(error)
        raise Unreadable(Problem(f"manifest.json: {why}", folder.name, "", mend)) from error
    if manifest.id not in (folder.name, folder.name.strip(".")):
        what = f"manifest.json: it is that of the set {manifest.id}"
        raise Unreadable(Problem(what, folder.name, "", mend))
    return manifest


def maker(ctx: Context, manifest: Manifest) -> Release:
    """The release whose containers reach the data: the set's own, else the one that serves.

    On a new host, where neither is, the one that is being made of the set.
    """
    fresh = ctx.fresh.id if ctx.fresh else ""
    for name in (manifest.release, ctx.store.current(), fresh):
        try:
            return sources.rules(ctx, ctx.release(name))
        except NoSuchRelease:
            continue
    what, why = "no release can read this set", f"{manifest.release} is gone, and nothing serves"
    raise NoSuchRelease(Problem(what, manifest.id, why, "homeport deploy"))


@contextmanager
def scratch(
    ctx: Context, release: Release, set_id: str, folder: Path | None = None
) -> Iterator[Copy]:
    """A good set as the data of a release, for this block; raises HostFault for a bad one."""
    place = folder or ctx.paths.backups / set_id
    manifest, release, begun = read(place), sources.rules(ctx, release), time.monotonic()
    with ExitStack() as stack:
        copy = stack.enter_context(copied(ctx, release, manifest, place))
        if copy.problems:
            mend = "homeport backup now makes another"
            raise HostFault(*(Problem(one, set_id, "", mend) for one in copy.problems))
        env: dict[str, str] = {}
        for item in dumps(manifest):
            env.update(stack.enter_context(postgres.scratch(ctx, release, item, place)).env)
        yield Copy(copy.replace, round(time.monotonic() - begun, 3), env)


def dumps(manifest: Manifest) -> list[Item]:
    """The copies of databases on a server."""
    return [one for one in manifest.items if one.kind == "postgres"]


@contextmanager
def copied(ctx: Context, release: Release, manifest: Manifest, folder: Path) -> Iterator[Copy]:
    """The set's files and SQLite databases in a scratch place that is there for this block."""
    begun, place = time.monotonic(), ctx.paths.backups / f".scratch-{ctx.run}"
    mounts = sources.declared(ctx, release)
    _sweep(ctx, release, mounts)
    _room(ctx, manifest)
    # the set of another host may be its owner's alone
    os.chmod(folder, 0o2750)
    place.mkdir()
    os.chmod(place, 0o2770)
    try:
        parts = _parts(manifest, mounts)
        for number in range(len(mounts)):
            (place / str(number)).mkdir()
            os.chmod(place / str(number), 0o2770)
        at = {one.source: f"{SCRATCH}/{number}" for number, one in enumerate(mounts)}
        told = _put(ctx, release, parts, folder, at, Bind(str(place), True))
        names = {one.file: one.source for one in manifest.items}
        said = tuple(
            f"{names[str(one['file'])]}: {one['text']}" for one in told if one["k"] == "problem"
        )
        for line in (line for line in told if line["k"] == "note"):
            ctx.notice(f"{names[str(line['file'])]}: {line['text']}")
        # of two services that have something else at one path it is the web service's
        places = reversed(list(enumerate(mounts)))
        replace = {one.target: str(place / str(number)) for number, one in places}
        for number, one in enumerate(sources.singles(ctx, release)):
            path = place / f"single-{number}"
            path.touch()
            replace.setdefault(one.target, str(path))
            path.chmod(0o660)
        yield Copy(replace, round(time.monotonic() - begun, 3), {}, said)
    finally:
        _sweep(ctx, release, mounts)


def restore(ctx: Context, set_id: str, release: Release, anyway: bool = False) -> str:
    """Put a set's data where it belongs, in the mounts of a release; a note for people.

    Nothing of the app may run. A crash in the midst leaves something to be done again. Files that
    the set does not have stay where they are. Raises HostFault, with nothing changed, where a copy
    is not what was saved; ``anyway`` it is put back as it is, and said.
    """
    folder = ctx.paths.backups / set_id
    manifest, release = read(folder), sources.rules(ctx, release)
    for one in ctx.engine.containers(f"homeport.app={ctx.paths.app}", "homeport.slot"):
        if one["State"] not in ("exited", "created", "dead"):
            name = one["Names"][0].lstrip("/")
            raise Internal(Problem(f"{name} runs and could use the data", manifest.id, "", ""))
    os.chmod(folder, 0o2750)
    mounts = sources.declared(ctx, release)
    told = _put(ctx, release, _parts(manifest, mounts), folder, {}, None, anyway)
    names = {one.file: one.source for one in manifest.items}
    wrong = [f"{names[one['file']]}: {one['text']}" for one in told if one["k"] == "problem"]
    for text in wrong if anyway else ():
        ctx.notice(f"put back all the same: {text}")
    if wrong and not anyway:
        mend = "nothing was changed; homeport backup list shows other sets"
        raise HostFault(*(Problem(one, manifest.id, "", mend) for one in wrong))
    for source in sorted({one.source for one in _tars(manifest)} - {one.source for one in mounts}):
        ctx.notice(f"{source} of the set is not put back: {release.id} has no such mount")
    done = [one for one in told if one["k"] == "put"]
    left, written = (sum(int(one[key]) for one in done) for key in ("left", "written"))
    more = f"; {left} that the set does not have stay as they are" if left else ""
    notes = [postgres.restore(ctx, release, one, folder) for one in dumps(manifest)]
    databases = sum(1 for one in manifest.items if one.kind == "sqlite")
    note = f"{databases} databases, {written} changed files put back{more}"
    return "; ".join(one for one in (note, *notes) if one)


def _tars(manifest: Manifest) -> list[Item]:
    return [one for one in manifest.items if one.kind == "folder"]


def homeless(manifest: Manifest, mounts: tuple[Mount, ...]) -> list[Item]:
    """Databases of a set, and folders with something in them, that none of the mounts is for."""
    there, found = {one.source for one in mounts}, []
    for tar in _tars(manifest):
        if tar.source not in there:
            found += within(manifest.items, tar.source, tar.mount) + [tar] * (tar.files > 0)
    return found


def _parts(
    manifest: Manifest, mounts: tuple[Mount, ...]
) -> dict[str, list[tuple[Mount, Item, list[Item]]]]:
    """For each service its mounts, each with its tar and its databases of the set.

    By where the data is, not by where a container has it: another release may mount it elsewhere.
    """
    found: dict[str, list[tuple[Mount, Item, list[Item]]]] = {}
    by = {one.source: one for one in _tars(manifest)}
    for service, mine in grouped(mounts).items():
        for mount in mine:
            tar = by.get(mount.source)
            if tar is not None:
                databases = within(manifest.items, tar.source, tar.mount)
                found.setdefault(service, []).append((mount, tar, databases))
    return found


def _put(
    ctx: Context,
    release: Release,
    parts: Mapping[str, list[tuple[Mount, Item, list[Item]]]],
    folder: Path,
    at: Mapping[str, str],
    scratch: Bind | None,
    anyway: bool = False,
) -> list[dict[str, Any]]:
    """Run the script for each service; with a scratch place it is a trial, at other paths."""
    told: list[dict[str, Any]] = []
    for service, mine in parts.items():
        argument = {
            "set": SET,
            "run": ctx.run,
            "look": scratch is not None,
            "anyway": anyway,
            "mounts": [
                {
                    "path": at.get(mount.source, mount.target),
                    "tar": _said(tar, ""),
                    "databases": [_said(one, f"{tar.source}/") for one in databases],
                }
                for mount, tar, databases in mine
            ],
        }
        binds = {SET: Bind(str(folder))} | ({SCRATCH: scratch} if scratch else {})
        one_shot = OneShot(ctx, release, service)
        told += one_shot.script("putback", argument, within=LONGEST, binds=binds, failed=FAILED)
    return told


def _said(item: Item, prefix: str) -> dict[str, Any]:
    """What the script is told of a copy: the manifest's words, and its path below the mount."""
    return {**wire.plain(item), "path": item.source.removeprefix(prefix)}


def _room(ctx: Context, manifest: Manifest) -> None:
    need, free = room.trial(manifest), shutil.disk_usage(ctx.paths.backups).free
    if free < need:
        what = f"a check of {manifest.id} needs {need} bytes, {free} are free"
        mend = "on the host: df -h; homeport backup prune"
        raise HostFault(Problem(what, str(ctx.paths.backups), "it is restored beside it", mend))


def _sweep(ctx: Context, release: Release, mounts: tuple[Mount, ...]) -> None:
    """Remove scratch places; what the app's users made and the agent may not remove, as them."""
    for place in ctx.paths.backups.glob(".scratch-*"):
        shutil.rmtree(place, ignore_errors=True)
        for service in grouped(mounts) if place.exists() else ():
            binds = {SCRATCH: Bind(str(place), True)}
            one_shot = OneShot(ctx, release, service)
            one_shot.script("empty", {"path": SCRATCH}, within=LONGEST, binds=binds)
        shutil.rmtree(place, ignore_errors=True)
        if place.exists():
            ctx.notice(f"{place} could not be removed: it has files of another user")
