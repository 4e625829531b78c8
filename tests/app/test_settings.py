"""Settings: a new password, and leaving for good."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import func, select

from foodbudget import db, models
from foodbudget.models import Base, Budget, Login, Purchase, Token, User

from .browser import PASSWORD, Browser

MakeApp = Callable[..., Flask]
NEW = "staple battery horse"


def test_a_new_password(ada: Browser, app: Flask) -> None:
    """The old one is needed, is no good afterwards, and whoever was in with it is out."""
    phone = Browser(app.test_client())
    phone.post("/login", name="ada", password=PASSWORD)
    kept = ada.client.get_cookie("foodbudget")
    answer = ada.post("/settings/password", page="/settings", current=PASSWORD, new=NEW)
    assert answer.location == "/settings"
    assert "password is changed" in ada.get("/settings").text
    assert ada.client.get_cookie("foodbudget") != kept
    assert "Log in" in phone.get("/").text
    assert phone.post("/login", name="ada", password=PASSWORD).status_code == 401
    assert phone.post("/login", name="ada", password=NEW).status_code == 302


@pytest.mark.parametrize(
    ("current", "new", "said"),
    [
        ("wrong password", NEW, "That is not your password."),
        ("", NEW, "That is not your password."),
        (PASSWORD, "short", "Use at least 10 characters."),
    ],
)
def test_no_new_password(ada: Browser, current: str, new: str, said: str) -> None:
    answer = ada.post("/settings/password", page="/settings", current=current, new=new)
    assert answer.status_code == 422
    assert said in answer.text
    assert "Log out" in ada.get("/").text
    ada.post("/logout", page="/")
    assert ada.post("/login", name="ada", password=PASSWORD).status_code == 302


@pytest.mark.parametrize("path", ["/settings/password", "/settings/delete"])
def test_who_found_an_open_browser_can_not_guess(ada: Browser, path: str) -> None:
    """Wrong passwords are counted here as they are at the log-in."""
    sent = {"current": "wrong password", "password": "wrong password", "new": NEW}
    for _ in range(10):
        assert ada.post(path, page="/settings", **sent).status_code == 422
    answer = ada.post(path, page="/settings", **sent)
    assert (answer.status_code, "Retry-After" in answer.headers) == (429, True)
    ada.post("/logout", page="/")
    assert ada.post("/login", name="ada", password=PASSWORD).status_code == 302


def rows(app: Flask, user_id: int) -> dict[str, int]:
    """How many rows of somebody there are, in every table that has people's rows."""
    tables = [table for table in Base.metadata.sorted_tables if "user_id" in table.columns]
    with db.of(app).read() as session:
        return {
            table.name: session.scalar(
                select(func.count()).select_from(table).where(table.c.user_id == user_id)
            )
            or 0
            for table in tables
        }


def test_deleting_an_account_leaves_nothing(ada: Browser, app: Flask) -> None:
    """Every row of every table that was hers is gone; nobody else's is; her name is free."""
    eve = Browser(app.test_client()).sign_up("eve")
    with db.of(app).write() as session:
        for user_id in (1, 2):
            session.add(Budget(user_id=user_id, category="total", month="2026-11", amount=1))
            session.add(Token(user_id=user_id, name="x", token_hash=f"h{user_id}", hint="h"))
            session.add(
                Purchase(
                    user_id=user_id, food="x", category="other", price=1, day=models.now().date()
                )
            )
    full = {"purchases": 1, "budgets": 1, "tokens": 1, "sessions": 1}
    assert rows(app, 1) == rows(app, 2) == full
    assert "1 purchase<" in ada.get("/settings/delete").text
    answer = ada.post("/settings/delete", password="wrong password")
    assert answer.status_code == 422 and rows(app, 1) == full
    assert ada.post("/settings/delete", password=PASSWORD).location == "/"
    assert "Your account is deleted" in ada.get("/").text
    assert rows(app, 1) == dict.fromkeys(full, 0)
    assert rows(app, 2) == full and "Log out" in eve.get("/").text
    with db.of(app).read() as session:
        assert session.scalars(select(User.name)).all() == ["eve"]
    ada.sign_up()


def test_every_table_of_a_persons_goes_with_them() -> None:
    """A table that names people without this rule would keep its rows, or forbid the deletion."""
    for table in Base.metadata.sorted_tables:
        for column in table.columns:
            if column.name == "user_id":
                (key,) = column.foreign_keys
                assert (key.column.table.name, key.ondelete) == ("users", "CASCADE")


def test_an_account_that_is_gone_is_logged_out(ada: Browser, app: Flask) -> None:
    """A browser that still has its cookie gets the welcome, not an error."""
    with db.of(app).write() as session:
        session.add(Login(id="f" * 64, user_id=1, expires_at=models.now() + timedelta(days=1)))
        session.delete(session.get(User, 1))
    assert "Log in" in ada.get("/").text
