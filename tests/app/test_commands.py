"""`schema`, `migrate` and `check`: what is asked of a database without serving it."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from flask import Flask

from app_factory import create_app
from foodbudget import db, schema
from foodbudget.__main__ import main

from .browser import Browser

MakeApp = Callable[..., Flask]
ROOT = Path(__file__).parents[2]
NEWER = "UPDATE alembic_version SET version_num = '9999'"


def typed(app: Flask, command: str) -> tuple[int, str]:
    """The exit code, and all that it said."""
    result = app.test_cli_runner().invoke(args=[command])
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.exit_code, result.output


def bare(url: str, command: str) -> tuple[int, str]:
    """The same by `python -m foodbudget`."""
    env = {"FLASK_ENV": "testing", "DATABASE_URL": url}
    result = CliRunner().invoke(main, [command], env=env)
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.exit_code, result.output


def changed(path: Path, *statements: str) -> Path:
    """The file, with its rules off, after these statements."""
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA ignore_check_constraints = ON")
        for statement in statements:
            connection.execute(statement)
    connection.close()
    return path


def closed(app: Flask, path: Path) -> bytes:
    """The file, closed by all; who opens it to write would leave it in another journal mode."""
    db.of(app).close()
    changed(path, "PRAGMA journal_mode = DELETE")
    return path.read_bytes()


@pytest.mark.parametrize(
    ("statements", "words"),
    [
        ((), f"{schema.HEAD} {schema.HEAD}"),
        (("UPDATE alembic_version SET version_num = '0001'",), f"0001 {schema.HEAD}"),
        # a later release has only added to it: this one would leave it as it is
        ((NEWER,), "9999 9999"),
    ],
)
def test_schema_says_what_migrate_would_do(
    make_app: MakeApp, tmp_path: Path, statements: tuple[str, ...], words: str
) -> None:
    """Two words: the version that is there, and the one after `flask migrate`."""
    app = make_app()
    path = changed(tmp_path / "food.db", *statements)
    before = closed(app, path)
    assert typed(app, "schema") == (0, f"{words}\n")
    assert bare(f"sqlite:///{path}", "schema") == (0, f"{words}\n")
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("statements", "said"),
    [
        ((NEWER, "UPDATE schema_oldest SET revision = '9999'"), "deploy a newer release"),
        (("DROP TABLE alembic_version",), "no schema version: is DATABASE_URL the right one"),
    ],
)
def test_schema_refuses_what_migrate_refuses(
    make_app: MakeApp, tmp_path: Path, statements: tuple[str, ...], said: str
) -> None:
    app = make_app()
    changed(tmp_path / "food.db", *statements)
    for command in ("schema", "migrate"):
        code, text = typed(app, command)
        assert code == 78
        assert said in text and "Traceback" not in text
        assert bare(f"sqlite:///{tmp_path}/food.db", command) == (code, text)


def run(*words: str, url: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "FLASK_APP": "app_factory", "FLASK_ENV": "testing", "DATABASE_URL": url}
    return subprocess.run(
        [sys.executable, *words], cwd=ROOT, env=env, capture_output=True, text=True, timeout=60
    )


def test_a_look_makes_nothing(tmp_path: Path) -> None:
    """Typed as it is typed on a host: no file and no folder."""
    url = f"sqlite:///{tmp_path}/new/food.db"
    for words in (("flask",), ("foodbudget",)):
        answer = run("-m", *words, "schema", url=url)
        assert (answer.returncode, answer.stdout) == (0, f"empty {schema.HEAD}\n"), answer.stderr
        answer = run("-m", *words, "check", url=url)
        assert (answer.returncode, answer.stdout) == (1, "")
        assert (
            answer.stderr == f"Error: the data is not sound: there is no {tmp_path}/new/food.db\n"
        )
    assert list(tmp_path.iterdir()) == []
    answer = run("-m", "flask", "migrate", url=url)
    assert (answer.returncode, answer.stdout) == (0, f"schema empty -> {schema.HEAD}\n")


def test_what_people_wait_for_is_quick(tmp_path: Path) -> None:
    """In a deploy requests wait for these two: each loads only what it needs."""
    heavy = "{'alembic', 'flask', 'sqlalchemy', 'sqlalchemy.orm', 'psycopg'}"
    script = (
        "import sys; from foodbudget.__main__ import main\n"
        "main(sys.argv[1:], standalone_mode=False)\n"
        f"print(sorted({heavy} & {{*sys.modules}}))"
    )
    url = f"sqlite:///{tmp_path}/food.db"
    assert run("-c", script, "migrate", url=url).stdout == (
        f"schema empty -> {schema.HEAD}\n['alembic', 'sqlalchemy']\n"
    )
    assert run("-c", script, "schema", url=url).stdout == f"{schema.HEAD} {schema.HEAD}\n[]\n"


def test_what_is_out_of_the_ordinary_has_its_words(app: Flask, tmp_path: Path) -> None:
    """A file that can not be read is told as `flask` tells it, not by the driver's own error."""
    path = tmp_path / "food.db"
    db.of(app).close()
    path.write_bytes(b"no database " * 500)
    code, text = bare(f"sqlite:///{path}", "schema")
    assert (code, text) == typed(app, "schema")
    assert code == 78 and "can not be used (file is not a database)" in text
    code, text = bare("mysql://x", "schema")
    assert code == 78 and "it accepts: sqlite:" in text


