"""Sessions: the cookie holds nothing but a random id; who it stands for is in the database.

A visitor who has not logged in has a random id as well, and no row: it is what the forms' CSRF
tokens are made from. So looking at a form writes nothing, in standby as at any other time.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from datetime import timedelta
from typing import Any

from flask import Flask, Request, Response, request
from flask.sessions import SessionInterface, SessionMixin
from itsdangerous import BadData, URLSafeTimedSerializer
from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from foodbudget import models
from foodbudget.models import Login, User

NAME = "foodbudget"
NOTICES = "foodbudget-notices"
# what a notice says is over by then
NOTICE_SECONDS = 60
CSRF = "csrf_token"
FLASHES = "_flashes"
ID = re.compile(r"[A-Za-z0-9_-]{43}")
# a session is written to at most this often, and ten times in its life at least
TOUCH = timedelta(hours=1)


def key(session_id: str) -> str:
    """What the database knows a session, or a token, by."""
    return hashlib.sha256(session_id.encode()).hexdigest()


class Visit(dict[str, Any], SessionMixin):
    """One browser's visit, as Flask's `session`. What is put into it lasts for this request, but
    for notices (`flash`), which the next page shows.

    `id` is the cookie's text; `sent` whether the browser brought it; `lifetime` for how long it
    shall keep it from now on: None to leave it as it is, no seconds to throw it away.
    """

    def __init__(self, session_id: str | None, secret: str) -> None:
        super().__init__()
        self.sent = session_id is not None
        self.lifetime: timedelta | None = None
        self.wanted = False
        self._secret = secret
        self._take(session_id or secrets.token_urlsafe(32))

    def _take(self, session_id: str) -> None:
        self.id = session_id
        self[CSRF] = hmac.digest(self._secret.encode(), session_id.encode(), "sha256").hex()

    def __contains__(self, name: object) -> bool:
        # Flask-WTF asks for this before it writes a token into a form: the browser needs the cookie
        self.wanted = self.wanted or name == CSRF
        return super().__contains__(name)

    def renew(self, lifetime: timedelta) -> str:
        """Change to an id that nobody can know yet, kept for `lifetime`; returns it."""
        self._take(secrets.token_urlsafe(32))
        self.lifetime = lifetime
        return self.id

    def end(self) -> None:
        """Have the browser forget its id."""
        self.lifetime = timedelta()


class Sessions(SessionInterface):
    """Reads and sets the cookies; asks no database, so that no answer depends on one.

    The cookie is Secure, and bound to this host by its name's prefix, whenever the request came
    over HTTPS. A fixed setting would either lock out people on plain `http://pi:5000` or leave the
    cookie of an HTTPS site readable on HTTP.
    """

    def open_session(self, app: Flask, request: Request) -> Visit:
        """The visit that a request belongs to."""
        given = request.cookies.get(_name(NAME), "")
        visit = Visit(given if ID.fullmatch(given) else None, str(app.secret_key))
        notices = request.cookies.get(_name(NOTICES))
        if notices:
            try:
                visit[FLASHES] = _signer(app).loads(notices, max_age=NOTICE_SECONDS)
            except BadData:
                pass  # too late, or not ours: there is nothing to show
        return visit

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:
        """Set what has changed."""
        assert isinstance(session, Visit)
        flags: dict[str, Any] = {
            "path": "/",
            "httponly": True,
            "samesite": "Lax",
            "secure": request.is_secure,
        }
        if session.lifetime == timedelta():
            response.delete_cookie(_name(NAME), **flags)
        elif session.lifetime is not None or (session.wanted and not session.sent):
            response.set_cookie(_name(NAME), session.id, max_age=session.lifetime, **flags)
        if flashes := session.get(FLASHES):
            text = _signer(app).dumps(flashes)
            assert isinstance(text, str)
            response.set_cookie(_name(NOTICES), text, max_age=NOTICE_SECONDS, **flags)
        elif _name(NOTICES) in request.cookies:
            response.delete_cookie(_name(NOTICES), **flags)


def _name(name: str) -> str:
    # browsers take this prefix only with Secure, for the whole host, and from this host alone
    return f"__Host-{name}" if request.is_secure else name


def _signer(app: Flask) -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(str(app.secret_key), salt="notices")


def start(session: Session, user_id: int, visit: Visit, lifetime: timedelta) -> None:
    """Log in: the visit gets a new id and a row. Rows that have run out are cleared away."""
    moment = models.now()
    session.execute(delete(Login).where(Login.expires_at <= moment))
    row = Login(id=key(visit.renew(lifetime)), user_id=user_id, expires_at=moment + lifetime)
    session.add(row)


def look(session: Session, session_id: str) -> tuple[User, Login] | None:
    """Who is logged in by this id, and since when; None for nobody, or no more."""
    row = session.execute(
        select(User, Login)
        .join(Login, Login.user_id == User.id)
        .where(Login.id == key(session_id), Login.expires_at > models.now())
    ).first()
    return None if row is None else (row[0], row[1])


def due(login: Login, lifetime: timedelta) -> bool:
    """Whether it is time to write down that the session is in use."""
    return models.now() - login.seen_at >= min(TOUCH, lifetime / 10)


def touch(session: Session, session_id: str, lifetime: timedelta) -> None:
    """Let a session last for its lifetime from now on."""
    moment = models.now()
    session.execute(
        update(Login)
        .where(Login.id == key(session_id))
        .values(seen_at=moment, expires_at=moment + lifetime)
    )


def end(session: Session, session_id: str) -> None:
    """Log out: whoever has kept the cookie is nobody with it."""
    session.execute(delete(Login).where(Login.id == key(session_id)))


def end_others(session: Session, user_id: int, session_id: str) -> int:
    """Log out everywhere else; returns in how many browsers."""
    done = session.execute(
        delete(Login).where(Login.user_id == user_id, Login.id != key(session_id))
    )
    return int(done.rowcount)  # type: ignore[attr-defined]
