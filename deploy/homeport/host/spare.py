"""Spares of releases: the same files under a second name each, by hard links.

Somebody who deletes ``releases/`` by hand takes from what serves its record, its Compose project
and its variables, and from what can be gone back to as well. Recovery makes the folders whole
again from here; it costs no room and no write of a file.
"""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

from homeport.host.paths import Paths, sync


def keep(paths: Paths, release: str) -> None:
    """Keep a release's files a second time; where the disk cannot, it is as safe as its folder."""
    mine, spare = paths.releases / release, paths.spare / release
    if spare.exists() or not mine.exists():
        return
    with suppress(OSError):
        paths.spare.mkdir(mode=0o700, exist_ok=True)
        for left in paths.spare.glob(".*"):
            # of a run that died here
            shutil.rmtree(left, ignore_errors=True)
        _linked(mine, spare)


def lost(paths: Paths) -> frozenset[str]:
    """Releases whose folder was deleted, or a part of it, and that are kept here."""
    return frozenset(
        spare.name
        for spare in paths.spare.glob("r*-*")
        if _names(spare) - _names(paths.releases / spare.name)
    )


def bring_back(paths: Paths, release: str) -> None:
    """Make a release's folder whole again; what is there of it is kept as it is."""
    mine, spare = paths.releases / release, paths.spare / release
    paths.releases.mkdir(exist_ok=True)
    if not mine.exists():
        _linked(spare, mine)
        return
    for name in sorted(_names(spare) - _names(mine)):
        os.link(spare / name, mine / name)
    sync(mine)


def drop(paths: Paths, release: str) -> None:
    """Forget a spare, before the folder that it would bring back."""
    gone = paths.spare / f".{release}.gone"
    try:
        os.replace(paths.spare / release, gone)
    except (FileNotFoundError, NotADirectoryError):
        return
    sync(paths.spare)
    shutil.rmtree(gone, ignore_errors=True)


def _names(folder: Path) -> set[str]:
    return {one.name for one in folder.iterdir()} if folder.is_dir() else set()


def _linked(folder: Path, other: Path) -> None:
    """Make ``other`` a folder with the files of ``folder``, whole or not at all."""
    temp = other.with_name(f".{other.name}.new")
    shutil.rmtree(temp, ignore_errors=True)
    temp.mkdir()
    for name in sorted(_names(folder)):
        os.link(folder / name, temp / name)
    sync(temp)
    os.replace(temp, other)
    sync(other.parent)
