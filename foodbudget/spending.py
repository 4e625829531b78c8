"""One month of one person: what was spent, what was meant to be spent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import groupby

from sqlalchemy import extract, func, select
from sqlalchemy.orm import Session

from foodbudget.categories import CATEGORIES, TOTAL
from foodbudget.models import Budget, Purchase
from foodbudget.months import Month
from foodbudget.pages import Page


@dataclass(frozen=True)
class Line:
    """Spent against budget, in smallest units; `budget` None where none is set."""

    category: str
    title: str
    spent: int
    budget: int | None

    @property
    def left(self) -> int | None:
        """What may still be spent; negative when over."""
        return None if self.budget is None else self.budget - self.spent

    @property
    def over(self) -> bool:
        """Whether more was spent than meant."""
        return self.budget is not None and self.spent > self.budget


@dataclass(frozen=True)
class Sum:
    """What one category cost on one day, and in how many purchases."""

    day: date
    category: str
    spent: int
    count: int


@dataclass(frozen=True)
class Day:
    """The purchases of a day, newest first, as far as they are on this page; `spent` is for all
    of the day, in smallest units."""

    day: date
    purchases: Sequence[Purchase]
    spent: int


@dataclass(frozen=True)
class Overview:
    """Everything that the month page shows."""

    month: Month
    total: Line
    lines: Sequence[Line]
    days: Sequence[Day]
    page: Page

    def a_day_left(self, today: date) -> int | None:
        """What may be spent on each day that is left, today included; None where that says
        nothing: no budget, nothing left, another month."""
        left = self.total.left
        if left is None or left <= 0 or Month.of(today) != self.month:
            return None
        return left // (self.month.days - today.day + 1)


def budgets(session: Session, user_id: int, month: Month) -> dict[str, int]:
    """The budgets in force in a month by category key and TOTAL; lifted ones are not listed."""
    newest = (
        select(Budget.category, func.max(Budget.month).label("month"))
        .where(Budget.user_id == user_id, Budget.month <= str(month))
        .group_by(Budget.category)
        .subquery()
    )
    rows = session.execute(
        select(Budget.category, Budget.amount)
        .join(newest, (Budget.category == newest.c.category) & (Budget.month == newest.c.month))
        .where(Budget.user_id == user_id)
    )
    return {category: amount for category, amount in rows if amount}


def set_budgets(session: Session, user_id: int, month: Month, amounts: Mapping[str, int]) -> None:
    """Let these budgets hold from a month on; months before it keep theirs."""
    in_force = budgets(session, user_id, month)
    for category, amount in amounts.items():
        if amount != in_force.get(category, 0):
            row = Budget(user_id=user_id, category=category, month=str(month), amount=amount)
            session.merge(row)


def sums(session: Session, user_id: int, month: Month) -> list[Sum]:
    """What a month cost, latest day first; added up by the database, along an index."""
    rows = session.execute(
        select(Purchase.day, Purchase.category, func.sum(Purchase.price), func.count())
        .where(Purchase.user_id == user_id, Purchase.day.between(month.first, month.last))
        .group_by(Purchase.day, Purchase.category)
        .order_by(Purchase.day.desc(), Purchase.category)
    )
    return [Sum(day, category, int(spent), count) for day, category, spent, count in rows]


def overview(session: Session, user_id: int, month: Month, number: int = 1) -> Overview:
    """Look up a month, with one page of its purchases."""
    found = sums(session, user_id, month)
    page = Page(number, sum(one.count for one in found))
    purchases = session.scalars(
        select(Purchase)
        .where(Purchase.user_id == user_id, Purchase.day.between(month.first, month.last))
        .order_by(Purchase.day.desc(), Purchase.id.desc())
        .offset(page.skipped)
        .limit(page.SIZE)
    ).all()
    return arrange(month, found, budgets(session, user_id, month), purchases, page)


def arrange(
    month: Month,
    found: Sequence[Sum],
    limits: Mapping[str, int],
    purchases: Sequence[Purchase] = (),
    page: Page | None = None,
) -> Overview:
    """Add up a month.

    Args:
        found: its sums.
        limits: budgets in force, by category key and TOTAL. Without one for TOTAL those of the
            categories are added up.
        purchases: those of the page, newest day first.
    """
    spent = dict.fromkeys(CATEGORIES, 0)
    for one in found:
        spent[one.category if one.category in spent else "other"] += one.spent
    lines = [
        Line(key, title, spent[key], limits.get(key))
        for key, title in CATEGORIES.items()
        if spent[key] or key in limits
    ]
    lines.sort(key=lambda line: (-line.spent, line.title))
    named = [amount for key, amount in limits.items() if key != TOTAL]
    total = Line(TOTAL, "All food", sum(spent.values()), limits.get(TOTAL) or (sum(named) or None))
    of_day: Counter[date] = Counter()
    for one in found:
        of_day[one.day] += one.spent
    days = [
        Day(day, list(bought), of_day[day])
        for day, bought in groupby(purchases, lambda purchase: purchase.day)
    ]
    return Overview(month, total, lines, days, page or Page(1, len(purchases)))


def months(session: Session, user_id: int) -> list[tuple[Month, int, int]]:
    """Every month with purchases, the latest first: what it cost, and how many they were."""
    year, number = extract("year", Purchase.day), extract("month", Purchase.day)
    rows = session.execute(
        select(year, number, func.sum(Purchase.price), func.count())
        .where(Purchase.user_id == user_id)
        .group_by(year, number)
    )
    found = [(Month(int(y), int(n)), int(spent), count) for y, n, spent, count in rows]
    return sorted(found, reverse=True)
