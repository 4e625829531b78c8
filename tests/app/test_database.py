"""The database: made once, never touched in standby, never "locked" under writers."""

from __future__ import annotations

import hashlib
import multiprocessing
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config as AlembicConfig
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from flask import Flask
from sqlalchemy import event, func, select, text
from sqlalchemy.exc import DBAPIError, IntegrityError

from app_factory import create_app
from foodbudget import db, schema
from foodbudget.errors import BusyError, DatabaseError, StandbyError
from foodbudget.models import Base, Purchase, User
from foodbudget.sqlite import SQLite
from foodbudget.standby import Standby

MakeApp = Callable[..., Flask]


def settings(path: Path, **more: str) -> dict[str, str]:
    return {"FLASK_ENV": "testing", "DATABASE_URL": f"sqlite:///{path}"} | more


def versions(path: Path) -> list[str]:
    with sqlite3.connect(path) as connection:
        return [row[0] for row in connection.execute("SELECT version_num FROM alembic_version")]


def test_head_is_the_newest_migration() -> None:
    """The constant that a serving process uses is what the migrations say."""
    config = AlembicConfig()
    config.set_main_option("script_location", str(schema.MIGRATIONS))
    assert ScriptDirectory.from_config(config).get_heads() == [schema.HEAD]


def test_migrations_make_what_the_models_say(app: Flask) -> None:
    with db.of(app).engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []


def test_pragmas(app: Flask) -> None:
    """WAL, every commit synced, foreign keys enforced, others waited for."""
    with db.of(app).engine.connect() as connection:
        found = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    assert found == {
        "journal_mode": "wal",
        "synchronous": 2,
        "foreign_keys": 1,
        "busy_timeout": 10000,
    }


