"""The harshest disk that POSIX allows: it keeps what was synced, file by file and name by name.

It watches the os layer while the engine's own code writes into a real folder. A file's content
lasts once the file was synced after it was last opened for writing; a name lasts once the folder
that holds it was synced after it was made, moved or taken away. Nothing takes anything else along.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Moment = Callable[[str, Path], None]


class Disk:
    """What a power cut would take away, right now, below ``top``."""

    def __init__(self, top: Path, patch: pytest.MonkeyPatch) -> None:
        self.top = top
        #: files whose content may be lost, and names whose making or going may be
        self.content: set[str] = set()
        self.names: set[str] = set()
        #: everything that was done, in its order
        self.log: list[str] = []
        #: called before a file gets or loses its name
        self.moments: list[Moment] = []
        self._open: dict[int, str] = {}
        self._real = {name: getattr(os, name) for name in ("open", "close", "fsync")}
        for name, mine in (("open", self._begin), ("close", self._end), ("fsync", self._sync)):
            patch.setattr(os, name, mine)
        for name, last in (("replace", 1), ("rename", 1), ("symlink", 1), ("mkdir", 0)):
            patch.setattr(os, name, self._named(name, getattr(os, name), last))
        for name in ("unlink", "rmdir"):
            patch.setattr(os, name, self._named(name, getattr(os, name), 0))

    def lost(self, path: Path) -> list[str]:
        """What of a file or folder a power cut would take: its content, or a name on its way."""
        found = [f"content of {self._short(str(path))}"] * (str(path) in self.content)
        for one in (path, *path.parents):
            if one == self.top:
                break
            found += [f"name {self._short(str(one))}"] * (str(one) in self.names)
        return found

    def all_lost(self, folder: Path) -> list[str]:
        """The same for everything in a folder, and the folder."""
        return sorted({one for path in (folder, *folder.rglob("*")) for one in self.lost(path)})

    def _short(self, path: str) -> str:
        return path.removeprefix(f"{self.top}/")

    def _note(self, what: str, path: str) -> None:
        if path.startswith(f"{self.top}/") or path == str(self.top):
            self.log.append(f"{what} {self._short(path)}")

    def _begin(self, path: Any, flags: int, *more: Any, **named: Any) -> int:
        there = named.get("dir_fd") is not None or os.path.lexists(path)
        handle = int(self._real["open"](path, flags, *more, **named))
        name = os.fspath(path) if not isinstance(path, int) else ""
        self._open[handle] = str(name)
        if flags & (os.O_WRONLY | os.O_RDWR):
            self.content.add(str(name))
            self._note("write", str(name))
        if flags & os.O_CREAT and not there:
            self.names.add(str(name))
        return handle

    def _end(self, handle: int) -> None:
        self._open.pop(handle, None)
        self._real["close"](handle)

    def _sync(self, handle: int) -> None:
        self._real["fsync"](handle)
        path = self._open.get(handle, "")
        self._note("sync", path)
        self.content.discard(path)
        if os.path.isdir(path):
            self.names = {one for one in self.names if os.path.dirname(one) != path}

    def _named(self, name: str, real: Any, last: int) -> Any:
        def act(*words: Any, **named: Any) -> None:
            if named.get("dir_fd") is not None:
                real(*words, **named)  # a walk that removes what has lost its name already
                return
            path = os.fspath(words[last])
            for moment in self.moments:
                moment(name, Path(path))
            real(*words, **named)
            self._note(name, path)
            self.names.add(path)
            if name == "unlink":
                self.content.discard(path)
            if name in ("replace", "rename"):
                self._moved(os.fspath(words[0]), path)

        return act

    def _moved(self, old: str, new: str) -> None:
        """What was in doubt under the old name is so under the new one."""
        for doubts in (self.content, self.names):
            gone = {one for one in doubts if one == new or one.startswith(f"{new}/")}
            moved = {one for one in doubts if one == old or one.startswith(f"{old}/")}
            doubts -= gone | moved
            doubts |= {new + one[len(old) :] for one in moved}
        self.names |= {old, new}
