"""The database: one SQLite file, read and written through `read()` and `write()`.

Readers never wait (WAL). Writers take the write lock at their first statement (BEGIN IMMEDIATE),
so that nothing has to be promoted from reading to writing in mid-transaction, which SQLite
answers with "database is locked" at once, whatever the timeout.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from flask import Flask, current_app
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool, QueuePool

from foodbudget.errors import BusyError
from foodbudget.standby import Standby

# How long a writer waits for another one, in seconds; well below any proxy's patience.
BUSY_TIMEOUT = 10.0
# More than gunicorn's 16 threads, each of which may hold a reader and a writer.
POOL_SIZE = 40

EXTENSION = "foodbudget.db"


class Database:
    """The SQLite file of one app.

    `engine` opens it for reading and writing. In standby `read()` goes through an engine of its
    own that opens the file read-only: SQLite's own bookkeeping (creating the file, checkpointing
    at the last close) would be a write as well.

    Args:
        path: the file; it need not exist.
        standby: says whether writes are allowed now.
        busy_timeout: seconds that a writer waits for another one.
    """

    def __init__(self, path: Path, standby: Standby, busy_timeout: float = BUSY_TIMEOUT) -> None:
        self.path = path
        self.standby = standby
        self.busy_timeout = busy_timeout
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
        self._standby_engine = create_engine(
            "sqlite://", creator=self._open_read_only, poolclass=NullPool
        )
        for engine in (self.engine, self._standby_engine):
            event.listen(engine, "begin", _begin)
        self._writing = self.engine.execution_options(sqlite_begin="IMMEDIATE")

    def reading_engine(self) -> Engine:
        """The engine that may be used for reading now."""
        return self._standby_engine if self.standby.on else self.engine

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A session that sees one snapshot and can not be committed."""
        with Session(self.reading_engine(), autoflush=False) as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A session that holds the write lock; committed at the end, rolled back on an error.

        Raises:
            StandbyError: another release writes.
            BusyError: the lock was not free within `busy_timeout`.
        """
        with self.write_connection() as connection, Session(connection) as session:
            yield session
            session.flush()

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

    def close(self) -> None:
        """Close all idle connections; the next use opens new ones. Needed before a fork."""
        self.engine.dispose()

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


def of(app: Flask) -> Database:
    """The database of an app."""
    database = app.extensions[EXTENSION]
    assert isinstance(database, Database)
    return database


def current() -> Database:
    """The database of the app that answers this request."""
    return of(current_app)


def read() -> AbstractContextManager[Session]:
    """`with read() as session:` on the current app's database."""
    return current().read()


def write() -> AbstractContextManager[Session]:
    """`with write() as session:` on the current app's database."""
    return current().write()
