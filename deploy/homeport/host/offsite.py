"""An app's sets in a restic repository: sent, listed, fetched, let go."""

from __future__ import annotations

import json
import os
import shutil
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Mapping

from homeport.core import restic
from homeport.errors import HostFault, Problem
from homeport.host import offsite_memory as memory
from homeport.host import proc
from homeport.host.context import Context
from homeport.host.paths import Paths
from homeport.host.restic import LONGEST, Absent, Restic, Unreadable

MIB = 1024 * 1024
#: who restores needs the room of the set, and some for what a check makes of it
ROOM = 64 * MIB
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Sent:
    """A set that got there. Sizes in bytes."""

    snapshot: str
    size: int
    added: int
    seconds: float


class Vault:
    """An app's sets in one repository."""

    def __init__(self, paths: Paths, box: Restic) -> None:
        self._app = paths.app
        self._paths = paths
        self._box = box
        self.shown = box.shown

    def open(self, make: bool = False) -> str:
        """The repository's own id; with ``make`` one that was never there is made.

        A repository that the host has sent sets to before is never made anew: its disk is not
        mounted, or somebody took it away, and an empty one in its place would look well.
        """
        self._box.ready()
        before = memory.known(self._paths)
        mine = before if before and before.id and before.repository == self.shown else None
        try:
            found = self._id()
        except Absent:
            if not make or mine:
                raise
            self._box.run("init")
            found = self._id()
        if mine and mine.id and mine.id != found:
            why = f"it is {found[:10]}, and this host's sets are in {mine.id[:10]}"
            mend = f"is the right disk mounted? If it is: rm {memory.path(self._paths)} on the host"
            raise HostFault(Problem("another repository lies there", self.shown, why, mend))
        return found

    def _id(self) -> str:
        text = self._box.run("cat", "config", "--no-lock")
        try:
            return str(json.loads(text)["id"])
        except (ValueError, KeyError, TypeError) as error:
            mend = f"on the host: {self._box.by_hand('check')}"
            what = "the repository's own record cannot be read"
            raise Unreadable(Problem(what, self.shown, str(error), mend)) from error

    def copies(self) -> tuple[restic.Copy, ...]:
        """The app's sets there, the newest last."""
        text = self._box.run("snapshots", "--json", "--no-lock", "--tag", f"app={self._app}")
        try:
            return restic.copies(text, self._app)
        except (ValueError, KeyError, TypeError) as error:
            raise HostFault(Problem("restic answers oddly", self.shown, str(error))) from error

    def send(self, set_id: str, folder: Path, progress: Progress) -> Sent:
        """Copy the set's folder there; locks that dead runs left are taken away first."""
        self.unlock()
        tags = [word for tag in restic.tags(self._app, set_id) for word in ("--tag", tag)]
        last: dict[str, Any] = {}

        def told(event: Mapping[str, Any]) -> None:
            last.update(event)
            if event.get("message_type") == "status":
                progress(int(event.get("bytes_done") or 0), int(event.get("total_bytes") or 0))

        # as seen from its parent: so it lies at the snapshot's top, whatever host it comes back to
        words = ("backup", "--json", *tags, folder.name)
        self._box.run(*words, within=LONGEST, folder=folder.parent, told=told)
        if not last.get("snapshot_id"):
            raise HostFault(
                Problem("restic told of no snapshot", self.shown, "", "homeport backup")
            )
        size = int(last.get("total_bytes_processed") or 0)
        progress(size, size)
        seconds = round(float(last.get("total_duration") or 0), 1)
        return Sent(str(last["snapshot_id"]), size, int(last.get("data_added") or 0), seconds)

    def fetch(self, copy: restic.Copy, into: Path, progress: Progress) -> Path:
        """Bring a set back to a folder below ``into``, which is made; that folder.

        It takes no lock: it must also work on a repository whose last host died in it.
        """
        size = self.size(copy)
        shutil.rmtree(into, ignore_errors=True)
        into.mkdir(parents=True, mode=0o700)
        free = shutil.disk_usage(into).free
        if free < size + ROOM:
            what = f"{(size + ROOM) // MIB} MiB of disk are needed to bring the set back"
            why = f"{free // MIB} MiB are free"
            raise HostFault(Problem(what, str(into), why, "df -h   (make room on the host)"))

        def told(event: Mapping[str, Any]) -> None:
            if event.get("message_type") == "status":
                progress(int(event.get("bytes_restored") or 0), size)

        words = ("restore", copy.snapshot, "--no-lock", "--json", "--target", str(into))
        self._box.run(*words, within=LONGEST, told=told)
        found = into / copy.set
        if not (found / "manifest.json").is_file():
            why = f"the snapshot {copy.snapshot[:8]} has no {copy.set}/manifest.json"
            mend = f"on the host: {self._box.by_hand(f'ls {copy.snapshot[:8]}')}"
            raise Unreadable(Problem("what came back is no set", self.shown, why, mend))
        for path in found.iterdir():
            # a set is plain files: nothing in it may lead out of its folder
            if not stat.S_ISREG(path.lstat().st_mode):
                what = f"{path.name} of the set {copy.set} is no file"
                raise Unreadable(Problem(what, self.shown, "", "another set"))
            _last(path)
        _last(found)
        progress(size, size)
        return found

    def size(self, copy: restic.Copy) -> int:
        """The bytes a set takes once it is back."""
        words = ("stats", "--json", "--no-lock", "--mode", "restore-size", copy.snapshot)
        try:
            return int(json.loads(self._box.run(*words).splitlines()[-1])["total_size"])
        except (ValueError, KeyError, TypeError, IndexError) as error:
            raise HostFault(Problem("restic answers oddly", self.shown, str(error))) from error

    def check(self) -> None:
        """Let restic look whether everything that the snapshots need is there."""
        self._box.run("check", "--no-lock", within=LONGEST)

    def prune(self, daily: int, weekly: int, monthly: int) -> None:
        """Let this app's older sets go, and the room that only they took. The newest one stays."""
        self.unlock()
        rules = (("daily", daily), ("weekly", weekly), ("monthly", monthly))
        keep = [word for name, count in rules if count for word in (f"--keep-{name}", str(count))]
        # in one group: by folder, as restic would have it, each set is the newest of its own
        words = ("forget", "--tag", f"app={self._app}", "--group-by", "", "--keep-last", "1")
        self._box.run(*words, *keep, "--prune", within=LONGEST)

    def unlock(self) -> None:
        """Take away the locks of runs that are dead: restic knows them by their process or age."""
        self._box.run("unlock")


def _last(path: Path) -> None:
    """Make a file or folder last through a power cut."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def vault(ctx: Context, repository: str, keys: str = "") -> Vault:
    """The way to a repository, with the keys given or those of restic.env."""
    text = keys or proc.text(ctx.paths.restic_env, strip=False)
    with suppress(OSError):
        # written by hand, it is often readable by all
        if not keys and ctx.paths.restic_env.stat().st_mode & 0o077:
            ctx.paths.restic_env.chmod(0o600)
    box = Restic(ctx.paths, repository, text, ctx.masked, ctx.stop.breaks)
    return Vault(ctx.paths, box)
