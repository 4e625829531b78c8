"""Somebody who uses MyFoodBudget."""

from __future__ import annotations

import re

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

PASSWORD = "correct horse battery"


class Browser:
    """A client that fills in forms as a browser does, CSRF token included."""

    def __init__(self, client: FlaskClient) -> None:
        self.client = client

    def get(self, path: str) -> TestResponse:
        return self.client.get(path)

    def post(self, path: str, page: str | None = None, **fields: str) -> TestResponse:
        """Send the fields to `path` with the token that `page` (by default `path`) holds."""
        return self.client.post(path, data={"csrf_token": self.token(page or path), **fields})

    def token(self, page: str) -> str:
        """The token that the forms of a page hold."""
        found = re.search(r'name="csrf_token" value="([^"]+)"', self.get(page).text)
        assert found, f"{page} holds no form"
        return found[1]

    def sign_up(self, name: str = "ada") -> Browser:
        answer = self.post("/signup", name=name, password=PASSWORD)
        assert answer.status_code == 302, answer.text
        return self

    def buy(self, **fields: str) -> TestResponse:
        known = {"food": "Bread", "category": "bread", "quantity": "1", "unit": "pcs"}
        known |= {"price": "4.20", "day": "2026-11-20", "shop": "Corner shop"}
        return self.post("/purchases/new", **(known | fields))
