"""Data: out and in again without a difference, and never by halves."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from datetime import date

import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, select
from werkzeug.test import TestResponse

from foodbudget import db, sheets
from foodbudget.models import Purchase
from foodbudget.money import CURRENCIES

from .browser import Browser

MakeApp = Callable[..., Flask]
EUR = CURRENCIES["EUR"]
HEAD = "day,food,shop,category,quantity,unit,price,currency\r\n"


def bring(browser: Browser, data: bytes | str) -> TestResponse:
    content = data.encode() if isinstance(data, str) else data
    sent = {"csrf_token": browser.token("/data"), "file": (io.BytesIO(content), "food.csv")}
    return browser.client.post("/data/import", data=sent)


def count(app: Flask) -> int:
    with db.of(app).read() as session:
        return session.scalar(select(func.count()).select_from(Purchase)) or 0


def rows(browser: Browser) -> list[list[str]]:
    return list(
        csv.reader(io.StringIO(browser.get("/data/purchases.csv").data.decode("utf-8-sig")))
    )


def test_out(ada: Browser, app: Flask) -> None:
    """All of one's own purchases, the oldest first, in a file that Excel knows as UTF-8."""
    ada.buy(food="Käse", price="3.5", quantity="0.75", unit="kg")
    ada.buy(food="Rye, dark", day="2026-10-01")
    Browser(app.test_client()).sign_up("eve").buy(food="Caviar")
    answer = ada.get("/data/purchases.csv")
    assert answer.headers["Content-Disposition"] == 'attachment; filename="purchases.csv"'
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert answer.data.decode() == (
        f"\ufeff{HEAD}"
        '2026-10-01,"Rye, dark",Corner shop,bread,1,pcs,4.20,EUR\r\n'
        "2026-11-20,Käse,Corner shop,bread,0.75,kg,3.50,EUR\r\n"
    )


FORMULAS = ["=1+1", "+1", "-1", "@SUM(A1)", "＝1", "'=1", "'quoted", "'", "''", "=cmd|' /C x'!A0"]


@pytest.mark.parametrize("food", FORMULAS)
def test_nothing_a_spreadsheet_would_carry_out(ada: Browser, food: str) -> None:
    """Text that begins like a formula leaves with an apostrophe, and comes back without it."""
    ada.buy(food=food, shop=food)
    kept = ada.get("/data/purchases.csv").data
    assert [cell[0] for cell in rows(ada)[1][1:3]] == ["'", "'"]
    ada.post("/purchases/1/delete", page="/purchases/1")
    assert bring(ada, kept).status_code == 302
    assert ada.get("/data/purchases.csv").data == kept
    shown = json.loads(ada.get("/data/everything.json").data)["purchases"]
    assert [one["food"] for one in shown] == [food]


@given(st.text(max_size=12))
def test_guarding_loses_nothing(text: str) -> None:
    assert sheets.bare(sheets.guarded(text)) == text
    assert not sheets.guarded(text).startswith(sheets.FORMULA[:-1])


@given(
    st.lists(
        st.tuples(
            st.text(max_size=100)
            .map(lambda text: " ".join(text.replace("\0", " ").split()))
            .filter(bool),
            st.integers(1, 10**9),
            st.integers(0, 10**9),
            st.dates(date(1900, 1, 1), date(2999, 12, 31)),
        ),
        max_size=8,
    )
)
def test_out_and_in_is_the_same(
    bought: list[tuple[str, int, int, date]],
) -> None:
    """Whatever is written is read back, to the last thousandth and cent."""
    purchases = [
        Purchase(
            food=food,
            shop=food,
            category="bread",
            unit="kg",
            quantity=quantity,
            price=price,
            day=day,
        )
        for food, quantity, price, day in bought
    ]
    sheet = sheets.read(sheets.write(purchases, EUR).encode("utf-8", "replace"), EUR)
    assert sheet.mistakes == {}
    for row, purchase in zip(sheet.rows, purchases, strict=True):
        assert {name: getattr(purchase, name) for name in sheets.SAME} == row


def test_in_twice_is_in_once(ada: Browser, app: Flask) -> None:
    """What is there already is not stored again; two coffees on one day are two."""
    coffee = "2026-11-20,Coffee,,out,1,pcs,2.50,EUR\r\n"
    bring(ada, HEAD + coffee)
    assert "1 purchase is stored; 0 were there already" in ada.get("/data").text
    bring(ada, HEAD + coffee * 3)
    assert "2 purchases are stored; 1 was there already" in ada.get("/data").text
    bring(ada, HEAD + coffee * 2)
    assert "0 purchases are stored; 2 were there already" in ada.get("/data").text
    assert count(app) == 3


