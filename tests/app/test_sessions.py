"""Sessions: in the database, ended there, and never written to without need."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import event, select, update

from foodbudget import db, models
from foodbudget.models import Login

from .browser import PASSWORD, Browser

MakeApp = Callable[..., Flask]


def cookie(browser: Browser, name: str = "foodbudget") -> str:
    found = browser.client.get_cookie(name)
    assert found
    return found.value


def logins(app: Flask) -> list[Login]:
    with db.of(app).read() as session:
        return list(session.scalars(select(Login)))


def age(app: Flask, **by: float) -> None:
    """Let time pass for every session."""
    past = models.now() - timedelta(**by)
    with db.of(app).write() as session:
        lasts = timedelta(minutes=60)
        session.execute(update(Login).values(seen_at=past, expires_at=past + lasts))


def written(app: Flask) -> list[str]:
    """The statements that change something, from now on."""
    found: list[str] = []

    def note(*call: object) -> None:
        statement = str(call[2])
        if re.match(r"INSERT|UPDATE|DELETE", statement):
            found.append(statement)

    event.listen(db.of(app).engine, "before_cursor_execute", note)
    return found


def test_it_survives_a_restart(make_app: MakeApp) -> None:
    """A second process knows who is logged in, and where the same person logged out."""
    ada = Browser(make_app().test_client()).sign_up()
    kept = cookie(ada)
    after = Browser(make_app().test_client())
    after.client.set_cookie("foodbudget", kept)
    assert "Log out" in after.get("/").text
    after.post("/logout", page="/")
    assert "Log out" not in ada.get("/").text


def test_the_cookie_holds_nothing(ada: Browser, app: Flask) -> None:
    """It is random; the database knows only its hash; and it changes when somebody logs in."""
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}", cookie(ada))
    assert [row.id for row in logins(app)] == [hashlib.sha256(cookie(ada).encode()).hexdigest()]
    known = cookie(ada)
    ada.post("/logout", page="/")
    ada.get("/login")
    before = cookie(ada)
    assert before != known
    ada.post("/login", name="ada", password=PASSWORD)
    assert cookie(ada) not in (before, known)


def test_logging_out_ends_it_on_the_server(ada: Browser, app: Flask) -> None:
    """Who has copied the cookie is nobody with it."""
    kept = cookie(ada)
    ada.post("/logout", page="/")
    assert logins(app) == []
    thief = Browser(app.test_client())
    thief.client.set_cookie("foodbudget", kept)
    assert "Log in" in thief.get("/").text


def test_log_out_everywhere_else(ada: Browser, app: Flask) -> None:
    """The others are out, this one is not, and other people are not touched."""
    phone = Browser(app.test_client())
    phone.post("/login", name="ada", password=PASSWORD)
    eve = Browser(app.test_client()).sign_up("eve")
    assert "one other browser" in ada.get("/settings").text
    ada.post("/settings/sessions/end", page="/settings")
    assert "logged out of one other browser" in ada.get("/settings").text
    assert "Log in" in phone.get("/").text
    assert "Log out" in eve.get("/").text


def test_expiry(make_app: MakeApp) -> None:
    """A session that was not used for its lifetime is over, and its row goes with the next."""
    app = make_app(SESSION_LIFETIME_MINUTES="60")
    ada = Browser(app.test_client()).sign_up()
    old = logins(app)[0].id
    age(app, minutes=59)
    assert "Log out" in ada.get("/").text
    age(app, minutes=61)
    assert "Log in" in ada.get("/").text
    ada.post("/login", name="ada", password=PASSWORD)
    assert [row.id for row in logins(app)] != [old] and len(logins(app)) == 1


def test_a_touch_is_rare(make_app: MakeApp) -> None:
    """Looking at pages writes once in a tenth of the lifetime, and then the cookie lasts anew."""
    app = make_app(SESSION_LIFETIME_MINUTES="60")
    ada = Browser(app.test_client()).sign_up()
    found = written(app)
    for _ in range(3):
        assert "Set-Cookie" not in ada.get("/month/2026-11").headers
    assert found == []
    age(app, minutes=7)
    answer = ada.get("/month/2026-11")
    assert "Max-Age=3600" in answer.headers["Set-Cookie"]
    assert len(found) == 2 and found[1].startswith("UPDATE sessions")  # the first is of age()
    ada.get("/month/2026-11")
    assert len(found) == 2


def test_standby_does_not_touch(make_app: MakeApp, tmp_path: Path) -> None:
    """A session that is due is only read while another release writes."""
    gate = tmp_path / "gate"
    app = make_app(SESSION_LIFETIME_MINUTES="60", HOMEPORT_STANDBY=str(gate))
    ada = Browser(app.test_client()).sign_up()
    age(app, minutes=30)
    gate.touch()
    before = logins(app)[0].seen_at
    answer = ada.get("/month/2026-11")
    assert answer.status_code == 200 and "Set-Cookie" not in answer.headers
    assert logins(app)[0].seen_at == before
    gate.unlink()
    assert "Set-Cookie" in ada.get("/month/2026-11").headers


def test_a_busy_database_does_not_keep_anybody_waiting(app: Flask, ada: Browser) -> None:
    """A touch that can not be written is left for the next request."""
    age(app, minutes=59.5)
    database = db.of(app)
    database.busy_timeout = 0.05
    with database.write_connection():
        assert "Log out" in ada.get("/").text


def test_strangers_leave_no_trace(app: Flask, browser: Browser) -> None:
    """Looking at the forms, or a wrong cookie, makes no row."""
    found = written(app)
    browser.client.set_cookie("foodbudget", "x" * 43)
    for path in ("/", "/login", "/signup", "/health", "/nowhere"):
        browser.get(path)
    assert found == []
    assert "Set-Cookie" not in Browser(app.test_client()).get("/").headers


def test_a_notice_is_shown_once(ada: Browser) -> None:
    """It waits in a cookie of its own, signed, and goes when it was shown."""
    ada.buy(food="Rye")
    assert "Rye is written down" in ada.get("/month/2026-11").text
    assert "Rye is written down" not in ada.get("/month/2026-11").text
    ada.client.set_cookie("foodbudget-notices", "forged")
    assert ada.get("/month/2026-11").status_code == 200


@pytest.mark.parametrize("method", ["get", "post"])
def test_after_logging_in_one_is_back(browser: Browser, method: str) -> None:
    """A page that was asked for is shown; what was sent is not sent again."""
    browser.sign_up()
    browser.post("/logout", page="/")
    token = browser.token("/login")
    sent = {"csrf_token": token} if method == "post" else None
    answer = getattr(browser.client, method)("/purchases/new?day=2026-11-02", data=sent)
    wanted = "/login?next=/purchases/new?day%3D2026-11-02" if method == "get" else "/login"
    assert answer.location == wanted
