"""Sheets: purchases as CSV, written for spreadsheets and read back exactly."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Row, func, insert, select
from sqlalchemy.orm import Session

from foodbudget import forms, models, money
from foodbudget.categories import CATEGORIES
from foodbudget.models import Purchase
from foodbudget.money import Currency

COLUMNS = ("day", "food", "shop", "category", "quantity", "unit", "price", "currency")
# what a purchase has without a word about it
DEFAULTS = {"shop": "", "category": "other", "quantity": "1", "unit": "pcs"}
# a spreadsheet takes text that begins so for a formula, and carries it out
FORMULA = tuple("=+-@\t\r＝＋－＠'")
MOST = 40_000
TITLES = {title.casefold(): key for key, title in CATEGORIES.items()}
# what makes two purchases one
SAME = ("day", "food", "shop", "category", "quantity", "unit", "price")


# a purchase, or a row with its columns
Bought = Purchase | Row[Any]


@dataclass
class Sheet:
    """A CSV file that was read: `rows` for the database, and `mistakes`: each in people's words,
    with the lines it was found in."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    mistakes: dict[str, list[int]] = field(default_factory=dict)

    def mistake(self, text: str, line: int) -> None:
        """Note what is wrong in a line."""
        self.mistakes.setdefault(text, []).append(line)


def guarded(text: str) -> str:
    """The text with an apostrophe before what a spreadsheet would carry out."""
    return f"'{text}" if text.startswith(FORMULA) else text


def bare(text: str) -> str:
    """The text that `guarded` was given."""
    return text[1:] if text.startswith("'") and text[1:].startswith(FORMULA) else text


def plain(purchase: Bought, currency: Currency) -> dict[str, str]:
    """A purchase as words, by column."""
    return {
        "day": purchase.day.isoformat(),
        "food": purchase.food,
        "shop": purchase.shop,
        "category": purchase.category,
        "quantity": money.plain(purchase.quantity, 3).rstrip("0").rstrip("."),
        "unit": purchase.unit,
        "price": money.plain(purchase.price, currency.digits),
        "currency": currency.code,
    }


def write(purchases: Iterable[Bought], currency: Currency) -> str:
    """The file. It begins with the mark by which Excel knows UTF-8."""
    out = io.StringIO()
    lines = csv.writer(out)
    lines.writerow(COLUMNS)
    for purchase in purchases:
        lines.writerow(guarded(text) for text in plain(purchase, currency).values())
    return f"\ufeff{out.getvalue()}"


def read(data: bytes, currency: Currency) -> Sheet:
    """Read a file: commas, semicolons or tabs between the columns, which its first line names."""
    sheet = Sheet()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        sheet.mistake("This is not UTF-8. Save the file as “CSV UTF-8”.", line)
        return sheet
    records = _records(text, sheet)
    _, head = next(records, (1, []))
    names = [name.strip().casefold() for name in head]
    for name in sorted({name for name in names if name not in COLUMNS or names.count(name) > 1}):
        twice = "is there twice" if name in COLUMNS else "is not known"
        sheet.mistake(f"The column “{name[:40]}” {twice}. Known: {', '.join(COLUMNS)}.", 1)
    for name in COLUMNS:
        if name not in names and name not in DEFAULTS and name != "currency":
            sheet.mistake(f"There is no column “{name}”.", 1)
    if not sheet.mistakes:
        _rows(records, names, currency, sheet)
    return sheet


def _records(text: str, sheet: Sheet) -> Iterator[tuple[int, list[str]]]:
    """The records, each with the number of the line it begins in; empty ones left out."""
    head = text.split("\n", 1)[0]
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=head.count))
    begin = 1
    try:
        for record in lines:
            if any(cell.strip() for cell in record):
                yield begin, record
            begin = lines.line_num + 1
    except csv.Error as error:
        sheet.mistake(f"This can not be read as CSV ({error}).", begin)


def _rows(
    records: Iterator[tuple[int, list[str]]], names: Sequence[str], currency: Currency, sheet: Sheet
) -> None:
    for line, record in records:
        if len(sheet.rows) >= MOST:
            sheet.mistake(f"At most {MOST:,} purchases at once. Split the file here.", line)
            return
        if len(record) > len(names):
            sheet.mistake("There are more cells than columns.", line)
            continue
        given = {name: bare(cell.strip()) for name, cell in zip(names, record)}
        if given.pop("currency", "") not in ("", currency.code):
            sheet.mistake(f"currency: Amounts are in {currency.code} here.", line)
        words = DEFAULTS | {name: text for name, text in given.items() if text}
        words["category"] = TITLES.get(words["category"].casefold(), words["category"])
        found = forms.purchase(words, currency.digits)
        for name, text in found.mistakes.items():
            sheet.mistake(f"{name}: {text}", line)
        sheet.rows.append(found.values)


def keep(session: Session, user_id: int, rows: Sequence[dict[str, Any]]) -> tuple[int, int]:
    """Store the purchases that are not there yet. One that is in the file twice and there once is
    stored once: two coffees on one day are two.

    Returns:
        how many were stored, and how many were there.
    """
    if not rows:
        return 0, 0
    days = [row["day"] for row in rows]
    columns = [getattr(Purchase, name) for name in SAME]
    there = Counter(
        tuple(row)
        for row in session.execute(
            select(*columns).where(
                Purchase.user_id == user_id, Purchase.day.between(min(days), max(days))
            )
        )
    )
    new = []
    for row in rows:
        same = tuple(row[name] for name in SAME)
        if there[same]:
            there[same] -= 1
        else:
            new.append({"user_id": user_id, "created_at": models.now(), **row})
    if new:
        session.execute(insert(Purchase), new)
    return len(new), len(rows) - len(new)


def everything(session: Session, user_id: int) -> Iterator[Bought]:
    """All purchases of somebody, the oldest day first; a few at a time, since there may be very
    many and the memory is small."""
    columns = [getattr(Purchase, name) for name in SAME]
    query = select(*columns).where(Purchase.user_id == user_id)
    yield from session.execute(
        query.order_by(Purchase.day, Purchase.id).execution_options(yield_per=500)
    )


def count(session: Session, user_id: int) -> int:
    """How many purchases somebody has."""
    query = select(func.count()).select_from(Purchase).where(Purchase.user_id == user_id)
    return session.scalar(query) or 0


def spans(lines: Sequence[int], most: int) -> tuple[str, int]:
    """Line numbers for people, `3, 7–9`; and how many lines are not named any more after `most`
    of such pieces."""
    pieces: list[list[int]] = []
    for position, line in enumerate(lines):
        if pieces and pieces[-1][1] == line - 1:
            pieces[-1][1] = line
        elif len(pieces) < most:
            pieces.append([line, line])
        else:
            break
    else:
        position = len(lines)
    named = ", ".join(f"{a}" if a == b else f"{a}–{b}" for a, b in pieces)
    return named, len(lines) - position
