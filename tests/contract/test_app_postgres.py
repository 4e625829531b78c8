"""MyFoodBudget on a real PostgreSQL: its pages, and everything that SQLite does by itself."""

from __future__ import annotations

import inspect
import logging
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from flask import Flask
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from app_factory import create_app
from cluster import Cluster, children
from foodbudget import address, db, schema
from foodbudget.database import Database
from foodbudget.errors import BusyError, DatabaseError, DownError, StandbyError
from foodbudget.models import Base, User
from foodbudget.postgres import WRITE_LOCK, Postgres
from foodbudget.standby import Standby
from tests.app import (
    test_api,
    test_commands,
    test_data,
    test_edge,
    test_foods,
    test_migrations,
    test_pages,
)
from tests.app import test_sessions, test_settings
from tests.app.browser import PASSWORD, Browser
from tests.app.conftest import cheap_passwords
from tests.app.test_api import program

ROOT = Path(__file__).parents[2]
DEADLINE = 15.0
# 3 s and what a busy machine adds; below the 5 s after which the health check gives up
SOON = 4.5
LIMITS = ("lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout")
MakeApp = Callable[..., Flask]
# fixtures, for the tests that come along
__all__ = ["cheap_passwords", "program"]

# all that has to do with the database, as on SQLite: the same tests with the fixtures below
for module in (
    test_pages,
    test_foods,
    test_data,
    test_api,
    test_sessions,
    test_settings,
    test_edge,
):
    stem = module.__name__.rpartition(".test_")[2]
    for name, one in vars(module).items():
        if name.startswith("test_") and {"app", "ada", "make_app", "program"} & {
            *inspect.signature(one).parameters
        }:
            globals()[f"test_{stem}_{name.removeprefix('test_')}"] = one


test_an_account_is_limited = test_edge.test_an_account_is_limited


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    made = Cluster()
    yield made
    made.remove()


@pytest.fixture
def url(cluster: Cluster) -> str:
    """DATABASE_URL of an empty database."""
    return cluster.empty("pages")


@pytest.fixture
def make_app(url: str) -> Iterator[MakeApp]:
    """Makes apps on one database; settings are given as variables."""
    made: list[Flask] = []

    def make(**variables: str) -> Flask:
        made.append(create_app({"FLASK_ENV": "testing", "DATABASE_URL": url} | variables))
        return made[-1]

    yield make
    for app in made:
        db.of(app).close()


@pytest.fixture
def app(make_app: MakeApp) -> Flask:
    return make_app()


@pytest.fixture
def browser(app: Flask) -> Browser:
    return Browser(app.test_client())


@pytest.fixture
def ada(browser: Browser) -> Browser:
    return browser.sign_up()


def look(cluster: Cluster, url: str, query: str) -> list[tuple[object, ...]]:
    with cluster.connect(url.rpartition("/")[2]) as connection:
        return connection.execute(query).fetchall()  # type: ignore[call-overload]


def do(cluster: Cluster, url: str, *statements: str) -> None:
    with cluster.connect(url.rpartition("/")[2]) as connection:
        for statement in statements:
            connection.execute(statement)  # type: ignore[call-overload]


def test_the_pages_are_tried_here(app: Flask) -> None:
    """The tests of the pages came along, and their app is on PostgreSQL."""
    assert "test_pages_purchase_from_start_to_end" in globals()
    assert isinstance(db.of(app), Postgres)


def test_migrations_make_what_the_models_say(app: Flask) -> None:
    with db.of(app).engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []


def test_a_database_of_the_first_version_is_brought_up(cluster: Cluster, url: str) -> None:
    """Its rows are kept, and what the code of then asks is answered on the tables of now."""
    database = db.at(address.parse(url), Standby(None))
    with database.write_connection() as connection:
        test_migrations.upgrade(connection, "0001")
        for query in test_migrations.QUERIES["0001"][:3]:
            connection.execute(text(query))
    assert schema.migrate(database) == ("0001", schema.HEAD)
    assert look(cluster, url, "SELECT food, price FROM purchases") == [("Rye", 420)]
    with database.write_connection() as connection:
        for query in test_migrations.QUERIES["0001"][3:]:
            connection.execute(text(query))
    database.close()


