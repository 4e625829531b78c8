"""One month of one person: what was spent, what was meant to be spent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import groupby

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from foodbudget.categories import CATEGORIES, TOTAL
from foodbudget.models import Budget, Purchase
from foodbudget.months import Month


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
class Day:
    """The purchases of a day, newest first, and what they cost together."""

    day: date
    purchases: Sequence[Purchase]

    @property
    def spent(self) -> int:
        """In smallest units."""
        return sum(purchase.price for purchase in self.purchases)


@dataclass(frozen=True)
class Overview:
    """Everything that the month page shows."""

    month: Month
    total: Line
    lines: Sequence[Line]
    days: Sequence[Day]

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


def overview(session: Session, user_id: int, month: Month) -> Overview:
    """Look up a month."""
    purchases = session.scalars(
        select(Purchase)
        .where(Purchase.user_id == user_id, Purchase.day.between(month.first, month.last))
        .order_by(Purchase.day.desc(), Purchase.id.desc())
    ).all()
    return arrange(month, purchases, budgets(session, user_id, month))


def arrange(month: Month, purchases: Sequence[Purchase], limits: Mapping[str, int]) -> Overview:
    """Add up a month.

    Args:
        purchases: those of the month, newest day first.
        limits: budgets in force, by category key and TOTAL. Without one for TOTAL those of the
            categories are added up.
    """
    spent = dict.fromkeys(CATEGORIES, 0)
    for purchase in purchases:
        spent[purchase.category if purchase.category in spent else "other"] += purchase.price
    lines = [
        Line(key, title, spent[key], limits.get(key))
        for key, title in CATEGORIES.items()
        if spent[key] or key in limits
    ]
    lines.sort(key=lambda line: (-line.spent, line.title))
    named = [amount for key, amount in limits.items() if key != TOTAL]
    total = Line(TOTAL, "All food", sum(spent.values()), limits.get(TOTAL) or (sum(named) or None))
    days = [Day(day, list(bought)) for day, bought in groupby(purchases, lambda one: one.day)]
    return Overview(month, total, lines, days)
