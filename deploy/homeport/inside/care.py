"""Upkeep of an app's live SQLite databases, by the app's own Python and SQLite.

Runs inside an image, by itself. ``HOMEPORT_ARGUMENT`` is JSON:

``do``      ``look``, ``check``, ``vacuum``, ``analyze`` or ``checkpoint``
``mounts``  ``path`` of each, and what to ``exclude`` below it
``known``   paths of databases that were there when they were last saved
``wait``    seconds that a locked database is waited for

One line of JSON comes out for each database, with its ``path``. Sizes are bytes: ``size`` of the
file and ``wal`` of the log beside it, ``free`` on the disk; ``pages`` with ``empty`` ones among
them. ``problems`` are what SQLite finds damaged; ``locked`` says that a writer did not let go.
"""

from __future__ import annotations

import json
import os
import sqlite3
import stat
import sys
import time
from contextlib import closing
from typing import Any, Callable, Dict, Iterator, List, Mapping, Set
from urllib.parse import quote

MAGIC = b"SQLite format 3\0"
#: findings that are told of a damaged database
SHOWN = 20

Line = Dict[str, Any]


def files(top: str, exclude: List[str]) -> Iterator[str]:
    """Every file below a mount but what is left out, in order."""
    left = {os.path.normpath(os.path.join(top, one)) for one in exclude}
    for folder, folders, names in os.walk(top):
        folders[:] = sorted(one for one in folders if os.path.join(folder, one) not in left)
        for name in sorted(names):
            path = os.path.join(folder, name)
            if path not in left:
                yield path


def is_database(path: str) -> bool:
    """Whether a file begins as a SQLite database does."""
    try:
        if not stat.S_ISREG(os.lstat(path).st_mode):
            return False
        with open(path, "rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError:
        return False


def was_database(path: str) -> bool:
    """Whether a file must have been one: by its name, and by what SQLite left beside it."""
    beside = any(os.path.exists(path + end) for end in ("-wal", "-shm", "-journal"))
    return beside and path.lower().endswith((".db", ".db3", ".sqlite", ".sqlite3"))


def size(path: str) -> int:
    """Bytes of a file; 0 where there is none."""
    try:
        return os.path.getsize(path)
    except OSError:
        return 0


def free(path: str) -> int:
    """Bytes that a file's disk has left for this user."""
    disk = os.statvfs(os.path.dirname(path))
    return disk.f_bavail * disk.f_frsize


def one(database: sqlite3.Connection, question: str) -> Any:
    """The first cell of what SQLite answers."""
    return database.execute(question).fetchone()[0]


def measured(database: sqlite3.Connection, path: str) -> Line:
    """The figures of a database as it is now."""
    return {
        "size": size(path),
        "wal": size(path + "-wal"),
        "pages": one(database, "PRAGMA page_count"),
        "empty": one(database, "PRAGMA freelist_count"),
    }


def look(database: sqlite3.Connection, path: str) -> Line:
    """Nothing but figures: what is there, how it is written, and by which library."""
    return {}


def check(database: sqlite3.Connection, path: str) -> Line:
    """Read all of it: damage, rows that refer to rows that are not there, and how many there are.

    Keys that point nowhere harm no file; an app may have let them be so.
    """
    found = [str(row[0]) for row in database.execute(f"PRAGMA integrity_check({SHOWN})")]
    problems = [] if found == ["ok"] else found
    orphans: Dict[str, int] = {}
    rows = tables = 0
    try:
        for row in database.execute("PRAGMA foreign_key_check"):
            orphans[f"{row[0]} -> {row[2]}"] = orphans.get(f"{row[0]} -> {row[2]}", 0) + 1
    except sqlite3.OperationalError as error:
        # a key that refers to no unique column cannot be followed
        orphans[str(error)] = 0
    if not problems:
        names = "SELECT name FROM sqlite_master WHERE type = 'table' AND rootpage > 0"
        for (name,) in database.execute(names).fetchall():
            quoted = '"' + name.replace('"', '""') + '"'
            rows += one(database, f"SELECT count(*) FROM {quoted}")
            tables += 1
    return {"problems": problems, "orphans": orphans, "rows": rows, "tables": tables}


def vacuum(database: sqlite3.Connection, path: str) -> Line:
    """Write all of it anew without its empty pages; what it needs meanwhile lies beside it."""
    database.execute("VACUUM")
    return checkpoint(database, path)


def analyze(database: sqlite3.Connection, path: str) -> Line:
    """Gather what the planner of queries goes by."""
    database.execute("ANALYZE")
    database.execute("PRAGMA optimize")
    statistics = "SELECT count(*) FROM sqlite_master WHERE name = 'sqlite_stat1'"
    rows = one(database, "SELECT count(*) FROM sqlite_stat1") if one(database, statistics) else 0
    return {"statistics": rows}


def checkpoint(database: sqlite3.Connection, path: str) -> Line:
    """Bring the log's pages into the database and empty the log."""
    busy, _, _ = database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    return {"locked": bool(busy)}


DO: Mapping[str, Callable[[sqlite3.Connection, str], Line]] = {
    "look": look,
    "check": check,
    "vacuum": vacuum,
    "analyze": analyze,
    "checkpoint": checkpoint,
}


def care(path: str, do: str, wait: float) -> Line:
    """Do it to one database; the line that tells of it."""
    line: Line = {"path": path, "version": sqlite3.sqlite_version, "free": free(path)}
    if not is_database(path):
        gone = "is no SQLite database any more" if os.path.exists(path) else "is not there any more"
        return {**line, "problems": [f"it {gone}"]}
    # beside the database there is room for a copy: a container's own /tmp is small
    os.environ["SQLITE_TMPDIR"] = os.path.dirname(path)
    begun = time.monotonic()
    address = f"file:{quote(path)}?mode=rw"
    try:
        with closing(sqlite3.connect(address, wait, isolation_level=None, uri=True)) as database:
            line["journal"] = str(one(database, "PRAGMA journal_mode"))
            line["synchronous"] = one(database, "PRAGMA synchronous")
            line["before"] = measured(database, path)
            line.update(DO[do](database, path))
            line["after"] = measured(database, path)
    except sqlite3.OperationalError as error:
        if "locked" not in str(error) and "busy" not in str(error):
            line["failed"] = str(error)
        line["locked"] = "failed" not in line
    except sqlite3.DatabaseError as error:
        line["problems"] = [*line.get("problems", []), str(error)]
    return {**line, "seconds": round(time.monotonic() - begun, 3)}


def main(argument: Dict[str, Any]) -> None:
    """Every database in the mounts, and every one that was there when they were last saved."""
    seen: Set[str] = set()
    for mount in argument["mounts"]:
        for path in files(mount["path"], mount["exclude"]):
            if is_database(path) or was_database(path):
                seen.add(path)
    for path in sorted(seen | set(argument["known"])):
        print(json.dumps(care(path, argument["do"], float(argument["wait"]))), flush=True)


if __name__ == "__main__":
    try:
        main(json.loads(os.environ["HOMEPORT_ARGUMENT"]))
    except OSError as error:
        sys.exit(f"{error.filename or 'a file'}: {error.strerror}")
