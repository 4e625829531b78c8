"""A MyFoodBudget on a real SQLite file for each test, and somebody who uses it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flask import Flask

from app_factory import create_app
from foodbudget import db, passwords

from .browser import PASSWORD, Browser

__all__ = ["PASSWORD", "Browser"]

MakeApp = Callable[..., Flask]


@pytest.fixture
def make_app(tmp_path: Path) -> Iterator[MakeApp]:
    """Makes apps on one file; settings are given as variables."""
    made: list[Flask] = []

    def make(**variables: str) -> Flask:
        known = {"FLASK_ENV": "testing", "DATABASE_URL": f"sqlite:///{tmp_path}/food.db"}
        made.append(create_app(known | variables))
        return made[-1]

    yield make
    for app in made:
        db.of(app).close()


@pytest.fixture(autouse=True)
def cheap_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same scrypt at a small part of its cost: hundreds of accounts are made here."""
    monkeypatch.setattr(passwords, "METHOD", "scrypt:1024:8:1")
    monkeypatch.setattr(passwords, "_NOBODY", [])


@pytest.fixture
def app(make_app: MakeApp) -> Flask:
    return make_app()


@pytest.fixture
def browser(app: Flask) -> Browser:
    return Browser(app.test_client())


@pytest.fixture
def ada(browser: Browser) -> Browser:
    return browser.sign_up()
