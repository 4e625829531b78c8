"""One SQLite connection a request."""

from __future__ import annotations

import sqlite3

from flask import current_app, g


def get() -> sqlite3.Connection:
    """This request's connection."""
    if "db" not in g:
        g.db = sqlite3.connect(current_app.config["DATABASE"])
        g.db.row_factory = sqlite3.Row
    connection: sqlite3.Connection = g.db
    return connection


def close(_: BaseException | None = None) -> None:
    """Closes the connection, if this request opened one."""
    connection = g.pop("db", None)
    if connection is not None:
        connection.close()


def create() -> None:
    """Makes the tables in an empty database."""
    with current_app.open_resource("schema.sql", "r") as schema:
        get().executescript(schema.read())
