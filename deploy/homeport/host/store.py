"""What is kept on the host's disk for an app: releases, the link, the journal."""

from __future__ import annotations

import errno
import json
import os
import shutil
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Callable, Iterator, Mapping, TypeVar

from homeport import wire
from homeport.core import journal as journals
from homeport.errors import HostFault, Problem
from homeport.host import spare
from homeport.host.lock import Lock as Lock  # noqa: F401  everybody knows it from here
from homeport.host.paths import Paths, make, point, sync, write
from homeport.model import Release

#: freed when the disk is full, in bytes; random, so that no filesystem packs it away
BALLAST = 1024 * 1024
#: what a run writes down at least, in bytes: its events, its journal lines, its key
ROOM = 64 * 1024
#: what the kernel says of a disk that takes no more writes
_FULL = (errno.ENOSPC, errno.EDQUOT)
_FAULTS = (*_FULL, errno.EROFS, errno.EIO)
#: files of the app's folder that only a run writes
_MARKS = ("ballast", "compose.yaml", "current", ".env", "shared.hash", "shared.json")
T = TypeVar("T")


def pressed(paths: Paths, act: Callable[[], T]) -> T:
    """What ``act`` answers; on a full disk the ballast is freed and it is done once more."""
    try:
        return act()
    except OSError as error:
        if error.errno not in _FULL:
            raise
        paths.ballast.unlink(missing_ok=True)
        return act()


@contextmanager
def faulty(what: str, where: Path) -> Iterator[None]:
    """Where the disk takes no more writes: a HostFault that says so, with the words given."""
    try:
        yield
    except OSError as error:
        if error.errno not in _FAULTS:
            raise
        raise HostFault(Problem(what, str(where), str(error), "df -h")) from error


