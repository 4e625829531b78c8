"""The pages, as somebody with a phone meets them."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date

import pytest
from flask import Flask
from sqlalchemy import func, select

from foodbudget import db, passwords
from foodbudget.models import Purchase, User

from .conftest import PASSWORD, Browser


def count(app: Flask, model: type[Purchase] | type[User]) -> int:
    with db.of(app).read() as session:
        return session.scalar(select(func.count()).select_from(model)) or 0


def test_welcome_for_strangers(browser: Browser) -> None:
    """`/` answers 200 to anybody, and shows which release answers."""
    answer = browser.get("/")
    assert answer.status_code == 200
    assert "Create an account" in answer.text
    assert "release <code>dev</code>" in answer.text


def test_nothing_is_loaded_from_elsewhere(ada: Browser) -> None:
    """No page names another host, holds a script, or a style that its own policy forbids."""
    ada.buy()
    for path in ("/", "/purchases/new", "/purchases/1", "/budget/2026-11", "/nowhere"):
        answer = ada.get(path)
        assert "//" not in re.sub(r"<!doctype[^>]*>", "", answer.text), path
        assert "<script" not in answer.text and "style=" not in answer.text
        assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")


@pytest.mark.parametrize(
    "path", ["/month/2026-11", "/purchases/new", "/purchases/1", "/budget/2026-11"]
)
def test_strangers_are_sent_to_log_in(browser: Browser, path: str) -> None:
    answer = browser.get(path)
    assert (answer.status_code, answer.location) == (302, f"/login?next={path}")


def test_account_and_back_in(browser: Browser, app: Flask) -> None:
    """Sign up, log out, log in by the same name in other letters, land where one wanted to go."""
    browser.sign_up("Ada")
    assert browser.post("/logout", page="/").location == "/"
    assert "Create an account" in browser.get("/").text
    answer = browser.post("/login?next=/month/2026-10", name=" ADA ", password=PASSWORD)
    assert answer.location == "/month/2026-10"
    assert browser.get("/login").location == "/"
    assert count(app, User) == 1


@pytest.mark.parametrize("there", ["/%09/evil.example", "/%0A/evil.example", "/%20//evil.example"])
def test_nothing_slips_through_what_browsers_leave_out(browser: Browser, there: str) -> None:
    """Browsers drop tabs and line ends from addresses, which could leave two slashes."""
    browser.sign_up()
    browser.post("/logout", page="/")
    answer = browser.post(f"/login?next={there}", name="ada", password=PASSWORD)
    assert answer.location == "/"


@pytest.mark.parametrize(
    "there", ["//evil.example", "/\\evil.example", "https://evil.example", "", "evil"]
)
def test_login_sends_nobody_elsewhere(browser: Browser, there: str) -> None:
    browser.sign_up()
    browser.post("/logout", page="/")
    answer = browser.post(f"/login?next={there}", name="ada", password=PASSWORD)
    assert answer.location == "/"


@pytest.mark.parametrize("name", ["ada", "nobody"])
def test_wrong_login(browser: Browser, name: str) -> None:
    """A wrong name and a wrong password get one and the same answer."""
    browser.sign_up()
    browser.post("/logout", page="/")
    answer = browser.post("/login", name=name, password="wrong password")
    assert answer.status_code == 401
    assert "belong together" in answer.text


def test_a_password_costs_what_werkzeug_thinks_right(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thief of the database pays for each guess; elsewhere in these tests it costs less."""
    monkeypatch.undo()
    assert passwords.hashed(PASSWORD).startswith("scrypt:32768:8:1$")


def test_absent_account_costs_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody's password is compared as well, the first time and every other time."""
    monkeypatch.setattr(passwords, "_NOBODY", [])
    assert not passwords.matches("nobody", None)
    assert not passwords.matches("nobody", None)
    assert len(passwords._NOBODY) == 1


@pytest.mark.parametrize(
    ("name", "password", "said"),
    [
        ("a", PASSWORD, "Use 2 to 64 letters"),
        ("a b", PASSWORD, "Use 2 to 64 letters"),
        ("eve", "short", "Use at least 10 characters."),
        ("eve", "x" * 1001, "Use at most 1000 characters."),
        ("ADA", PASSWORD, "That name is taken."),
    ],
)
def test_signup_mistakes(ada: Browser, app: Flask, name: str, password: str, said: str) -> None:
    answer = ada.post("/signup", name=name, password=password)
    assert answer.status_code == 422
    assert said in answer.text
    assert count(app, User) == 1


def test_signup_switched_off(make_app: Callable[..., Flask]) -> None:
    browser = Browser(make_app(SIGNUP="closed").test_client())
    assert "Create an account" not in browser.get("/").text
    answer = browser.get("/signup")
    assert answer.status_code == 403
    assert "switched off here" in answer.text


def test_purchase_from_start_to_end(ada: Browser, app: Flask) -> None:
    """Written down, seen in its month, corrected, removed."""
    answer = ada.buy(food="Rye <b>bread</b>", price="12,34", quantity="0.75", unit="kg")
    assert answer.location == "/month/2026-11"
    page = ada.get("/month/2026-11").text
    assert "Rye &lt;b&gt;bread&lt;/b&gt;" in page and "€12.34" in page and "0.75 kg" in page
    assert 'value="12.34"' in ada.get("/purchases/1").text
    changed = {"food": "Rolls", "category": "bread", "quantity": "6", "unit": "pcs", "shop": ""}
    answer = ada.post("/purchases/1", **changed, price="3", day="2026-10-31")
    assert answer.location == "/month/2026-10"
    assert "Rolls" in ada.get("/month/2026-10").text
    assert "Rolls" not in ada.get("/month/2026-11").text
    answer = ada.post("/purchases/1/delete", page="/purchases/1")
    assert answer.location == "/month/2026-10"
    assert count(app, Purchase) == 0


