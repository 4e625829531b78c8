"""The sets of copies that are kept of an app on this host: which there are, and what was found."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Iterator, TypeVar

from homeport import wire
from homeport.backups import SET_ID, Manifest, Verified
from homeport.host.paths import Paths, sync

T = TypeVar("T")


def manifests(paths: Paths) -> tuple[Manifest, ...]:
    """The sets that lie there whole, the newest last; one that is still made has another name."""
    folders = (one for one in sorted(paths.backups.glob("*")) if SET_ID.match(one.name))
    found = (_read(Manifest, folder / "manifest.json") for folder in folders)
    return tuple(one for one in found if one is not None)


def verified(paths: Paths, name: str) -> Verified | None:
    """What became of checking a set; None where nobody did."""
    return _read(Verified, paths.backups / name / "verified.json")


def newest(paths: Paths) -> str:
    """The id of the newest set that was verified; "" where there is none."""
    for one in reversed(manifests(paths)):
        found = verified(paths, one.id)
        if found is not None and found.ok:
            return one.id
    return ""


@contextmanager
def pinned(paths: Paths, name: str) -> Iterator[bool]:
    """Keep a set from being let go while the block lasts; False where it is gone already.

    By a lock on its folder, which ends with whoever holds it.
    """
    folder = paths.backups / name
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        yield False
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_SH)
        # let go between the two lines above, it lies under another name by now
        yield folder.exists()
    finally:
        os.close(handle)


def drop(paths: Paths, name: str) -> bool:
    """Let a set go: one rename first, so that it is never half there. False where it is pinned."""
    gone = paths.backups / f".{name}.gone"
    with _alone(paths.backups / name) as alone, suppress(FileNotFoundError):
        if not alone:
            return False
        os.replace(paths.backups / name, gone)
        sync(paths.backups)
    shutil.rmtree(gone, ignore_errors=True)
    return True


@contextmanager
def _alone(folder: Path) -> Iterator[bool]:
    """Whether nobody pins a set; nobody can while the block lasts."""
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        yield True
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        alone = False
    else:
        alone = True
    try:
        yield alone
    finally:
        os.close(handle)


def _read(kind: type[T], path: Path) -> T | None:
    try:
        return wire.decode(kind, json.loads(path.read_text()))
    except (OSError, ValueError):
        return None
