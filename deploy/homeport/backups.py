"""The vocabulary of data that is kept safe: what is asked for, a set of copies, what a check found.

A set is a folder of copies made at one time, with a manifest. It counts as a backup once it was
restored somewhere and checked. Sizes are bytes, instants seconds since the epoch.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal, Mapping

#: when it was begun, in UTC, and four digits against two in the same second
SET_ID = re.compile(r"\A\d{8}T\d{6}-[0-9a-f]{4}\Z")

Kind = Literal["sqlite", "postgres", "folder", "env"]


@dataclass(frozen=True)
class Backup:
    """``[backup]``: what is saved besides declared data, when, and how long it is kept.

    Declared data is what the moving services may write: folders and named volumes alike.
    """

    #: the variable that holds the address of the PostgreSQL database
    postgres: str = ""
    #: paths below declared data that are not saved
    exclude: tuple[str, ...] = ()
    #: the app's own look at a restored copy: ends with 0 where all is well
    check: tuple[str, ...] = ()
    #: "HH:MM" of the host's clock, "hourly", or nothing: by deploys and by hand only
    schedule: str = ""
    keep: int = 7
    days: int = 30
    #: a restic repository
    offsite: str = ""
    offsite_daily: int = 7
    offsite_weekly: int = 5
    offsite_monthly: int = 12


@dataclass(frozen=True)
class Migrate:
    """``[migrate]``: how the schema is brought up, and how its version is told.

    ``schema`` prints two words: what the database has, and what it would have after ``command``.
    """

    command: tuple[str, ...]
    schema: tuple[str, ...]
    #: the release before works on the new schema as well: it only adds
    compatible: bool = False
    within: float = 60.0


@dataclass(frozen=True)
class Item:
    """One thing in a set.

    ``source`` is a path as seen from the app's folder, ``VOLUME/path`` for what lies in a named
    volume, or the name of a variable; ``mount`` is where the container has that data.
    """

    kind: Kind
    source: str
    file: str
    size: int
    #: of its bytes; what lies in mounts may have the other one, which small processors have sooner
    sha256: str
    #: rows of each table in the source, at the very instant of the copy
    tables: Mapping[str, int] = field(default_factory=dict)
    #: of the SQLite library or of the server
    version: str = ""
    #: how many files are in a folder's copy
    files: int = 0
    mount: str = ""
    #: rows that name a parent which is not there, in the source already; below 0: not to be told
    orphans: int = 0
    blake2b: str = ""

    @property
    def checksum(self) -> tuple[str, str]:
        """An algorithm of ``hashlib`` and what it makes of the file."""
        return ("blake2b", self.blake2b) if self.blake2b else ("sha256", self.sha256)


@dataclass(frozen=True)
class Manifest:
    """What a set is: of which release, with which schema, why, and what is in it."""

    id: str
    app: str
    release: str
    created: float
    schema: str = ""
    ended: float = 0.0
    why: str = ""
    run: str = ""
    items: tuple[Item, ...] = ()
    #: files that went away while they were read
    missing: tuple[str, ...] = ()
    #: databases that SQLite could not read: files as they lay, which no check can say anything of
    unread: tuple[str, ...] = ()
    #: SHA-256 of the files that a new host makes the release of; sets from before tell none
    papers: Mapping[str, str] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """What the set takes on the disk."""
        return sum(one.size for one in self.items)


@dataclass(frozen=True)
class Verified:
    """What became of restoring a set and looking at what came out."""

    set: str
    at: float
    ok: bool
    problems: tuple[str, ...] = ()
    seconds: float = 0.0