def test_purchase_mistakes_keep_what_was_typed(ada: Browser, app: Flask) -> None:
    """422 with every mistake and the typed text; nothing is stored or changed."""
    answer = ada.buy(price="free", day="soon")
    assert answer.status_code == 422
    assert answer.text.count('aria-invalid="true"') == 2
    assert 'value="free"' in answer.text
    assert count(app, Purchase) == 0
    ada.buy()
    assert ada.post("/purchases/1", food="").status_code == 422
    assert "Bread" in ada.get("/month/2026-11").text


@pytest.mark.parametrize("path", ["/purchases/1", "/purchases/1/delete"])
def test_other_peoples_purchases_are_not_there(ada: Browser, app: Flask, path: str) -> None:
    ada.buy()
    eve = Browser(app.test_client()).sign_up("eve")
    assert eve.get("/purchases/1").status_code == 404
    assert eve.post(path, page="/purchases/new").status_code == 404
    assert "Bread" not in eve.get("/month/2026-11").text
    assert count(app, Purchase) == 1


def test_budget_holds_from_its_month_on(ada: Browser) -> None:
    """Earlier months keep theirs; an emptied field lifts the limit."""
    assert ada.post("/budget/2026-10", total="200", meat="50").location == "/month/2026-10"
    ada.post("/budget/2026-12", total="300,50", meat="")
    assert "No budget yet" in ada.get("/month/2026-09").text
    november = ada.get("/month/2026-11").text
    assert "of €200.00" in november and "of €50.00" in november
    december = ada.get("/month/2026-12").text
    assert "of €300.50" in december and "of €50.00" not in december
    assert 'value="300.50"' in ada.get("/budget/2027-01").text


def test_budget_mistake(ada: Browser) -> None:
    answer = ada.post("/budget/2026-11", total="lots")
    assert answer.status_code == 422
    assert "Write an amount like 12.34." in answer.text
    assert "No budget yet" in ada.get("/month/2026-11").text


@pytest.mark.parametrize(("limit", "said"), [("4", "€0.20 over"), ("5", "€0.80 left")])
def test_verdict_of_a_month(ada: Browser, limit: str, said: str) -> None:
    ada.buy(day="2026-10-02")
    ada.post("/budget/2026-10", total=limit, bread=limit)
    assert said in ada.get("/month/2026-10").text


def test_today_says_what_is_left_a_day(ada: Browser) -> None:
    today = date.today()
    ada.post(f"/budget/{today:%Y-%m}", total="1000")
    ada.buy(day=today.isoformat())
    page = ada.get("/").text
    assert "for each day left" in page and "Today" in page


def test_currency_without_cents(make_app: Callable[..., Flask]) -> None:
    browser = Browser(make_app(CURRENCY="JPY").test_client()).sign_up()
    assert browser.buy(price="1.5").status_code == 422
    browser.buy(price="450")
    assert "¥450" in browser.get("/month/2026-11").text


@pytest.mark.parametrize("path", ["/month/2026-13", "/budget/now", "/purchases/99", "/none"])
def test_what_is_not_there(ada: Browser, path: str) -> None:
    answer = ada.get(path)
    assert answer.status_code == 404
    assert "Back to this month" in answer.text


def test_forms_need_their_token(ada: Browser, app: Flask) -> None:
    """A POST without the token changes nothing."""
    answer = ada.client.post("/purchases/new", data={"food": "Bread"})
    assert answer.status_code == 400
    assert count(app, Purchase) == 0


def rules(app: Flask, *methods: str) -> list[tuple[str, str]]:
    """Every address of the pages that answers to one of the methods, with numbers filled in."""
    found = []
    for rule in app.url_map.iter_rules():
        for method in {*methods} & (rule.methods or set()):
            path = re.sub(r"<int[^>]*>", "1", rule.rule).replace("<month>", "2026-11")
            if not path.startswith(("/api/", "/static/")):
                found.append((method, path))
    return found


def test_nothing_is_changed_without_a_token(ada: Browser, app: Flask) -> None:
    """Whatever may change something refuses a request that no form of ours sent."""
    ada.buy()
    writing = rules(app, "POST", "PUT", "PATCH", "DELETE")
    assert len(writing) >= 12
    for method, path in writing:
        answer = ada.client.open(path, method=method, data={"csrf_token": "x"})
        assert (answer.status_code, "CSRF" in answer.text) == (400, True), path
    assert "Log out" in ada.get("/").text and count(app, Purchase) == 1


def test_strangers_see_nothing(browser: Browser, app: Flask) -> None:
    """Every page but those that are for them sends strangers to log in."""
    free = {"/", "/login", "/signup", "/health", "/health/ready", "/version"}
    closed = [path for _, path in rules(app, "GET") if path not in free]
    assert len(closed) >= 11
    for path in closed:
        assert browser.get(path).location == f"/login?next={path}"
    token = browser.token("/login")
    for _, path in rules(app, "POST"):
        if path not in {"/login", "/signup", "/logout"}:
            answer = browser.client.post(path, data={"csrf_token": token})
            assert answer.location == "/login", path
