"""The schema: made in an empty database, compared with what this release needs, migrated when
somebody asks for it. Nothing here changes a database that has tables, except `migrate`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from foodbudget.database import Database
from foodbudget.errors import BusyError, DatabaseError, DownError, ServerError

# The newest migration. Kept here so that a serving process need not import Alembic; a test holds
# it to what `migrations/versions` says.
HEAD = "0001"
MIGRATIONS = Path(__file__).parent.parent / "migrations"

EMPTY = "empty"
UNKNOWN = "unknown"


@dataclass(frozen=True)
class State:
    """What a look at the schema found.

    `found` is the database's version, EMPTY, or UNKNOWN for tables that are not ours.
    """

    found: str
    expected: str = HEAD

    @property
    def reason(self) -> str | None:
        """Why this release can not work with it, with what mends it; None when it can."""
        if self.found == self.expected:
            return None
        if self.found == EMPTY:
            return "the database is empty; it is filled when the app starts outside standby"
        if self.found == UNKNOWN:
            return "the database has tables but no schema version: is DATABASE_URL the right one?"
        return (
            f"the database's schema is at {self.found}, this release needs {self.expected}; "
            "`python -m flask migrate` brings an older one up"
        )


def look(database: Database, connection: Connection) -> State:
    """Read the schema version, and a row of the users, so that a damaged file shows."""
    tables = database.tables(connection)
    if not tables:
        return State(EMPTY)
    if "alembic_version" not in tables:
        return State(UNKNOWN)
    found = connection.scalar(text("SELECT version_num FROM alembic_version"))
    if found == HEAD:
        connection.scalar(text("SELECT id FROM users LIMIT 1"))
    return State(found or UNKNOWN)


def create_if_empty(database: Database) -> bool:
    """Make the schema in an empty or absent database; leave any other alone, and all in standby.

    Returns:
        whether the schema was made by this call. Of several processes that start at once exactly
        one makes it: the look and the making share one write transaction.

    Raises:
        DatabaseError: the database can not be opened or written; ServerError where its server does
            not answer.
    """
    if database.standby.on:
        return False
    with _told(database):
        database.prepare()
        with database.read_connection() as connection:
            if look(database, connection).found != EMPTY:
                return False
        with database.write_connection() as connection:
            if look(database, connection).found != EMPTY:
                return False
            database.lift_limits(connection)
            _upgrade(connection)
    return True


def migrate(database: Database) -> tuple[str, str]:
    """Bring the schema to HEAD in one transaction: all of it or nothing.

    Returns:
        the version before and the version after.

    Raises:
        DatabaseError: the database can not be used, or holds tables that are not ours.
        StandbyError: another release writes.
    """
    with _told(database), database.write_connection() as connection:
        before = look(database, connection).found
        if before == UNKNOWN:
            raise DatabaseError([f"{database.name}: {State(UNKNOWN).reason}"])
        if before != HEAD:
            database.lift_limits(connection)
            _upgrade(connection)
    return before, HEAD


def _upgrade(connection: Connection) -> None:
    # imported here: a serving process never needs it
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


@contextmanager
def _told(database: Database) -> Iterator[None]:
    """Say what stops us in words for the person who starts the app."""
    try:
        yield
    except BusyError:
        problem = (
            f"{database.name} is in use: another one held its lock for {database.busy_timeout:g} s."
            " Nothing was changed; try again"
        )
        raise DatabaseError([problem]) from None
    except (OSError, DBAPIError, DownError) as error:
        cause = error.orig if isinstance(error, DBAPIError) else error
        said = " ".join(str(cause).split())
        problem = f"{database.name} can not be used ({said}). {database.advice}"
        kind = ServerError if isinstance(error, DownError) else DatabaseError
        raise kind([problem]) from error
