"""Sets of copies: taken here, checked in ``verifying``, put somewhere in ``restoring``.

A set is built beside its place, every file on the disk, then renamed. The app's own user makes the
copies and owns them; the folder's group is the agent's, who can read them and let them go.
"""

from __future__ import annotations

import calendar
import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from homeport import wire
from homeport.backups import Item, Manifest
from homeport.host import postgres, sources
from homeport.host.context import Context
from homeport.host.detach import new_run
from homeport.host.kept import drop, manifests as known, verified
from homeport.host.oneshot import Bind, OneShot
from homeport.host.paths import Paths, make, sync
from homeport.host.restoring import Copy, restore, scratch
from homeport.host.sources import LONGEST, SET, Mount, grouped, within
from homeport.host.store import faulty
from homeport.host.verifying import PAPERS, verify
from homeport.model import Release

__all__ = ["Copy", "drop", "known", "restore", "scratch", "sweep", "take", "verified", "verify"]
#: what it means that the copying script failed: it names the file itself
FAILED = ("the data cannot be copied", "df -h; homeport data check; [backup] exclude leaves out")
#: how the id of a run or a set begins, and the length of that
_STAMP, _STAMPED = "%Y%m%dT%H%M%S", 15
#: names that are told of what went away
_NAMED = 3


def take(
    ctx: Context, release: Release, why: str, check: bool = False, raw: bool = False
) -> Manifest:
    """Copy the declared data of a release, its databases first, and its settings.

    Args:
        ctx: the run's hands.
        release: whose containers have the data, and whose programs copy it.
        why: what the set is for, for people.
        check: whether the copied SQLite databases are looked through as well.
        raw: whether one that SQLite cannot read is kept as it lies, while nobody writes. Then the
            set never counts.

    Returns:
        what the set is. It does not count as a backup yet.

    Raises:
        HostFault: where something cannot be read or written, or a copy is damaged.
    """
    sweep(ctx.paths)
    release, created = sources.rules(ctx, release), time.time()
    manifest = Manifest(
        _last_of(known(ctx.paths)),
        ctx.paths.app,
        release.id,
        round(created, 3),
        why=why,
        run=ctx.run,
    )
    folder = ctx.paths.backups / f".{manifest.id}.new"
    try:
        with faulty("the set cannot be written", folder):
            manifest = _make(
                ctx, release, folder, manifest, _Taking(ctx, release, folder, check, raw)
            )
    except BaseException:
        # on a full disk it would keep the rest of the run from fitting
        shutil.rmtree(folder, ignore_errors=True)
        raise
    _tell(ctx, manifest)
    return manifest


def _last_of(sets: Iterable[Manifest]) -> str:
    """An id for a set that comes after all others, as sets are told apart by their ids' order.

    A clock that was ahead for a while has named some after days that are yet to come.
    """
    now, newest = new_run(), max((one.id for one in sets), default="")
    if now > newest:
        return now
    then = calendar.timegm(time.strptime(newest[:_STAMPED], _STAMP)) + 1
    return time.strftime(_STAMP, time.gmtime(then)) + now[_STAMPED:]


def _make(
    ctx: Context, release: Release, folder: Path, manifest: Manifest, taking: _Taking
) -> Manifest:
    folder.mkdir()
    # what is made in it belongs to the agent's group, whoever makes it
    os.chmod(folder, 0o2770)
    taking.data()
    papers = _settings(ctx, release, folder, taking.items)
    history = ctx.store.history()
    manifest = replace(
        manifest,
        # what a failed migration left has no name, least of all that of the release before it
        schema=history.schema if history.told else release.schema,
        ended=round(time.time(), 3),
        items=tuple(taking.items),
        missing=tuple(taking.missing),
        unread=tuple(taking.unread),
        papers=papers,
    )
    _sign(folder, manifest)
    os.chmod(folder, 0o2750)
    sync(folder)
    os.replace(folder, ctx.paths.backups / manifest.id)
    sync(ctx.paths.backups)
    return manifest


def _sign(folder: Path, manifest: Manifest) -> None:
    """Write the manifest, and what tells whether it is still the one that was written."""
    # in ASCII: a name that is no UTF-8 comes back as it is
    text = json.dumps(wire.plain(manifest), separators=(",", ":")).encode() + b"\n"
    _put(folder / "manifest.json", text)
    _put(folder / "manifest.sha256", f"{hashlib.sha256(text).hexdigest()}\n".encode())


