"""What is kept on the host's disk for an app: releases, the link, the journal, the lock."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import time
from pathlib import Path
from typing import Any, Mapping

from homeport import wire
from homeport.core import journal as journals
from homeport.errors import Busy, HostFault, Problem
from homeport.host.paths import Paths, point, sync, write
from homeport.model import Release

#: freed when the disk is full, in bytes; random, so that no filesystem packs it away
BALLAST = 1024 * 1024


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
        found = []
        for folder in self.paths.releases.glob("r*-*"):
            try:
                data = json.loads((folder / "release.json").read_text())
                found.append(wire.decode(Release, data))
            except (OSError, ValueError):
                continue
        return tuple(sorted(found, key=lambda one: one.number))

    def write_release(
        self, release: Release, compose: Mapping[str, Any], env: str, source: str
    ) -> None:
        """Make a release's folder whole or not at all: built beside, then renamed."""
        final = self.paths.releases / release.id
        temp = self.paths.releases / f".{release.id}.new"
        shutil.rmtree(temp, ignore_errors=True)
        temp.mkdir(parents=True)
        write(temp / "env", env, 0o600)
        write(temp / "compose.json", json.dumps(compose, indent=1, sort_keys=True) + "\n")
        write(temp / "source.yaml", source)
        write(temp / "release.json", wire.encode(release))
        if final.exists():
            shutil.rmtree(final)
        os.replace(temp, final)
        sync(self.paths.releases)

    def compose_file(self, release: Release) -> Path:
        """The Compose project of a release."""
        return self.paths.releases / release.id / "compose.json"

    def source(self, release: Release) -> str:
        """The compose file a release was made from, as the user wrote it."""
        return (self.paths.releases / release.id / "source.yaml").read_text()

    def env_file(self, release: Release) -> Path:
        """The variables of a release."""
        return self.paths.releases / release.id / "env"

    def drop_release(self, name: str) -> None:
        """Forget a release: one rename first, so that it is never half there."""
        gone = self.paths.releases / f".{name}.gone"
        try:
            os.replace(self.paths.releases / name, gone)
        except FileNotFoundError:
            return
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

    # --- the journal
    def history(self) -> journals.History:
        """The journal, folded."""
        try:
            text = self.paths.journal.read_text("utf-8", "replace")
        except OSError:
            return journals.History()
        return journals.fold(text.splitlines())

    def append(self, *records: Mapping[str, Any]) -> None:
        """Add records to the journal; they are on the disk when this returns.

        A torn last line, left by a power cut, is ended first so that it cannot swallow this one.
        """
        now = round(time.time(), 3)
        line = b"".join(wire.encode({"v": journals.FORMAT, "t": now, **one}) for one in records)
        try:
            try:
                self._add(line)
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
                # the ballast is what lets an undo be journalled on a full disk
                self.paths.ballast.unlink(missing_ok=True)
                self._add(line)
        except OSError as error:
            what, where = "the journal cannot be written", str(self.paths.journal)
            raise HostFault(Problem(what, where, str(error), "df -h")) from error

    def _add(self, line: bytes) -> None:
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        handle = os.open(self.paths.journal, flags, 0o644)
        try:
            size = os.fstat(handle).st_size
            if size and os.pread(handle, 1, size - 1) != b"\n":
                line = b"\n" + line
            if os.write(handle, line) != len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(handle)
        finally:
            os.close(handle)
        if not size:
            sync(self.paths.folder)

    def keep_ballast(self) -> None:
        """Make sure that the ballast is there, where the disk has room for it."""
        path = self.paths.ballast
        try:
            if not path.exists() or path.stat().st_size < BALLAST:
                write(path, os.urandom(BALLAST))
        except OSError:
            path.unlink(missing_ok=True)


class Lock:
    """The app's lock: an flock that dies with its holder. The file says who holds it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._handle = -1

    def take(self, about: Mapping[str, Any], within: float = 0.0) -> None:
        """Take the lock within so many seconds, or raise Busy with who holds it."""
        handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        end = time.monotonic() + within
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= end:
                    os.close(handle)
                    raise Busy(_held(self.holder())) from None
                time.sleep(0.05)
        os.ftruncate(handle, 0)
        os.pwrite(handle, wire.encode({"pid": os.getpid(), "since": time.time(), **about}), 0)
        self._handle = handle

    def holder(self) -> dict[str, Any]:
        """What the file says of its holder."""
        try:
            data = json.loads(self._path.read_text())
        except (OSError, ValueError):
            return {}
        return data if isinstance(data, dict) else {}

    def held(self) -> dict[str, Any]:
        """Who holds the lock right now; empty where nobody does."""
        try:
            handle = os.open(self._path, os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            return {}
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return self.holder() or {"run": "?"}
        finally:
            os.close(handle)
        return {}

    def release(self) -> None:
        """Let go."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1


def _held(holder: Mapping[str, Any]) -> Problem:
    since = max(0.0, time.time() - float(holder.get("since", time.time())))
    who = holder.get("who") or "somebody"
    what = f"{holder.get('verb', 'a run')} {holder.get('run', '')} by {who} holds the app"
    return Problem(what, "host", f"since {since:.0f} s", "homeport attach   (shows it to its end)")
