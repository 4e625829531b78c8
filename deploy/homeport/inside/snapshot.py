"""Copies of what an app keeps in its mounts, made by the app's own Python and SQLite.

Runs inside an image, with ``tables.py`` alone. ``HOMEPORT_ARGUMENT`` is JSON:

``out``      the folder that takes the copies
``first``    the number of the first copy, which names its file
``mounts``   ``path`` of each, and what to ``exclude`` below it
``phases``   ``databases`` and ``folders``, or one of them; ``known`` databases for the second
``check``    whether the copied databases are looked through as well
``raw``      whether one that SQLite cannot read is packed as it lies (``unread``) and ends nothing

Databases are told by their first bytes, never by their names. It prints an object a line: ``item``,
``missing`` for what went away or changed while it was read, ``single`` for a mount of no folder.
"""

from __future__ import annotations

import errno
import json
import os
import sqlite3
import stat
import sys
import tarfile
import threading
from contextlib import suppress

from homeport.inside.tables import BESIDE, DATABASE, MAGIC, TEMP, address, check as check_tables
from homeport.inside.tables import checksum, counts, lacking, settled, stand_in

TYPE_CHECKING = False
if TYPE_CHECKING:  # an image without bytecode compiles at every start what is imported
    from typing import Any, BinaryIO, Iterator

PATIENCE = 30.0  # seconds that a locked database is waited for


def tell(**what: Any) -> None:
    """One line of the answer."""
    print(json.dumps(what), flush=True)


def mount_points() -> list[str]:
    """Where the kernel has something mounted: what lies below is not this mount's."""
    with open("/proc/self/mountinfo", "rb") as lines:
        return [os.fsdecode(line.split()[4]).replace("\\040", " ") for line in lines]


def walk(top: str, exclude: list[str], points: list[str]) -> Iterator[str]:
    """Every path below ``top`` as seen from there, itself first as ``.``, in order."""
    yield "."
    left = {os.path.normpath(one) + end for one in exclude for end in ("", *BESIDE)}
    for folder, folders, files in os.walk(top, onerror=_unread):
        inside = os.path.relpath(folder, top)
        keep = []
        for name in sorted(folders + files):
            path = os.path.normpath(os.path.join(inside, name))
            if path in left or name.endswith(TEMP) or os.path.join(folder, name) in points:
                continue
            if name in folders and not os.path.islink(os.path.join(folder, name)):
                keep.append(name)
            yield path
        folders[:] = keep