@pytest.mark.parametrize(
    "text",
    [
        "day,food,price\n2026-11-20,Rye,4.20\n",
        "\ufeffDay;Food;Price\r\n2026-11-20;Rye;4,20\r\n\r\n;;\r\n",
        "price\tcategory\tfood\tday\n4.2\tBread & grains\tRye\t2026-11-20\n",
        'day,food,price,quantity,unit\n2026-11-20,"Rye\n",4.20,,\n',
    ],
)
def test_sheets_of_others(ada: Browser, text: str) -> None:
    """Semicolons, tabs, other orders, missing columns and empty lines are all right."""
    assert bring(ada, text).status_code == 302
    day, food, shop, _, quantity, unit, price, currency = rows(ada)[1]
    assert (day, food, shop, quantity) == ("2026-11-20", "Rye", "", "1")
    assert (unit, price, currency) == ("pcs", "4.20", "EUR")


@pytest.mark.parametrize(
    ("text", "mistakes"),
    [
        (
            "",
            {
                "There is no column “day”.": [1],
                "There is no column “food”.": [1],
                "There is no column “price”.": [1],
            },
        ),
        (
            "day,food,price,colour\n",
            {f"The column “colour” is not known. Known: {', '.join(sheets.COLUMNS)}.": [1]},
        ),
        (
            "day,food,price,day\n",
            {f"The column “day” is there twice. Known: {', '.join(sheets.COLUMNS)}.": [1]},
        ),
        (
            HEAD
            + "2026-11-20,Rye,,bread,1,pcs,4.20,EUR\n"
            + "20.11.2026,Rye,,bread,1,pcs,free,EUR\n"
            + '2026-11-20,"Rye\n\nbread",,bread,1,pcs,x,\n'
            + "2026-11-20,,,gold,0,sack,1,USD,more\n"
            + "2026-11-20,,,gold,0,sack,1,USD\n",
            {
                "price: Write an amount like 12.34.": [3, 4],
                "day: Write a day like 2026-11-20.": [3],
                "There are more cells than columns.": [7],
                "currency: Amounts are in EUR here.": [8],
                "food: What was it?": [8],
                "category: Choose one of the list.": [8],
                "unit: Choose one of the list.": [8],
                "quantity: Write how much it was.": [8],
            },
        ),
    ],
)
def test_every_wrong_line_at_once(text: str, mistakes: dict[str, list[int]]) -> None:
    assert sheets.read(text.encode(), EUR).mistakes == mistakes


def test_what_is_no_text() -> None:
    (mistake,) = sheets.read(HEAD.encode() + b"2026-11-20,K\xe4se,1\n", EUR).mistakes.items()
    assert mistake == ("This is not UTF-8. Save the file as “CSV UTF-8”.", [2])
    (text,) = sheets.read(HEAD.encode() + b'"' + b"x" * 200_000, EUR).mistakes
    assert text.startswith("This can not be read as CSV (field larger than")


def test_one_wrong_line_stores_nothing(ada: Browser, app: Flask) -> None:
    """The page names every line, in few words, and says that nothing was stored."""
    good, bad = "2026-11-20,Rye,,bread,1,pcs,1,EUR\n", "2026-11-20,Rye,,bread,1,pcs,x,EUR\n"
    answer = bring(ada, HEAD + good + bad * 3 + good + bad)
    assert answer.status_code == 422
    assert "Nothing was stored" in answer.text
    assert "price: Write an amount like 12.34." in answer.text
    assert "Lines 3–5, 7." in answer.text
    assert count(app) == 0
    assert "Choose a file first" in ada.post("/data/import", page="/data").text


def test_too_much_at_once(ada: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    """More lines than we take, or bytes, are refused in words; a page of mistakes stays small."""
    answer = bring(ada, "x" * 2_200_000)
    assert answer.status_code == 413 and "at most 2 MB" in answer.text
    line = "2026-11-20,Rye,,bread,1,pcs,{},EUR\n"
    answer = bring(ada, HEAD + (line.format("x") + line.format("1")) * 20_000)
    assert answer.status_code == 422 and len(answer.data) < 40_000
    assert "Lines 2, 4, 6," in answer.text and "and 18,000 more." in answer.text
    monkeypatch.setattr(sheets, "MOST", 2)
    answer = bring(ada, HEAD + line.format("1") * 3)
    assert "At most 2 purchases at once" in answer.text and "Line 4." in answer.text


@pytest.mark.parametrize(
    ("lines", "most", "said"),
    [
        ([2], 9, ("2", 0)),
        ([2, 3, 4, 7], 9, ("2–4, 7", 0)),
        ([2, 4, 5, 8, 9], 2, ("2, 4–5", 2)),
        ([2, 4], 0, ("", 2)),
    ],
)
def test_lines_for_people(lines: list[int], most: int, said: tuple[str, int]) -> None:
    assert sheets.spans(lines, most) == said


def test_everything(ada: Browser) -> None:
    """All that is stored about somebody, but for the hashes of what is secret."""
    ada.buy()
    ada.post("/budget/2026-11", total="300")
    ada.post("/settings/tokens", page="/settings", name="reader")
    text = ada.get("/data/everything.json").text
    told = json.loads(text)
    assert set(told) == {"account", "currency", "purchases", "budgets", "tokens", "sessions"}
    assert told["budgets"] == [{"month": "2026-11", "category": "total", "amount": "300.00"}]
    assert told["account"]["name"] == "ada" and told["tokens"][0]["name"] == "reader"
    assert "scrypt" not in text and "hash" not in text
