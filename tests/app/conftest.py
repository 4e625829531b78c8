"""A MyFoodBudget on a real SQLite file for each test, and somebody who uses it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from app_factory import create_app
from foodbudget import db

MakeApp = Callable[..., Flask]
PASSWORD = "correct horse battery"


class Browser:
    """A client that fills in forms as a browser does, CSRF token included."""

    def __init__(self, client: FlaskClient) -> None:
        self.client = client

    def get(self, path: str) -> TestResponse:
        return self.client.get(path)

    def post(self, path: str, page: str | None = None, **fields: str) -> TestResponse:
        """Send the fields to `path` with the token that `page` (by default `path`) holds."""
        found = re.search(r'name="csrf_token" value="([^"]+)"', self.get(page or path).text)
        assert found, f"{page or path} holds no form"
        return self.client.post(path, data={"csrf_token": found[1], **fields})

    def sign_up(self, name: str = "ada") -> Browser:
        answer = self.post("/signup", name=name, password=PASSWORD)
        assert answer.status_code == 302, answer.text
        return self

    def buy(self, **fields: str) -> TestResponse:
        known = {"food": "Bread", "category": "bread", "quantity": "1", "unit": "pcs"}
        known |= {"price": "4.20", "day": "2026-11-20", "shop": "Corner shop"}
        return self.post("/purchases/new", **(known | fields))


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


@pytest.fixture
def app(make_app: MakeApp) -> Flask:
    return make_app()


@pytest.fixture
def browser(app: Flask) -> Browser:
    return Browser(app.test_client())


@pytest.fixture
def ada(browser: Browser) -> Browser:
    return browser.sign_up()
