"""Who sends this request."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from flask import Flask, current_app, flash, g, redirect, request
from flask import session as visit
from flask import url_for
from werkzeug.wrappers import Response

from foodbudget import db, sessions
from foodbudget.errors import BusyError, DownError, StandbyError
from foodbudget.models import User

Args = ParamSpec("Args")
Answer = TypeVar("Answer")


def set_up(app: Flask) -> None:
    """Let the app's pages know who looks at them."""
    app.session_interface = sessions.Sessions()
    app.context_processor(lambda: {"person": person()})


def person() -> User | None:
    """Who is logged in; asked once for each request.

    Raises:
        DownError: the database does not answer.
    """
    if "person" not in g:
        g.person = _look()
    return g.person  # type: ignore[no-any-return]


def me() -> User:
    """The same, where somebody must be."""
    user = person()
    assert user is not None
    return user


def _look() -> User | None:
    if not _visit().sent:
        return None
    with db.read() as session:
        found = sessions.look(session, _visit().id)
    if found is None:
        return None
    user, login = found
    lifetime = current_app.permanent_session_lifetime
    if sessions.due(login, lifetime) and not db.current().standby.on:
        try:
            with db.write() as session:
                sessions.touch(session, _visit().id, lifetime)
            _visit().lifetime = lifetime
        except (BusyError, DownError, StandbyError):
            pass  # the next request will do it; nobody should wait or fail for it
    return user


def _visit() -> sessions.Visit:
    found = visit._get_current_object()  # type: ignore[attr-defined]
    assert isinstance(found, sessions.Visit)
    return found


def enter(user_id: int) -> None:
    """Log in, under a new id.

    Raises:
        BusyError, DownError, StandbyError: nothing was stored.
    """
    with db.write() as session:
        sessions.start(session, user_id, _visit(), current_app.permanent_session_lifetime)
    g.pop("person", None)


def leave() -> None:
    """Log out, here and in the database."""
    if _visit().sent:
        with db.write() as session:
            sessions.end(session, _visit().id)
    _visit().end()
    g.person = None


def leave_elsewhere() -> int:
    """Log out of every other browser; returns of how many."""
    with db.write() as session:
        return sessions.end_others(session, me().id, _visit().id)


def login_required(view: Callable[Args, Answer]) -> Callable[Args, Answer | Response]:
    """A view for those who are logged in; all others are sent to do so, and then come back."""

    @functools.wraps(view)
    def guarded(*args: Args.args, **kwargs: Args.kwargs) -> Answer | Response:
        if person() is not None:
            return view(*args, **kwargs)
        flash("Please log in first.")
        there = request.full_path.removesuffix("?") if request.method == "GET" else None
        return redirect(url_for("accounts.login", next=there))

    return guarded
