"""Months: `/api/v1/months`."""

from __future__ import annotations

from flask import Response, jsonify

from foodbudget import db, money, spending
from foodbudget.api.door import blueprint, currency, month_or_404
from foodbudget.people import me


def _amount(units: int | None) -> str | None:
    return None if units is None else money.plain(units, currency().digits)


@blueprint.get("/months")
def list_months() -> Response:
    """Every month with purchases, the latest first."""
    with db.read() as session:
        found = spending.months(session, me().id)
    months = [
        {"month": str(month), "spent": _amount(spent), "purchases": count}
        for month, spent, count in found
    ]
    return jsonify(months=months, currency=currency().code)


@blueprint.get("/months/<month>")
def show_month(month: str) -> Response:
    """What a month cost, and what it was meant to cost, in total and by category."""
    when = month_or_404(month)
    with db.read() as session:
        sums = spending.sums(session, me().id, when)
        found = spending.arrange(when, sums, spending.budgets(session, me().id, when))
    lines = {
        line.category: {
            "spent": _amount(line.spent),
            "budget": _amount(line.budget),
            "left": _amount(line.left),
        }
        for line in (found.total, *found.lines)
    }
    total = lines.pop(found.total.category)
    count = sum(one.count for one in sums)
    return jsonify(
        {"month": str(when), "currency": currency().code, "purchases": count}
        | total
        | {"categories": lines}
    )
