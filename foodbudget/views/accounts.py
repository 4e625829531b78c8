"""Accounts: make one, log in, log out."""

from __future__ import annotations

import re

from flask import Blueprint, abort, current_app, flash, redirect, render_template, request, url_for
from sqlalchemy import select
from werkzeug.wrappers import Response

from foodbudget import db, forms, limits, passwords, people
from foodbudget.models import User

blueprint = Blueprint("accounts", __name__)

# a path of this site, so that a link can't send people elsewhere; browsers take a backslash for a
# slash, and leave tabs and line ends out
LOCAL = re.compile(r"/(?![/\\])[^\x00-\x20\x7f\\]*")


def claim(tries: limits.Tries) -> None:
    """Count a try before it is made. Raises LimitedError."""
    with db.write() as session:
        limits.claim(session, str(current_app.secret_key), tries)


def forgive(tries: limits.Tries) -> None:
    """Take back what was counted for a try that was a good one."""
    with db.write() as session:
        limits.forgive(session, str(current_app.secret_key), tries)


def _from_here(limit: limits.Limit) -> limits.Tries:
    # where nobody says where a request came from, all would be counted as one
    network = limits.network(request.remote_addr)
    return [] if network is None else [(limit, network)]


def _enter(user_id: int) -> Response:
    people.enter(user_id)
    there = request.args.get("next", "")
    return redirect(there if LOCAL.fullmatch(there) else url_for("months.home"))


@blueprint.get("/login")
def login() -> str | Response:
    """The page to log in."""
    if people.person() is not None:
        return redirect(url_for("months.home"))
    return render_template("login.html", name="")


@blueprint.post("/login")
def log_in() -> Response | tuple[str, int]:
    """Log in; the answer does not tell a wrong name from a wrong password."""
    typed = request.form.get("name", "")
    name = forms.folded(typed)
    tries = [(limits.ACCOUNT, name), *_from_here(limits.ADDRESS)]
    claim(tries)
    with db.read() as session:
        user = session.scalar(select(User).where(User.name == name))
    kept = user.password_hash if user else None
    if not passwords.matches(request.form.get("password", ""), kept):
        flash("That name and password don't belong together.", "bad")
        return render_template("login.html", name=typed), 401
    assert user is not None
    forgive(tries)
    return _enter(user.id)


@blueprint.get("/signup")
def signup() -> str:
    """The page to make an account."""
    _need_signup()
    return render_template("signup.html", name="", mistakes={})


@blueprint.post("/signup")
def sign_up() -> Response | tuple[str, int]:
    """Make an account and log in."""
    _need_signup()
    read = forms.account(request.form)
    if read.fine:
        claim(_from_here(limits.SIGNUP))
        # hashed before the write lock is taken: it takes a tenth of a second
        user = User(
            name=read.values["name"], password_hash=passwords.hashed(read.values["password"])
        )
        with db.write() as session:
            if session.scalar(select(User.id).where(User.name == user.name)) is None:
                session.add(user)
                session.flush()
                session.refresh(user)
                session.expunge(user)
            else:
                read.mistakes["name"] = "That name is taken."
    if not read.fine:
        shown = request.form.get("name", "")
        return render_template("signup.html", name=shown, mistakes=read.mistakes), 422
    return _enter(user.id)


@blueprint.post("/logout")
def log_out() -> Response:
    """Log out."""
    people.leave()
    return redirect(url_for("months.home"))


def _need_signup() -> None:
    if not current_app.config["SIGNUP"]:
        abort(403, "New accounts are switched off here. Ask whoever runs this site.")
