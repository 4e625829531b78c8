"""What the app asks of a database, whichever kind it is: `read()` and `write()`, and a name."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from foodbudget.errors import DownError
from foodbudget.standby import Standby

if TYPE_CHECKING:
    # a migration needs none, and people wait for it
    from sqlalchemy.orm import Session

# How long a writer waits for another one, in seconds; well below any proxy's patience.
BUSY_TIMEOUT = 10.0

Answer = TypeVar("Answer")
# what `Database.ask` puts; named by a plain function, so that the same question is known again
Question = Callable[["Database", Connection], Answer]


class Database(ABC):
    """The database of one app.

    `engine` opens it for reading and writing, `name` is what messages call it (no password),
    `advice` what mends one that can't be opened or filled.

    Args:
        name: see above.
        standby: says whether writes are allowed now.
        busy_timeout: seconds that a writer waits for another one.
    """

    engine: Engine
    advice: str

    def __init__(self, name: str, standby: Standby, busy_timeout: float) -> None:
        self.name = name
        self.standby = standby
        self.busy_timeout = busy_timeout

    @abstractmethod
    def read_connection(self) -> AbstractContextManager[Connection]:
        """A connection that sees one snapshot.

        Raises:
            DownError: the database does not answer (PostgreSQL).
        """

    @property
    def absent(self) -> bool:
        """Whether there is nothing to open yet, and opening it would make it."""
        return False

    def look_connection(self) -> AbstractContextManager[Connection]:
        """As `read_connection`, for a process that only looks and must leave all as it is."""
        return self.read_connection()

    @abstractmethod
    def write_connection(self) -> AbstractContextManager[Connection]:
        """As `write`, for code that wants a plain connection."""

    @abstractmethod
    def tables(self, connection: Connection) -> set[str]:
        """The names of all tables that are there, ours or not."""

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A session that sees one snapshot and can not be committed."""
        from sqlalchemy.orm import Session

        with self.read_connection() as connection, Session(connection, autoflush=False) as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A session that holds the write lock; committed at the end, rolled back on an error.

        Raises:
            StandbyError: another release writes.
            BusyError: the lock was not free within `busy_timeout`.
            DownError: the database does not answer (PostgreSQL); nothing was stored.
        """
        from sqlalchemy.orm import Session

        with self.write_connection() as connection, Session(connection) as session:
            yield session
            session.flush()

    def ask(self, question: Question[Answer]) -> Answer:
        """Put a question on a reading connection.

        Raises:
            DownError: the database does not answer (PostgreSQL).
        """
        with self.read_connection() as connection:
            return question(self, connection)

    def prepare(self) -> None:
        """Make what the database needs before it can be opened. Raises OSError."""

    def lift_limits(self, connection: Connection) -> None:
        """Take from this transaction the limits that a migration may outlast."""

    def public_cause(self, error: SQLAlchemyError | DownError) -> str:
        """What anybody may read of an error."""
        return str(getattr(error, "orig", error))

    def close(self) -> None:
        """Close all idle connections; the next use opens new ones. Needed before a fork."""
        self.engine.dispose()
