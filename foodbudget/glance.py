"""The schema's version, by the database's bare driver: people wait while it is asked in a deploy.

Whatever is out of the ordinary is left to `schema.versions`, which has the words for it.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from foodbudget.address import Server
from foodbudget.versions import EMPTY, HEAD, POSTGRES_TABLES, SQLITE_TABLES, State, look, way

# Seconds: as long as a page would wait.
PATIENCE = 10


def versions(where: Path | Server) -> tuple[str, str]:
    """The version that the database has, and the one it would have after `migrate`.

    Nothing is changed, no file is made.

    Raises:
        DatabaseError: as `schema.versions`.
        Exception: the driver's own, where the database can not be read.
    """
    if isinstance(where, Server):
        return way(str(where), _server(where))
    if not where.exists():
        return EMPTY, HEAD
    return way(str(where), _file(where))


def _file(path: Path) -> State:
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=PATIENCE)) as one:
        tables = [name for (name,) in one.execute(SQLITE_TABLES)]
        return look(tables, lambda query: (one.execute(query).fetchone() or (None,))[0])


def _server(server: Server) -> State:
    # imported here: the driver is not there on every platform
    import psycopg

    with psycopg.connect(
        host=server.host,
        port=server.port,
        user=server.user,
        password=server.password,
        dbname=server.name,
        connect_timeout=PATIENCE,
    ) as one:
        one.read_only = True
        tables = [name for (name,) in one.execute(POSTGRES_TABLES)]
        return look(tables, lambda query: (one.execute(query).fetchone() or (None,))[0])
