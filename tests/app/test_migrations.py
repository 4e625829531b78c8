"""Migrations only add, so that the release before goes on serving, and can be gone back to."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from flask import Flask
from sqlalchemy import Connection, inspect, text

from foodbudget import db, schema
from foodbudget.sqlite import SQLite
from foodbudget.standby import Standby

MakeApp = Callable[..., Flask]

# what the code of each version asks of its tables, as it was written then
QUERIES = {
    "0001": [
        "INSERT INTO users (name, password_hash, created_at) VALUES ('ada', 'x', '2026-11-01')",
        "SELECT users.id, users.name, users.password_hash, users.created_at FROM users"
        " WHERE users.name = 'ada'",
        "INSERT INTO purchases (user_id, food, category, quantity, unit, price, day, shop,"
        " created_at) VALUES (1, 'Rye', 'bread', 1000, 'pcs', 420, '2026-11-20', '', '2026-11-20')",
        "UPDATE purchases SET price = 1, shop = 'x' WHERE purchases.id = 1",
        "SELECT id, user_id, food, category, quantity, unit, price, day, shop, created_at"
        " FROM purchases WHERE user_id = 1 AND day BETWEEN '2026-11-01' AND '2026-11-30'"
        " ORDER BY day DESC, id DESC",
        "SELECT food, shop FROM purchases WHERE user_id = 1 ORDER BY id DESC LIMIT 300",
        "INSERT INTO budgets (user_id, category, month, amount) VALUES (1, 'total', '2026-11', 5)",
        "UPDATE budgets SET amount = 6 WHERE user_id = 1 AND category = 'total'",
        "SELECT category, max(month) FROM budgets WHERE user_id = 1 GROUP BY category",
        "DELETE FROM purchases WHERE purchases.id = 1",
        "SELECT version_num FROM alembic_version",
    ],
}


def revisions() -> list[str]:
    config = Config()
    config.set_main_option("script_location", str(schema.MIGRATIONS))
    return [one.revision for one in ScriptDirectory.from_config(config).walk_revisions()][::-1]


def upgrade(connection: Connection, revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(schema.MIGRATIONS))
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


@pytest.fixture
def database(tmp_path: Path) -> SQLite:
    return SQLite(tmp_path / "food.db", Standby(None))


def shape(connection: Connection) -> dict[str, dict[str, str]]:
    """Every table's columns and what they are, unique constraints included."""
    look = inspect(connection)
    return {
        table: {one["name"]: f"{one['type']} {one['nullable']}" for one in look.get_columns(table)}
        | {str(one["column_names"]): "unique" for one in look.get_unique_constraints(table)}
        for table in look.get_table_names()
    }


def test_revisions_are_numbers_in_a_row() -> None:
    """What is newer can be told by looking at two of them."""
    assert revisions() == [f"{number:04}" for number in range(1, len(revisions()) + 1)]
    assert revisions()[-1] == schema.HEAD


@pytest.mark.parametrize(("before", "after"), list(zip(revisions(), revisions()[1:])))
def test_a_migration_only_adds(database: SQLite, before: str, after: str) -> None:
    """No table, column or rule of the version before is gone, changed, or joined by a new demand
    on rows that the old code writes."""
    with database.write_connection() as connection:
        upgrade(connection, before)
        old = shape(connection)
        upgrade(connection, after)
        new = shape(connection)
    for table, columns in old.items():
        added = {name: kind for name, kind in new[table].items() if name not in columns}
        assert new[table] | columns == new[table], table
        assert all(kind.endswith("True") for kind in added.values()), (table, added)
    database.close()


@pytest.mark.parametrize("version", QUERIES)
def test_old_code_works_on_the_newest_tables(database: SQLite, version: str) -> None:
    """What the release before asks is answered, and what it writes is kept."""
    with database.write_connection() as connection:
        upgrade(connection, schema.HEAD)
        assert connection.scalar(text("SELECT revision FROM schema_oldest")) <= version
        for query in QUERIES[version]:
            connection.execute(text(query))
    database.close()


def test_the_data_is_kept(database: SQLite) -> None:
    """A database of the first version is brought up by `flask migrate` with all its rows."""
    with database.write_connection() as connection:
        upgrade(connection, "0001")
        for query in QUERIES["0001"][:3]:
            connection.execute(text(query))
    assert schema.migrate(database) == ("0001", schema.HEAD)
    with database.read_connection() as connection:
        assert connection.execute(text("SELECT food, price FROM purchases")).all() == [("Rye", 420)]
    database.close()


@pytest.mark.parametrize(
    ("oldest", "status", "said"),
    [("0001", 200, None), (schema.HEAD, 200, None), ("9999", 503, "deploy a newer release")],
)
def test_a_rollback_to_this_release(
    make_app: MakeApp, tmp_path: Path, oldest: str, status: int, said: str | None
) -> None:
    """On tables of a later release this one is ready if that one says so, and leaves them alone."""
    app = make_app()
    with sqlite3.connect(tmp_path / "food.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.execute("UPDATE schema_oldest SET revision = ?", [oldest])
    answer = app.test_client().get("/health/ready")
    assert answer.status_code == status and answer.json
    assert answer.json["schema"]["found"] == "9999"
    assert answer.json["reason"] is None if said is None else said in answer.json["reason"]
    result = app.test_cli_runner().invoke(args=["migrate"])
    assert result.exit_code == (0 if status == 200 else 78)
    assert db.of(make_app())  # and it starts
