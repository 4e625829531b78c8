"""Which faults meet which plans, at which step: pure, and the same by the same seed."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from bench.faults import table
from bench.faults.plans import way as plan_way
from bench.faults.way import Way

#: what only a plan can meet that pulls, or that starts a new container, and at which step
_ONLY = {"registry gone": "release", "new container OOM-killed": "healthy"}
_NEW = ("single-writer", "recreate", "exclusive")


@dataclass(frozen=True)
class Pair:
    """A fault, a plan, and the step before which it comes; "" where it comes before the run."""

    fault: table.Fault
    way: Way
    step: str = ""

    def __str__(self) -> str:
        return f"{self.fault.name} × {self.way.name}" + (f" / {self.step}" if self.step else "")


def every(seed: int, only: str = "") -> list[Pair]:
    """Every pair there is, in the order and with the steps that the seed fixes."""
    dice = random.Random(seed)
    found = []
    for one in table.FAULTS:
        for name in table.PLANS:
            way = plan_way(name)
            steps = [step for plan, step, _ in way.steps if plan == way.plans[0][0]]
            drawn = dice.choice(steps)
            if one.tried != "pairs" or (one.name in _ONLY and name not in _NEW):
                continue
            step = _ONLY.get(one.name, drawn) if one.moment == "during" else ""
            found.append(Pair(one, way, step))
    dice.shuffle(found)
    turns = {pair: _turn(found, at) for at, pair in enumerate(found)}
    return [one for one in sorted(found, key=turns.__getitem__) if _meant(one, only)]


def _meant(pair: Pair, only: str) -> bool:
    """Whether one of the texts, parted by commas, is in its name."""
    return any(text in str(pair) for text in only.split(","))


def _turn(pairs: Sequence[Pair], at: int) -> int:
    """How many pairs of the same fault come before: each fault has one turn before the next."""
    return sum(one.fault == pairs[at].fault for one in pairs[:at])