def _unread(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error


def databases(top: str, paths: list[str]) -> list[str]:
    """Those of the paths that are SQLite databases."""
    found = []
    for path in paths:
        try:
            if stat.S_ISREG(os.lstat(os.path.join(top, path)).st_mode):
                with open(os.path.join(top, path), "rb") as file:
                    found += [path] * (file.read(len(MAGIC)) == MAGIC)
        except FileNotFoundError:
            pass
    return found


def copy_database(source: str, target: str, check: bool) -> dict[str, Any]:
    """Copy a database as it is at one instant, and count its rows at that very instant.

    The copy is closed cleanly: it needs no log beside it, and keeps the source's mode.
    """
    live, found = reading(source)
    copy = sqlite3.connect(target, isolation_level=None)
    with Settling(target):
        try:
            # it is not there yet for anybody: one fsync at the end is enough
            copy.execute("PRAGMA journal_mode = OFF")
            copy.execute("PRAGMA synchronous = OFF")
            live.backup(copy, pages=-1)
        finally:
            copy.close()
            live.close()
        # the disk is still busy with it: nothing of this is waited for
        digest = checksum(target)
    told = {"tables": found, "version": sqlite3.sqlite_version, **digest}
    return {**told, "size": os.path.getsize(target), **look(target, check)}


def reading(
    source: str, mode: str = "ro", stands: tuple[str, ...] = ()
) -> tuple[sqlite3.Connection, dict[str, int]]:
    """A transaction that reads, and the rows that it sees.

    Who only reads leaves the log where it is; a crash's journal wants one who can write.
    """
    url = f"{address(source)}?mode={mode}"
    live = sqlite3.connect(url, timeout=PATIENCE, isolation_level=None, uri=True)
    try:
        for said in stands:
            stand_in(live, said)
        # a call of the kernel less for every page
        live.execute(f"PRAGMA mmap_size = {1 << 30}")
        live.execute("BEGIN")
        return live, counts(live)
    except sqlite3.Error as error:
        live.close()
        if lacking(error, stands):
            return reading(source, mode, (*stands, str(error)))
        if mode == "rw" or not isinstance(error, sqlite3.OperationalError):
            raise
    return reading(source, "rw")


def look(path: str, check: bool) -> dict[str, Any]:
    """How many rows of a copy name a parent that is not there; raises for one that is damaged."""
    said = check_tables(path, 1)[0] if check else "ok"
    if said != "ok":
        raise sqlite3.DatabaseError(f"damaged: {said}")
    database = settled(path)
    try:
        with suppress(sqlite3.OperationalError):
            # a key that refers to no unique column cannot be checked, which harms no copy
            return {"orphans": sum(1 for _ in database.execute("PRAGMA foreign_key_check"))}
        return {"orphans": -1}
    finally:
        database.close()


class Settling:
    """Brings a file to the disk while it is written; all of it is there at the end of the block."""

    def __init__(self, path: str) -> None:
        self._handle = os.open(path, os.O_RDONLY | os.O_CREAT, 0o640)
        self._over, self._failed = threading.Event(), False
        self._thread = threading.Thread(target=self._sync)

    def _sync(self) -> None:
        try:
            while not self._over.wait(0.05):
                os.fsync(self._handle)
        except OSError:
            self._failed = True  # the kernel tells of a lost write once only

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        os.fsync(self._handle)
        os.close(self._handle)
        if self._failed:
            raise OSError(errno.EIO, os.strerror(errno.EIO))


class Steady:
    """A file of exactly so many bytes: zeros where it has become shorter meanwhile."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self.file, self.left, self.short = file, size, False

    def read(self, most: int) -> bytes:
        wanted = min(most, self.left)
        data = self.file.read(wanted)
        self.short = self.short or len(data) < wanted
        self.left -= wanted
        return data + bytes(wanted - len(data))


def copy_folder(top: str, paths: list[str], known: list[str], target: str) -> dict[str, Any]:
    """Pack what is no database into a tar; a database leaves an entry without its content."""
    beside, files = {path + end for path in known for end in BESIDE}, 0
    with Settling(target), tarfile.open(target, "w", format=tarfile.PAX_FORMAT) as tar:
        for path in paths:
            try:
                files += _pack(tar, top, path, path in known) if path not in beside else 0
            except FileNotFoundError:
                tell(k="missing", mount=top, path=path)
    return {"size": os.path.getsize(target), **checksum(target), "files": files}


def _pack(tar: tarfile.TarFile, top: str, path: str, database: bool) -> int:
    full = os.path.join(top, path)
    seen = os.lstat(full)
    entry = tarfile.TarInfo(path)
    entry.mode, entry.uid, entry.gid = stat.S_IMODE(seen.st_mode), seen.st_uid, seen.st_gid
    entry.mtime = int(seen.st_mtime)
    if stat.S_ISDIR(seen.st_mode):
        entry.type = tarfile.DIRTYPE
        tar.addfile(entry)
    elif stat.S_ISLNK(seen.st_mode):
        entry.type, entry.linkname = tarfile.SYMTYPE, os.readlink(full)
        tar.addfile(entry)
        return 1
    elif database:
        entry.pax_headers = {DATABASE: "1"}
        tar.addfile(entry)
    elif stat.S_ISREG(seen.st_mode):
        with open(full, "rb") as file:
            entry.size = os.fstat(file.fileno()).st_size
            steady = Steady(file, entry.size)
            tar.addfile(entry, steady)  # type: ignore[arg-type]
            if steady.short or os.fstat(file.fileno()).st_size != entry.size:
                tell(k="missing", mount=top, path=path)
        return 1
    return 0


def snapshot(argument: dict[str, Any]) -> None:
    """Copy what is asked for, databases before folders."""
    number, points = int(argument["first"]), mount_points()
    found = {}
    for mount in argument["mounts"]:
        top = mount["path"]
        if not os.path.isdir(top):
            tell(k="single", mount=top)
            continue
        paths = list(walk(top, mount["exclude"], points))
        given = (argument.get("known") or {}).get(top)
        found[top] = (paths, databases(top, paths) if given is None else given)
    for top, (_, known) in found.items():
        for path in list(known) if "databases" in argument["phases"] else ():
            done = _database(argument, top, path, f"{number}.sqlite")
            number, known[:] = number + done, [one for one in known if done or one != path]
    for top, (paths, known) in found.items():
        if "folders" in argument["phases"]:
            file = f"{number}.tar"
            made = copy_folder(top, paths, known, os.path.join(argument["out"], file))
            tell(k="item", kind="folder", mount=top, path="", file=file, **made)
            number += 1


def _database(argument: dict[str, Any], top: str, path: str, file: str) -> bool:
    source, target = os.path.join(top, path), os.path.join(argument["out"], file)
    try:
        made = copy_database(source, target, bool(argument.get("check")))
    except sqlite3.Error as error:
        with suppress(FileNotFoundError):
            os.unlink(target)
        there = os.path.exists(source)  # SQLite makes nothing new in mode rw
        if there and not argument.get("raw"):
            raise SystemExit(f"{source}: {error}") from error
        tell(k="unread" if there else "missing", mount=top, path=path)
        return False
    tell(k="item", kind="sqlite", mount=top, path=path, file=file, **made)
    return True


def main() -> None:
    """Do what the variable says."""
    os.umask(0o027)  # the agent is of the folder's group: it reads what is made, and nobody else
    try:
        snapshot(json.loads(os.environ["HOMEPORT_ARGUMENT"]))
    except OSError as error:
        sys.exit(f"{error.filename or 'a file'}: {error.strerror}")


if __name__ == "__main__":
    main()
