"""What every request and answer shares: ids, the standby guard, headers, the access line."""

from __future__ import annotations

import logging
import re
import time
import uuid

from flask import Flask, Response, current_app, g, jsonify, render_template, request
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge, TooManyRequests

from foodbudget import headers
from foodbudget.db import of
from foodbudget.errors import BusyError, DownError, LimitedError, StandbyError

log = logging.getLogger("foodbudget.access")

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")


def set_up(app: Flask, release: str) -> None:
    """Add to the app what all of its answers share.

    Must come before the CSRF protection: a write in standby is told to come back, not examined.
    """
    database = of(app)

    @app.before_request
    def begin() -> None:
        given = request.headers.get("X-Request-ID", "")
        g.request_id = given if REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
        g.began = time.monotonic()
        if request.method not in SAFE_METHODS:
            database.standby.refuse_writes()

    @app.after_request
    def finish(response: Response) -> Response:
        response.headers["Homeport-Release"] = release
        response.headers["X-Request-ID"] = g.request_id
        headers.add(response)
        _log_access(response)
        return response

    app.register_error_handler(HTTPException, _page)
    app.register_error_handler(LimitedError, _limited)
    app.register_error_handler(StandbyError, _come_back)
    app.register_error_handler(BusyError, _come_back)
    app.register_error_handler(DownError, _come_back)


def _log_access(response: Response) -> None:
    # probes come every few seconds and say nothing new
    level = logging.DEBUG if request.path.startswith("/health") else logging.INFO
    fields = {
        "method": request.method,
        "path": request.path,
        "status": response.status_code,
        "ms": round((time.monotonic() - g.began) * 1000, 1),
    }
    log.log(level, "%(method)s %(path)s %(status)s", fields, extra={"fields": fields})


def for_program() -> bool:
    """Whether the one who asks reads JSON, not pages."""
    return request.path.startswith("/api/")


def _page(error: HTTPException) -> HTTPException | Response:
    if error.code is None or error.code < 400 or error.response is not None:
        # a redirect, or an answer that somebody made on purpose
        return error
    if isinstance(error, RequestEntityTooLarge):
        error.description = "Send at most 2 MB at once."
    try:
        answer = _body(error)
    except DownError as down:
        # the page names who is logged in, and that is in the database
        return _come_back(down)
    answer.status_code = error.code
    for name in ("Allow", "Retry-After", "WWW-Authenticate"):
        if value := dict(error.get_headers()).get(name):
            answer.headers[name] = value
    return answer


def _body(error: HTTPException) -> Response:
    if for_program():
        return problem(error.description or error.name)
    return current_app.make_response(render_template("error.html", error=error))


def problem(message: str, **fields: str) -> Response:
    """What a program gets instead: `fields` names each part of what it sent that is wrong."""
    told: dict[str, object] = {"message": message}
    return jsonify(error=told | ({"fields": fields} if fields else {}))


def _limited(error: LimitedError) -> HTTPException | Response:
    minutes = -(-error.seconds // 60)
    when = "a minute" if minutes == 1 else f"{minutes} minutes"
    return _page(
        TooManyRequests(
            f"That was tried too often. Try again in {when}.", retry_after=error.seconds
        )
    )


def _come_back(error: StandbyError | BusyError | DownError) -> Response:
    if isinstance(error, StandbyError):
        text = "This release is taking over. Nothing was saved; please try again in a second."
    elif isinstance(error, DownError):
        text = "The database does not answer. Nothing was saved; please try again in a second."
        current_app.logger.error("the database does not answer: %s", error)
    else:
        text = "The database is busy. Nothing was saved; please try again in a second."
        current_app.logger.warning("a write gave up waiting for the database")
    response = problem(text) if for_program() else Response(f"{text}\n", mimetype="text/plain")
    response.status_code = 503
    response.headers["Retry-After"] = "1"
    return response
