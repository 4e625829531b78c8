"""The JSON API, as a program meets it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select, update
from werkzeug.test import TestResponse

from foodbudget import db, models, tokens
from foodbudget.models import Token

from .browser import Browser

MakeApp = Callable[..., Flask]
RYE = {"food": "Rye", "price": "4.20", "day": "2026-11-20"}


def token(browser: Browser, name: str = "reader") -> str:
    answer = browser.post("/settings/tokens", page="/settings", name=name)
    found = re.search(r'<code class="secret">([^<]+)</code>', answer.text)
    assert found
    return found[1]


class Program:
    """A client that knows a token and no cookie."""

    def __init__(self, client: FlaskClient, text: str) -> None:
        self.client = client
        self.headers = {"Authorization": f"Bearer {text}"}

    def __call__(self, method: str, path: str, sent: object = None) -> TestResponse:
        return self.client.open(
            f"/api/v1{path}",
            method=method,
            headers=self.headers,
            data=None if sent is None else json.dumps(sent),
            content_type=None if sent is None else "application/json",
        )


@pytest.fixture
def program(app: Flask, ada: Browser) -> Program:
    return Program(app.test_client(), token(ada))


def row(app: Flask) -> Token:
    with db.of(app).read() as session:
        return session.scalars(select(Token)).one()


def test_a_token_from_start_to_end(ada: Browser, app: Flask) -> None:
    """Shown once, kept as a hash, listed with its last use, and nothing any more once revoked."""
    text = token(ada)
    assert tokens.FORM.fullmatch(text)
    assert text not in str(vars(row(app)))
    page = ada.get("/settings").text
    assert text not in page and text[:8] in page and "never used" in page
    program = Program(app.test_client(), text)
    assert program("GET", "/purchases").status_code == 200
    assert f"used {models.now().date()}" in ada.get("/settings").text
    ada.post("/settings/tokens/1/revoke", page="/settings")
    assert program("GET", "/purchases").status_code == 401
    assert "reader" not in ada.get("/settings").text


@pytest.mark.parametrize("name", ["", "  ", "x" * 65])
def test_a_token_needs_a_name(ada: Browser, name: str) -> None:
    answer = ada.post("/settings/tokens", page="/settings", name=name)
    assert answer.status_code == 422 and "Give it a name" in answer.text


def test_there_are_only_so_many(ada: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "MOST", 1)
    token(ada)
    answer = ada.post("/settings/tokens", page="/settings", name="more")
    assert answer.status_code == 422 and "There are 1 already" in answer.text


def test_nobody_revokes_anothers(ada: Browser, app: Flask) -> None:
    program = Program(app.test_client(), token(ada))
    eve = Browser(app.test_client()).sign_up("eve")
    eve.post("/settings/tokens/1/revoke", page="/settings")
    assert program("GET", "/purchases").status_code == 200


@pytest.mark.parametrize(
    "given", [None, "Bearer ", "Bearer x", "Bearer mfb_" + "x" * 43, "Basic YTpi"]
)
def test_who_has_no_token(ada: Browser, app: Flask, given: str | None) -> None:
    """A wrong token, or a browser's session, opens nothing, for reading or for writing."""
    headers = {"Authorization": given} if given else {}
    for client in (app.test_client(), ada.client):
        for method in ("GET", "POST"):
            answer = client.open("/api/v1/purchases", method=method, headers=headers, json=RYE)
            assert answer.status_code == 401
            assert answer.headers["WWW-Authenticate"] == "Bearer"
            assert answer.json and "Authorization: Bearer" in answer.json["error"]["message"]


def test_a_purchase_from_start_to_end(program: Program, ada: Browser) -> None:
    """Written down with a program, seen in a browser, read, and removed."""
    answer = program("POST", "/purchases", RYE | {"quantity": 0.75, "unit": "kg"})
    assert (answer.status_code, answer.headers["Location"]) == (201, "/api/v1/purchases/1")
    known = {"id": 1, "shop": "", "category": "other", "currency": "EUR", **RYE}
    known |= {"quantity": "0.75", "unit": "kg"}
    assert answer.json == known == program("GET", "/purchases/1").json
    assert "Rye" in ada.get("/month/2026-11").text
    assert program("DELETE", "/purchases/1").status_code == 204
    for method in ("GET", "DELETE"):
        assert program(method, "/purchases/1").status_code == 404


def test_a_number_is_what_was_written(program: Program) -> None:
    """4.35 and 0.1 are no floats on their way in."""
    answer = program.client.post(
        "/api/v1/purchases",
        headers=program.headers,
        content_type="application/json",
        data='{"food": "Rye", "price": 999999.99, "day": "2026-11-20", "quantity": 0.1}',
    )
    assert answer.json and (answer.json["price"], answer.json["quantity"]) == ("999999.99", "0.1")


def test_half_a_character_is_no_error(program: Program) -> None:
    """What no database can keep is shown as what it is."""
    answer = program("POST", "/purchases", RYE | {"food": "Rye \ud83c\0bread", "shop": "\udf5e"})
    assert answer.json and (answer.json["food"], answer.json["shop"]) == ("Rye ? bread", "?")


