"""Tokens: make one for a program, take it back."""

from __future__ import annotations

from flask import Blueprint, flash, redirect, request, url_for
from flask.typing import ResponseReturnValue

from foodbudget import db, tokens
from foodbudget.people import login_required, me
from foodbudget.views.purchases import LARGEST
from foodbudget.views.settings import page

blueprint = Blueprint("tokens", __name__, url_prefix="/settings/tokens")


@blueprint.post("")
@login_required
def make() -> ResponseReturnValue:
    """Make a token. It is in this answer and nowhere else, hence no redirect."""
    name = " ".join(request.form.get("name", "").replace("\0", " ").split())
    if not 1 <= len(name) <= 64:
        return page({"name": "Give it a name of at most 64 characters."}), 422
    with db.write() as session:
        full = tokens.full(session, me().id)
        text = "" if full else tokens.make(session, me().id, name)
    if full:
        return page({"name": f"There are {tokens.MOST} already. Revoke one first."}), 422
    return page({}, text)


@blueprint.post(f"/<int(max={LARGEST}):token_id>/revoke")
@login_required
def revoke(token_id: int) -> ResponseReturnValue:
    """Let a token open nothing any more."""
    with db.write() as session:
        tokens.revoke(session, me().id, token_id)
    flash("The token opens nothing any more.", "good")
    return redirect(url_for("settings.show"))
