"""`make test-faults`: pull the plug at every point of every plan, and count what was broken.

All of it takes about an hour on two cores. ``--only PLAN[/STEP[/WHEN]]`` plays a part of it,
``--budget SECONDS`` as much as fits, drawn by ``--seed``; what was not tried is told, and counts.
"""

from __future__ import annotations

import argparse
import sys
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from typing import Any

from bench import evidence
from bench.faults import points as every
from bench.faults.plans import UPGRADE, WAYS
from bench.faults.points import Player, Point, Tally
from bench.faults.rig import Rig, made
from lab.errors import LabError

#: what a point takes on two cores where three hosts are played at once, in seconds
EACH = 9.0
#: what a host takes until its first point
BEGIN = 60.0
#: the lab hosts that are played at once, and their kinds: SQLite's plans are twice as many
HOSTS = {"one": "sqlite", "two": "sqlite", "three": "postgres"}


def talk(line: str) -> None:
    """Say how far it is."""
    print(f"{time.strftime('%H:%M:%S')} {line}", file=sys.stderr, flush=True)


def shares(points: Sequence[Point]) -> dict[str, list[Point]]:
    """Host → its points: whole plans, the largest first to whoever of its kind has fewest."""
    found: dict[str, list[Point]] = {}
    ways = [[one for one in points if one.way is way] for way in (*WAYS, UPGRADE)]
    for mine in sorted(filter(None, ways), key=len, reverse=True):
        kind = mine[0].way.host
        hosts = [host for host, of in HOSTS.items() if of == kind]
        least = min(hosts, key=lambda host: len(found.get(host, ())))
        found.setdefault(least, []).extend(mine)
    return found


def play(
    host: str,
    images: Mapping[str, str],
    points: Sequence[Point],
    seed: int,
    deadline: float,
    tally: Tally,
) -> None:
    """Play the points of one host on a rig of its own."""
    rig = Rig.up(HOSTS[host], images, talk, f"faults-{host}")
    try:
        player = Player(rig, tally, seed, deadline, talk)
        for way in (*WAYS, UPGRADE):
            mine = [one for one in points if one.way is way]
            if not mine or time.monotonic() > deadline:
                continue
            try:
                player.play(way, mine)
            except (LabError, RuntimeError) as error:
                # the rest of this way is not tried, and counts as that
                tally.broke.append(f"{way.name}: {error}")
                talk(tally.broke[-1])
                player.mend()
    finally:
        rig.down()


def figures(wanted: Sequence[Point], tallies: Sequence[Tally], seconds: float) -> dict[str, Any]:
    """What goes into the evidence."""
    seen = [one for tally in tallies for one in tally.seen]
    again = sorted(ms for tally in tallies for ms in tally.again_ms)
    names = ("human_steps", "second_recovery_changes", "expectation_misses")
    return {
        "points": len(wanted),
        "points_tried": len(seen),
        "points_passed": sum(tally.passed for tally in tallies),
        "points_broken": {one.point: one.wrong for one in seen if one.wrong},
        "plans": len(WAYS) + 1,
        "plans_differ": [text for tally in tallies for text in tally.plans_differ],
        "points_cut_short": [text for tally in tallies for text in tally.broke],
        "points_acked_writes": sum(tally.acked for tally in tallies),
        "lost_writes": sum(tally.lost for tally in tallies),
        "doubled_writes": sum(tally.doubled for tally in tallies),
        **{name: sum(getattr(tally, name) for tally in tallies) for name in names},
        "killed_to_serving_ms_median": again[len(again) // 2] if again else 0,
        "killed_to_serving_ms_max": again[-1] if again else 0,
        "points_seconds": round(seconds),
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Play, and write the evidence; 0 where every point was tried and nothing was broken."""
    options = _parser().parse_args(argv)
    wanted = [one for only in options.only or [""] for one in every.every(options.host, only)]
    if options.list:
        print("\n".join(map(str, wanted)))
        return 0
    began = time.monotonic()
    budget = options.budget or 1e9
    most = int((budget - BEGIN) / EACH) * len(shares(wanted))
    drawn = every.chosen(wanted, options.seed, max(most, 1))
    hosts = shares(drawn)
    tallies, images = [Tally() for _ in hosts], made(talk) if hosts else {}
    broke: list[str] = []

    def one(host: str, tally: Tally) -> None:
        try:
            play(host, images, hosts[host], options.seed, began + budget, tally)
        except Exception:  # the other host goes on, and this one's points count as not tried
            broke.append(traceback.format_exc())
            talk(broke[-1])

    threads = [threading.Thread(target=one, args=two) for two in zip(hosts, tallies)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = figures(wanted, tallies, time.monotonic() - began)
    path = evidence.add("faults", **found, points_seed=options.seed)
    print("\n".join(f"{key}: {value}" for key, value in found.items()))
    print(f"\nAll figures: {path}")
    bad = ("lost_writes", "doubled_writes", "human_steps", "second_recovery_changes")
    worse = ("expectation_misses", "plans_differ", "points_cut_short")
    held = not any(found[name] for name in (*bad, *worse))
    return 0 if held and not broke and found["points_passed"] == len(drawn) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.faults", description=__doc__)
    parser.add_argument(
        "--only", action="append", metavar="PLAN[/STEP[/WHEN]]", help="these points"
    )
    parser.add_argument(
        "--host",
        default="",
        choices=sorted(set(HOSTS.values())),
        help="the plans of this kind of host",
    )
    parser.add_argument("--seed", type=int, default=6, help="of the order, and of what is drawn")
    parser.add_argument("--budget", type=float, metavar="SECONDS", help="as many as fit into it")
    parser.add_argument("--list", action="store_true", help="name the points and play none")
    return parser


if __name__ == "__main__":
    sys.exit(main())