def test_paging(program: Program) -> None:
    """Each purchase once, the latest first; `next` leads on, and keeps what was asked for."""
    for number in range(7):
        program("POST", "/purchases", RYE | {"food": f"Thing {number % 2}"})
    program("POST", "/purchases", RYE | {"food": "Thing 0", "day": "2026-10-01"})
    seen, path = [], "/purchases?limit=2&month=2026-11&food=Thing%200"
    while path:
        answer = program("GET", path)
        assert answer.json
        seen += [one["id"] for one in answer.json["purchases"]]
        path = (answer.json["next"] or "").removeprefix("/api/v1")
    assert seen == [7, 5, 3, 1]


def test_months_and_budgets(program: Program) -> None:
    """What a month cost, and may cost; what is not sent stays, and null lifts."""
    program("POST", "/purchases", RYE | {"category": "bread"})
    program("POST", "/purchases", RYE | {"day": "2026-10-01"})
    answer = program("PUT", "/budgets/2026-11", {"total": 300, "bread": "4", "meat": "50"})
    assert answer.json == {
        "month": "2026-11",
        "currency": "EUR",
        "budgets": {"total": "300.00", "bread": "4.00", "meat": "50.00"},
    }
    program("PUT", "/budgets/2026-11", {"meat": None})
    november = program("GET", "/months/2026-11").json
    assert november == {
        "month": "2026-11",
        "currency": "EUR",
        "purchases": 1,
        "spent": "4.20",
        "budget": "300.00",
        "left": "295.80",
        "categories": {"bread": {"spent": "4.20", "budget": "4.00", "left": "-0.20"}},
    }
    assert program("GET", "/budgets/2026-10").json == {
        "month": "2026-10",
        "currency": "EUR",
        "budgets": {},
    }
    assert program("GET", "/months").json == {
        "currency": "EUR",
        "months": [
            {"month": "2026-11", "spent": "4.20", "purchases": 1},
            {"month": "2026-10", "spent": "4.20", "purchases": 1},
        ],
    }


@pytest.mark.parametrize(
    ("method", "path", "sent", "status", "said"),
    [
        ("POST", "/purchases", {}, 422, {"food", "price", "day"}),
        ("POST", "/purchases", RYE | {"colour": "x", "shop": []}, 422, {"colour", "shop"}),
        ("POST", "/purchases", RYE | {"currency": "USD", "unit": "x"}, 422, {"currency", "unit"}),
        ("POST", "/purchases", [RYE], 400, "Send one JSON object."),
        ("POST", "/purchases", None, 415, "Send JSON"),
        ("PUT", "/budgets/2026-11", {"total": "lots"}, 422, {"total"}),
        ("PUT", "/budgets/2026-11", {"gold": "1"}, 422, {"gold"}),
        ("PUT", "/budgets/november", {}, 404, "A month is written like 2026-11."),
        ("GET", "/months/2026-13", None, 404, "A month is written like 2026-11."),
        ("GET", "/purchases?month=x", None, 404, "A month is written like 2026-11."),
        ("GET", "/purchases?limit=501", None, 422, {"limit"}),
        ("GET", "/purchases?limit=x&before=0", None, 422, {"limit"}),
        ("GET", "/purchases/99", None, 404, "not found"),
        ("GET", "/purchases/9999999999", None, 404, "not found"),
        ("GET", "/", None, 404, "not found"),
        ("PATCH", "/purchases", None, 405, "not allowed"),
    ],
)
def test_what_can_not_be_done(
    program: Program, method: str, path: str, sent: object, status: int, said: object
) -> None:
    """Each mistake has its status, its words, and the fields it is in, as JSON."""
    answer = program(method, path, sent)
    assert answer.status_code == status
    assert answer.json and set(answer.json) == {"error"}
    if isinstance(said, set):
        assert set(answer.json["error"]["fields"]) == said
    else:
        assert str(said) in answer.json["error"]["message"]


@pytest.mark.parametrize("sent", ["{", "", b"\xff", "[" * 100_000, '{"food": 1'])
def test_what_is_no_json(program: Program, sent: str | bytes) -> None:
    answer = program.client.post(
        "/api/v1/purchases", headers=program.headers, data=sent, content_type="application/json"
    )
    assert answer.status_code == 400
    assert answer.json and "This is not JSON" in answer.json["error"]["message"]


def test_other_peoples_purchases_are_not_there(program: Program, app: Flask) -> None:
    Browser(app.test_client()).sign_up("eve").buy()
    assert program("GET", "/purchases").json == {"purchases": [], "next": None}
    for method in ("GET", "DELETE"):
        assert program(method, "/purchases/1").status_code == 404


def test_standby(make_app: MakeApp, tmp_path: Path) -> None:
    """Programs may read; writes are told to come back, and the use of a token is not noted."""
    gate = tmp_path / "gate"
    app = make_app(HOMEPORT_STANDBY=str(gate))
    program = Program(app.test_client(), token(Browser(app.test_client()).sign_up()))
    gate.touch()
    assert program("GET", "/purchases").status_code == 200
    assert row(app).used_at is None
    answer = program("POST", "/purchases", RYE)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    assert answer.json and "please try again" in answer.json["error"]["message"]


def test_a_use_is_noted_rarely(program: Program, app: Flask) -> None:
    """Ten minutes lie between two notes of a token's use."""
    program("GET", "/months")
    first = row(app).used_at
    program("GET", "/months")
    assert first is not None and row(app).used_at == first
    with db.of(app).write() as session:
        session.execute(update(Token).values(used_at=models.now() - timedelta(minutes=11)))
    program("GET", "/months")
    used = row(app).used_at
    assert used is not None and used >= first
