"""The database of an app: opened by its address, found by the app, read and written."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING


from foodbudget.address import Server
from foodbudget.database import Database
from foodbudget.sqlite import SQLite
from foodbudget.standby import Standby

if TYPE_CHECKING:
    from flask import Flask
    from sqlalchemy.orm import Session

EXTENSION = "foodbudget.db"


def at(address: Path | Server, standby: Standby) -> Database:
    """The database at an address; nothing is opened yet."""
    if isinstance(address, Path):
        return SQLite(address, standby)
    # imported here: the driver is not there on every platform, and costs time at start
    from foodbudget.postgres import Postgres

    return Postgres(address, standby)


def of(app: Flask) -> Database:
    """The database of an app."""
    database = app.extensions[EXTENSION]
    assert isinstance(database, Database)
    return database


def current() -> Database:
    """The database of the app that answers this request."""
    from flask import current_app

    return of(current_app)


def read() -> AbstractContextManager[Session]:
    """`with read() as session:` on the current app's database."""
    return current().read()


def write() -> AbstractContextManager[Session]:
    """`with write() as session:` on the current app's database."""
    return current().write()
