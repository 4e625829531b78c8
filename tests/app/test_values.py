"""Money, months, sums and the picture: decided by tables."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foodbudget import charts, forms, money
from foodbudget.models import Purchase
from foodbudget.months import Month
from foodbudget.spending import Sum, arrange

NOVEMBER = Month(2026, 11)


@pytest.mark.parametrize(
    ("text", "digits", "units"),
    [
        ("12.34", 2, 1234),
        ("12,34", 2, 1234),
        (" 7 ", 2, 700),
        ("0.5", 2, 50),
        ("0", 2, 0),
        ("1.005", 3, 1005),
        ("500", 0, 500),
        ("10000000", 2, money.LARGEST),
    ],
)
def test_money_is_read_exactly(text: str, digits: int, units: int) -> None:
    assert money.parse(text, digits) == units


@pytest.mark.parametrize(
    ("text", "digits", "said"),
    [
        ("", 2, "Write an amount like 12.34."),
        ("-1", 2, "Write an amount like 12.34."),
        ("1e3", 2, "Write an amount like 12.34."),
        ("1.234,50", 2, "Write an amount like 12.34."),
        ("١٢", 2, "Write an amount like 12.34."),
        ("x", 0, "Write an amount like 12."),
        ("1.005", 2, "There are at most 2 digits after the decimal mark."),
        ("1,234", 2, "There are at most 2 digits after the decimal mark."),
        ("1.5", 0, "There are no digits after the decimal mark."),
        ("10000000.01", 2, "This is more than fits."),
    ],
)
def test_money_is_not_guessed(text: str, digits: int, said: str) -> None:
    with pytest.raises(ValueError) as caught:
        money.parse(text, digits)
    assert str(caught.value) == said


@given(st.integers(0, money.LARGEST), st.sampled_from([0, 2, 3]))
def test_money_survives_the_form(units: int, digits: int) -> None:
    """What a form shows is read back as the same amount."""
    assert money.parse(money.plain(units, digits), digits) == units


@pytest.mark.parametrize(
    ("units", "code", "text"),
    [
        (123450, "EUR", "€1,234.50"),
        (5, "USD", "$0.05"),
        (-250, "GBP", "−£2.50"),
        (1234, "JPY", "¥1,234"),
        (1500, "TND", "DT\u00a01.500"),
    ],
)
def test_money_for_people(units: int, code: str, text: str) -> None:
    assert money.text(units, money.CURRENCIES[code]) == text


def test_negative_amount_in_plain_digits() -> None:
    assert money.plain(-5, 2) == "-0.05"


@pytest.mark.parametrize(
    ("month", "shift", "then"),
    [("2026-11", 1, "2026-12"), ("2026-12", 1, "2027-01"), ("2026-01", -1, "2025-12")],
)
def test_months_follow_each_other(month: str, shift: int, then: str) -> None:
    assert str(Month.parse(month).shifted(shift)) == then


@pytest.mark.parametrize("text", ["2026-13", "2026-0", "1899-12", "3000-01", "2026-11x", ""])
def test_what_is_no_month(text: str) -> None:
    with pytest.raises(ValueError):
        Month.parse(text)


def bought(category: str, price: int, day: int = 20) -> Sum:
    return Sum(date(2026, 11, day), category, price, 1)


def row(day: int) -> Purchase:
    return Purchase(category="meat", price=1, day=date(2026, 11, day), food="x")


def test_sums_by_category_and_day() -> None:
    """The dearest category first; a category that is not known any more counts as other."""
    sums = [bought("bread", 100), bought("meat", 700), bought("gone", 50, 19)]
    limits = {"total": 1000, "meat": 500, "dairy": 300}
    found = arrange(NOVEMBER, sums, limits, [row(20), row(20), row(19)])
    assert [(line.category, line.spent, line.budget, line.left) for line in found.lines] == [
        ("meat", 700, 500, -200),
        ("bread", 100, None, None),
        ("other", 50, None, None),
        ("dairy", 0, 300, 300),
    ]
    assert [line.over for line in found.lines] == [True, False, False, False]
    assert (found.total.spent, found.total.budget, found.total.left) == (850, 1000, 150)
    # a day tells what all of it cost, wherever the page cuts it
    assert [(str(day.day), len(day.purchases), day.spent) for day in found.days] == [
        ("2026-11-20", 2, 800),
        ("2026-11-19", 1, 50),
    ]


def test_total_budget_from_the_categories() -> None:
    """Without a total the categories' budgets are added up; without any there is none."""
    assert arrange(NOVEMBER, [], {"meat": 500, "dairy": 300}).total.budget == 800
    assert arrange(NOVEMBER, [], {}).total.budget is None


