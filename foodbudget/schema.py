"""The schema: made in an empty database, compared with what this release needs, migrated when
somebody asks for it. Nothing here changes a database that has tables, except `migrate`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from foodbudget.database import Database
from foodbudget.errors import BusyError, DatabaseError, DownError, ServerError
from foodbudget.versions import EMPTY as EMPTY, HEAD as HEAD, State as State
from foodbudget.versions import look as look_at, way

MIGRATIONS = Path(__file__).parent.parent / "migrations"


def look(database: Database, connection: Connection) -> State:
    """Read the schema version, and a row of the users, so that a damaged file shows."""
    return look_at(database.tables(connection), lambda one: connection.scalar(text(one)))


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
    with told(database):
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
        DatabaseError: the database can not be used, holds tables that are not ours, or is a later
            release's.
        StandbyError: another release writes.
    """
    with told(database):
        database.prepare()
        with database.write_connection() as connection:
            found, wanted = way(database.name, look(database, connection))
            if found != wanted:
                database.lift_limits(connection)
                _upgrade(connection)
    return found, wanted


def told_of(before: str, after: str) -> str:
    """What a migration did, in a line."""
    return f"schema {before} -> {after}" if before != after else f"schema {after}: is so"


def versions(database: Database) -> tuple[str, str]:
    """What `migrate` would do, and nothing of it done: no file is made, nothing is locked.

    Returns:
        the version that the database has, and the one it would have.

    Raises:
        DatabaseError: as `migrate`.
    """
    if database.absent:
        return EMPTY, HEAD
    with told(database), database.look_connection() as connection:
        return way(database.name, look(database, connection))


def _upgrade(connection: Connection) -> None:
    # imported here: a serving process never needs it
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


@contextmanager
def told(database: Database) -> Iterator[None]:
    """Say what stops us in words for the person who starts the app: raises DatabaseError."""
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
