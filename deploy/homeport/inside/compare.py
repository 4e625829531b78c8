"""Count what was added, changed and removed in an app's mounts since a set of copies was made.

Runs in the app's own image, as the app's user. ``HOMEPORT_ARGUMENT`` is JSON:

``mounts``  ``path`` of each, what to ``exclude`` below it, ``databases``: copies by path, and
            ``tar``: the copy of its other files
``cap``     no more than so many rows or files of a kind are counted
``within``  the seconds that all of it may take

It prints an object a line for each table that differs, and one for the files of a mount. What the
cap or the time cut short is marked ``least``.

Rows are told apart by their primary key, or by their rowid where a table has none; changed is what
differs in a column that both sides have. A live database is read in one transaction, so its
figures are of one instant; where that would keep its writers waiting, in one for each question.
"""

from __future__ import annotations

import json
import os
import sqlite3
import stat
import tarfile
import time
from contextlib import closing
from typing import Any, Callable, Iterator, Sequence

#: seconds that writers may be kept waiting by one question, where readers do that
SHARE = 1.0
#: steps of SQLite's machine between two looks at the clock
STEPS = 20_000

#: what tables behind a virtual one are called after it: indexes for full text keep these
SHADOWS = "content data idx docsize config segments segdir stat".split()

MAGIC = b"SQLite format 3\0"
#: what SQLite keeps beside a database
BESIDE = ("-wal", "-shm", "-journal")
#: marks the entry of a database in a tar, where its content is not
DATABASE = "HOMEPORT.database"
CHUNK = 1024 * 1024
Line = dict[str, Any]
Columns = list[tuple[str, int]]


class Clock:
    """Ends a question whose time is over; ``ran_out`` says whether it did."""

    def __init__(self, within: float) -> None:
        self.end = self.until = time.monotonic() + within
        self.ran_out = False

    def over(self) -> int:
        """What SQLite asks now and then: anything but 0 ends the question."""
        self.ran_out = self.ran_out or time.monotonic() >= self.until
        return int(self.ran_out)

    def question(self, share: float | None) -> None:
        """The next question begins; it may take ``share`` seconds, or all that is left."""
        self.ran_out = False
        self.until = self.end if share is None else min(self.end, time.monotonic() + share)


