"""What scripts that run inside an image have in common, passed along with them: how copies look,
their checksums, and databases whose indexes or rules want what only the app itself brings.

SQLite stops where a collation or a function is missing. Something else in its place is good enough
to read rows with, and never to say whether an index is in order.
"""

from __future__ import annotations

import hashlib
import sqlite3
import time
from contextlib import suppress

TYPE_CHECKING = False
if TYPE_CHECKING:  # an image without bytecode compiles at every start what is imported
    from typing import Any, Callable, TypeVar

    T = TypeVar("T")

MAGIC = b"SQLite format 3\0"
#: what SQLite keeps beside a database
BESIDE = ("-wal", "-shm", "-journal")
#: in the tar's entry of a database: its mode and owner are there, its content is not
DATABASE = "HOMEPORT.database"
#: what putback.py names a file that is not in its place yet
TEMP = ".homeport-new"
CHUNK = 256 * 1024
NAMES = "SELECT name FROM sqlite_master WHERE type = 'table' AND rootpage > 0 ORDER BY name"
#: what SQLite says of something that the app brings, before its name
COLLATION = "no such collation sequence: "
FUNCTIONS = ("no such function: ", "unknown function: ")


def address(path: str) -> str:
    """A path as SQLite's addresses have it."""
    return "file:" + path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")


def settled(path: str, stands: tuple[str, ...] = ()) -> sqlite3.Connection:
    """A database that nobody writes, with something in the place of what it is known to lack."""
    opened = sqlite3.connect(f"{address(path)}?mode=ro&immutable=1", uri=True)
    for said in stands:
        stand_in(opened, said)
    return opened


def counts(database: sqlite3.Connection) -> dict[str, int]:
    """Rows of every table that has any place of its own."""
    return {name: _count(database, name) for name in names(database)}


def names(database: sqlite3.Connection) -> list[str]:
    """Every table that has any place of its own."""
    return [str(row[0]) for row in database.execute(NAMES).fetchall()]


def _count(database: sqlite3.Connection, name: str) -> int:
    return int(database.execute(f"SELECT count(*) FROM {_quoted(name)}").fetchone()[0])


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def lacking(error: sqlite3.Error, stands: tuple[str, ...] = ()) -> bool:
    """Whether SQLite wants something more of the app's: the database may be as good as any."""
    return str(error).startswith((COLLATION, *FUNCTIONS)) and str(error) not in stands


def stand_in(database: sqlite3.Connection, said: str) -> None:
    """Something in the place of what SQLite says it lacks, before anything is read."""
    name = said.split(": ", 1)[1]
    if said.startswith(COLLATION):
        database.create_collation(name, lambda one, other: (one > other) - (one < other))
    else:
        name = name[:-2] if name.endswith("()") else name
        database.create_function(name, -1, lambda *_: None, deterministic=True)


def standing(do: Callable[[tuple[str, ...]], T], stands: tuple[str, ...] = ()) -> T:
    """What ``do`` gives, called again with whatever it was found to lack, until it has an end.

    It opens its database anew each time: SQLite leaves an index alone once it lacked something.
    """
    while True:
        try:
            return do(stands)
        except sqlite3.OperationalError as error:
            if not lacking(error, stands):
                raise
            stands = (*stands, str(error))


def check(path: str, most: int) -> tuple[str, list[str]]:
    """What SQLite finds damaged, or ``ok``; the tables of which the rows alone could be read."""
    said, lacks = _whole(path, most)
    if said == "ok" and lacks:
        standing(lambda stands: _read(path, lacks, stands), tuple(dict.fromkeys(lacks.values())))
    return said, sorted(lacks)


def _whole(path: str, most: int) -> tuple[str, dict[str, str]]:
    """All at once if it can be, else table by table: what those lack that cannot be checked."""
    lacks: dict[str, str] = {}
    try:
        return _integrity(path, str(most)), lacks
    except sqlite3.OperationalError as error:
        if not lacking(error):
            raise
    opened = settled(path)
    tables = names(opened)
    opened.close()
    for name in tables:
        try:
            said = _integrity(path, _quoted(name))
        except sqlite3.OperationalError as error:
            if not lacking(error):
                raise
            lacks[name] = str(error)
        else:
            if said != "ok":
                return said, lacks
    return "ok", lacks


def _integrity(path: str, what: str) -> str:
    """What SQLite says, opened anew: what failed before has no part in it."""
    opened = settled(path)
    try:
        found = opened.execute(f"PRAGMA integrity_check({what})").fetchall()
    finally:
        opened.close()
    return "; ".join(str(row[0]) for row in found)


def _read(path: str, tables: dict[str, str], stands: tuple[str, ...]) -> None:
    """Read every row of tables: raises for one that cannot be."""
    opened = settled(path, stands)
    try:
        for name in tables:
            for _ in opened.execute(f"SELECT * FROM {_quoted(name)}"):
                pass
    finally:
        opened.close()


def checksum(path: str) -> dict[str, str]:
    """A file's SHA-256, or its BLAKE2b (RFC 7693) where the processor makes that sooner.

    With instructions for SHA-256 it takes half as long, and without, as on a Pi 4, twice as long.
    """
    seen = memoryview(buffer := bytearray(CHUNK))
    kind = min(("sha256", "blake2b"), key=lambda one: min(_took(one, buffer) for _ in range(5)))
    done = _begun(kind)
    with open(path, "rb", buffering=0) as file:
        while size := file.readinto(buffer):
            done.update(seen[:size])
    return {kind: str(done.hexdigest())}


def _begun(kind: str) -> Any:
    with suppress(ValueError):  # OpenSSL's is the faster; not every Python that has it lists it
        return hashlib.new("blake2b512" if kind == "blake2b" else kind)
    return hashlib.new(kind)


def _took(kind: str, data: bytearray) -> float:
    began = time.perf_counter()
    _begun(kind).update(data)
    return time.perf_counter() - began
