"""Budgets: what a month may cost."""

from __future__ import annotations

from collections.abc import Mapping

from flask import Blueprint, current_app, flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from foodbudget import db, forms, money, spending
from foodbudget.months import Month
from foodbudget.people import login_required, me
from foodbudget.views.months import month_or_404

blueprint = Blueprint("budgets", __name__, url_prefix="/budget")


def _digits() -> int:
    return int(current_app.config["CURRENCY"].digits)


def _form(month: Month, shown: Mapping[str, str], mistakes: Mapping[str, str]) -> str:
    return render_template("budget.html", month=month, shown=shown, mistakes=mistakes)


@blueprint.get("/<month>")
@login_required
def edit(month: str) -> str:
    """The budgets in force in a month."""
    when = month_or_404(month)
    with db.read() as session:
        limits = spending.budgets(session, me().id, when)
    return _form(when, {key: money.plain(limits[key], _digits()) for key in limits}, {})


@blueprint.post("/<month>")
@login_required
def change(month: str) -> Response | tuple[str, int]:
    """Set budgets from a month on; months before it keep theirs."""
    when = month_or_404(month)
    read = forms.budget(request.form, _digits())
    if not read.fine:
        return _form(when, request.form, read.mistakes), 422
    with db.write() as session:
        spending.set_budgets(session, me().id, when, read.values)
    flash(f"The budget holds from {when.title} on.", "good")
    return redirect(url_for("months.show", month=when))