def test_limits_of_a_connection(app: Flask) -> None:
    """Nothing waits for ever: not for a lock, not for a statement, not for who vanished."""
    with db.of(app).read_connection() as connection:
        found = [connection.scalar(text(f"SHOW {name}")) for name in LIMITS]
        found.append(connection.scalar(text("SHOW transaction_isolation")))
    assert found == ["10s", "30s", "30s", "repeatable read"]


@pytest.mark.parametrize("number", ["2147483648", "9" * 30])
def test_numbers_that_are_nobodys(ada: Browser, number: str) -> None:
    assert ada.get(f"/purchases/{number}").status_code == 404


def test_a_nul_character_is_no_error(ada: Browser) -> None:
    """What PostgreSQL can not keep, people may still send."""
    assert ada.buy(food="Rye\0bread").status_code == 302
    assert "Rye bread" in ada.get("/month/2026-11").text
    ada.post("/logout", page="/")
    assert ada.post("/login", name="a\0da", password=PASSWORD).status_code == 401


def start(url: str, go: threading.Event) -> None:
    go.wait(DEADLINE)
    create_app({"FLASK_ENV": "testing", "DATABASE_URL": url})


def test_processes_at_once_make_one_schema(cluster: Cluster, url: str) -> None:
    """Three processes that start at once on an empty database all start, and make it once."""
    context = multiprocessing.get_context("spawn")
    go = context.Event()
    processes = [context.Process(target=start, args=(url, go)) for _ in range(3)]
    for process in processes:
        process.start()
    go.set()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0] * 3
    assert look(cluster, url, "SELECT version_num FROM alembic_version") == [(schema.HEAD,)]


def test_the_late_one_waits_and_finds_it_made(
    cluster: Cluster, url: str, make_app: MakeApp
) -> None:
    """Who saw an empty database waits for the one that fills it, then leaves it alone."""
    first = db.at(db.of(make_app(HOMEPORT_STANDBY="/")).server, Standby(None))
    late = db.at(first.server, Standby(None))
    made: list[bool] = []
    thread = threading.Thread(target=lambda: made.append(schema.create_if_empty(late)))
    with first.write_connection() as connection:
        thread.start()
        waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        until(lambda: look(cluster, url, waiting) == [(1,)])
        schema._upgrade(connection)
    thread.join(DEADLINE)
    assert made == [False]
    first.close()
    late.close()


def until(true: Callable[[], bool], deadline: float = DEADLINE) -> None:
    end = time.monotonic() + deadline
    while not true():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("statement", "found", "said"),
    [
        ("CREATE TABLE other (x int)", "unknown", "no schema version"),
        (
            "CREATE TABLE alembic_version AS SELECT '0000' AS version_num",
            "0000",
            "is at 0000, this release needs 0002; `python -m flask migrate`",
        ),
    ],
)
def test_other_databases_are_left_alone(
    make_app: MakeApp, cluster: Cluster, url: str, statement: str, found: str, said: str
) -> None:
    """A database with tables is never changed by a start; ready says what is the matter."""
    do(cluster, url, statement)
    client = make_app().test_client()
    answer = client.get("/health/ready")
    assert answer.status_code == 503
    assert answer.json and said in answer.json["reason"]
    assert answer.json["schema"] == {"found": found, "expected": schema.HEAD}
    assert client.get("/health").status_code == 200
    tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
    assert look(cluster, url, tables) == [(1,)]


