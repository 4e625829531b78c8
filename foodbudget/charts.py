"""The picture of a month: plain numbers that the template writes into inline SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

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
