"""The month page, and the welcome of those who are not logged in."""

from __future__ import annotations

from datetime import date, datetime

from flask import Blueprint, abort, current_app, render_template

from foodbudget import charts, db, pages, spending
from foodbudget.months import Month
from foodbudget.people import login_required, me, person

blueprint = Blueprint("months", __name__)


def today() -> date:
    """The day it is where the people are."""
    return datetime.now(current_app.config["TIMEZONE"]).date()


def month_or_404(text: str) -> Month:
    """The month that an address names."""
    try:
        return Month.parse(text)
    except ValueError:
        abort(404)


def _page(month: Month) -> str:
    with db.read() as session:
        overview = spending.overview(session, me().id, month, pages.number())
    return render_template(
        "month.html",
        overview=overview,
        month=month,
        today=today(),
        a_day_left=overview.a_day_left(today()),
        arcs=charts.ring(overview.total, overview.lines),
        bars=charts.bars(overview.lines),
        chart=charts,
    )


@blueprint.get("/")
def home() -> str:
    """This month, or the welcome."""
    if person() is None:
        return render_template("welcome.html")
    return _page(Month.of(today()))


@blueprint.get("/month/<month>")
@login_required
def show(month: str) -> str:
    """Any month."""
    return _page(month_or_404(month))
