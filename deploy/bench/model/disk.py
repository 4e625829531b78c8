"""A disk as the kernel keeps it: what programs see, and what is left of that when the power goes.

A name lasts once its folder was synced, a content once its file was. Until then either is there
after a power cut or is not, each by itself: ``after_cut`` tells every way that it can be.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath

#: what a name of a folder stands for
FOLDER = "/."
#: ways that a power cut can leave a disk
CUTS = ("all kept", "all lost", "names without contents", "a torn line")


@dataclass
class Disk:
    """Names and contents as they are seen, and as they are certain to last."""

    names: dict[str, int] = field(default_factory=dict)
    lasting: dict[str, int] = field(default_factory=dict)
    data: dict[int, bytes] = field(default_factory=dict)
    safe: dict[int, bytes] = field(default_factory=dict)
    made: int = 0

    def copy(self) -> Disk:
        """The same disk once more."""
        return Disk(
            dict(self.names), dict(self.lasting), dict(self.data), dict(self.safe), self.made
        )

    # --- what programs do
    def create(self, name: str, content: bytes = b"") -> int:
        """A new file under a name; its number."""
        self.made += 1
        self.names[name], self.data[self.made] = self.made, content
        return self.made

    def read(self, name: str) -> bytes:
        """What a file has; raises FileNotFoundError."""
        if name not in self.names:
            raise FileNotFoundError(name)
        return self.data[self.names[name]]

    def there(self, name: str) -> bool:
        """Whether a file or a folder has that name."""
        return name in self.names or name + FOLDER in self.names

    def rename(self, old: str, new: str) -> None:
        """Give a file another name, and take that from whoever has it."""
        if old not in self.names:
            raise FileNotFoundError(old)
        self.names[new] = self.names.pop(old)

    def clear(self, folder: str) -> bool:
        """Remove a folder with all that is in it; whether there was anything."""
        gone = [name for name in self.names if name.startswith(folder + "/")]
        for name in gone:
            del self.names[name]
        return bool(gone)

    def sync(self, number: int) -> None:
        """Make a file's content last."""
        self.safe[number] = self.data[number]

    def sync_folder(self, folder: str) -> None:
        """Make the names in a folder last, and those that are gone stay away."""
        for name in {**self.names, **self.lasting}:
            if _within(name, folder):
                self._settle(name)

    def sync_all(self) -> None:
        """What the kernel does by itself after a while."""
        self.lasting = dict(self.names)
        self.data = {number: self.data[number] for number in self.names.values()}
        self.safe = dict(self.data)

    def _settle(self, name: str) -> None:
        if name in self.names:
            self.lasting[name] = self.names[name]
        else:
            self.lasting.pop(name, None)

    # --- what is left
    def after_cut(self) -> Iterator[tuple[str, Disk]]:
        """The disks that a power cut may leave, each with the way it came about; all differ."""
        seen: list[dict[str, bytes]] = []
        for way in CUTS:
            names = self.lasting if way == "all lost" else self.names
            left = Disk(dict(names), made=self.made)
            left.data = {number: self._left(way, number) for number in names.values()}
            left.sync_all()
            if left.files() not in seen:
                seen.append(left.files())
                yield way, left

    def _left(self, way: str, number: int) -> bytes:
        now, safe = self.data[number], self.safe.get(number, b"")
        if way == "all kept":
            return now
        if way == "a torn line" and now.startswith(safe):
            return now[: len(safe) + (len(now) - len(safe)) // 2]
        return safe

    def files(self) -> dict[str, bytes]:
        """Every name with its content."""
        return {name: self.data[number] for name, number in self.names.items()}

    def certain(self) -> dict[str, bytes]:
        """The same of what is certain to last."""
        return {name: self.safe.get(number, b"") for name, number in self.lasting.items()}


def _within(name: str, folder: str) -> bool:
    path = PurePosixPath(name.removesuffix(FOLDER))
    return str(path.parent) == folder
