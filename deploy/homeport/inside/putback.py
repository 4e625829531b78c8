"""Copies put back in their places, so that a crash at any point leaves something to do again.

Runs inside an image, with ``tables.py`` alone. ``HOMEPORT_ARGUMENT`` is JSON:

``set``     the folder that has the copies
``run``     what a name that stands in the way is moved aside with
``look``    whether this is a trial, in an empty place: what comes out is then looked through
``mounts``  each with its ``path``, its ``tar`` and its ``databases`` as the manifest has them

Every copy is compared with its checksum before anything is changed. Then each file is written
beside its place, on the disk, and renamed; one that is right already is left alone. A database's
old log goes before the new one comes: it would be played into it. Files that the copy does not have
**stay as they are**: this morning's upload may be the only one there is.

It prints an object a line: ``problem`` (``file``, ``text``) for what is wrong with a copy: nothing
is changed then but in a trial or where ``anyway`` is set; ``note``; ``put`` at a mount's end.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import sqlite3
import stat
import sys
import tarfile
from contextlib import suppress

from homeport.inside.tables import BESIDE, DATABASE, MAGIC, TEMP, check, counts, settled, standing

TYPE_CHECKING = False
if TYPE_CHECKING:  # an image without bytecode compiles at every start what is imported
    from typing import IO, Any

CHUNK = 1024 * 1024


def tell(**what: Any) -> None:
    """One line of the answer."""
    print(json.dumps(what), flush=True)


def sync(folder: str) -> None:
    """Make the names in a folder last through a power cut."""
    os.fsync(handle := os.open(folder, os.O_RDONLY))
    os.close(handle)


def wrong(folder: str, copy: dict[str, Any]) -> str:
    """Why a copy is not what was written, or nothing."""
    kind = "blake2b" if copy.get("blake2b") else "sha256"
    try:
        with open(os.path.join(folder, copy["file"]), "rb") as file:
            done, size = hashlib.new(kind), os.fstat(file.fileno()).st_size
            while part := file.read(CHUNK):
                done.update(part)
    except OSError as error:
        return f"it cannot be read: {error.strerror}"
    if size != copy["size"]:
        return f"it is {size} bytes long and was {copy['size']} when it was saved"
    return "it is not what was saved: its bytes differ" * int(done.hexdigest() != copy[kind])


def examine(argument: dict[str, Any]) -> bool:
    """Whether every copy is what was written; what is not is told."""
    copies = [one for mount in argument["mounts"] for one in (mount["tar"], *mount["databases"])]
    said = [(one["file"], wrong(argument["set"], one)) for one in copies]
    for file, text in ((file, text) for file, text in said if text):
        tell(k="problem", file=file, text=text)
    return not any(text for _, text in said)


def same(path: str, file: IO[bytes], size: int) -> bool:
    """Whether what is at ``path`` has these very bytes already."""
    file.seek(0)
    try:
        seen = os.lstat(path)
        if not stat.S_ISREG(seen.st_mode) or seen.st_size != size:
            return False
        with open(path, "rb") as there:
            for part in iter(lambda: file.read(CHUNK), b""):
                if there.read(len(part)) != part:
                    return False
    except FileNotFoundError:
        return False
    return True


def beside(path: str) -> str:
    """The name of a file that is not in its place yet."""
    return os.path.join(os.path.dirname(path), f".{os.path.basename(path)}{TEMP}")


def write(path: str, file: IO[bytes], entry: tarfile.TarInfo) -> None:
    """Write what belongs at ``path`` beside it, on the disk and with its mode and owner."""
    temp = beside(path)
    file.seek(0)
    try:
        with open(temp, "wb") as out:
            shutil.copyfileobj(file, out, CHUNK)
            out.flush()
            dress(temp, entry)
            os.fsync(out.fileno())
    except OSError:
        take_away(temp, "")
        raise


def dress(path: str, entry: tarfile.TarInfo) -> None:
    """Mode, owner and time as they were; an owner that this user cannot give stays this user."""
    with suppress(PermissionError):
        os.chown(path, entry.uid, entry.gid)
    os.chmod(path, entry.mode)
    os.utime(path, (entry.mtime, entry.mtime))


def take_place(path: str, run: str) -> None:
    """Rename what was written beside a place into it; a folder that stands there is moved aside."""
    if os.path.isdir(path) and not os.path.islink(path):
        os.rename(path, f"{path}.replaced-{run}")
    os.replace(beside(path), path)


def put_database(path: str, copy: str, entry: tarfile.TarInfo) -> None:
    """Put a database in its place, without what the one before it had beside it."""
    folder = os.path.dirname(path)
    with open(copy, "rb") as file:
        fresh = not same(path, file, entry.size)
        if fresh:
            try:
                write(path, file, entry)
            except OSError as error:
                if error.errno != errno.ENOSPC or not os.path.exists(path):
                    raise
                take_away(path, "")  # no room for both, and the copy is known to be whole
                write(path, file, entry)
    take_away(path, *BESIDE)
    sync(folder)
    if fresh:
        os.replace(beside(path), path)
        sync(folder)


def take_away(path: str, *ends: str) -> None:
    """Remove a file, or what has its name with these ends."""
    for end in ends:
        with suppress(FileNotFoundError):
            os.unlink(path + end)


def inside(top: str, name: str) -> str:
    """The place of an entry below ``top``; raises ValueError for one that would leave it."""
    path = os.path.normpath(name)
    if path.startswith(("/", "../")) or path == "..":
        raise ValueError(f"an entry leaves its folder: {name}")
    return os.path.normpath(os.path.join(top, path))


def put_mount(argument: dict[str, Any], mount: dict[str, Any]) -> None:
    """Files first, databases last: none names a file that is not there yet."""
    top, folder = mount["path"], argument["set"]
    if os.path.exists(top) and not os.path.isdir(top):
        return  # a file that is mounted
    os.makedirs(top, exist_ok=True)
    found, touched, files = {}, set(), 0
    with tarfile.open(os.path.join(folder, mount["tar"]["file"]), "r:") as tar:
        for entry in tar:
            path = inside(top, entry.name)
            found[path] = entry
            if entry.isdir():
                make_folder(path, argument["run"])
            elif DATABASE not in entry.pax_headers:
                files += 1
                if put_entry(tar, path, entry, argument["run"]):
                    touched.add(path)
    for one in sorted({os.path.dirname(path) for path in touched}):
        sync(one)
    for database in mount["databases"]:
        path = inside(top, database["path"])
        entry = found.get(path) or tarfile.TarInfo(database["path"])
        entry.size = database["size"]
        os.makedirs(os.path.dirname(path), exist_ok=True)
        put_database(path, os.path.join(folder, database["file"]), entry)
    for path, entry in reversed(list(found.items())):
        # the top of a mount may be another user's; and a trial is the agent's to empty
        with suppress(PermissionError):
            if entry.isdir() and not argument["look"]:
                dress(path, entry)
    if files != mount["tar"]["files"]:
        text = f"it has {files} files and had {mount['tar']['files']}"
        tell(k="problem", file=mount["tar"]["file"], text=text)
    left = stayed(top, found)
    tell(k="put", mount=top, left=len(left), names=left[:3], written=len(touched))


def make_folder(path: str, run: str) -> None:
    """A folder where one belongs; its mode comes when everything is in it."""
    if os.path.lexists(path) and not os.path.isdir(path):
        os.rename(path, f"{path}.replaced-{run}")
    os.makedirs(path, exist_ok=True)


def put_entry(tar: tarfile.TarFile, path: str, entry: tarfile.TarInfo, run: str) -> bool:
    """A file or a link of the tar; whether there was something to do."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if entry.issym():
        if os.path.islink(path) and os.readlink(path) == entry.linkname:
            return False
        take_away(beside(path), "")
        os.symlink(entry.linkname, beside(path))
        take_place(path, run)
        return True
    file = tar.extractfile(entry)
    if file is not None and file.read(len(MAGIC)) == MAGIC:
        # packed as it lay, since nothing could read it: only its own log may lie beside it
        take_away(path, *BESIDE)
    if file is None or same(path, file, entry.size):
        return False
    write(path, file, entry)
    take_place(path, run)
    return True