class Pair:
    """A live database and its copy, side by side in one connection."""

    def __init__(self, live: str, copy: str, cap: int, clock: Clock) -> None:
        # for reading and writing: a database in WAL mode whose app is away needs its files made
        self.db = sqlite3.connect(_address(live, "mode=rw"), uri=True, isolation_level=None)
        self.cap, self.clock = cap, clock
        self.db.execute("PRAGMA query_only = 1")
        self.db.execute("ATTACH ? AS copy", (_address(copy, "mode=ro&immutable=1"),))
        journal = str(self.db.execute("PRAGMA main.journal_mode").fetchone()[0])
        self.share = None if journal == "wal" else SHARE
        self.db.set_progress_handler(clock.over, STEPS)

    def lines(self) -> Iterator[Line]:
        """A line for each table that differs."""
        if self.share is None:
            self.db.execute("BEGIN")
        now, then = self.tables("main"), self.tables("copy")
        for name in sorted(set(now) | set(then)):
            line: Line = {"table": name, "added": 0, "changed": 0, "removed": 0}
            try:
                if name not in then:
                    line.update(only="now", added=self.rows(line, "main", now[name]))
                elif name not in now:
                    line.update(only="then", removed=self.rows(line, "copy", then[name]))
                else:
                    self.compare(line, now[name])
            except sqlite3.Error as error:
                line["note"] = f"cannot be compared: {error}"
            if any(
                line.get(key) for key in ("added", "changed", "removed", "least", "note", "only")
            ):
                yield line

    def tables(self, side: str) -> dict[str, str]:
        """The tables of a side by the name that people know, and the one that holds the rows.

        An index for full text is a virtual table: its rows, where it has its own, are in another.
        """
        asked = f"SELECT name, sql FROM {side}.sqlite_master WHERE type = 'table'"
        found = {str(name): str(sql or "") for name, sql in self.db.execute(asked)}
        virtual = {name for name, sql in found.items() if sql[:14].upper() == "CREATE VIRTUAL"}
        shadows = {f"{name}_{tail}" for name in virtual for tail in SHADOWS}
        kept = {
            one: one
            for one in found
            if one not in virtual | shadows and not one.lower().startswith("sqlite_")
        }
        kept.update({name: f"{name}_content" for name in virtual if f"{name}_content" in found})
        return kept

    def rows(self, line: Line, side: str, table: str) -> int:
        """How many rows a table has that only this side has."""
        return self.count(line, f"SELECT 1 FROM {side}.{_quoted(table)}")

    def compare(self, line: Line, table: str) -> None:
        """Fill in what differs in a table that both sides have."""
        name = _quoted(table)
        now, then = self.columns("main", table), self.columns("copy", table)
        keys = self.keys(now, then, table)
        if not keys:
            line["note"] = "cannot be compared: its primary key is another one now"
            return
        same = " AND ".join(f"a.{key} = b.{key}" for key in keys)
        for kind, mine, other in (("added", "main", "copy"), ("removed", "copy", "main")):
            line[kind] = self.count(
                line,
                f"SELECT 1 FROM {mine}.{name} a"
                f" WHERE NOT EXISTS (SELECT 1 FROM {other}.{name} b WHERE {same})",
            )
        common = [_quoted(one) for one, _ in now if one in {each for each, _ in then}]
        # by bytes: a collation may take two spellings for one
        differs = " OR ".join(f"a.{one} IS NOT b.{one} COLLATE BINARY" for one in common)
        if common:
            line["changed"] = self.count(
                line,
                f"SELECT 1 FROM main.{name} a JOIN copy.{name} b ON {same} WHERE {differs}",
            )

    def columns(self, side: str, table: str) -> Columns:
        """A table's columns, each with its place in the primary key, 0 for none."""
        told = self.db.execute(f"PRAGMA {side}.table_info({_quoted(table)})")
        return [(str(row[1]), int(row[5])) for row in told]

    def keys(self, now: Columns, then: Columns, table: str) -> list[str]:
        """What tells the rows of a table apart on both sides; nothing where that differs."""
        mine, others = ([one for one in side if one[1]] for side in (now, then))
        if sorted(mine) != sorted(others):
            return []
        names = [_quoted(one) for one, _ in mine]
        if names and not any(self.empty(side, table, names) for side in ("main", "copy")):
            return names
        taken = {one.lower() for one, _ in (*now, *then)}
        free = [one for one in ("rowid", "_rowid_", "oid") if one not in taken]
        return free[:1]

    def empty(self, side: str, table: str, names: Sequence[str]) -> bool:
        """Whether a row has nothing in its key, which SQLite lets pass; then it tells nothing."""
        self.clock.question(self.share)
        nothing = " OR ".join(f"{one} IS NULL" for one in names)
        asked = f"SELECT 1 FROM {side}.{_quoted(table)} WHERE {nothing} LIMIT 1"
        return self.db.execute(asked).fetchone() is not None

    def count(self, line: Line, question: str) -> int:
        """How many rows a question has; up to the cap, and to the end of its time."""
        self.clock.question(self.share)
        found = 0
        try:
            for _ in self.db.execute(f"{question} LIMIT {self.cap + 1}"):
                found += 1
        except sqlite3.OperationalError:
            if not self.clock.ran_out:
                raise
            line["least"] = True
        if found > self.cap:
            line["least"] = True
        return min(found, self.cap)


def _address(path: str, how: str) -> str:
    """A file as SQLite takes it for an address."""
    safe = path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")
    return f"file:{safe}?{how}"


def _quoted(name: str) -> str:
    doubled = name.replace('"', '""')
    return f'"{doubled}"'


def _said(line: Line) -> bool:
    """Whether a line says anything."""
    return any(line.get(key) for key in ("added", "changed", "removed", "least", "note", "only"))


