"""What every answer carries, and what the log says of it."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable

import pytest
from flask import Flask

from foodbudget.logs import JsonFormatter

MakeApp = Callable[..., Flask]
KEY = "k" * 32


@pytest.mark.parametrize(
    ("path", "status"),
    [("/", 200), ("/health", 200), ("/health/ready", 200), ("/version", 200), ("/none", 404)]
    + [("/purchases/new", 302), ("/static/style.css", 200)],
)
def test_every_answer_names_its_release(make_app: MakeApp, path: str, status: int) -> None:
    answer = make_app(HOMEPORT_RELEASE="r0042-1a2b3c4").test_client().get(path)
    assert answer.status_code == status
    assert answer.headers["Homeport-Release"] == "r0042-1a2b3c4"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("path", ["/health", "/health/ready", "/version"])
def test_health_speaks_json(make_app: MakeApp, path: str) -> None:
    answer = make_app(HOMEPORT_RELEASE="r0042-1a2b3c4").test_client().get(path)
    assert answer.json and answer.json["release"] == "r0042-1a2b3c4"


@pytest.mark.parametrize(
    ("given", "kept"), [("abc-123", True), ("a b", False), ("x" * 65, False), ("", False)]
)
def test_request_id(app: Flask, given: str, kept: bool) -> None:
    """A proxy's id is kept when it is one; anything else gets an id of ours."""
    answer = app.test_client().get("/health", headers={"X-Request-ID": given})
    assert (answer.headers["X-Request-ID"] == given) is kept
    assert answer.headers["X-Request-ID"]


def test_production_logs_json(make_app: MakeApp, capsys: pytest.CaptureFixture[str]) -> None:
    """One object a line on stdout, with the request's id and the release; probes are silent."""
    client = make_app(
        FLASK_ENV="production", SECRET_KEY=KEY, HOMEPORT_RELEASE="r0042-1a2b3c4"
    ).test_client()
    client.get("/nowhere", headers={"X-Request-ID": "abc-123"})
    client.get("/health")
    made, line = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert "made schema 0002" in made["msg"] and made["request_id"] is None
    assert line.pop("ts").endswith("Z") and line.pop("ms") >= 0
    assert line == {
        "level": "info",
        "msg": "GET /nowhere 404",
        "request_id": "abc-123",
        "release": "r0042-1a2b3c4",
        "method": "GET",
        "path": "/nowhere",
        "status": 404,
    }


def test_a_crash_is_logged_with_its_request(
    make_app: MakeApp, capsys: pytest.CaptureFixture[str]
) -> None:
    """An unexpected error: 500 with a page for people, the traceback in one line of the log."""
    app = make_app(FLASK_ENV="production", SECRET_KEY=KEY)

    @app.get("/crash")
    def crash() -> str:
        raise ZeroDivisionError("planted")

    answer = app.test_client().get("/crash", headers={"X-Request-ID": "abc-123"})
    assert answer.status_code == 500
    assert "planted" not in answer.text and "Back to this month" in answer.text
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    (crashed,) = [line for line in lines if "traceback" in line]
    assert "ZeroDivisionError: planted" in crashed["traceback"]
    assert crashed["request_id"] == "abc-123"


def test_plain_logs_elsewhere(make_app: MakeApp, capsys: pytest.CaptureFixture[str]) -> None:
    make_app(LOG_LEVEL="INFO").test_client().get("/nowhere")
    assert "INFO    foodbudget.access: GET /nowhere 404" in capsys.readouterr().out


def test_json_outside_a_request() -> None:
    record = logging.LogRecord("x", logging.WARNING, "f", 1, "%s ü", ("a\nb",), None)
    line = json.loads(JsonFormatter("dev").format(record))
    assert (line["msg"], line["level"], line["request_id"]) == ("a\nb ü", "warning", None)


def test_answers_made_on_purpose_pass(app: Flask) -> None:
    """`abort(response)` and redirects by exception are not turned into error pages."""
    from flask import Response, abort
    from werkzeug.routing import RequestRedirect

    @app.get("/teapot")
    def teapot() -> str:
        abort(Response("short and stout", 418))

    @app.get("/elsewhere")
    def elsewhere() -> str:
        raise RequestRedirect("/health")

    client = app.test_client()
    assert client.get("/teapot").text == "short and stout"
    assert client.get("/elsewhere").location == "/health"