def add(path: Path, line: bytes, then: Callable[[int], None] = lambda handle: None) -> bool:
    """Add a line to a file, and whether that was its first; ``then`` is done before it is closed.

    A torn last line, left by a power cut or a full disk, is ended first so that it cannot swallow
    this one.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
    try:
        size = os.fstat(handle).st_size
        if size and os.pread(handle, 1, size - 1) != b"\n":
            line = b"\n" + line
        if os.write(handle, line) != len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        then(handle)
    finally:
        os.close(handle)
    return not size


class Store:
    """One app's files. Nothing here decides; every write lasts before it returns."""

    def __init__(self, paths: Paths) -> None:
        self.paths = paths

    # --- the link
    def read_link(self) -> str | None:
        """What the link says, or None where it is missing or cannot be read."""
        try:
            return self.paths.link.read_text()
        except (OSError, UnicodeDecodeError):
            return None

    def write_link(self, address: str) -> None:
        """Write the link. This rename is the handover."""
        write(self.paths.link, address)

    # --- releases
    def releases(self) -> tuple[Release, ...]:
        """Every release whose record can be read, by number."""
        found = {}
        for folder in (*self.paths.spare.glob("r*-*"), *self.paths.releases.glob("r*-*")):
            try:
                data = json.loads((folder / "release.json").read_text())
                one = wire.decode(Release, data)
            except (OSError, ValueError):
                continue
            found[one.id] = one
        return tuple(sorted(found.values(), key=lambda one: one.number))

    def write_release(
        self, release: Release, compose: Mapping[str, Any], env: str, source: str
    ) -> None:
        """Make a release's folder whole or not at all: built beside, then renamed."""
        final = self.paths.releases / release.id
        temp = self.paths.releases / f".{release.id}.new"
        shutil.rmtree(temp, ignore_errors=True)
        make(self.paths.releases)
        temp.mkdir()
        write(temp / "env", env, 0o600)
        write(temp / "compose.json", json.dumps(compose, indent=1, sort_keys=True) + "\n")
        write(temp / "source.yaml", source)
        write(temp / "release.json", wire.encode(release))
        spare.drop(self.paths, release.id)
        if final.exists():
            shutil.rmtree(final)
        os.replace(temp, final)
        sync(self.paths.releases)
        spare.keep(self.paths, release.id)

    def source(self, release: Release) -> str:
        """The compose file a release was made from, as the user wrote it."""
        return (self.paths.record(release.id) / "source.yaml").read_text()

    def env_file(self, release: Release) -> Path:
        """The variables of a release."""
        return self.paths.record(release.id) / "env"

    def drop_release(self, name: str) -> None:
        """Forget a release: one rename first, so that it is never half there."""
        spare.drop(self.paths, name)
        gone = self.paths.releases / f".{name}.gone"
        try:
            os.replace(self.paths.releases / name, gone)
        except FileNotFoundError:
            return
        # else it could come back by its name, with only some of its files
        sync(self.paths.releases)
        shutil.rmtree(gone, ignore_errors=True)

    def current(self) -> str:
        """The release that ``current`` points to, or nothing."""
        try:
            return Path(os.readlink(self.paths.folder / "current")).name
        except OSError:
            return ""

    def set_current(self, release: Release) -> None:
        """Point ``current`` at a release."""
        point(self.paths.folder / "current", f"releases/{release.id}")

    def sweep(self) -> None:
        """Remove what dead runs left half made beside what they made it for.

        For whoever holds the app's lock: all of this is written under it.
        """
        for folder in (self.paths.releases, self.paths.backups):
            # a copy that was being checked may have files that only the app's users can remove:
            # those go with the next check
            for pattern in (".*.new", ".*.gone", ".scratch-*"):
                for one in folder.glob(pattern):
                    # an upload, which needs no such lock, writes a file there
                    shutil.rmtree(one, ignore_errors=True) if one.is_dir() else None
        for one in (
            *self.paths.sockets.glob(".*.new"),
            *(self.paths.folder / f".{name}.new" for name in _MARKS),
        ):
            one.unlink(missing_ok=True)

    # --- the journal
    def history(self) -> journals.History:
        """The journal, folded."""
        try:
            text = self.paths.journal.read_text("utf-8", "replace")
        except FileNotFoundError:
            return journals.History()
        except OSError as error:
            # one that counted as empty would let old code at data that a run left half migrated
            mend = "sudo dmesg; copy your data to another machine first"
            what, where = "the journal cannot be read", str(self.paths.journal)
            raise HostFault(Problem(what, where, str(error), mend)) from error
        # by the one mark that ends a record: a text in it may hold others that Unicode knows
        return journals.fold(text.split("\n"))

    def append(self, *records: Mapping[str, Any]) -> None:
        """Add records to the journal; they are on the disk when this returns."""
        now = round(time.time(), 3)
        line = b"".join(wire.encode({"v": journals.FORMAT, "t": now, **one}) for one in records)
        with faulty("the journal cannot be written", self.paths.journal):
            pressed(self.paths, lambda: self._add(line))

    def room(self) -> None:
        """Make sure that a run has the room to begin; raises HostFault where it has none."""
        path = self.paths.folder / ".room"

        def take() -> None:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.posix_fallocate(handle, 0, ROOM)
            finally:
                os.close(handle)
                path.unlink(missing_ok=True)

        with faulty("the journal cannot be written", self.paths.journal):
            pressed(self.paths, take)

    def _add(self, line: bytes) -> None:
        if add(self.paths.journal, line, os.fsync):
            sync(self.paths.folder)

    def keep_ballast(self) -> None:
        """Make sure that the ballast is there, where the disk has room for it."""
        path = self.paths.ballast
        try:
            disk = os.statvfs(self.paths.folder)
            # one that takes the last room would have to be freed again for the next line
            if disk.f_bavail * disk.f_frsize < 2 * BALLAST:
                return
            if not path.exists() or path.stat().st_size < BALLAST:
                write(path, os.urandom(BALLAST))
        except OSError:
            path.unlink(missing_ok=True)