def test_sqlite_needs_no_driver_of_another(tmp_path: Path) -> None:
    """An image without PostgreSQL's driver makes its schema and is ready all the same."""
    code = (
        "import sys; sys.modules['psycopg'] = None\n"
        "from app_factory import create_app\n"
        "print(create_app().test_client().get('/health/ready').status_code)"
    )
    run = subprocess.run(
        [sys.executable, "-c", code],
        cwd=schema.MIGRATIONS.parent,
        env=settings(tmp_path / "food.db"),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (run.stdout, run.stderr) == ("200\n", "")


def start(path: Path, go: threading.Event) -> None:
    go.wait(10)
    create_app(settings(path))


def test_processes_at_once_make_one_schema(tmp_path: Path) -> None:
    """Three processes that start at once on an empty database all start, and make it once."""
    context = multiprocessing.get_context("spawn")
    go = context.Event()
    processes = [context.Process(target=start, args=(tmp_path / "food.db", go)) for _ in range(3)]
    for process in processes:
        process.start()
    go.set()
    for process in processes:
        process.join(30)
    assert [process.exitcode for process in processes] == [0] * 3
    assert versions(tmp_path / "food.db") == [schema.HEAD]


def test_the_late_one_finds_it_made(tmp_path: Path) -> None:
    """Who saw it empty but got the lock second looks again and leaves it alone."""
    late = SQLite(tmp_path / "food.db", Standby(None))

    overtaken: list[bool] = []

    def overtake(connection: object) -> None:
        # the reading is over, the writing has not begun
        if not overtaken:
            overtaken.append(True)
            create_app(settings(tmp_path / "food.db"))

    event.listen(late.engine, "rollback", overtake)
    assert schema.create_if_empty(late) is False
    assert overtaken
    assert versions(tmp_path / "food.db") == [schema.HEAD]
    late.close()


@pytest.mark.parametrize(
    ("statement", "found", "said"),
    [
        ("CREATE TABLE other (x)", "unknown", "no schema version: is DATABASE_URL the right one"),
        ("CREATE TABLE alembic_version (version_num)", "unknown", "no schema version"),
        (
            "CREATE TABLE alembic_version AS SELECT '0000' AS version_num",
            "0000",
            "is at 0000, this release needs 0002; `python -m flask migrate`",
        ),
    ],
)
def test_other_databases_are_left_alone(
    make_app: MakeApp, tmp_path: Path, statement: str, found: str, said: str
) -> None:
    """A database with tables is never changed by a start; ready says what is the matter."""
    with sqlite3.connect(tmp_path / "food.db") as connection:
        connection.execute(statement)
    client = make_app().test_client()
    answer = client.get("/health/ready")
    assert answer.status_code == 503
    assert answer.json and said in answer.json["reason"]
    assert answer.json["schema"] == {"found": found, "expected": schema.HEAD}
    assert client.get("/health").status_code == 200
    with sqlite3.connect(tmp_path / "food.db") as connection:
        assert connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (1,)


def test_migrate_by_hand(make_app: MakeApp, tmp_path: Path) -> None:
    """`flask migrate` says what it did, is safe to repeat, and refuses what is not ours."""
    runner = make_app().test_cli_runner()
    assert runner.invoke(args=["migrate"]).output == "schema 0002: is so\n"
    (tmp_path / "gate").touch()
    app = make_app(
        DATABASE_URL=f"sqlite:///{tmp_path}/new.db", HOMEPORT_STANDBY=str(tmp_path / "gate")
    )
    with pytest.raises(StandbyError):
        schema.migrate(db.of(app))
    (tmp_path / "gate").unlink()
    assert app.test_cli_runner().invoke(args=["migrate"]).output == "schema empty -> 0002\n"
    with sqlite3.connect(tmp_path / "other.db") as connection:
        connection.execute("CREATE TABLE other (x)")
    other = make_app(DATABASE_URL=f"sqlite:///{tmp_path}/other.db")
    result = other.test_cli_runner().invoke(args=["migrate"])
    assert result.exit_code == 78
    assert "no schema version" in result.output


def test_failed_migration_leaves_the_database_as_it_was(make_app: MakeApp, tmp_path: Path) -> None:
    """Half a migration is none: tables made before the failing step are gone again."""
    with sqlite3.connect(tmp_path / "food.db") as connection:
        connection.execute("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)")
        connection.execute("CREATE TABLE budgets (x)")
        connection.execute("INSERT INTO alembic_version VALUES ('0000')")
        connection.execute("DELETE FROM alembic_version")
    connection.close()
    database = db.of(make_app())
    with database.write_connection() as link, pytest.raises(DBAPIError, match="budgets"):
        schema._upgrade(link)
        raise AssertionError("the migration went through")
    with sqlite3.connect(tmp_path / "food.db") as connection:
        tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master")}
    assert {"budgets", "alembic_version"} <= tables


def test_unusable_file(tmp_path: Path) -> None:
    """A file that can't be a database, and a folder that can't be made, are said with a mend."""
    (tmp_path / "junk.db").write_bytes(b"not a database at all" * 200)
    for path in (tmp_path / "junk.db", tmp_path / "junk.db" / "below.db"):
        with pytest.raises(DatabaseError, match="can not be used .* chown -R 10001:10001"):
            create_app(settings(path))
    database = SQLite(tmp_path / "junk.db", Standby(None))
    with pytest.raises(DatabaseError, match="file is not a database"):
        schema.migrate(database)


def test_not_ready_when_the_file_is_damaged(app: Flask, tmp_path: Path) -> None:
    """Ready is a real query: a file that turned to junk makes it 503 with the cause."""
    client = app.test_client()
    assert client.get("/health/ready").status_code == 200
    db.of(app).close()
    (tmp_path / "food.db").write_bytes(b"junk" * 4096)
    answer = client.get("/health/ready")
    assert answer.status_code == 503
    assert answer.json and answer.json["reason"].startswith("the database does not answer: ")


def test_standby_on_nothing_makes_nothing(make_app: MakeApp, tmp_path: Path) -> None:
    """In standby without a database: alive, not ready, and still no file."""
    (tmp_path / "gate").touch()
    client = make_app(HOMEPORT_STANDBY=str(tmp_path / "gate")).test_client()
    assert client.get("/health").status_code == 200
    assert client.get("/health/ready").status_code == 503
    assert [file.name for file in tmp_path.iterdir()] == ["gate"]
    (tmp_path / "food.db").touch()
    answer = client.get("/health/ready")
    assert answer.json and "is empty" in answer.json["reason"]
    assert (tmp_path / "food.db").stat().st_size == 0


def test_standby_reads_and_writes_nothing(make_app: MakeApp, tmp_path: Path) -> None:
    """In standby pages work, writes get 503 with Retry-After, no byte of the data changes; when
    the file goes the same process writes."""
    from .conftest import Browser

    browser = Browser(make_app().test_client()).sign_up()
    browser.buy()
    gate = tmp_path / "gate"
    gate.touch()
    app = make_app(HOMEPORT_STANDBY=str(gate), HOMEPORT_RELEASE="r0002-abc")
    standby = Browser(app.test_client())
    token = standby.get("/login").headers["Set-Cookie"]
    assert token.startswith("foodbudget=")

    def digest() -> dict[str, str]:
        files = [tmp_path / "food.db", tmp_path / "food.db-wal"]
        return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}

    before = digest()
    for method in ("post", "put", "patch", "delete"):
        answer = getattr(standby.client, method)("/login", data={"name": "ada"})
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
        assert answer.headers["Homeport-Release"] == "r0002-abc"
    ready = standby.get("/health/ready")
    assert ready.status_code == 200
    assert ready.json and ready.json["standby"] is True
    with pytest.raises(DBAPIError, match="readonly"), db.of(app).read() as session:
        session.execute(text("DELETE FROM purchases"))
    with pytest.raises(StandbyError), db.of(app).write():
        raise AssertionError("a write began")
    assert digest() == before
    gate.unlink()
    assert standby.post("/login", name="ada", password="correct horse battery").status_code == 302
    assert standby.buy(food="Later").status_code == 302
    assert "Later" in browser.get("/month/2026-11").text


