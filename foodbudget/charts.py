"""The pictures of a month and of prices: plain numbers that the template writes into inline SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from foodbudget.prices import Price
from foodbudget.spending import Line

RADIUS = 84.0
ROUND = 2 * math.pi * RADIUS
# the gap between two pieces of the ring, in the picture's own units
GAP = 3.0
WIDTH = 300.0


@dataclass(frozen=True)
class Arc:
    """A piece of the ring: a dash of `length`, `start` along the circle of length ROUND."""

    category: str
    title: str
    start: float
    length: float


@dataclass(frozen=True)
class Bar:
    """A bar for one category, all on one scale of WIDTH: how far it is filled, and where the mark
    of its budget stands (None without one)."""

    line: Line
    filled: float
    mark: float | None


def ring(total: Line, lines: Sequence[Line]) -> list[Arc]:
    """The ring: full circle = the budget, or all that was spent when that is more or there is no
    budget; one piece for each category that cost something."""
    whole = max(total.budget or 0, total.spent)
    arcs: list[Arc] = []
    start = 0.0
    for line in lines:
        if not line.spent:
            continue
        length = ROUND * line.spent / whole
        arcs.append(
            Arc(line.category, line.title, round(start, 2), round(max(length - GAP, 0.8), 2))
        )
        start += length
    return arcs


def bars(lines: Sequence[Line]) -> list[Bar]:
    """The bars, on a common scale, so that their lengths can be compared."""
    largest = max((max(line.spent, line.budget or 0) for line in lines), default=0) or 1
    scale = WIDTH / largest
    return [
        Bar(
            line,
            round(line.spent * scale, 1),
            None if line.budget is None else round(line.budget * scale, 1),
        )
        for line in lines
    ]


@dataclass(frozen=True)
class Curve:
    """A line through prices: `dots` are (x, y) in a picture of WIDTH by HEIGHT, `high` and `low`
    the ends of its scale, `price` each dot's own."""

    prices: Sequence[Price]
    dots: Sequence[tuple[float, float]]

    HEIGHT: ClassVar[float] = 110.0
    # room for the dots themselves
    EDGE: ClassVar[float] = 6.0

    @property
    def path(self) -> str:
        """The line, as SVG's `points`."""
        return " ".join(f"{x:g},{y:g}" for x, y in self.dots)

    @property
    def high(self) -> Price:
        """The dearest; the latest one of several."""
        return max(self.prices, key=lambda price: (price.each, price.day))

    @property
    def low(self) -> Price:
        """The cheapest; the latest one of several."""
        return min(self.prices, key=lambda price: (price.each, -price.day.toordinal()))


def curve(prices: Sequence[Price]) -> Curve:
    """A line through prices, the oldest first: days to the right, money up. It does not begin at
    nought, since what a price did would not show then; its ends are written beside it."""
    first, last = prices[0].day.toordinal(), prices[-1].day.toordinal()
    each = [price.each for price in prices]
    low, high = min(each), max(each)
    across = (WIDTH - 2 * Curve.EDGE) / max(last - first, 1)
    up = (Curve.HEIGHT - 2 * Curve.EDGE) / max(high - low, 1)
    # one price, or always the same one, lies in the middle
    left = Curve.EDGE if last > first else WIDTH / 2
    bottom = Curve.HEIGHT - Curve.EDGE if high > low else Curve.HEIGHT / 2
    dots = [
        (
            round(left + (price.day.toordinal() - first) * across, 1),
            round(bottom - (price.each - low) * up, 1),
        )
        for price in prices
    ]
    return Curve(prices, dots)
