"""Data: everything out, and purchases in."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from typing import Any

from flask import Blueprint, Response, current_app, flash, redirect, render_template, request
from flask import url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import select

from foodbudget import db, money, sheets
from foodbudget.models import Base, Budget, Login, Token
from foodbudget.money import Currency
from foodbudget.people import login_required, me

blueprint = Blueprint("data", __name__, url_prefix="/data")

# one at a time: very many purchases take some of the little memory there is
_ROOM = threading.BoundedSemaphore(1)
# pieces of line numbers that a page of mistakes names; more would make it too heavy
MOST_SPANS = 2000


def _currency() -> Currency:
    currency = current_app.config["CURRENCY"]
    assert isinstance(currency, Currency)
    return currency


def _page(mistakes: Sequence[tuple[str, str, int]] = ()) -> str:
    with db.read() as session:
        count = sheets.count(session, me().id)
    return render_template("data.html", count=count, mistakes=mistakes, columns=sheets.COLUMNS)


def _file(text: str, name: str, kind: str) -> Response:
    answer = Response(text, mimetype=kind)
    answer.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return answer


def _text(value: object) -> str | None:
    return None if value is None else str(value)


@blueprint.get("")
@login_required
def show() -> str:
    """What can be taken out and brought in."""
    return _page()


@blueprint.get("/purchases.csv")
@login_required
def purchases() -> Response:
    """All purchases, for a spreadsheet."""
    with _ROOM, db.read() as session:
        text = sheets.write(sheets.everything(session, me().id), _currency())
    return _file(text, "purchases.csv", "text/csv")


@blueprint.get("/everything.json")
@login_required
def everything() -> Response:
    """All that is stored about the one who asks."""
    currency = _currency()
    with _ROOM, db.read() as session:
        bought = ",\n  ".join(
            json.dumps(sheets.plain(one, currency), ensure_ascii=False)
            for one in sheets.everything(session, me().id)
        )
        of_mine: dict[str, list[dict[str, Any]]] = {
            model.__tablename__: [
                {name: _text(getattr(row, name)) for name in names}
                for row in session.scalars(select(model).where(model.user_id == me().id))
            ]
            for model, names in SHOWN
        }
    for budget in of_mine["budgets"]:
        budget["amount"] = money.plain(int(budget["amount"]), currency.digits)
    account = {"name": me().name, "created_at": str(me().created_at)}
    told = {"account": account, "currency": currency.code} | of_mine
    text = json.dumps(told, indent=1, ensure_ascii=False).removesuffix("\n}")
    text += f',\n "purchases": [\n  {bought}\n ]\n}}\n'
    return _file(text, "myfoodbudget.json", "application/json")


# what else there is of a person, and what of it is not a secret's hash
SHOWN: list[tuple[Any, tuple[str, ...]]] = [
    (Budget, ("month", "category", "amount")),
    (Token, ("name", "created_at", "used_at")),
    (Login, ("created_at", "seen_at", "expires_at")),
]
assert all(issubclass(model, Base) for model, _ in SHOWN)


@blueprint.post("/import")
@login_required
def bring() -> ResponseReturnValue:
    """Read a CSV file: all of it is stored, or nothing and every wrong line is named."""
    file = request.files.get("file")
    if file is None or not file.filename:
        return _page([("Choose a file first.", "", 0)]), 422
    with _ROOM:
        return _bring(file.read())


def _bring(data: bytes) -> ResponseReturnValue:
    sheet = sheets.read(data, _currency())
    if sheet.mistakes:
        left, told = MOST_SPANS, []
        for text, lines in sheet.mistakes.items():
            named, more = sheets.spans(lines, left)
            left -= named.count(",") + 1
            told.append((text, named, more))
        return _page(told), 422
    with db.write() as session:
        stored, there = sheets.keep(session, me().id, sheet.rows)
    said = "1 purchase is" if stored == 1 else f"{stored:,} purchases are"
    flash(f"{said} stored; {there:,} {'was' if there == 1 else 'were'} there already.", "good")
    return redirect(url_for("data.show"))
