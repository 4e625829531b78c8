"""Prices: what a food cost, each time it was bought, for the same amount of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from foodbudget.models import Purchase
from foodbudget.pages import Page

# unit of a purchase → the unit that prices are compared for, and how many make one of it
BASES = {"pcs": ("piece", 1), "kg": ("kg", 1), "g": ("kg", 1000), "l": ("l", 1), "ml": ("l", 1000)}


@dataclass(frozen=True)
class Price:
    """A purchase, and what one `unit` cost then, in smallest units."""

    purchase: Purchase
    unit: str
    each: int

    @property
    def day(self) -> date:
        """The day of the purchase."""
        return self.purchase.day

    @classmethod
    def of(cls, purchase: Purchase) -> Price:
        """The price for one piece, kilogram or litre, rounded to the nearest."""
        unit, parts = BASES.get(purchase.unit, ("piece", 1))
        # quantities are in thousandths
        return cls(
            purchase,
            unit,
            (2 * purchase.price * 1000 * parts + purchase.quantity) // (2 * purchase.quantity),
        )


def history(session: Session, user_id: int, food: str, most: int) -> list[Price]:
    """The latest prices of a food, the oldest of them first."""
    rows = session.scalars(
        select(Purchase)
        .where(Purchase.user_id == user_id, Purchase.food == food)
        .order_by(Purchase.day.desc(), Purchase.id.desc())
        .limit(most)
    )
    return [Price.of(purchase) for purchase in reversed(rows.all())]


def by_unit(prices: Sequence[Price]) -> dict[str, list[Price]]:
    """The same, apart for each unit; the unit that is used most comes first."""
    found: dict[str, list[Price]] = {}
    for price in prices:
        found.setdefault(price.unit, []).append(price)
    return dict(sorted(found.items(), key=lambda item: -len(item[1])))


def foods(
    session: Session, user_id: int, number: int
) -> tuple[Page, Sequence[tuple[str, int, date]]]:
    """One page of the foods, the latest first: name, how often it was bought, and when last."""
    count = select(func.count(Purchase.food.distinct())).where(Purchase.user_id == user_id)
    page = Page(number, session.scalar(count) or 0)
    last = func.max(Purchase.day)
    rows = session.execute(
        select(Purchase.food, func.count(), last)
        .where(Purchase.user_id == user_id)
        .group_by(Purchase.food)
        .order_by(last.desc(), Purchase.food)
        .offset(page.skipped)
        .limit(page.SIZE)
    )
    return page, [(food, times, day) for food, times, day in rows]
