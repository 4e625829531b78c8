"""What every request and answer shares: ids, the standby guard, headers, the access line."""

from __future__ import annotations

import logging
import re
import time
import uuid

from flask import Flask, Response, current_app, g, render_template, request
from flask.sessions import SecureCookieSessionInterface
from werkzeug.exceptions import HTTPException

from foodbudget.db import of
from foodbudget.errors import BusyError, DownError, StandbyError

log = logging.getLogger("foodbudget.access")

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}


class Sessions(SecureCookieSessionInterface):
    """Signed cookies, marked Secure whenever the request came over HTTPS.

    A fixed setting would either lock out people on plain `http://pi:5000` or leave the cookie of
    an HTTPS site readable on HTTP.
    """

    def get_cookie_secure(self, app: Flask) -> bool:
        return request.is_secure


def set_up(app: Flask, release: str) -> None:
    """Add to the app what all of its answers share.

    Must come before the CSRF protection: a write in standby is told to come back, not examined.
    """
    database = of(app)
    app.session_interface = Sessions()

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
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        if "Cache-Control" not in response.headers:
            # pages show one person's money
            response.headers["Cache-Control"] = "no-store"
        _log_access(response)
        return response

    app.register_error_handler(HTTPException, _page)
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


def _page(error: HTTPException) -> tuple[str, int] | HTTPException | Response:
    if error.code is None or error.code < 400 or error.response is not None:
        # a redirect, or an answer that somebody made on purpose
        return error
    try:
        return render_template("error.html", error=error), error.code
    except DownError as down:
        # the page names who is logged in, and that is in the database
        return _come_back(down)


def _come_back(error: StandbyError | BusyError | DownError) -> Response:
    if isinstance(error, StandbyError):
        text = "This release is taking over. Nothing was saved; please try again in a second."
    elif isinstance(error, DownError):
        text = "The database does not answer. Nothing was saved; please try again in a second."
        current_app.logger.error("the database does not answer: %s", error)
    else:
        text = "The database is busy. Nothing was saved; please try again in a second."
        current_app.logger.warning("a write gave up waiting for the database")
    response = Response(text + "\n", 503, mimetype="text/plain")
    response.headers["Retry-After"] = "1"
    return response