def _put(path: Path, data: bytes, mode: int = 0o640) -> None:
    """Write a file that nobody looks for yet; on the disk, though its name may not be."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    with os.fdopen(handle, "wb") as stream:
        os.fchmod(handle, mode)
        stream.write(data)
        stream.flush()
        os.fsync(handle)


def _settings(ctx: Context, release: Release, folder: Path, items: list[Item]) -> Mapping[str, str]:
    """The user's settings, and what a new host needs to make the release again: its checksums."""
    mine, papers = ctx.paths.releases / release.id, {}
    for name in PAPERS:
        if (mine / name).exists():
            text = (mine / name).read_bytes()
            _put(folder / name, text)
            papers[name] = hashlib.sha256(text).hexdigest()
    if ctx.paths.settings_env.exists():
        text = ctx.paths.settings_env.read_bytes()
        _put(folder / "app.env", text, 0o600)
        digest = hashlib.sha256(text).hexdigest()
        items.append(Item("env", "app.env", "app.env", len(text), digest))
    return papers


def _tell(ctx: Context, manifest: Manifest) -> None:
    gone = manifest.missing
    if gone:
        more = f" and {len(gone) - _NAMED} more" * (len(gone) > _NAMED)
        names = ", ".join(gone[:_NAMED])
        ctx.notice(f"went away or changed while it was copied: {names}{more}")
    for source in manifest.unread:
        ctx.notice(
            f"{source}: SQLite cannot read it; it is kept as it lies, and the set never counts"
        )
    for one in manifest.items:
        if one.orphans > 0:
            ctx.notice(f"{one.source}: {one.orphans} rows name a parent that is not there")


class _Taking:
    """The copies of one set while they are made."""

    def __init__(
        self, ctx: Context, release: Release, folder: Path, check: bool, raw: bool
    ) -> None:
        self._ctx, self._release, self._folder = ctx, release, folder
        self._how = {"check": check, "raw": raw}
        self.items: list[Item] = []
        self.missing: list[str] = []
        self.unread: list[str] = []
        self._told: list[str] = []

    def data(self) -> None:
        """Databases before folders: a folder may have a file too many, and must have none too few.

        A database server that is none of the compose file's is saved where it runs, not here.
        One service's mounts are copied in one container; where there are several services, each
        is asked twice.
        """
        if postgres.variable(self._release):
            try:
                file = f"{len(self.items)}.dump"
                made = postgres.dump(self._ctx, self._release, self._folder, file)
                self.items.append(made)
            except postgres.Elsewhere as error:
                self._ctx.notice(error.text())
        for one in sources.singles(self._ctx, self._release):
            # what comes through a socket is kept by somebody else
            self._single(one.source) if one.single == "file" else None
        groups = grouped(sources.declared(self._ctx, self._release))
        phases = [["databases", "folders"]] if len(groups) == 1 else [["databases"], ["folders"]]
        for phase in phases:
            for service, mounts in groups.items():
                self._copy(service, mounts, phase)

    def _copy(self, service: str, mounts: list[Mount], phases: list[str]) -> None:
        argument = {
            "out": SET,
            "first": len(self.items),
            "mounts": [{"path": one.target, "exclude": list(one.exclude)} for one in mounts],
            "phases": phases,
            **self._how,
        }
        if phases == ["folders"]:
            argument["known"] = {one.target: self._databases(one) for one in mounts}
        one_shot = OneShot(self._ctx, self._release, service)
        binds = {SET: Bind(str(self._folder), True)}
        by = {one.target: one for one in mounts}
        told = one_shot.script("snapshot", argument, within=LONGEST, binds=binds, failed=FAILED)
        for line in told:
            mount = by[str(line["mount"])]
            source = "/".join(filter(None, (mount.source, str(line.get("path", "")))))
            if line["k"] == "item":
                self.items.append(_item(line, source))
            elif line["k"] == "single":
                self._single(source)
            else:
                (self.missing if line["k"] == "missing" else self.unread).append(source)

    def _single(self, source: str) -> None:
        what = f"{source} is a file that is mounted by itself: it is not saved; mount its folder"
        if what not in self._told:
            self._told.append(what)
            self._ctx.notice(what)

    def _databases(self, mount: Mount) -> list[str]:
        found = within(self.items, mount.source, mount.target)
        return [one.source.removeprefix(f"{mount.source}/") for one in found]


def _item(line: Mapping[str, Any], source: str) -> Item:
    return Item(
        kind=line["kind"],
        source=source,
        file=str(line["file"]),
        size=int(line["size"]),
        sha256=str(line.get("sha256", "")),
        tables={str(name): int(rows) for name, rows in (line.get("tables") or {}).items()},
        version=str(line.get("version", "")),
        files=int(line.get("files", 0)),
        mount=str(line["mount"]),
        orphans=int(line.get("orphans", 0)),
        blake2b=str(line.get("blake2b", "")),
    )


def sweep(paths: Paths) -> None:
    """Make the folder of sets, and remove what dead runs left half made in it."""
    make(paths.backups)
    os.chmod(paths.backups, 0o700)
    for pattern in (".*.new", ".*.gone"):
        for one in paths.backups.glob(pattern):
            # a file is written there right now, by an upload: nothing leaves one for good
            shutil.rmtree(one, ignore_errors=True) if one.is_dir() else None
