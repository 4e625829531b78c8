"""SQLite: one file, in WAL mode.

Readers never wait. Writers take the write lock at their first statement (BEGIN IMMEDIATE), so
that nothing has to be promoted from reading to writing in mid-transaction, which SQLite answers
with "database is locked" at once, whatever the timeout.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from sqlalchemy import Connection, create_engine, event, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool, QueuePool

from foodbudget.database import BUSY_TIMEOUT, Database
from foodbudget.errors import BusyError
from foodbudget.standby import Standby
from foodbudget.versions import SQLITE_TABLES

# More than gunicorn's 16 threads, each of which may hold a reader and a writer.
POOL_SIZE = 40


class SQLite(Database):
    """The SQLite file of one app.

    `engine` opens it for reading and writing. In standby `read()`, and `look_connection()` always,
    go through an engine of their own that opens the file read-only: SQLite's own bookkeeping
    (creating the file, checkpointing at the last close) would be a write as well.

    Args:
        path: the file; it need not exist.
        standby: says whether writes are allowed now.
        busy_timeout: seconds that a writer waits for another one.
    """

    advice = (
        "Its folder must be writable for the app; in a container that is uid 10001: "
        "`sudo chown -R 10001:10001 ./data`"
    )

    def __init__(self, path: Path, standby: Standby, busy_timeout: float = BUSY_TIMEOUT) -> None:
        super().__init__(str(path), standby, busy_timeout)
        self.path = path
        # SQLite's own waiting polls and is unfair; between threads of one process this is fair
        # enough and wakes at once. Other processes are still waited for by SQLite.
        self._writer = threading.Lock()
        self.engine = create_engine(
            "sqlite://",
            creator=self._open,
            # by the bare URL SQLAlchemy would choose the pool of in-memory databases
            poolclass=QueuePool,
            pool_size=POOL_SIZE,
            max_overflow=0,
        )
        self._looking = create_engine("sqlite://", creator=self._open_read_only, poolclass=NullPool)
        for engine in (self.engine, self._looking):
            event.listen(engine, "begin", _begin)
        self._writing = self.engine.execution_options(sqlite_begin="IMMEDIATE")

    def read_connection(self) -> AbstractContextManager[Connection]:
        """A connection that sees one snapshot."""
        return (self._looking if self.standby.on else self.engine).connect()

    @property
    def absent(self) -> bool:
        """Whether the file is not there yet."""
        return not self.path.exists()

    def look_connection(self) -> AbstractContextManager[Connection]:
        """A connection that opens the file read-only."""
        return self._looking.connect()

    @contextmanager
    def write_connection(self) -> Iterator[Connection]:
        """As `write`, for code that wants a plain connection."""
        self.standby.refuse_writes()
        if not self._writer.acquire(timeout=self.busy_timeout):
            raise BusyError
        try:
            with self._writing.begin() as connection:
                # looked at again under the lock: what waited for it may have waited long
                self.standby.refuse_writes()
                yield connection
        except OperationalError as error:
            if sqlite_code(error) == sqlite3.SQLITE_BUSY:
                raise BusyError from error
            raise
        finally:
            self._writer.release()

    def tables(self, connection: Connection) -> set[str]:
        """The names of all tables that are there, ours or not."""
        return set(connection.scalars(text(SQLITE_TABLES)))

    def prepare(self) -> None:
        """Make the file's folder. Raises OSError."""
        self.path.parent.mkdir(parents=True, exist_ok=True)

    def _open(self) -> sqlite3.Connection:
        connection = self._connect("rwc")
        try:
            _use_wal(connection, self.busy_timeout)
            connection.execute("PRAGMA synchronous = FULL")
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    def _open_read_only(self) -> sqlite3.Connection:
        return self._connect("ro")

    def _connect(self, mode: str) -> sqlite3.Connection:
        connection = sqlite3.connect(
            f"{self.path.as_uri()}?mode={mode}",
            uri=True,
            timeout=self.busy_timeout,
            # transactions are begun by `_begin`, not guessed by the driver
            isolation_level=None,
            # the pool hands a connection to one thread at a time
            check_same_thread=False,
        )
        connection.execute("PRAGMA foreign_keys = ON")
        return connection


def _begin(connection: Connection) -> None:
    mode = connection.get_execution_options().get("sqlite_begin", "DEFERRED")
    connection.exec_driver_sql(f"BEGIN {mode}")


def _use_wal(connection: sqlite3.Connection, patience: float) -> None:
    """Make sure of WAL. The mode is kept in the file, so this nearly always changes nothing; the
    change itself does not wait for others by the busy timeout, hence the loop."""
    deadline = time.monotonic() + patience
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if primary_code(error) != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def primary_code(error: BaseException | None) -> int | None:
    """SQLite's result code without its extension, None for what is no SQLite error."""
    code = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF


def sqlite_code(error: OperationalError) -> int | None:
    """The primary result code inside SQLAlchemy's exception."""
    return primary_code(error.orig)
