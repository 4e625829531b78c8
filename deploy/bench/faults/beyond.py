"""`python -m bench.faults.beyond`: the other faults with every plan, then the soak.

``--only TEXT`` plays the pairs whose name has it, ``--budget SECONDS`` as many as fit, in the order
that ``--seed`` fixes; ``--soak RUNS`` says how many runs the soak has, 0 for none.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from typing import Any

from bench import evidence
from bench.faults import soak
from bench.faults.choice import every
from bench.faults.pairs import PairPlayer, Pairs, figures
from bench.faults.rig import Rig, made


def talk(line: str) -> None:
    """Say how far it is."""
    print(f"{time.strftime('%H:%M:%S')} {line}", file=sys.stderr, flush=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Play them on a rig of their own; 0 if all that was tried held."""
    options = _parser().parse_args(argv)
    wanted, tally = every(options.seed, options.only), Pairs()
    begun = time.monotonic()
    if options.list:
        print("\n".join(map(str, wanted)))
        return 0
    rig = Rig.up("sqlite", made(talk), talk, options.name)
    found: dict[str, Any] = {}
    try:
        player = PairPlayer(rig, tally, begun + options.budget, talk)
        player.play(wanted)
        found = figures(len(wanted), tally, options.seed)
        if options.soak:
            long = soak.soak(player, options.seed, options.soak, talk)
            found |= soak.figures(long, options.seed)
    finally:
        rig.down()
    path = evidence.add("faults", **found, pairs_seconds=round(time.monotonic() - begun))
    print("\n".join(f"{key}: {value}" for key, value in found.items()))
    print(f"\nAll figures: {path}")
    bad = found.get("soak_failed") or found.get("soak_grown_too_much")
    return 0 if tally.passed == len(tally.met) and not bad else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.faults.beyond", description=__doc__)
    parser.add_argument("--only", default="", metavar="TEXT[,TEXT]", help="these pairs")
    parser.add_argument("--seed", type=int, default=6, help="of the order and the steps")
    parser.add_argument("--budget", type=float, default=3600.0, metavar="SECONDS")
    parser.add_argument("--soak", type=int, default=0, metavar="RUNS", help="runs of the soak")
    parser.add_argument("--name", default="beyond", help="of the lab host")
    parser.add_argument("--list", action="store_true", help="name the pairs and play none")
    return parser


if __name__ == "__main__":
    sys.exit(main())
