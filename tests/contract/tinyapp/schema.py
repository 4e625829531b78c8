"""The tiny app's schema: prints what its database has and would have, or migrates it.

The version wanted is the number in ``TINY_VERSION``. ``TINY_FAULT``: ``raises`` (half-way, with
half of it done), ``hangs`` (the same, without an end), ``needs`` (a variable that nobody sets),
``idle`` (ends well and does nothing), ``mute`` (the version is not told), ``odd`` (nor in words).
With ``-live`` behind it, it has the fault on the app's own data and not on a copy of it.
"""

from __future__ import annotations

import os
import sqlite3
import sys
import time

MOUNTS = [line.split() for line in open("/proc/self/mountinfo")]
#: a copy of the data lies in a hidden folder of the engine's
COPY = any("/." in words[3] for words in MOUNTS if words[4] == "/app/data")
FAULT, LIVE, _ = os.environ.get("TINY_FAULT", "").partition("-live")
FAULT = "" if COPY and LIVE else FAULT
WANTED = int("".join(one for one in os.environ.get("TINY_VERSION", "") if one.isdigit()) or 1)
FILE = "/app/data/rows.db"


def migrate(database: sqlite3.Connection, found: int) -> None:
    """One column a version; each is committed by itself, so that half of it can be done."""
    if FAULT == "idle":
        return
    if FAULT == "needs":
        print("MIGRATION_KEY:", os.environ["MIGRATION_KEY"])
    database.execute("CREATE TABLE IF NOT EXISTS rows (id INTEGER PRIMARY KEY, text TEXT)")
    for version in range(found + 1, WANTED + 1):
        database.execute(f"ALTER TABLE rows ADD COLUMN of_{version} TEXT")
        database.execute(f"INSERT INTO rows (text) VALUES ('made by {version}')")
        database.commit()
        if FAULT == "raises":
            secret = os.environ.get("TINY_SECRET", "none")
            raise RuntimeError(f"column of_{version} is half made, password is {secret}")
        if FAULT == "hangs":
            print("waiting for a table that somebody else has", flush=True)
            time.sleep(600)
        database.execute(f"PRAGMA user_version = {version}")
        database.commit()


def main() -> None:
    if FAULT == "mute" and sys.argv[1:] != ["migrate"]:
        sys.exit("there is no such table: versions")
    if FAULT == "odd":
        print("1 of 2 migrations")
        return
    # to look must make no file
    database = sqlite3.connect(FILE if sys.argv[1:] or os.path.exists(FILE) else ":memory:")
    (found,) = database.execute("PRAGMA user_version").fetchone()
    if sys.argv[1:] == ["migrate"]:
        migrate(database, found)
        print(f"{found} -> {WANTED}")
    else:
        print("reading the versions")
        # a later version has only added
        print(found, max(found, WANTED))


if __name__ == "__main__":
    main()