def test_migrate_by_hand(make_app: MakeApp, tmp_path: Path) -> None:
    """`flask migrate` is refused in standby, fills an empty database, and is safe to repeat."""
    gate = tmp_path / "gate"
    gate.touch()
    app = make_app(HOMEPORT_STANDBY=str(gate))
    with pytest.raises(StandbyError):
        schema.migrate(db.of(app))
    gate.unlink()
    runner = app.test_cli_runner()
    assert runner.invoke(args=["migrate"]).output == "schema empty -> 0002\n"
    assert runner.invoke(args=["migrate"]).output == "schema 0002: is so\n"


def test_failed_migration_leaves_the_database_as_it_was(
    make_app: MakeApp, cluster: Cluster, url: str
) -> None:
    """Half a migration is none: tables made before the failing step are gone again."""
    do(
        cluster,
        url,
        "CREATE TABLE budgets (x int)",
        "CREATE TABLE alembic_version (version_num text)",
        "INSERT INTO alembic_version VALUES (NULL)",
    )
    app = make_app()
    do(cluster, url, "DELETE FROM alembic_version")
    with pytest.raises(DBAPIError, match="budgets"), db.of(app).write_connection() as connection:
        schema._upgrade(connection)
    tables = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1"
    assert look(cluster, url, tables) == [("alembic_version",), ("budgets",)]


def test_a_migration_may_take_its_time(app: Flask) -> None:
    """The limit of a statement is lifted for it, and back for the next one."""
    database = db.of(app)
    with database.write_connection() as connection:
        database.lift_limits(connection)
        assert connection.scalar(text("SHOW statement_timeout")) == "0"
    with database.write_connection() as connection:
        assert connection.scalar(text("SHOW statement_timeout")) == "30s"


