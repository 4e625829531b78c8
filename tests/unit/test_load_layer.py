"""The load layer on the real app, with a real SQLite file."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from lab.load import read_audit

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "deploy" / "lab" / "loadlayer")]

import loadlayer  # noqa: E402  # what the image has beside the app, the tree has in two folders

BODY = b"run-1\nbread"


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The app's settings for one test; its database is the returned file."""
    file = tmp_path / "data" / "food.db"
    file.parent.mkdir()
    settings = {
        "FLASK_ENV": "testing",
        "DATABASE_URL": f"sqlite:///{file}",
        "SECRET_KEY": "k" * 48,
        "HOMEPORT_RELEASE": "r0007-abcdef0",
        "HOMEPORT_STANDBY": str(tmp_path / "standby"),
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    return file


def client(**behaviour: Any) -> FlaskClient:
    """Return a client of a fresh app that behaves so."""
    return loadlayer.create_app(behaviour=loadlayer.Behaviour(**behaviour)).test_client()


def write(to: FlaskClient, body: bytes = BODY, length: int | None = None) -> Any:
    """Send one write with the headers of the load's."""
    told = str(len(body) if length is None else length)
    headers = {"X-Load-Id": "run-1", "X-Load-Length": told}
    return to.post("/load/write", data=body, headers=headers)


def test_a_write_stores_purchase_and_audit_row(database: Path) -> None:
    """An acknowledged write is in the audit table with the release and the body's digest."""
    browser = client()
    answer = write(browser)
    assert answer.status_code == 201
    assert answer.headers["X-Load-Id"] == "run-1"
    (row,) = read_audit(database)
    assert (row.load_id, row.release, row.length) == ("run-1", "r0007-abcdef0", len(BODY))
    assert row.sha256 == hashlib.sha256(BODY).hexdigest()
    assert browser.get("/load/read").json == {
        "last_id": row.purchase_id,
        "shown": 1,
        "spent": len(BODY),
    }


def test_a_double_is_stored_twice_so_that_it_is_seen(database: Path) -> None:
    """The table does not hide what it is there to show."""
    browser = client()
    assert [write(browser).status_code for _ in range(2)] == [201, 201]
    assert [row.load_id for row in read_audit(database)] == ["run-1", "run-1"]


def test_a_body_of_one_megabyte_is_taken(database: Path) -> None:
    """The load's largest body is no error of the app's."""
    body = b"run-1\n" + b"x" * 999_994
    assert write(client(), body).status_code == 201
    assert [row.length for row in read_audit(database)] == [1_000_000]


@pytest.mark.parametrize("body, length", [(b"", 11), (b"run-2\nbread", 11), (BODY, 12)])
def test_a_lost_or_foreign_body_is_refused(database: Path, body: bytes, length: int) -> None:
    """A write whose body got lost on the way is answered 400 and not stored."""
    assert write(client(), body, length).status_code == 400
    assert read_audit(database) == []


def test_standby_reads_and_does_not_write(database: Path, tmp_path: Path) -> None:
    """In standby reads are answered, writes are 503 with Retry-After, and nothing is stored."""
    client().get("/load/read")
    (tmp_path / "standby").touch()
    browser = client()
    refused = write(browser)
    assert refused.status_code == 503 and refused.headers["Retry-After"] == "1"
    assert browser.get("/load/read").status_code == 200
    assert read_audit(database) == []
    (tmp_path / "standby").unlink()
    assert write(browser).status_code == 201


def test_a_version_shows_and_can_be_not_ready(database: Path) -> None:
    """v3 of the demo: the page answers and differs, /health/ready is 503."""
    browser = client(version="v3", accent="#b00020", ready=503)
    page = browser.get("/", follow_redirects=True)
    assert page.status_code == 200
    assert ">v3</strong>" in page.text and "/load/accent.css" in page.text
    assert "#b00020" in browser.get("/load/accent.css").text
    assert browser.get("/health/ready").status_code == 503
    assert client().get("/health/ready").status_code == 200
