"""What people see of saved data, as literal text."""

from __future__ import annotations

import time
from argparse import Namespace
from collections.abc import Iterator
from typing import Any

import pytest

from homeport.control import backup, report, report_data

NOW = 1_775_000_000.0  # 2026-03-31 23:33:20 in UTC
GOOD: dict[str, Any] = {
    "id": "20260331T183320-ab12",
    "at": NOW - 18000,
    "why": "scheduled, 03:30",
    "release": "r0002-1a2b3c4",
    "schema": "0004",
    "size": 12_345_678,
    "state": "verified",
    "problems": [],
    "missing": ["data/uploads/tmp1"],
}
BAD = {
    **GOOD,
    "id": "20260331T233310-cd34",
    "at": NOW - 10,
    "schema": "",
    "why": "asked for",
    "state": "failed",
    "problems": ["data/shop.db: 3 rows are missing in foods"],
    "missing": [],
}
SUM: dict[str, Any] = {
    "configured": True,
    "schedule": "03:30",
    "verified": GOOD,
    "count": 2,
    "size": 24_691_356,
    "next": NOW + 14200,
    "problems": [],
}
FAILED = {
    "check": "backup",
    "grave": True,
    "what": "the last backup failed",
    "where": "host",
    "why": "no room",
    "mend": "homeport backup now",
}
LIST_TEXT = """\
20260331T233310-cd34  10 s ago     FAILED          12 MB  r0002-1a2b3c4
    asked for
    problem: data/shop.db: 3 rows are missing in foods
20260331T183320-ab12  5 h ago      verified        12 MB  r0002-1a2b3c4
    schema 0004; scheduled, 03:30
    missing: data/uploads/tmp1

2 sets, 25 MB; backup: verified, 5 h ago, 12 MB; next 03:30

warning: the last backup failed
  why:  no room
  mend: homeport backup now"""


@pytest.fixture(autouse=True)
def greenwich(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A reader whose clock shows UTC."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def test_the_list() -> None:
    """A set a line, the newest first, with what is wrong with it; then what is wrong with all."""
    data = {**SUM, "sets": [BAD, GOOD], "problems": [FAILED]}
    text = report_data.sets(data, NOW)
    assert text == LIST_TEXT
    assert max(len(line) for line in text.splitlines()) <= 80


STATUS: dict[str, tuple[Any, str]] = {
    "an older agent": ("not configured", "not configured"),
    "nothing asked for": ({"configured": False}, "not configured"),
    "nothing counts yet": ({**SUM, "verified": None}, "NOTHING VERIFIED; next 03:30"),
    "well": (SUM, "verified, 5 h ago, 12 MB; next 03:30"),
    "due": ({**SUM, "next": NOW}, "verified, 5 h ago, 12 MB; next within a quarter of an hour"),
    "in two days": (
        {**SUM, "next": NOW + 2 * 86400},
        "verified, 5 h ago, 12 MB; next 2026-04-02 23:33",
    ),
    "nobody ticks": ({**SUM, "next": None}, "verified, 5 h ago, 12 MB; next unknown"),
    "by deploys only": ({**SUM, "schedule": ""}, "verified, 5 h ago, 12 MB"),
}


@pytest.mark.parametrize("name", STATUS)
def test_the_line_of_status(name: str) -> None:
    """How old the newest verified set is, and when the next one is made."""
    data, expected = STATUS[name]
    assert report_data.backup(data, NOW) == expected
    assert f"backup    {expected}\n" in report.status({"backup": data}, NOW) + "\n"


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (SUM, 0),
        ({**SUM, "verified": None}, 35),
        ({**SUM, "problems": [FAILED]}, 35),
        ({**SUM, "problems": [{**FAILED, "grave": False}]}, 0),
        ({"configured": False, "problems": [{**FAILED, "grave": False}]}, 0),
    ],
)
def test_the_check_of_the_list(data: dict[str, Any], code: int) -> None:
    """35 where nothing is verified or a person is needed; 0 where nobody asked for backups."""
    assert backup.check(Namespace(check=True))(data) == code
    assert backup.check(Namespace(check=False))(data) == 0
