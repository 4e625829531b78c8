"""``python -m bench.model``: go through the model's states, and through those of each mutant."""

from __future__ import annotations

import argparse
import json
import sys

from bench import evidence
from bench.model.explore import Explorer, scenarios
from bench.model.machine import Violation


def main() -> int:
    """Explore; prints JSON: ``states``, ``runs`` and ``violation``. 1 where there is one."""
    parser = argparse.ArgumentParser(prog="python -m bench.model", description=__doc__)
    parser.add_argument("--disturbances", type=int, default=1, help="how many follow each other")
    parser.add_argument("--only", default="", help="the scenario of that name, or those with it")
    parser.add_argument("--evidence", action="store_true", help="add what was found to it")
    asked = parser.parse_args()
    every = list(scenarios())
    chosen = [one for one in every if str(one) == asked.only]
    chosen = chosen or [one for one in every if asked.only in str(one)]
    explorer, violation = Explorer(asked.disturbances), ""
    try:
        for scenario in chosen:
            explorer.explore(scenario)
    except Violation as found:
        violation = str(found)
    told = {"states": len(explorer.states), "runs": explorer.runs, "scenarios": len(chosen)}
    if asked.evidence:
        bad = int(bool(violation))
        evidence.add("faults", model_states=told["states"], model_violations=bad)
    print(json.dumps({**told, "violation": violation}))
    return 1 if violation else 0


if __name__ == "__main__":
    sys.exit(main())