# --- files ---------------------------------------------------------------------------------------
def mount_points() -> set[str]:
    """Where the kernel has something mounted: what lies below is not this mount's."""
    with open("/proc/self/mountinfo", "rb") as lines:
        points = [os.fsdecode(line.split()[4]) for line in lines]
    return {one.replace("\\040", " ").replace("\\011", "\t") for one in points}


def files(top: str, exclude: Sequence[str], points: set[str]) -> Iterator[str]:
    """Every file and link below ``top``, as seen from there."""
    left = {os.path.normpath(one) for one in exclude}
    for folder, folders, names in os.walk(top):
        inside, deeper = os.path.relpath(folder, top), []
        for name in names + folders:
            path, full = os.path.normpath(os.path.join(inside, name)), os.path.join(folder, name)
            if path in left or full in points:
                continue
            if name in folders and not os.path.islink(full):
                deeper.append(name)
            else:
                yield path
        folders[:] = deeper


def is_database(path: str) -> bool:
    """Whether a file is a SQLite database, by its first bytes."""
    try:
        with open(path, "rb") as file:
            return stat.S_ISREG(os.fstat(file.fileno()).st_mode) and file.read(16) == MAGIC
    except OSError:
        return False


def compare_files(mount: Line, cap: int, clock: Clock) -> Line:
    """What became of the files of a mount that are no databases."""
    top, line = mount["path"], {"added": 0, "changed": 0, "removed": 0}
    now = set(files(top, mount["exclude"], mount_points()))
    known = {path for path in now if is_database(os.path.join(top, path))} | {*mount["databases"]}
    now -= known | {path + end for path in known for end in BESIDE}
    clock.question(None)
    with tarfile.open(mount["tar"], "r:") as tar:
        for entry in tar:
            if clock.over():
                return {**line, "least": True}
            path = os.path.normpath(entry.name)
            if not (entry.isreg() or entry.issym()) or DATABASE in entry.pax_headers:
                continue
            if path not in now:
                line["removed"] += 1
            elif _differs(tar, entry, os.path.join(top, path)):
                line["changed"] += 1
            now.discard(path)
    line["added"] = len(now)
    least = {"least": True} if max(line.values()) > cap else {}
    return {**{key: min(count, cap) for key, count in line.items()}, **least}


def _differs(tar: tarfile.TarFile, entry: tarfile.TarInfo, path: str) -> bool:
    """Whether a file is another one than in the tar: by its size, its time, and then its bytes."""
    try:
        seen = os.lstat(path)
        if entry.issym() or stat.S_ISLNK(seen.st_mode):
            return not entry.issym() or os.readlink(path) != entry.linkname
        if seen.st_size != entry.size:
            return True
        if int(seen.st_mtime) == entry.mtime:
            return False
        copy = tar.extractfile(entry)
        with open(path, "rb") as file:
            return copy is None or any(
                part != copy.read(len(part)) for part in iter(lambda: file.read(CHUNK), b"")
            )
    except OSError:
        return True


# --- all of it -----------------------------------------------------------------------------------
def compare(argument: Line, say: Callable[[Line], None]) -> None:
    """Compare every mount; a database that cannot be read is said to be so."""
    clock, cap = Clock(float(argument["within"])), int(argument["cap"])
    for at, mount in enumerate(argument["mounts"]):
        for path, copy in sorted(mount["databases"].items()):
            where = {"mount": at, "path": path}
            try:
                both = Pair(os.path.join(mount["path"], path), copy, cap, clock)
                with closing(both.db):
                    for line in both.lines():
                        say({**where, **line})
            except sqlite3.Error as error:
                say({**where, "table": "", "note": f"cannot be read: {error}"})
        if mount.get("tar"):
            line = compare_files(mount, cap, clock)
            if _said(line):
                say({"mount": at, "path": "", **line})


if __name__ == "__main__":
    compare(
        json.loads(os.environ["HOMEPORT_ARGUMENT"]),
        lambda line: print(json.dumps(line), flush=True),
    )
