"""Whether a set can be restored: it is, into a scratch place, and what comes out is looked at."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from pathlib import Path

from homeport import wire
from homeport.backups import Item, Manifest, Verified
from homeport.errors import Refused
from homeport.host import postgres, restoring, sources
from homeport.host.begun import MISSING
from homeport.host.context import Context
from homeport.host.oneshot import OneShot
from homeport.host.paths import write
from homeport.host.restoring import Copy, Unreadable
from homeport.model import Release

#: seconds that the app's own look at a copy may take
PATIENCE = 600.0
#: what a new host makes the release of
PAPERS = ("release.json", "source.yaml")
CHUNK = 1024 * 1024
#: characters of what it complains of
_TOLD = 400


def verify(ctx: Context, set_id: str, folder: Path | None = None) -> Verified:
    """Restore a set and check all there is to check; what was found, also kept beside the set.

    Args:
        ctx: the run's hands.
        set_id: the set.
        folder: where it lies, if not among the app's sets: then nothing is written there.

    Returns:
        whether it counts as a backup, and a sentence for everything that is wrong.

    Raises:
        HostFault: where that could not be found out: no room, no Docker.
    """
    begun, place = time.monotonic(), folder or ctx.paths.backups / set_id
    try:
        problems = _look(ctx, restoring.read(place), place)
    except Unreadable as error:
        problems = tuple(one.what for one in error.problems)
    seconds = round(time.monotonic() - begun, 3)
    found = Verified(set_id, round(time.time(), 3), not problems, problems, seconds)
    if folder is None and place.is_dir():
        write(place / "verified.json", wire.encode(found), 0o640)
    return found


def _look(ctx: Context, manifest: Manifest, folder: Path) -> tuple[str, ...]:
    """Everything that is wrong with a set whose manifest can be read."""
    release = restoring.maker(ctx, manifest)
    plain = [_damaged(folder, one) for one in manifest.items if one.kind == "env"]
    said = [one for one in plain if one]
    said += [f"{one}: SQLite could not read it when it was saved" for one in manifest.unread]
    said += _papers(folder, manifest)
    with restoring.copied(ctx, release, manifest, folder) as copy:
        said += _homeless(ctx, release, manifest, folder)
        said += copy.problems
        said += _databases(ctx, release, manifest, folder, copy, ask=not said)
        if not said and not restoring.dumps(manifest):
            said += _asked(ctx, release, copy, {})
    return tuple(said)


def _databases(
    ctx: Context, release: Release, manifest: Manifest, folder: Path, copy: Copy, ask: bool
) -> list[str]:
    """What is wrong with dumps; the app's own look is had while its database is there."""

    def look(env: Mapping[str, str]) -> str:
        return "; ".join(_asked(ctx, release, copy, env))

    said = []
    for item in restoring.dumps(manifest):
        try:
            found = postgres.problems(
                ctx,
                release,
                item,
                folder,
                look if ask else None,
                manifest.created,
                manifest.ended,
            )
        except Refused as error:
            found = tuple(one.text() for one in error.problems)
        said += [f"{item.source}: {one}" for one in found]
    return said


def _papers(folder: Path, manifest: Manifest) -> list[str]:
    """What is wrong with the files that a new host makes the release of."""
    if not manifest.papers:
        return []
    said = [f"{name}: the set has none" for name in PAPERS if name not in manifest.papers]
    told = (
        _differs(folder / name, name, ("sha256", good)) for name, good in manifest.papers.items()
    )
    said += [one for one in told if one]
    if said:
        return said
    try:
        wire.decode(Release, json.loads((folder / "release.json").read_bytes()))
    except ValueError as error:
        return [f"release.json: no release can be made of it: {error}"]
    return []


def _homeless(ctx: Context, release: Release, manifest: Manifest, folder: Path) -> list[str]:
    """Copies that were put nowhere since nothing is mounted for them: the most that can be said."""
    mounts, said = sources.declared(ctx, release), []
    for item in restoring.homeless(manifest, mounts):
        said += [_damaged(folder, item)] if _damaged(folder, item) else []
        said.append(f"{item.source}: {release.id} has no such mount, so it could not be put back")
    return said


def _damaged(folder: Path, item: Item) -> str:
    return _differs(folder / item.file, item.source, item.checksum)


def _differs(path: Path, name: str, checksum: tuple[str, str]) -> str:
    """Why a file is not the one that was saved, or nothing."""
    kind, good = checksum
    done = hashlib.new(kind)
    try:
        with open(path, "rb") as file:
            for part in iter(lambda: file.read(CHUNK), b""):
                done.update(part)
    except OSError as error:
        return f"{name}: it cannot be read: {error.strerror}"
    right = done.hexdigest() == good
    return "" if right else f"{name}: it is not what was saved: its bytes differ"


def _asked(ctx: Context, release: Release, copy: Copy, env: Mapping[str, str]) -> tuple[str, ...]:
    """What the app itself says of the copy: nothing where it is content, or was not asked."""
    command = release.settings.backup.check if release.settings.backup else ()
    if not command:
        return ()
    one_shot = OneShot(ctx, release)
    done = one_shot.run(command, within=PATIENCE, replace=copy.replace, env=env, apart=True)
    if done.code == 0:
        return ()
    words = " ".join(command)
    if done.code in MISSING:
        return (f"check: the image has no {command[0]}",)
    last = ctx.masked((done.err.strip() or done.out.strip())[-_TOLD:])
    return (f"check: {words} ended with code {done.code}: {last}",)
