"""Foods: all that was bought, and what each has cost over time."""

from __future__ import annotations

from flask import Blueprint, abort, render_template, request
from flask.typing import ResponseReturnValue

from foodbudget import charts, db, pages, prices
from foodbudget.pages import Page
from foodbudget.people import login_required, me

blueprint = Blueprint("foods", __name__, url_prefix="/foods")

# as many dots as a picture on a phone can hold apart
MOST = 120


@blueprint.get("")
@login_required
def show() -> str:
    """All foods, the latest bought first."""
    with db.read() as session:
        page, found = prices.foods(session, me().id, pages.number())
    return render_template("foods.html", page=page, foods=found)


@blueprint.get("/prices")
@login_required
def history() -> ResponseReturnValue:
    """What one food has cost; its name is in the address, and may hold anything."""
    food = request.args.get("food", "")
    with db.read() as session:
        # PostgreSQL can not be asked for a NUL character
        found = prices.history(session, me().id, food.replace("\0", " "), MOST)
    if not found:
        abort(404)
    curves = {unit: charts.curve(some) for unit, some in prices.by_unit(found).items()}
    latest = found[: -Page.SIZE - 1 : -1]
    return render_template("prices.html", food=food, curves=curves, latest=latest, chart=charts)
