"""Where things lie on a host, and how a file is written so that it lasts."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

ROOT_VARIABLE = "HOMEPORT_ROOT"


@dataclass(frozen=True)
class Paths:
    """The folders of one app and of Homeport itself below ``root`` (``/opt``)."""

    app: str
    root: Path = Path("/opt")

    @property
    def home(self) -> Path:
        """Homeport's own folder."""
        return self.root / "homeport"

    @property
    def folder(self) -> Path:
        """The app's folder."""
        return self.root / self.app

    @property
    def releases(self) -> Path:
        """One folder a release."""
        return self.folder / "releases"

    @property
    def journal(self) -> Path:
        """The app's journal."""
        return self.folder / "journal.jsonl"

    @property
    def lock(self) -> Path:
        """What a run holds while it may change the app."""
        return self.folder / "lock"

    @property
    def ballast(self) -> Path:
        """A file that is freed when the disk is full, so that the undo can be journalled."""
        return self.folder / "ballast"

    @property
    def settings_env(self) -> Path:
        """The user's settings for the app."""
        return self.folder / "app.env"

    @property
    def runs(self) -> Path:
        """The events of runs, one file a run."""
        return self.folder / "logs" / "runs"

    @property
    def sockets(self) -> Path:
        """The app's link and the folders of its slots' sockets."""
        return self.home / "run" / self.app

    @property
    def link(self) -> Path:
        """The file whose writing is the commit."""
        return self.sockets / "live"

    def slot(self, slot: str) -> Path:
        """The one folder a slot's web container shares with the host."""
        return self.sockets / slot

    @property
    def edge(self) -> Path:
        """The edge's configuration and state."""
        return self.home / "edge"


def from_environment(app: str) -> Paths:
    """The paths of an app, below ``HOMEPORT_ROOT`` where it is set."""
    return Paths(app, Path(os.environ.get(ROOT_VARIABLE, "/opt")))


def write(path: Path, data: str | bytes, mode: int = 0o644) -> None:
    """Replace a file so that a power cut leaves the old content or the new, never a part.

    Temp file beside it, fsync, rename, fsync of the folder.
    """
    if isinstance(data, str):
        data = data.encode()
    temp = path.with_name(f".{path.name}.new")
    handle = os.open(temp, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    try:
        os.fchmod(handle, mode)
        view = memoryview(data)
        while view:
            view = view[os.write(handle, view) :]
        os.fsync(handle)
    finally:
        os.close(handle)
    os.replace(temp, path)
    sync(path.parent)


def sync(folder: Path) -> None:
    """Make the names in a folder last through a power cut."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def point(link: Path, target: str) -> None:
    """Make ``link`` a symbolic link to ``target``, replacing it in one rename."""
    temp = link.with_name(f".{link.name}.new")
    temp.unlink(missing_ok=True)
    temp.symlink_to(target)
    os.replace(temp, link)
    sync(link.parent)