def test_who_starts_a_migration_may_limit_it(
    make_app: MakeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    """libpq's own variable counts beside the app's limits, and a migration keeps to it."""
    monkeypatch.setenv("PGOPTIONS", "-c lock_timeout=2s -c statement_timeout=7s")
    database = db.of(make_app())
    with database.write_connection() as connection:
        database.lift_limits(connection)
        found = [connection.scalar(text(f"SHOW {name}")) for name in LIMITS]
    assert found == ["2s", "7s", "30s"]


def test_schema_and_check(make_app: MakeApp, cluster: Cluster, url: str) -> None:
    """Both only look: at nothing, at one's own tables, at those of others."""
    gate = make_app(HOMEPORT_STANDBY="/")
    assert test_commands.typed(gate, "schema") == (0, f"empty {schema.HEAD}\n")
    code, said = test_commands.typed(gate, "check")
    assert code == 1 and "the database is empty" in said
    assert look(cluster, url, "SELECT * FROM pg_tables WHERE schemaname = 'public'") == []
    app = make_app()
    Browser(app.test_client()).sign_up().buy()
    assert test_commands.typed(app, "schema") == (0, f"{schema.HEAD} {schema.HEAD}\n")
    code, said = test_commands.typed(app, "check")
    assert code == 0 and "users 1, purchases 1, foods 1, budgets 0: all can be read" in said
    do(cluster, url, "UPDATE alembic_version SET version_num = '0001'")
    assert test_commands.typed(app, "schema") == (0, f"0001 {schema.HEAD}\n")
    assert test_commands.bare(url, "schema") == (0, f"0001 {schema.HEAD}\n")
    do(cluster, url, "ALTER TABLE purchases DROP CONSTRAINT fk_purchases_user_id")
    do(cluster, url, "ALTER TABLE sessions DROP CONSTRAINT fk_sessions_user_id")
    do(cluster, url, "DELETE FROM users", "UPDATE alembic_version SET version_num = '0002'")
    code, said = test_commands.typed(app, "check")
    assert code == 1 and "rows of purchases that belong to nobody: 1" in said
    do(cluster, url, "DROP TABLE budgets")
    code, said = test_commands.typed(app, "check")
    assert code == 1 and 'relation "budgets" does not exist' in said
    cluster.stop()
    for command in ("schema", "check"):
        code, said = test_commands.typed(app, command)
        assert code == 78 and "Traceback" not in said
        assert test_commands.bare(url, command)[0] == 78


def test_standby_on_nothing_makes_nothing(
    make_app: MakeApp, cluster: Cluster, url: str, tmp_path: Path
) -> None:
    """In standby with an empty database: alive, not ready, and still no table."""
    client = make_app(HOMEPORT_STANDBY=str(tmp_path)).test_client()
    assert client.get("/health").status_code == 200
    answer = client.get("/health/ready")
    assert answer.status_code == 503
    assert answer.json and "is empty" in answer.json["reason"]
    assert look(cluster, url, "SELECT * FROM pg_tables WHERE schemaname = 'public'") == []


def test_standby_reads_and_writes_nothing(make_app: MakeApp, tmp_path: Path) -> None:
    """In standby pages work and writes get 503 with Retry-After; when the file goes the same
    process writes."""
    browser = Browser(make_app().test_client()).sign_up()
    browser.buy()
    gate = tmp_path / "gate"
    gate.touch()
    app = make_app(HOMEPORT_STANDBY=str(gate))
    standby = Browser(app.test_client())
    for method in ("post", "put", "patch", "delete"):
        answer = getattr(standby.client, method)("/login", data={"name": "ada"})
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    ready = standby.get("/health/ready")
    assert ready.status_code == 200
    assert ready.json and ready.json["standby"] is True
    with pytest.raises(StandbyError), db.of(app).write():
        raise AssertionError("a write began")
    gate.unlink()
    assert standby.post("/login", name="ada", password=PASSWORD).status_code == 302
    assert standby.buy(food="Later").status_code == 302
    assert "Later" in browser.get("/month/2026-11").text


def test_who_waited_through_the_gate_does_not_write(
    make_app: MakeApp, cluster: Cluster, url: str, tmp_path: Path
) -> None:
    """A writer that got the lock only after its release went into standby stores nothing."""
    gate = tmp_path / "gate"
    database = db.of(make_app(HOMEPORT_STANDBY=str(gate)))
    said: list[str] = []

    def write() -> None:
        try:
            with database.write() as session:
                session.add(User(name="late", password_hash="x"))
        except StandbyError:
            said.append("standby")

    thread = threading.Thread(target=write)
    waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    with database.write_connection():
        thread.start()
        until(lambda: look(cluster, url, waiting) == [(1,)])
        gate.touch()
    thread.join(DEADLINE)
    assert said == ["standby"]
    assert look(cluster, url, "SELECT name FROM users") == []


def test_reading_can_not_write(app: Flask) -> None:
    with pytest.raises(DBAPIError, match="read-only"), db.of(app).read() as session:
        session.execute(text("DELETE FROM purchases"))


def test_one_name_at_once_is_one_account(app: Flask, cluster: Cluster, url: str) -> None:
    """Eight people who want the same name at the same moment: one gets it, none gets an error."""
    browsers = [Browser(app.test_client()) for _ in range(8)]
    answers: list[int] = []

    def sign_up(browser: Browser) -> None:
        answers.append(browser.post("/signup", name="ada", password=PASSWORD).status_code)

    threads = [threading.Thread(target=sign_up, args=(one,)) for one in browsers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(answers) == [302] + [422] * 7
    assert look(cluster, url, "SELECT count(*) FROM users") == [(1,)]


def test_busy_is_said_not_thrown(app: Flask, ada: Browser, cluster: Cluster, url: str) -> None:
    """A lock that nobody gives back: 503, try again; a start says it in words."""
    server = db.of(app).server
    app.extensions[db.EXTENSION] = hasty = Postgres(server, Standby(None), busy_timeout=0.1)
    with cluster.connect(url.rpartition("/")[2]) as other:
        other.execute("SELECT pg_advisory_lock(%s)", [WRITE_LOCK])
        with pytest.raises(BusyError), hasty.write_connection():
            raise AssertionError("two writers at once")
        answer = ada.buy()
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
        assert "busy" in answer.text
        with pytest.raises(DatabaseError, match="is in use: another one held its lock for 0.1 s"):
            schema.migrate(hasty)
    assert ada.buy().status_code == 302
    hasty.close()


def ready(client: Browser) -> tuple[int, str, float]:
    began = time.monotonic()
    answer = client.get("/health/ready")
    assert answer.json
    return answer.status_code, answer.json["reason"], time.monotonic() - began


def test_a_server_that_dies(
    ada: Browser, cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    """Not ready within 3 s, pages say come back, the app lives on; when the server is back, so is
    everything, with no failed request."""
    ada.buy()
    cluster.stop()
    try:
        status, reason, seconds = ready(ada)
        assert (status, reason) == (503, "the database does not answer: the log says why")
        assert seconds < SOON
        assert ada.get("/health").status_code == 200
        for answer in (ada.get("/month/2026-11"), ada.client.post("/login", data={"name": "a"})):
            assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1"), answer.text
        assert f"port {cluster.port} failed: Connection refused" in caplog.text
        assert cluster.password not in caplog.text
    finally:
        cluster.start()
    assert ada.buy().status_code == 302
    assert ready(ada)[0] == 200


def test_a_server_that_was_restarted_is_not_noticed(ada: Browser, cluster: Cluster) -> None:
    cluster.stop()
    cluster.start()
    assert ada.buy().status_code == 302


def test_a_connection_cut_in_the_middle(app: Flask, cluster: Cluster, url: str) -> None:
    """A write whose connection ends before its end stored nothing, and says come back."""
    database = db.of(app)
    name = url.rpartition("/")[2]
    cut = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"

    @app.post("/cut")
    def cut_it() -> str:
        with database.write() as session:
            session.add(User(name="lost", password_hash="x"))
            session.flush()
            do(cluster, cluster.url("postgres"), cut)
            session.add(User(name="more", password_hash="x"))
        return "stored"

    app.extensions["csrf"].exempt(cut_it)
    answer = app.test_client().post("/cut")
    assert (answer.status_code, answer.headers.get("Retry-After")) == (503, "1")
    assert look(cluster, url, "SELECT * FROM users") == []
    assert app.test_client().get("/health/ready").status_code == 200


def test_a_server_that_is_frozen(ada: Browser, cluster: Cluster) -> None:
    """The worst of all: it takes connections and says nothing. Still not ready within 3 s."""
    assert ready(ada)[0] == 200
    cluster.signal(signal.SIGSTOP)
    try:
        status, _, seconds = ready(ada)
        assert status == 503 and seconds < SOON
        assert ada.get("/health").status_code == 200
    finally:
        cluster.signal(signal.SIGCONT)
    until(lambda: ready(ada)[0] == 200)


def test_a_question_without_answer_is_put_once(app: Flask) -> None:
    """Who asks again while the first one still waits gets that one's answer: probes of a server
    that hangs pile up neither threads nor connections."""
    database = Postgres(db.of(app).server, Standby(None), patience=0.2)
    put: list[int] = []
    go = threading.Event()

    def question(asked: Database, connection: Connection) -> int:
        put.append(1)
        go.wait(DEADLINE)
        return len(put)

    for _ in range(3):
        with pytest.raises(DownError, match="no answer within 0.2 s"):
            database.ask(question)
    assert put == [1]
    go.set()
    database.patience = DEADLINE
    until(lambda: database.ask(question) == 2)
    database.close()


class Server:
    """gunicorn with the image's own configuration and two workers."""

    def __init__(self, url: str, folder: Path) -> None:
        self.socket = folder / "app.sock"
        environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "SECRET_KEY": "k" * 32}
        environ |= {"DATABASE_URL": url, "HOMEPORT_BIND": f"unix:{self.socket}"}
        command = [sys.executable, "-m", "gunicorn", "--workers", "2"]
        self.process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


def healthcheck(server: Server) -> tuple[int, str]:
    run = subprocess.run(
        [sys.executable, "-IS", ROOT / "foodbudget" / "healthcheck.py"],
        env={"HOMEPORT_BIND": f"unix:{server.socket}"},
        capture_output=True,
        text=True,
        timeout=DEADLINE,
    )
    return run.returncode, run.stdout


def test_gunicorn_from_start_to_end(cluster: Cluster, url: str, tmp_path: Path) -> None:
    """Two workers on an empty database: one schema, healthy; unhealthy with the cause while the
    server is down, also when all workers die then; healthy again after it; SIGTERM ends it clean
    and leaves no connection."""
    server = Server(url, tmp_path)
    try:
        until(lambda: healthcheck(server)[0] == 0)
        assert look(cluster, url, "SELECT version_num FROM alembic_version") == [(schema.HEAD,)]
        cluster.stop()
        assert "the database does not answer" in healthcheck(server)[1]
        for worker in children(server.process.pid):
            os.kill(worker, signal.SIGKILL)
        until(lambda: "the database does not answer" in healthcheck(server)[1])
        assert server.process.poll() is None
        cluster.start()
        until(lambda: healthcheck(server)[0] == 0)
    finally:
        server.process.terminate()
        out, err = server.process.communicate(timeout=DEADLINE)
    assert (server.process.returncode, err) == (0, "")
    assert len(re.findall("made schema 0002 in the empty the PostgreSQL", out)) == 1
    assert "started without the database" in out
    assert "Traceback" not in out and cluster.password not in out
    connected = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'myfoodbudget'"
    until(lambda: look(cluster, url, connected) == [(0,)])


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ((":{port}/", ":1/"), "127.0.0.1:1 can not be used .*refused.* must run and be reachable"),
        (("{password}@", "not-it@"), "can not be used .*password authentication failed.*"),
        (("/{name}", "/absent"), 'can not be used .*database "absent" does not exist.*'),
    ],
)
def test_a_start_without_its_database(
    cluster: Cluster, url: str, tmp_path: Path, wrong: tuple[str, str], said: str
) -> None:
    """Exit code 78 and one line with cause and mend: no traceback, no password."""
    name = url.rpartition("/")[2]
    there = wrong[0].format(port=cluster.port, password=cluster.password, name=name)
    server = Server(url.replace(there, wrong[1]), tmp_path)
    out, err = server.process.communicate(timeout=DEADLINE)
    assert server.process.returncode == 78
    assert re.search(said, err) and err.count("\n  - ") == 1
    for secret in (cluster.password, "not-it", "Traceback"):
        assert secret not in out + err


def test_a_user_who_may_not_make_tables(cluster: Cluster, url: str) -> None:
    """PostgreSQL 15 and later: only the owner may; the line says what to do."""
    do(
        cluster,
        url,
        "CREATE ROLE guest LOGIN PASSWORD 'guest-word'",
        "GRANT USAGE ON SCHEMA public TO guest",
    )
    guest = re.sub("//.*@", "//guest:guest-word@", url)
    with pytest.raises(DatabaseError, match="permission denied for schema public.* OWNER user"):
        create_app({"FLASK_ENV": "testing", "DATABASE_URL": guest})


def test_nothing_shows_the_password(
    app: Flask, cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    """Not the settings' repr, not the engine's, not an error with its parameters."""
    database = db.of(app)
    caplog.set_level(logging.DEBUG)
    with pytest.raises(DBAPIError) as caught, database.write() as session:
        session.add(User(name="x" * 999, password_hash="the-hash"))
    shown = [repr(database.engine), repr(database.server), str(caught.value), caplog.text]
    assert not any(cluster.password in one or "the-hash" in one for one in shown)