def test_write_is_all_or_nothing(app: Flask) -> None:
    """What fails in the middle leaves nothing, and the lock is free again."""
    with app.app_context():
        with pytest.raises(IntegrityError), db.write() as session:
            session.add(User(name="ada", password_hash="x"))
            session.flush()
            session.add(User(name="ada", password_hash="x"))
        with db.write() as session:
            session.add(User(name="eve", password_hash="x"))
        with db.read() as session:
            assert session.scalars(select(User.name)).all() == ["eve"]


def test_foreign_keys_hold(app: Flask) -> None:
    with pytest.raises(IntegrityError), db.of(app).write() as session:
        session.add(purchase(99))


def purchase(user_id: int) -> Purchase:
    return Purchase(
        user_id=user_id, food="Bread", category="bread", price=420, day=date(2026, 11, 20)
    )


def test_busy_is_said_not_thrown(make_app: MakeApp, tmp_path: Path) -> None:
    """A lock that another process, or another thread, does not give back: 503, try again."""
    from .conftest import Browser

    app = make_app()
    browser = Browser(app.test_client()).sign_up()
    database = db.of(app)
    database.busy_timeout = 0.05
    database.close()
    other = sqlite3.connect(tmp_path / "food.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    answer = browser.buy()
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    assert "busy" in answer.text
    other.execute("ROLLBACK")
    other.close()
    with database.write_connection():
        with pytest.raises(BusyError), database.write_connection():
            raise AssertionError("two writers at once")
    assert browser.buy().status_code == 302


def test_other_database_errors_are_not_called_busy(app: Flask) -> None:
    with pytest.raises(DBAPIError, match="no such table"), db.of(app).write() as session:
        session.execute(text("DELETE FROM absent"))


def test_wal_is_waited_for(tmp_path: Path) -> None:
    """Switching to WAL while another one writes waits, and gives up at its deadline."""
    path = tmp_path / "food.db"
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("CREATE TABLE x (y)")
    other.execute("BEGIN IMMEDIATE")
    impatient = SQLite(path, Standby(None), busy_timeout=0.05)
    with pytest.raises(DBAPIError, match="locked"):
        impatient.engine.connect()
    timer = threading.Timer(0.2, lambda: other.execute("ROLLBACK"))
    timer.start()
    with SQLite(path, Standby(None), busy_timeout=10).engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
    timer.join()
    other.close()


def test_sixteen_threads_on_two_pools_never_meet_a_lock(app: Flask, tmp_path: Path) -> None:
    """Many writers beside many readers: all are served, every row is there."""
    database = db.of(app)
    with database.write() as session:
        user = User(name="ada", password_hash="x")
        session.add(user)
        session.flush()
        user_id = user.id
    failures: list[BaseException] = []
    second = SQLite(tmp_path / "food.db", Standby(None))

    def work(which: SQLite) -> None:
        try:
            for _ in range(10):
                with which.write() as session:
                    session.add(purchase(user_id))
                with which.read() as session:
                    session.scalar(select(func.sum(Purchase.price)))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(which,)) for which in (database, second) * 8]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    second.close()
    assert failures == []
    with database.read() as session:
        assert session.scalar(select(func.count()).select_from(Purchase)) == 160
    assert time.monotonic() - began < 20
