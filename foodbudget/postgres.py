"""PostgreSQL: a database on a server, reached over the network.

Readers see one snapshot and can't write. Writers take one lock, as they do with SQLite, an
advisory one: the pages were written for one writer at a time, and two releases of a handover,
two starting workers and a migration keep out of each other's way by the same means.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, text
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from foodbudget.address import Server
from foodbudget.database import BUSY_TIMEOUT, Answer, Database, Question
from foodbudget.errors import BusyError, DownError
from foodbudget.standby import Standby
from foodbudget.versions import POSTGRES_TABLES

log = logging.getLogger("foodbudget.postgres")

# Seconds. libpq takes no less than 2 to connect; each of a name's addresses gets them.
CONNECT_TIMEOUT = 2
# Of /health/ready: shorter than the health check's 5 s, so that the cause gets told.
PATIENCE = 3.0
# A page's statements take milliseconds; this ends what went wrong.
STATEMENT_TIMEOUT = 30
# A host that lost its power leaves its transaction open; this frees the lock it held.
IDLE_TIMEOUT = 30
# 16 threads of gunicorn, each with a reader and a writer; few stay open while little happens. Two
# releases side by side stay below the 100 connections that a server has by default.
OPEN_CONNECTIONS = 8
MORE_CONNECTIONS = 24

# Any number that nobody else uses in this database.
WRITE_LOCK = int.from_bytes(b"foodbudg", "big")

# SQLSTATEs after which nothing was stored and trying again helps: no lock in time, a statement
# that took too long, a deadlock
BUSY = frozenset({"55P03", "57014", "40P01"})
# the server stops, crashed, or starts
DOWN = frozenset({"57P01", "57P02", "57P03"})


class Postgres(Database):
    """One database of a PostgreSQL server.

    Args:
        server: where it is.
        standby: says whether writes are allowed now.
        busy_timeout: seconds that a writer waits for another one.
        patience: seconds that `ask` waits.
    """

    advice = (
        "The server must run and be reachable under the name in DATABASE_URL, and the user must own"
        " the database: `CREATE DATABASE name OWNER user`"
    )

    def __init__(
        self,
        server: Server,
        standby: Standby,
        busy_timeout: float = BUSY_TIMEOUT,
        patience: float = PATIENCE,
    ) -> None:
        super().__init__(str(server), standby, busy_timeout)
        self.server = server
        self.patience = patience
        self.engine = create_engine(
            _url(server),
            connect_args=_connect_args(busy_timeout),
            pool_size=OPEN_CONNECTIONS,
            max_overflow=MORE_CONNECTIONS,
            pool_timeout=busy_timeout,
            # a server that was restarted must not cost anybody a failed request
            pool_pre_ping=True,
            # parameters are people's data and the hashes of their passwords: not for a log
            hide_parameters=True,
        )
        self._reading = self.engine.execution_options(
            isolation_level="REPEATABLE READ", postgresql_readonly=True
        )
        self._asked: dict[Question[Any], Future[Any]] = {}
        self._asking = threading.Lock()

    @contextmanager
    def read_connection(self) -> Iterator[Connection]:
        """A connection that sees one snapshot and can't write, in standby or out of it."""
        with self._connected(self._reading) as connection, _told_apart():
            yield connection

    @contextmanager
    def write_connection(self) -> Iterator[Connection]:
        """As `write`, for code that wants a plain connection."""
        self.standby.refuse_writes()
        # _told_apart is inside: after a COMMIT without an answer nobody knows what was stored
        with self._connected(self.engine) as connection, connection.begin(), _told_apart():
            # READ COMMITTED: what the one before stored is seen by all that follows the lock
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": WRITE_LOCK})
            # looked at again under the lock: what waited for it may have waited long
            self.standby.refuse_writes()
            yield connection

    def tables(self, connection: Connection) -> set[str]:
        """The tables of the schema that new ones would go to."""
        return set(connection.scalars(text(POSTGRES_TABLES)))

    def ask(self, question: Question[Answer]) -> Answer:
        """Put a question on a reading connection.

        On a thread of its own, since nothing else bounds every wait there is: for a name server,
        for a server that is frozen. Who asks the same meanwhile waits for the same answer, so that
        a dead server does not collect threads.

        Raises:
            DownError: no connection, or no answer within `patience`.
        """
        with self._asking:
            answer = self._asked.get(question)
            if answer is None or answer.done():
                answer = self._asked[question] = Future()
                work = (question, answer)
                threading.Thread(target=self._answer, args=work, daemon=True).start()
        try:
            return answer.result(self.patience)  # type: ignore[no-any-return]
        except TimeoutError:
            raise DownError(f"no answer within {self.patience:g} s") from None

    def _answer(self, question: Question[Answer], answer: Future[Answer]) -> None:
        try:
            answer.set_result(super().ask(question))
        except BaseException as error:
            answer.set_exception(error)

    def lift_limits(self, connection: Connection) -> None:
        """A migration may take its time, unless whoever starts it says how much. It still gives up
        waiting for a lock, since everybody who comes after it waits as well."""
        if "statement_timeout" not in _options():
            connection.execute(text("SET LOCAL statement_timeout = 0"))

    def public_cause(self, error: SQLAlchemyError | DownError) -> str:
        """Nothing: the text of these errors names the host and the user, which is for the log."""
        log.warning("%s: %s", self.name, line(getattr(error, "orig", None) or error))
        return "the log says why"

    @contextmanager
    def _connected(self, engine: Engine) -> Iterator[Connection]:
        try:
            connection = engine.connect()
        except OperationalError as error:
            raise DownError(line(error.orig or error)) from error
        with connection:
            yield connection


def _url(server: Server) -> URL:
    return URL.create(
        "postgresql+psycopg",
        username=server.user,
        password=server.password or None,
        host=server.host,
        port=server.port,
        database=server.name,
    )


def _connect_args(busy_timeout: float) -> dict[str, object]:
    limits = {
        "lock_timeout": round(busy_timeout * 1000),
        "statement_timeout": STATEMENT_TIMEOUT * 1000,
        "idle_in_transaction_session_timeout": IDLE_TIMEOUT * 1000,
    }
    return {
        "application_name": "myfoodbudget",
        "client_encoding": "utf8",
        "connect_timeout": CONNECT_TIMEOUT,
        # the last one counts: who runs a migration may set limits of its own
        "options": " ".join(
            [*(f"-c {name}={value}" for name, value in limits.items()), _options()]
        ),
        # a migration of the next release would spoil statements that this one keeps prepared
        "prepare_threshold": None,
        # a server behind a cut cable is given up after about 20 s
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 2,
        "tcp_user_timeout": 20000,
    }


def _options() -> str:
    """libpq's own variable, which it does not look at beside options that it is given."""
    return os.environ.get("PGOPTIONS", "")


@contextmanager
def _told_apart() -> Iterator[None]:
    """Turn errors after which trying again helps into BusyError and DownError."""
    try:
        yield
    except OperationalError as error:
        state = getattr(error.orig, "sqlstate", None)
        if state in BUSY:
            raise BusyError from error
        if state in DOWN or error.connection_invalidated:
            raise DownError(line(error.orig or error)) from error
        raise


def line(error: BaseException) -> str:
    """An error's text in one line; libpq's has several."""
    return " ".join(str(error).split()) or type(error).__name__
