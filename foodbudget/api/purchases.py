"""Purchases: `/api/v1/purchases`."""

from __future__ import annotations

from flask import Response, jsonify, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import select

from foodbudget import db, forms, sheets
from foodbudget.api.door import blueprint, body, currency, month_or_404, wrong
from foodbudget.models import Purchase
from foodbudget.people import me
from foodbudget.views.purchases import ONE, mine

MOST = 500
USUAL = 100


def _told(purchase: Purchase) -> dict[str, object]:
    return {"id": purchase.id, **sheets.plain(purchase, currency())}


def _number(name: str, usual: int, most: int) -> int:
    text = request.args.get(name, str(usual))
    if not (text.isascii() and text.isdigit() and len(text) < 12 and 1 <= int(text) <= most):
        wrong(**{name: f"Write a whole number from 1 to {most}."})
    return int(text)


@blueprint.get("/purchases")
def list_purchases() -> Response:
    """The latest written down first; `next` leads on."""
    limit, before = _number("limit", USUAL, MOST), _number("before", 2**31 - 1, 2**31 - 1)
    query = select(Purchase).where(Purchase.user_id == me().id, Purchase.id < before)
    if "month" in request.args:
        month = month_or_404(request.args["month"])
        query = query.where(Purchase.day.between(month.first, month.last))
    if "food" in request.args:
        query = query.where(Purchase.food == request.args["food"].replace("\0", " "))
    with db.read() as session:
        found = session.scalars(query.order_by(Purchase.id.desc()).limit(limit + 1)).all()
    more = None
    if len(found) > limit:
        asked = request.args.to_dict() | {"before": str(found[limit - 1].id)}
        more = url_for("api.list_purchases", **asked)  # type: ignore[arg-type]
    return jsonify(purchases=[_told(one) for one in found[:limit]], next=more)


@blueprint.post("/purchases")
def add_purchase() -> ResponseReturnValue:
    """Keep a purchase. Only food, price and day must be there."""
    sent = {name: text for name, text in body(sheets.COLUMNS).items() if text is not None}
    asked = sent.pop("currency", currency().code)
    read = forms.purchase(sheets.DEFAULTS | sent, currency().digits)
    if asked != currency().code:
        read.mistakes["currency"] = f"Amounts are in {currency().code} here."
    if not read.fine:
        wrong(**read.mistakes)
    with db.write() as session:
        purchase = Purchase(user_id=me().id, **read.values)
        session.add(purchase)
        session.flush()
        told = _told(purchase)
    where = url_for("api.show_purchase", purchase_id=told["id"])
    return jsonify(told), 201, {"Location": where}


@blueprint.get(f"/purchases{ONE}")
def show_purchase(purchase_id: int) -> Response:
    """One purchase."""
    with db.read() as session:
        return jsonify(_told(mine(session, purchase_id)))


@blueprint.delete(f"/purchases{ONE}")
def delete_purchase(purchase_id: int) -> ResponseReturnValue:
    """Remove a purchase."""
    with db.write() as session:
        session.delete(mine(session, purchase_id))
    return "", 204
