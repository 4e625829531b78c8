"""The soak: deploys and rollbacks in a row, with faults drawn by a seed, while people use the app.

After it nothing may have grown but what is meant to: containers and images by the releases that are
kept, the disk by their sets and the journal; the edge's descriptors and memory within a bound.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bench.faults import table
from bench.faults.others import Hand
from bench.faults.choice import Pair
from bench.faults.pairs import PairPlayer
from bench.faults.plans import way

#: how much more there may be of each after the soak than after its first runs
BOUNDS: Mapping[str, float] = {
    "containers": 4,
    "images": 3,
    "disk_mb": 20,
    "edge_descriptors": 30,
    "edge_memory_mb": 20,
}
#: runs after which what is usual is there: ``keep`` releases and their sets
SETTLED = 8
PLANS = ("single-writer", "recreate", "exclusive", "rollback")
_SIZES = """\
docker ps -aq | wc -l
docker images -aq | sort -u | wc -l
du -sm --exclude=data $app | cut -f1
pid=$(docker inspect -f '{{.State.Pid}}' homeport-edge)
ls /proc/$pid/fd | wc -l
awk '/VmRSS/ {print $2 / 1024}' /proc/$pid/status
"""


@dataclass
class Soak:
    """What the soak came to."""

    runs: int = 0
    failed: list[str] = field(default_factory=list)
    before: Mapping[str, float] = field(default_factory=dict)
    after: Mapping[str, float] = field(default_factory=dict)

    @property
    def grown(self) -> dict[str, float]:
        """By how much each has grown."""
        return {name: round(self.after.get(name, 0) - at, 1) for name, at in self.before.items()}

    @property
    def over(self) -> list[str]:
        """What has grown beyond its bound."""
        return [name for name, more in self.grown.items() if more > BOUNDS[name]]


def drawn(seed: int, runs: int) -> list[Pair]:
    """The runs of a soak, in their order: a plan each, with a fault."""
    dice = random.Random(seed)
    faults = [one for one in table.FAULTS if one.tried == "pairs"]
    known = [one for one in faults if one.name not in ("registry gone", "new container OOM-killed")]
    found = []
    for _ in range(runs):
        fault, plan = dice.choice(known), way(dice.choice(PLANS))
        step = dice.choice([name for of, name, _ in plan.steps if of == plan.plans[0][0]])
        found.append(Pair(fault, plan, step if fault.moment == "during" else ""))
    return found


def sizes(hand: Hand) -> dict[str, float]:
    """How much there is of what must not grow."""
    return dict(zip(BOUNDS, map(float, hand.sh(_SIZES).split())))


def soak(player: PairPlayer, seed: int, runs: int, talk: Callable[[str], None]) -> Soak:
    """Carry the runs out one after the other."""
    found, hand = Soak(), Hand(player.rig)
    for pair in drawn(seed, runs):
        met = player.meet(pair)
        found.runs += 1
        if met.wrong:
            found.failed.append(f"{found.runs}: {met.pair}: {'; '.join(met.wrong)}")
        talk(f"soak {found.runs}/{runs}: {found.failed[-1] if met.wrong else met.pair}")
        if found.runs == min(SETTLED, runs):
            found.before = sizes(hand)
    found.after = sizes(hand)
    return found


def figures(found: Soak, seed: int) -> dict[str, Any]:
    """What goes into the evidence."""
    return {
        "soak_runs": found.runs,
        "soak_failed": len(found.failed),
        "soak_failures": found.failed,
        "soak_seed": seed,
        "soak_grown": found.grown,
        "soak_grown_too_much": found.over,
    }
