"""Versions of the schema: what a database has, and whether this release can use it.

No SQLAlchemy here: what only wants to know the version must not wait for it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from foodbudget.errors import DatabaseError

# The newest migration. Kept here so that a serving process need not import Alembic; a test holds
# it to what `migrations/versions` says.
HEAD = "0002"

EMPTY = "empty"
UNKNOWN = "unknown"

# the names of all tables, ours or not
SQLITE_TABLES = "SELECT name FROM sqlite_master WHERE type = 'table'"
POSTGRES_TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = current_schema()"


@dataclass(frozen=True)
class State:
    """What a look at the schema found.

    `found` is the database's version, EMPTY, or UNKNOWN for tables that are not ours; `oldest` the
    oldest version whose code works with it, by the word of the migration that made it.
    """

    found: str
    oldest: str | None = None
    expected: str = HEAD

    @property
    def newer(self) -> bool:
        """Whether a later release has migrated it. Versions are numbers of four digits."""
        return self.found.isdigit() and self.found > self.expected

    @property
    def reason(self) -> str | None:
        """Why this release can not work with it, with what mends it; None when it can."""
        if self.found == self.expected:
            return None
        if self.newer and self.oldest is not None and self.oldest <= self.expected:
            # a rollback: the later release has only added to the tables
            return None
        if self.found == EMPTY:
            return "the database is empty; it is filled when the app starts outside standby"
        if self.found == UNKNOWN:
            return "the database has tables but no schema version: is DATABASE_URL the right one?"
        needs = f"the database's schema is at {self.found}, this release needs {self.expected}"
        if self.newer:
            return f"{needs}; deploy a newer release"
        return f"{needs}; `python -m flask migrate` brings it up"


def look(tables: Collection[str], scalar: Callable[[str], Any]) -> State:
    """What a database's tables say; `scalar` answers the one value that a query is for."""
    if not tables:
        return State(EMPTY)
    if "alembic_version" not in tables:
        return State(UNKNOWN)
    found = scalar("SELECT version_num FROM alembic_version")
    if found == HEAD:
        scalar("SELECT id FROM users LIMIT 1")
    oldest = scalar("SELECT revision FROM schema_oldest") if "schema_oldest" in tables else None
    return State(found or UNKNOWN, oldest)


def way(name: str, state: State) -> tuple[str, str]:
    """From which version to which a migration would go; the same twice where it has nothing to do.

    Raises:
        DatabaseError: the database called `name` holds tables that are not ours, or is a later
            release's.
    """
    if state.reason is None:
        return state.found, state.found
    if state.newer or state.found == UNKNOWN:
        raise DatabaseError([f"{name}: {state.reason}"])
    return state.found, HEAD
