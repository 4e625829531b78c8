"""Where the database is: the path of a file for SQLite, a `Server` for PostgreSQL."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

FORMS = (
    "sqlite:////absolute/path/of/a/file.db or postgresql://user:password@host:port/name "
    "(in the password write %40 for @, %3A for :, %2F for /, %3F for ?, %23 for #, %25 for %)"
)
DEFAULT_PORT = 5432

# No options after a question mark: each would be a setting that nobody checked.
_PART = r"(?:[^\s%:/?#@]|%[0-9A-Fa-f]{2})+"
_SERVER = re.compile(
    rf"postgresql(?:\+psycopg)?://(?P<user>{_PART})(?::(?P<password>{_PART})?)?"
    r"@(?:(?P<host>[A-Za-z0-9._-]+)|\[(?P<v6>[0-9A-Fa-f:.]+)\])(?::(?P<port>[0-9]{1,5}))?"
    rf"/(?P<name>{_PART})"
)


@dataclass(frozen=True, kw_only=True)
class Server:
    """A PostgreSQL database. Its text and its repr never hold the password."""

    host: str
    port: int
    name: str
    user: str
    password: str = field(repr=False)

    def __str__(self) -> str:
        return f"the PostgreSQL database {self.name} on {self.host}:{self.port}"


def parse(text: str) -> Path | Server:
    """Read a database's address.

    Raises:
        ValueError: it is none. The text may carry a password: the message does not repeat it.
    """
    if text.startswith("postgresql"):
        return _server(text)
    scheme, found, path = text.partition("sqlite:///")
    if scheme or not found or not path or path == ":memory:" or "?" in path:
        raise ValueError("is not such an address")
    return Path(path).absolute()


def _server(text: str) -> Server:
    match = _SERVER.fullmatch(text)
    if not match:
        raise ValueError("is not such an address")
    try:
        user, password, name = (
            unquote(match[part] or "", errors="strict") for part in ("user", "password", "name")
        )
    except UnicodeDecodeError:
        # its own text would show the bytes
        raise ValueError("is not UTF-8 once its %xx are read") from None
    if "\0" in user + password + name:
        raise ValueError("holds a NUL character (%00)")
    port = int(match["port"] or DEFAULT_PORT)
    if not 1 <= port <= 65535:
        raise ValueError("names a port that is not from 1 to 65535")
    return Server(
        host=match["host"] or match["v6"], port=port, name=name, user=user, password=password
    )


def has_driver() -> bool:
    """Whether this installation can speak to PostgreSQL: psycopg, and the libpq it needs."""
    try:
        import psycopg  # noqa: F401  # to see whether it can be
    except ImportError:
        return False
    return True
