"""Foods: what each has cost, as a picture, as words, and as a table."""

from __future__ import annotations

import re
from datetime import date, timedelta

import pytest
from flask import Flask

from bench import evidence
from foodbudget import charts, db
from foodbudget.models import Purchase
from foodbudget.pages import Page
from foodbudget.prices import Price, by_unit

from .browser import Browser


def bought(day: int, price: int, quantity: int = 1000, unit: str = "pcs") -> Price:
    return Price.of(
        Purchase(day=date(2026, 11, day), price=price, quantity=quantity, unit=unit, food="x")
    )


@pytest.mark.parametrize(
    ("price", "quantity", "unit", "each"),
    [
        (420, 1000, "pcs", ("piece", 420)),
        (420, 3000, "pcs", ("piece", 140)),
        (199, 750, "kg", ("kg", 265)),
        (199, 250_000, "g", ("kg", 796)),
        (99, 330_000, "ml", ("l", 300)),
        (5, 2000, "l", ("l", 3)),
        (0, 1, "kg", ("kg", 0)),
    ],
)
def test_prices_can_be_compared(
    price: int, quantity: int, unit: str, each: tuple[str, int]
) -> None:
    """Grams and kilograms are one, and what is between two cents goes to the nearer one."""
    found = bought(1, price, quantity, unit)
    assert (found.unit, found.each) == each


def test_a_curve() -> None:
    """Days to the right by their dates, money up, and its ends named."""
    found = charts.curve([bought(1, 200), bought(2, 300), bought(11, 100)])
    assert found.dots == [(6.0, 55.0), (34.8, 6.0), (294.0, 104.0)]
    assert found.path == "6,55 34.8,6 294,104"
    assert (found.high.day.day, found.low.day.day) == (2, 11)


@pytest.mark.parametrize(
    ("prices", "dots"),
    [
        ([bought(5, 200)], [(150.0, 55.0)]),
        ([bought(5, 200), bought(6, 200)], [(6.0, 55.0), (294.0, 55.0)]),
        ([bought(5, 200), bought(5, 300)], [(150.0, 104.0), (150.0, 6.0)]),
    ],
)
def test_flat_and_narrow_curves(prices: list[Price], dots: list[tuple[float, float]]) -> None:
    assert charts.curve(prices).dots == dots


def test_units_apart() -> None:
    """Pieces can not be compared with kilograms: the more usual of them comes first."""
    found = by_unit([bought(1, 1), bought(2, 1, unit="kg"), bought(3, 1, 500_000, "g")])
    assert [(unit, len(some)) for unit, some in found.items()] == [("kg", 2), ("piece", 1)]


def test_history_of_a_food(ada: Browser) -> None:
    """Found from the purchase and from the list; told in words beside the picture."""
    ada.buy(food="Rye & <b>co</b>", price="2", day="2026-10-01", quantity="500", unit="g")
    ada.buy(food="Rye & <b>co</b>", price="5", day="2026-11-02", quantity="1", unit="kg")
    ada.buy(food="Milk")
    listed = ada.get("/foods").text
    assert "bought 2 times" in listed and listed.index("Milk") < listed.index("Rye")
    (link,) = re.findall(r'href="(/foods/prices\?food=Rye[^"]*)"', listed)
    assert link.replace("&#39;", "'") in ada.get("/purchases/1").text
    page = ada.get(link).text
    assert "<b>co</b>" not in page and "Rye &amp; &lt;b&gt;co" in page
    assert "€5.00" in page and "€1.00 more than at first" in page
    assert "€4.00 on 2026-10-01, €5.00 on 2026-11-02; at most €5.00 on 2026-11-02" in page
    assert len(re.findall('<circle class="curve-dot"', page)) == 2
    rows = re.findall(r"<tr><td>.*?</tr>", page, re.DOTALL)
    assert ["2026-11-02" in row for row in rows] == [True, False]


@pytest.mark.parametrize("food", ["", "Gold", "Rye\0bread"])
def test_foods_that_nobody_bought(ada: Browser, food: str) -> None:
    assert ada.client.get("/foods/prices", query_string={"food": food}).status_code == 404


def test_other_peoples_foods(ada: Browser, app: Flask) -> None:
    ada.buy(food="Caviar")
    eve = Browser(app.test_client()).sign_up("eve")
    assert "Caviar" not in eve.get("/foods").text
    assert eve.get("/foods/prices?food=Caviar").status_code == 404


# each of its characters takes five bytes in a page, and as many in an address: nothing is longer
LONGEST = '"' * 98


def fill(app: Flask, count: int) -> None:
    """Many purchases of the first account's, with names as long as they can be, in one month."""
    with db.of(app).write() as session:
        for number in range(count):
            session.add(
                Purchase(
                    user_id=1,
                    food=f"{LONGEST}{number % 90}",
                    shop=f"{LONGEST}{number % 70}",
                    category="bread",
                    price=number,
                    quantity=999_999_999,
                    day=date(2026, 11, 1) + timedelta(days=number % 30),
                )
            )


def test_a_long_month_comes_in_pages(ada: Browser, app: Flask) -> None:
    """Each purchase is on one page, and every page tells what the whole month and day cost."""
    for number in range(Page.SIZE + 5):
        ada.buy(food=f"Thing {number}", price="1", day=f"2026-11-{number % 2 + 1:02}")
    first, second = (ada.get(f"/month/2026-11?page={number}").text for number in (1, 2))
    assert "Page 1 of 2" in first and "Page 2 of 2" in second
    seen = re.findall(r"<b>(Thing \d+)</b>", first + second)
    assert sorted(seen) == sorted(f"Thing {number}" for number in range(Page.SIZE + 5))
    for page in (first, second):
        assert "Spent €65.00" in page
    assert "€33.00" in second and "€32.00" in first
    for beyond in ("3", "0", "-1", "x", "9" * 30, "²"):
        assert ada.get(f"/month/2026-11?page={beyond}").status_code == 200
    assert "Page 2 of 2" in ada.get("/month/2026-11?page=99").text


def test_no_page_is_heavy(ada: Browser, app: Flask) -> None:
    """100 KB is what any page may weigh with its stylesheet and icon, however much there is."""
    fill(app, 400)
    sent = {key: "999999.99" for key in "total produce bread dairy meat pantry drinks".split()}
    ada.post("/budget/2026-11", **sent)
    beside = sum(len(ada.get(f"/static/{name}").data) for name in ("style.css", "icon.svg"))
    foods = ada.get("/foods").text
    pages = ["/", "/month/2026-11", "/month/2026-11?page=2", "/purchases/new", "/purchases/7"]
    pages += ["/foods", "/foods?page=2", "/settings", "/settings/delete", "/budget/2026-11"]
    pages += ["/data", "/login", "/signup", "/nowhere"]
    pages += [re.findall(r'href="(/foods/prices[^"]*)"', foods)[0].replace("&#34;", '"')]
    weights = {page: (len(ada.get(page).data) + beside) / 1000 for page in pages}
    evidence.add("trust", page_kb_max=round(max(weights.values()), 1))
    assert max(weights.values()) <= 100, weights
    assert weights["/month/2026-11"] > 50
