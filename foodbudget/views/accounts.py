"""Accounts: make one, log in, log out."""

from __future__ import annotations

from flask import Blueprint, Flask, abort, current_app, flash, redirect, render_template, request
from flask import session as cookie
from flask import url_for
from flask_login import LoginManager, current_user, login_user, logout_user
from sqlalchemy import select
from werkzeug.wrappers import Response

from foodbudget import db, forms, passwords
from foodbudget.models import User

blueprint = Blueprint("accounts", __name__)


def set_up(app: Flask) -> None:
    """Let the app know who sends a request."""
    logins = LoginManager(app)
    logins.login_view = "accounts.login"
    logins.login_message = "Please log in first."
    # a phone changes its address all day; the cookie is signed and expires by itself
    logins.session_protection = None

    @logins.user_loader  # type: ignore[untyped-decorator]
    def load(user_id: str) -> User | None:
        with db.read() as session:
            return session.get(User, int(user_id))


def _enter(user: User) -> Response:
    cookie.clear()
    cookie.permanent = True
    login_user(user)
    there = request.args.get("next", "")
    # only a path of this site, so that a link can't send people elsewhere
    local = there.startswith("/") and not there.startswith(("//", "/\\"))
    return redirect(there if local else url_for("months.home"))


@blueprint.get("/login")
def login() -> str | Response:
    """The page to log in."""
    if current_user.is_authenticated:
        return redirect(url_for("months.home"))
    return render_template("login.html", name="")


@blueprint.post("/login")
def log_in() -> Response | tuple[str, int]:
    """Log in; the answer does not tell a wrong name from a wrong password."""
    name = request.form.get("name", "")
    with db.read() as session:
        user = session.scalar(select(User).where(User.name == forms.folded(name)))
    if not passwords.matches(request.form.get("password", ""), user and user.password_hash):
        flash("That name and password don't belong together.", "bad")
        return render_template("login.html", name=name), 401
    assert user is not None
    return _enter(user)


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
    return _enter(user)


@blueprint.post("/logout")
def log_out() -> Response:
    """Log out."""
    logout_user()
    cookie.clear()
    return redirect(url_for("months.home"))


def _need_signup() -> None:
    if not current_app.config["SIGNUP"]:
        abort(403, "New accounts are switched off here. Ask whoever runs this site.")
