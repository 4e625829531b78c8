"""What stands in for ``os``, ``fcntl``, ``time`` and ``Path`` in the host's own modules.

Each call does to the model's disk what the kernel would do to a real one, and tells the model that
an effect has happened. A lock belongs to an open file and goes with it, as an flock does.
"""

from __future__ import annotations

import fcntl as real_fcntl
import os as real_os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from types import SimpleNamespace
from typing import Any

from bench.model.disk import FOLDER, Disk

#: what every clock of the model shows
NOW = 1_700_000_000.0


@dataclass
class Open:
    """An open file: its number, or none for a folder."""

    name: str
    number: int | None
    append: bool


@dataclass
class Kernel:
    """The calls. ``disk`` is the one they go to; ``effect`` is told of each that changed it."""

    disk: Disk
    effect: Callable[[str], None]
    #: how a slot's socket is looked for: the path of one that is there
    socket: Callable[[str], bool]
    handles: dict[int, Open] = field(default_factory=dict)
    #: file → the handle that has it locked
    locks: dict[str, int] = field(default_factory=dict)
    next: int = 100
    clock: float = 0.0

    # --- files
    def open(self, path: Any, flags: int, mode: int = 0o666) -> int:
        """As open(2)."""
        name = str(path)
        self.next += 1
        if flags & real_os.O_DIRECTORY:
            self.handles[self.next] = Open(name, None, False)
            return self.next
        if name in self.disk.names:
            if flags & real_os.O_EXCL and flags & real_os.O_CREAT:
                raise FileExistsError(name)
            number = self.disk.names[name]
            if flags & real_os.O_TRUNC:
                self.disk.data[number] = b""
                self.effect(f"empty {name}")
        elif flags & real_os.O_CREAT:
            number = self.disk.create(name)
            self.effect(f"create {name}")
        else:
            raise FileNotFoundError(name)
        self.handles[self.next] = Open(name, number, bool(flags & real_os.O_APPEND))
        return self.next

    def write(self, handle: int, content: Any) -> int:
        """As write(2), at the end of what is there: nobody here writes elsewhere."""
        one, text = self.handles[handle], bytes(content)
        assert one.number is not None
        self.disk.data[one.number] += text
        self.effect(f"write {one.name}")
        return len(text)

    def pwrite(self, handle: int, content: bytes, at: int) -> int:
        """As pwrite(2), of a whole file."""
        one = self.handles[handle]
        assert one.number is not None and at == 0
        self.disk.data[one.number] = content
        return len(content)

    def pread(self, handle: int, count: int, at: int) -> bytes:
        """As pread(2)."""
        return self._content(handle)[at : at + count]

    def ftruncate(self, handle: int, size: int) -> None:
        """As ftruncate(2)."""
        one = self.handles[handle]
        assert one.number is not None
        self.disk.data[one.number] = self.disk.data[one.number][:size]

    def fstat(self, handle: int) -> Any:
        """As fstat(2): the size."""
        return SimpleNamespace(st_size=len(self._content(handle)))

    def fsync(self, handle: int) -> None:
        """As fsync(2), of a file or a folder."""
        one = self.handles[handle]
        if one.number is None:
            self.disk.sync_folder(one.name)
        else:
            self.disk.sync(one.number)
        self.effect(f"sync {one.name}")

    def close(self, handle: int) -> None:
        """As close(2): a lock that the handle has is gone with it."""
        one = self.handles.pop(handle)
        if self.locks.get(one.name) == handle:
            del self.locks[one.name]

    def fchmod(self, handle: int, mode: int) -> None:
        """Nothing here is read by anybody else."""

    def chmod(self, path: Any, mode: int) -> None:
        """Neither here."""

    def replace(self, old: Any, new: Any) -> None:
        """As rename(2)."""
        self.disk.rename(str(old), str(new))
        self.effect(f"rename to {new}")

    def readlink(self, path: Any) -> str:
        """As readlink(2)."""
        return self.disk.read(str(path)).decode()

    def lstat(self, path: Any) -> Any:
        """As lstat(2), of a slot's socket."""
        if not self.socket(str(path)):
            raise FileNotFoundError(str(path))
        return SimpleNamespace(st_mode=stat.S_IFSOCK)

    def statvfs(self, path: Any) -> Any:
        """A disk without the room for a ballast: that is not what the model is about."""
        return SimpleNamespace(f_bavail=0, f_frsize=1)

    def rmtree(self, path: Any, ignore_errors: bool = False) -> None:
        """As shutil.rmtree."""
        if self.disk.clear(str(path)):
            self.effect(f"remove {path}")

    def _content(self, handle: int) -> bytes:
        number = self.handles[handle].number
        assert number is not None
        return self.disk.data[number]

    # --- locks and clocks
    def flock(self, handle: int, how: int) -> None:
        """As flock(2); nobody here waits in it."""
        name = self.handles[handle].name
        if self.locks.get(name, handle) != handle:
            raise BlockingIOError(name)
        self.locks[name] = handle

    def sleep(self, seconds: float) -> None:
        """Nobody waits for the model's clock."""
        self.clock += seconds

    def modules(self) -> dict[str, Any]:
        """What stands in for a module, by its name."""
        own = (
            *("open", "write", "pwrite", "pread", "ftruncate", "fstat", "fsync", "close"),
            *("fchmod", "chmod", "replace", "readlink", "lstat", "statvfs"),
        )
        os = {name: getattr(real_os, name) for name in dir(real_os) if name.startswith("O_")}
        os.update({name: getattr(self, name) for name in own})
        os.update(getpid=lambda: 1, strerror=real_os.strerror, WNOHANG=real_os.WNOHANG)
        os["waitstatus_to_exitcode"] = real_os.waitstatus_to_exitcode
        locks = {name: getattr(real_fcntl, name) for name in dir(real_fcntl) if name[:4] == "LOCK"}
        return {
            "os": SimpleNamespace(**os),
            "shutil": SimpleNamespace(rmtree=self.rmtree),
            "fcntl": SimpleNamespace(flock=self.flock, **locks),
            "time": SimpleNamespace(
                time=lambda: NOW, monotonic=lambda: self.clock, sleep=self.sleep
            ),
        }


class DiskPath(PurePosixPath):
    """A path on the model's disk. ``kernel`` is set once: there is one disk at a time."""

    kernel: Kernel

    def exists(self) -> bool:
        """Whether anything has this name."""
        return self.kernel.disk.there(str(self))

    def read_text(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """What the file has."""
        return self.kernel.disk.read(str(self)).decode(encoding, errors)

    def unlink(self, missing_ok: bool = False) -> None:
        """Take the name away."""
        if self.kernel.disk.names.pop(str(self), None) is not None:
            self.kernel.effect(f"remove {self}")
        elif not missing_ok:
            raise FileNotFoundError(str(self))

    def symlink_to(self, target: str) -> None:
        """A link, whose content lasts as soon as its name does."""
        number = self.kernel.disk.create(str(self), target.encode())
        self.kernel.disk.sync(number)
        self.kernel.effect(f"create {self}")

    def mkdir(self, parents: bool = False, exist_ok: bool = False) -> None:
        """Make the folder known."""
        if not self.exists():
            self.kernel.disk.create(str(self) + FOLDER)
            self.kernel.effect(f"create {self}")

    def touch(self) -> None:
        """What runs have told is not kept on this disk."""

    def glob(self, pattern: str) -> Iterator[DiskPath]:
        """Nothing that is looked for by a pattern is on this disk."""
        return iter(())