def stayed(top: str, known: dict[str, Any]) -> list[str]:
    """Files in the mount that the copy does not have."""
    there = (os.path.join(folder, name) for folder, _, files in os.walk(top) for name in files)
    return sorted(os.path.relpath(path, top) for path in there if path not in known)


def look(path: str, database: dict[str, Any]) -> list[str]:
    """What is wrong with a database that was put into an empty place."""
    said = []
    opened = settled(path)
    try:
        integrity, partly = check(path, 5)
        if partly:
            text = f"only read, they want what the app brings: {', '.join(partly)}"
            tell(k="note", file=database["file"], text=text)
        said += [f"SQLite finds it damaged: {integrity}"] * (integrity != "ok")
        if (had := database["orphans"]) >= 0:
            orphans = sum(1 for _ in opened.execute("PRAGMA foreign_key_check"))
            said += [f"{orphans} rows name a parent that is not there"] * (orphans > had)
        said += standing(lambda stands: rows(path, database["tables"], stands))
    except sqlite3.Error as error:
        said.append(f"SQLite cannot read it: {error}")
    finally:
        opened.close()
    return said


def rows(path: str, tables: dict[str, int], stands: tuple[str, ...]) -> list[str]:
    """Tables that do not have the rows that the source had at the instant of the copy."""
    opened = settled(path, stands)
    try:
        there = counts(opened)
    finally:
        opened.close()
    said = [f"the table {name} is not there" for name in sorted(set(tables) - set(there))]
    for name, count in there.items():
        if name not in tables:
            said.append(f"the table {name} was not there when it was saved")
        elif count != tables[name]:
            said.append(f"the table {name} has {count} rows and had {tables[name]}")
    return said


def trial(argument: dict[str, Any], mount: dict[str, Any]) -> None:
    """Put a mount's copies into an empty place and look at what came out."""
    try:
        with suppress(FileNotFoundError):  # a copy that is not there has been told
            put_mount(argument, mount)
    except (tarfile.TarError, ValueError, EOFError) as error:
        tell(k="problem", file=mount["tar"]["file"], text=f"it cannot be unpacked: {error}")
    for database in mount["databases"]:
        path = inside(mount["path"], database["path"])
        for text in look(path, database) if os.path.exists(path) else ():
            tell(k="problem", file=database["file"], text=text)


def main() -> None:
    """Do what the variable says."""
    argument = json.loads(os.environ["HOMEPORT_ARGUMENT"])
    os.umask(0o007 if argument["look"] else 0o027)
    try:
        good = examine(argument)
        for mount in argument["mounts"] if good or argument["look"] or argument["anyway"] else ():
            (trial if argument["look"] else put_mount)(argument, mount)
    except OSError as error:
        sys.exit(f"{error.filename or 'a file'}: {error.strerror}")


if __name__ == "__main__":
    main()
