"""Purchases: write one down, correct it, remove it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

from flask import Blueprint, abort, current_app, flash, redirect, render_template, request, url_for
from sqlalchemy import select
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response

from foodbudget import db, forms, money
from foodbudget.models import Purchase
from foodbudget.months import Month
from foodbudget.people import login_required, me
from foodbudget.views.months import today

blueprint = Blueprint("purchases", __name__, url_prefix="/purchases")

# the largest number that the column holds: a larger one is nobody's purchase, not an error
LARGEST = 2**31 - 1
ONE = f"/<int(max={LARGEST}):purchase_id>"


KNOWN = 60


def _digits() -> int:
    return int(current_app.config["CURRENCY"].digits)


def mine(session: Session, purchase_id: int) -> Purchase:
    """A purchase of the person who asks; anybody else's is not there."""
    purchase = session.scalar(
        select(Purchase).where(Purchase.id == purchase_id, Purchase.user_id == me().id)
    )
    return purchase or abort(404)


def _month_of(day: date) -> Response:
    return redirect(url_for("months.show", month=Month.of(day)))


def _form(
    shown: Mapping[str, str], mistakes: Mapping[str, str], purchase_id: int | None = None
) -> str:
    with db.read() as session:
        known = session.execute(
            select(Purchase.food, Purchase.shop)
            .where(Purchase.user_id == me().id)
            .order_by(Purchase.day.desc(), Purchase.id.desc())
            .limit(300)
        ).all()
        kept = mine(session, purchase_id).food if purchase_id is not None else None
    return render_template(
        "purchase.html",
        shown=shown,
        mistakes=mistakes,
        purchase_id=purchase_id,
        food=kept,
        # the latest of them: the page must stay small whatever their names are
        foods=list(dict.fromkeys(food for food, _ in known))[:KNOWN],
        shops=list(dict.fromkeys(shop for _, shop in known if shop))[:KNOWN],
    )


@blueprint.get("/new")
@login_required
def new() -> str:
    """An empty form, for today or the day in the address."""
    day = request.args.get("day") or today().isoformat()
    return _form({"day": day, "quantity": "1", "unit": "pcs", "category": "produce"}, {})


@blueprint.post("/new")
@login_required
def add() -> Response | tuple[str, int]:
    """Keep a purchase."""
    read = forms.purchase(request.form, _digits())
    if not read.fine:
        return _form(request.form, read.mistakes), 422
    with db.write() as session:
        session.add(Purchase(user_id=me().id, **read.values))
    flash(f"{read.values['food']} is written down.", "good")
    return _month_of(read.values["day"])


@blueprint.get(ONE)
@login_required
def edit(purchase_id: int) -> str:
    """The form of a purchase that is there."""
    with db.read() as session:
        purchase = mine(session, purchase_id)
    shown = {
        "food": purchase.food,
        "shop": purchase.shop,
        "category": purchase.category,
        "unit": purchase.unit,
        "quantity": quantity(purchase.quantity),
        "price": money.plain(purchase.price, _digits()),
        "day": purchase.day.isoformat(),
    }
    return _form(shown, {}, purchase_id)


@blueprint.post(ONE)
@login_required
def change(purchase_id: int) -> Response | tuple[str, int]:
    """Correct a purchase."""
    read = forms.purchase(request.form, _digits())
    with db.write() as session:
        purchase = mine(session, purchase_id)
        if read.fine:
            for name, value in read.values.items():
                setattr(purchase, name, value)
    if not read.fine:
        return _form(request.form, read.mistakes, purchase_id), 422
    flash(f"{read.values['food']} is corrected.", "good")
    return _month_of(read.values["day"])


@blueprint.post(f"{ONE}/delete")
@login_required
def delete(purchase_id: int) -> Response:
    """Remove a purchase."""
    with db.write() as session:
        purchase = mine(session, purchase_id)
        food, day = purchase.food, purchase.day
        session.delete(purchase)
    flash(f"{food} is removed.", "good")
    return _month_of(day)


def quantity(thousandths: int) -> str:
    """A quantity for people, without needless zeros: `1`, `0.75`."""
    return money.plain(thousandths, 3).rstrip("0").rstrip(".")
