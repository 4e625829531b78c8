"""Settings: one's password, where one is logged in, and the way out."""

from __future__ import annotations

from collections.abc import Mapping

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response

from foodbudget import db, forms, limits, models, passwords, people, tokens
from foodbudget.models import Base, Budget, Login, Purchase, User
from foodbudget.people import login_required, me
from foodbudget.views.accounts import claim, forgive

blueprint = Blueprint("settings", __name__, url_prefix="/settings")


def page(mistakes: Mapping[str, str], new_token: str = "") -> str:
    """The page of all settings.

    Args:
        mistakes: by field.
        new_token: the text of one that was just made.
    """
    with db.read() as session:
        elsewhere = _count(session, Login, Login.expires_at > models.now()) - 1
        known = tokens.of(session, me().id)
    return render_template(
        "settings.html",
        elsewhere=elsewhere,
        mistakes=mistakes,
        tokens=known,
        new_token=new_token,
    )


def _count(session: Session, model: type[Base], *where: object) -> int:
    mine = getattr(model, "user_id") == me().id
    query = select(func.count()).select_from(model).where(mine, *where)  # type: ignore[arg-type]
    return session.scalar(query) or 0


def _knows_password(field: str) -> bool:
    """Whether the person typed their password; tries at it are limited."""
    tries = [(limits.PASSWORD, str(me().id))]
    claim(tries)
    if not passwords.matches(request.form.get(field, ""), me().password_hash):
        return False
    forgive(tries)
    return True


@blueprint.get("")
@login_required
def show() -> str:
    """All there is to set."""
    return page({})


@blueprint.post("/password")
@login_required
def change_password() -> Response | tuple[str, int]:
    """Change the password; whoever else is logged in with the old one is not any more."""
    mistakes = forms.new_password(request.form, "new")
    if not mistakes and not _knows_password("current"):
        mistakes = {"current": "That is not your password."}
    if mistakes:
        return page(mistakes), 422
    old, new = me().password_hash, passwords.hashed(request.form["new"])
    with db.write() as session:
        changed = session.execute(
            # only the one that was asked for: two who change it at once do not both succeed
            update(User)
            .where(User.id == me().id, User.password_hash == old)
            .values(password_hash=new)
        )
        if not changed.rowcount:  # type: ignore[attr-defined]
            abort(409, "Your password was changed elsewhere at this moment. Log in again.")
        session.execute(delete(Login).where(Login.user_id == me().id))
    people.enter(me().id)
    flash("Your password is changed, and you are logged out everywhere else.", "good")
    return redirect(url_for("settings.show"))


@blueprint.post("/sessions/end")
@login_required
def end_other_sessions() -> Response:
    """Log out everywhere but here."""
    count = people.leave_elsewhere()
    browsers = "one other browser" if count == 1 else f"{count} other browsers"
    flash(
        f"You are logged out of {browsers}." if count else "You were logged in only here.", "good"
    )
    return redirect(url_for("settings.show"))


@blueprint.get("/delete")
@login_required
def farewell() -> str:
    """What deleting the account takes away."""
    return _farewell({})


def _farewell(mistakes: Mapping[str, str]) -> str:
    with db.read() as session:
        purchases, budgets = _count(session, Purchase), _count(session, Budget)
    return render_template("farewell.html", purchases=purchases, budgets=budgets, mistakes=mistakes)


@blueprint.post("/delete")
@login_required
def delete_account() -> Response | tuple[str, int]:
    """Delete the account and everything that belongs to it."""
    if not _knows_password("password"):
        return _farewell({"password": "That is not your password."}), 422
    with db.write() as session:
        # every other table of a person's refers to this row, and goes with it
        session.execute(delete(User).where(User.id == me().id))
    people.leave()
    flash("Your account is deleted, with everything in it.", "good")
    return redirect(url_for("months.home"))