@pytest.mark.parametrize(
    ("spent", "limits", "today", "a_day"),
    [
        (0, {"total": 3000}, date(2026, 11, 1), 100),
        (500, {"total": 3000}, date(2026, 11, 30), 2500),
        (3000, {"total": 3000}, date(2026, 11, 2), None),
        (0, {"total": 3000}, date(2026, 12, 1), None),
        (0, {}, date(2026, 11, 1), None),
    ],
)
def test_what_is_left_a_day(
    spent: int, limits: dict[str, int], today: date, a_day: int | None
) -> None:
    assert arrange(NOVEMBER, [bought("meat", spent)], limits).a_day_left(today) == a_day


def test_ring_is_the_budget() -> None:
    """Half of the budget fills half of the ring, less the gap, in pieces end to end."""
    found = arrange(NOVEMBER, [bought("bread", 300), bought("meat", 200)], {"total": 1000})
    bread, meat = charts.ring(found.total, found.lines)
    assert (bread.category, bread.start) == ("bread", 0.0)
    assert bread.length == pytest.approx(0.3 * charts.ROUND - charts.GAP, abs=0.01)
    assert meat.start == pytest.approx(0.3 * charts.ROUND, abs=0.01)
    assert meat.start + meat.length == pytest.approx(0.5 * charts.ROUND - charts.GAP, abs=0.01)


def test_ring_never_goes_round_twice() -> None:
    """Three times the budget is one full ring."""
    found = arrange(NOVEMBER, [bought("meat", 3000)], {"total": 1000, "dairy": 10})
    (arc,) = charts.ring(found.total, found.lines)
    assert arc.start + arc.length < charts.ROUND


def test_bars_share_one_scale() -> None:
    """The largest amount, spent or meant, is the whole width."""
    found = arrange(NOVEMBER, [bought("meat", 500), bought("bread", 100)], {"bread": 1000})
    assert [(bar.line.category, bar.filled, bar.mark) for bar in charts.bars(found.lines)] == [
        ("meat", 150.0, None),
        ("bread", 30.0, 300.0),
    ]
    assert charts.bars([]) == []


GOOD = {"food": "Bread", "category": "bread", "quantity": "1", "unit": "pcs", "price": "1"}
GOOD |= {"day": "2026-11-20", "shop": ""}


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("food", "  ", "What was it?"),
        ("food", "x" * 101, "Use at most 100 characters."),
        ("shop", "x" * 101, "Use at most 100 characters."),
        ("category", "gold", "Choose one of the list."),
        ("unit", "bushel", "Choose one of the list."),
        ("quantity", "0", "Write how much it was."),
        ("quantity", "much", "Write an amount like 12.345."),
        ("price", "free", "Write an amount like 12.34."),
        ("day", "yesterday", "Write a day like 2026-11-20."),
        ("day", "0026-11-20", "Choose a year from 1900 to 2999."),
    ],
)
def test_purchase_mistakes(field: str, value: str, said: str) -> None:
    """Each wrong field is named once, in words."""
    assert forms.purchase(GOOD | {field: value}, 2).mistakes == {field: said}


def test_all_purchase_mistakes_at_once() -> None:
    assert set(forms.purchase({}, 2).mistakes) == set(GOOD) - {"shop"}
    assert forms.purchase(GOOD, 2).fine
