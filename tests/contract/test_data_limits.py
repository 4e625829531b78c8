"""A migration of a PostgreSQL database waits for nobody for long, and ends on the server too."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from homeport.backups import Backup, Migrate
from homeport.errors import MigrationFailed
from homeport.host.ops_migrate import LOCK, bring_up
from homeport.model import Release
from test_data_postgres import Kitchen, database_image, kitchen, made
from tinyapp.driver import docker, wait

pytestmark = pytest.mark.docker
__all__ = ["database_image", "kitchen", "made"]
BUSY = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%{}%' AND state = 'active'"
BUSY += " AND pid <> pg_backend_pid()"


def migrating(kitchen: Kitchen, statement: str) -> Release:
    """The release with a migration that is one statement, in an image that has psql."""
    psql = f'psql -v ON_ERROR_STOP=1 "$(echo "$DATABASE_URL" | sed s/+psycopg//)" -c "{statement}"'
    rules = Migrate(("sh", "-c", psql), ("echo", "2", "2"))
    settings = replace(kitchen.settings(), migrate=rules, backup=Backup(postgres="DATABASE_URL"))
    return replace(kitchen.release, settings=settings)


@pytest.fixture
def own(kitchen: Kitchen) -> Iterator[Kitchen]:
    """The kitchen with the server's image as its web service's own: it has psql."""
    before, kitchen.python = kitchen.python, kitchen.image
    kitchen.release = kitchen.again(kitchen.url)
    yield kitchen
    kitchen.python = before
    kitchen.release = kitchen.again(kitchen.url)


@contextmanager
def locked(kitchen: Kitchen) -> Iterator[None]:
    """Somebody has the table of foods for a long time."""
    text = "BEGIN; LOCK TABLE foods; SELECT pg_sleep(600)"
    thread = threading.Thread(target=lambda: _asleep(kitchen, text), daemon=True)
    thread.start()
    wait(lambda: kitchen.sql(BUSY.format("LOCK TABLE foods")) == "1", "somebody has the table")
    try:
        yield
    finally:
        kitchen.sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE query LIKE '%LOCK TABLE%' AND pid <> pg_backend_pid()"
        )
        thread.join(20)


def _asleep(kitchen: Kitchen, text: str) -> None:
    with pytest.raises(AssertionError):
        docker("exec", f"{kitchen.name}-db-1", "psql", "-U", "food", "-d", "food", "-c", text)


def test_a_good_one(own: Kitchen) -> None:
    """It is done on the app's own database, as the app's own role."""
    release = migrating(own, "ALTER TABLE foods ADD COLUMN price int")
    assert bring_up(own.context(), release, 20.0).found == "2"
    assert own.sql("SELECT count(price) FROM foods") == "0"


def test_it_gives_up_for_a_lock(own: Kitchen) -> None:
    """Whoever comes after it waits behind it, so it does not wait for as long as it may run."""
    release = migrating(own, "ALTER TABLE foods ADD COLUMN price int")
    with locked(own):
        begun = time.monotonic()
        with pytest.raises(MigrationFailed) as caught:
            bring_up(own.context(), release, 60.0)
        took = time.monotonic() - begun
    assert "canceling statement due to lock timeout" in caught.value.problems[0].why
    # and what two programs take to start on a busy machine
    assert LOCK <= took < LOCK + 20
    assert "price" not in own.sql("SELECT * FROM foods LIMIT 0")


def test_its_statement_ends_on_the_server(own: Kitchen) -> None:
    """Killing the client alone would leave the server at it, with all its locks."""
    release = migrating(own, "CREATE TABLE slow AS SELECT 1 FROM pg_sleep(600)")
    with pytest.raises(MigrationFailed) as caught:
        bring_up(own.context(), release, 4.0)
    text = caught.value.problems[0].text()
    assert "had no end within 4 s" in text or "due to statement timeout" in text
    wait(lambda: own.sql(BUSY.format("CREATE TABLE slow")) == "0", "the server ends it", 5.0)
    assert own.sql("SELECT to_regclass('slow') IS NULL") == "t"
