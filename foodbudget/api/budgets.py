"""Budgets: `/api/v1/budgets`."""

from __future__ import annotations

from flask import Response, jsonify

from foodbudget import db, forms, money, spending
from foodbudget.api.door import blueprint, body, currency, month_or_404, wrong
from foodbudget.categories import CATEGORIES, TOTAL
from foodbudget.months import Month
from foodbudget.people import me


def _told(month: Month) -> Response:
    with db.read() as session:
        found = spending.budgets(session, me().id, month)
    amounts = {key: money.plain(amount, currency().digits) for key, amount in found.items()}
    return jsonify(month=str(month), currency=currency().code, budgets=amounts)


@blueprint.get("/budgets/<month>")
def show_budgets(month: str) -> Response:
    """The budgets in force in a month."""
    return _told(month_or_404(month))


@blueprint.put("/budgets/<month>")
def set_budgets(month: str) -> Response:
    """Set those that are sent from a month on; null lifts one, the others stay as they are."""
    when = month_or_404(month)
    sent = {key: text or "" for key, text in body((TOTAL, *CATEGORIES)).items()}
    read = forms.budget(sent, currency().digits)
    if not read.fine:
        wrong(**read.mistakes)
    with db.write() as session:
        spending.set_budgets(session, me().id, when, {key: read.values[key] for key in sent})
    return _told(when)