@pytest.mark.parametrize(("command", "made"), [("run", True), ("schema", False), ("shell", False)])
def test_only_who_serves_makes_the_schema(tmp_path: Path, command: str, made: bool) -> None:
    path = tmp_path / "food.db"
    with click.Context(click.Command(command), info_name=command):
        create_app({"FLASK_ENV": "testing", "DATABASE_URL": f"sqlite:///{path}"})
    assert path.exists() is made


def test_sound_data(app: Flask, ada: Browser, tmp_path: Path) -> None:
    """What is there is said in a sentence, names nobody, and leaves the file alone."""
    for food in ("Rye", "Rye", "Milk"):
        ada.buy(food=food)
    before = closed(app, path := tmp_path / "food.db")
    said = "users 1, purchases 3, foods 2, budgets 0: all can be read and add up"
    assert typed(app, "check") == (0, f"schema {schema.HEAD}; {said}\n")
    assert bare(f"sqlite:///{path}", "check") == typed(app, "check")
    assert path.read_bytes() == before


_INDEX = "ix_purchases_user_id_day_category_price"


@pytest.mark.parametrize(
    ("statements", "said"),
    [
        (("DELETE FROM users",), "rows of purchases that belong to nobody: 1"),
        (("DELETE FROM users",), "rows of sessions that belong to nobody: 1"),
        (("UPDATE purchases SET price = -420",), "there is a price of -420"),
        (("UPDATE purchases SET quantity = 0",), "a quantity of 0"),
        (("UPDATE purchases SET day = 'soon'",), "holds what can not be read"),
        (("UPDATE alembic_version SET version_num = '0001'",), "this release needs"),
        (("DROP TABLE purchases",), "no such table: purchases"),
        (("DROP TABLE alembic_version",), "no schema version"),
    ],
)
def test_unsound_data(
    make_app: MakeApp, ada: Browser, tmp_path: Path, statements: tuple[str, ...], said: str
) -> None:
    """What this app's own pages would stumble over is found, with exit code 1."""
    ada.buy()
    changed(tmp_path / "food.db", *statements)
    code, text = typed(make_app(), "check")
    assert code == 1
    assert said in text and "Traceback" not in text


def test_an_index_that_lost_step(make_app: MakeApp, ada: Browser, tmp_path: Path) -> None:
    """A row that its index still has is no row: months would be added up with it."""
    ada.buy()
    ada.buy()
    path = tmp_path / "food.db"
    hidden = f"name = '{_INDEX}'"
    with sqlite3.connect(path) as connection:
        row = connection.execute(f"SELECT * FROM sqlite_master WHERE {hidden}").fetchone()
    hide = ("PRAGMA writable_schema = ON", f"DELETE FROM sqlite_master WHERE {hidden}")
    changed(path, *hide)
    changed(path, "DELETE FROM purchases WHERE id = 1")
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute("INSERT INTO sqlite_master VALUES (?, ?, ?, ?, ?)", row)
    connection.close()
    code, text = typed(make_app(), "check")
    assert code == 1
    assert "1 purchases add up to" in text and "by day they are 2 and" in text


def test_a_damaged_file(make_app: MakeApp, ada: Browser, tmp_path: Path) -> None:
    for _ in range(40):
        ada.buy(food="x" * 90)
    path = changed(tmp_path / "food.db", "PRAGMA wal_checkpoint(TRUNCATE)")
    app = make_app()
    data = bytearray(path.read_bytes())
    with sqlite3.connect(path) as connection:
        (page,) = connection.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'purchases'"
        ).fetchone()
        (size,) = connection.execute("PRAGMA page_size").fetchone()
    connection.close()
    data[(page - 1) * size : page * size] = b"\xff" * size
    path.write_bytes(data)
    code, text = typed(app, "check")
    assert code == 1
    assert "can not be read (database disk image is malformed)" in text
