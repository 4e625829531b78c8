"""Where things lie on a host, and how a file is written so that it lasts."""

from __future__ import annotations

import os
import zlib
from dataclasses import dataclass
from pathlib import Path

from homeport.core.maintenance import PAGE

ROOT_VARIABLE, ROOT = "HOMEPORT_ROOT", Path("/opt")
EDGE = "homeport-edge"


@dataclass(frozen=True)
class Paths:
    """The folders of one app and of Homeport itself below ``root`` (``/opt``)."""

    app: str
    root: Path = ROOT

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
    def spare(self) -> Path:
        """The same once more, by hard links: what brings back a folder that was deleted."""
        return self.folder / ".spare"

    def record(self, release: str) -> Path:
        """The folder of a release, or what is left of it where that was deleted."""
        mine, spare = self.releases / release, self.spare / release
        return spare if not mine.exists() and spare.exists() else mine

    @property
    def journal(self) -> Path:
        """The app's journal."""
        return self.folder / "journal.jsonl"

    @property
    def lock(self) -> Path:
        """What a run holds while it may change the app."""
        return self.folder / "lock"

    @property
    def away_lock(self) -> Path:
        """What whoever works in the app's repository off the box holds."""
        return self.folder / "offsite.lock"

    @property
    def ballast(self) -> Path:
        """A file that is freed when the disk is full, so that the undo can be journalled."""
        return self.folder / "ballast"

    @property
    def plug(self) -> Path:
        """Where a test says at which point the next run dies; nobody else writes it."""
        return self.folder / "plug.json"

    @property
    def settings_env(self) -> Path:
        """The user's settings for the app."""
        return self.folder / "app.env"

    @property
    def restic_env(self) -> Path:
        """What opens the repository off the box: its password and keys."""
        return self.folder / "restic.env"

    @property
    def runs(self) -> Path:
        """The events of runs, one file a run."""
        return self.folder / "logs" / "runs"

    @property
    def backups(self) -> Path:
        """The sets of copies, one folder a set."""
        return self.folder / "backups"

    @property
    def sockets(self) -> Path:
        """The app's link and the folders of its slots' sockets."""
        return self.home / "run" / self.app

    @property
    def link(self) -> Path:
        """The file whose writing is the commit."""
        return self.sockets / "live"

    @property
    def maintenance(self) -> Path:
        """The page that the edge answers with while it is there."""
        return self.sockets / PAGE

    @property
    def scheduled(self) -> Path:
        """Touched whenever somebody looks which backups are due: its time is when that was."""
        return self.home / "scheduled"

    def slot(self, slot: str) -> Path:
        """The one folder a slot's web container shares with the host."""
        return self.sockets / slot

    @property
    def edge(self) -> Path:
        """The edge's configuration and state."""
        return self.home / "edge"

    @property
    def edge_name(self) -> str:
        """What the edge's container and network are called: each root has an edge of its own."""
        if self.root == ROOT:
            return EDGE
        return f"{EDGE}-{zlib.crc32(os.fsencode(self.root)):08x}"

    @property
    def edge_next(self) -> str:
        """What an edge's container is called until it takes the place of the one that serves."""
        return f"{self.edge_name}-next"


def from_environment(app: str) -> Paths:
    """The paths of an app, below ``HOMEPORT_ROOT`` where it is set."""
    return Paths(app, Path(os.environ.get(ROOT_VARIABLE, ROOT)))


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
    except OSError:
        # on a full disk the part that was written would keep what is needed next from fitting
        temp.unlink(missing_ok=True)
        raise
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


def make(folder: Path) -> None:
    """Make a folder and those above it that are missing; their names last through a power cut."""
    missing = [one for one in (folder, *folder.parents) if not one.exists()]
    for one in reversed(missing):
        one.mkdir(exist_ok=True)
        sync(one.parent)


def point(link: Path, target: str) -> None:
    """Make ``link`` a symbolic link to ``target``, replacing it in one rename."""
    temp = link.with_name(f".{link.name}.new")
    temp.unlink(missing_ok=True)
    temp.symlink_to(target)
    os.replace(temp, link)
    sync(link.parent)
