"""The door: who comes in by a token, and how JSON is read."""

from __future__ import annotations

import json
from typing import Any

from flask import Blueprint, abort, current_app, g, request
from werkzeug.datastructures import WWWAuthenticate
from werkzeug.exceptions import Unauthorized

from foodbudget import db, tokens
from foodbudget.answers import problem
from foodbudget.errors import BusyError, DownError, StandbyError
from foodbudget.money import Currency
from foodbudget.months import Month

blueprint = Blueprint("api", __name__, url_prefix="/api/v1")


@blueprint.before_request
def come_in() -> None:
    """Find out whose token this is. It is where the person is found too, so that all that asks
    `people.me()` works for programs as well."""
    given = request.authorization
    text = given.token if given is not None and given.type == "bearer" else None
    with db.read() as session:
        found = tokens.look(session, text or "")
    if found is None:
        raise Unauthorized(
            "Send a token of yours: `Authorization: Bearer mfb_…`. The settings page makes them.",
            www_authenticate=WWWAuthenticate("bearer"),
        )
    g.person, token = found
    if tokens.due(token) and not db.current().standby.on:
        try:
            with db.write() as session:
                tokens.touch(session, token.id)
        except (BusyError, DownError, StandbyError):
            pass  # the next request will do it; nobody should wait or fail for it


def currency() -> Currency:
    """What amounts are in."""
    found = current_app.config["CURRENCY"]
    assert isinstance(found, Currency)
    return found


def month_or_404(text: str) -> Month:
    """The month that an address names."""
    try:
        return Month.parse(text)
    except ValueError:
        abort(404, "A month is written like 2026-11.")


def wrong(**fields: str) -> Any:
    """End the request: these parts of it can not be taken."""
    answer = problem("Some of this can not be taken.", **fields)
    answer.status_code = 422
    abort(answer)


def body(known: tuple[str, ...]) -> dict[str, str | None]:
    """The object that was sent: texts, numbers as they were written, and null.

    Args:
        known: the names it may have.
    """
    if not request.is_json:
        abort(415, "Send JSON: `Content-Type: application/json`.")
    try:
        # numbers stay text: 4.20 as a float is not 4.20
        sent = json.loads(request.get_data(), parse_float=str, parse_int=str)
    except (ValueError, RecursionError) as error:
        abort(400, f"This is not JSON: {error}")
    if not isinstance(sent, dict):
        abort(400, "Send one JSON object.")
    mistakes = {name: "There is no such field." for name in sent if name not in known}
    for name, value in sent.items():
        if name in known and not (value is None or isinstance(value, str)):
            mistakes[name] = "Write a text or a number."
    if mistakes:
        wrong(**mistakes)
    return sent
