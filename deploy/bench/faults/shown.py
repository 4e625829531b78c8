"""`python -m bench.faults.shown`: the protocol broken on purpose, on a lab host.

Each scenario holds with the agent as it is and breaks with the mistake in it: one that does not
break would not notice the mistake in the engine either. The model finds the same mistakes in every
interleaving (``python -m bench.model``); this shows that they hurt real containers.
"""

from __future__ import annotations

import argparse
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from bench import evidence
from bench.faults import others, upgrade
from bench.faults.mutants import Mutant, named
from bench.faults.plans import way
from bench.faults.points import Player, Point, Tally
from bench.faults.rig import Rig, made
from bench.images import TOP

WAY = way("single-writer")
#: what a scenario sees that is wrong, each in a sentence
Scenario = Callable[[Player], list[str]]
#: how often the link is replaced twice while somebody reads it; once is enough to see it empty
HOLDS = 8
#: reads a file as fast as it can, as the edge does for each request, until another file is gone
READER = """
import os, sys
link, going = sys.argv[1:]
reads = empty = 0
while reads % 1000 or os.path.exists(going):
    reads += 1
    try:
        handle = os.open(link, os.O_RDONLY)
    except FileNotFoundError:
        empty += 1
        continue
    empty += not os.read(handle, 200)
    os.close(handle)
print(empty, reads)
"""


def talk(line: str) -> None:
    """Say how far it is."""
    print(f"{time.strftime('%H:%M:%S')} {line}", file=sys.stderr, flush=True)


def dies(step: str, when: str) -> Scenario:
    """The executor is killed at a point of a deploy; what always holds is looked at."""

    def scenario(player: Player) -> list[str]:
        player.ready.run(WAY)
        return player.meet(WAY, Point(WAY, "deploy", step, when), {}).wrong

    return scenario


def restarted(player: Player) -> list[str]:
    """Executor, guardian and whoever follows die before the commit, and Docker is restarted.

    Nobody comes up by itself but what is committed.
    """
    rig, ready = player.rig, player.ready
    ready.run(WAY)
    point = {"plan": "deploy", "step": "handover", "when": "before", "do": "guardian"}
    rig.arm({**point, "effects": 0, "seconds": 0.0})
    hand, died = others.Hand(rig), f"/opt/{rig.stage.app}/plug.died"
    hand.typed = rig.typing(ready.words(WAY))
    hand.sh(f"for i in $(seq 900); do test -e {died} && exit 0; sleep 0.1; done; exit 1")
    hand.typed.kill()
    hand.typed.wait()
    hand.sh("pkill -9 -u homeport python3; systemctl restart docker")
    others.docker_answers(hand)
    first = rig.look(again=False)["first"]
    return [
        f"{name} came up by itself, and {first['committed']} is committed"
        for name, one in first["containers"].items()
        if one["running"] and one["slot"] and one["slot"] != first["committed"].split("-")[0]
    ]


def read(player: Player) -> list[str]:
    """Somebody reads the link while it is replaced: it is never empty, and always there."""
    rig = player.rig
    player.ready.run(WAY)
    link, going = f"/opt/homeport/run/{rig.stage.app}/live", "/tmp/going"
    rig.stage.on_host("touch", going)
    with ThreadPoolExecutor(1) as pool:
        reader = pool.submit(rig.stage.on_host, "python3", "-c", READER, link, going)
        try:
            for _ in range(HOLDS):
                ran = rig.type("data", "vacuum", "--json")
                if ran.code:
                    return [f"vacuum ends with {ran.code}: {ran.err[-300:]}"]
        finally:
            rig.stage.on_host("rm", going)
        empty, reads = map(int, reader.result(60).split())
    talk(f"the link was read {reads} times")
    return [f"the link was empty or gone in {empty} of {reads} reads"] if empty else []


SCENARIOS: Mapping[str, Scenario] = {
    "commit before journal": dies("handover", "after"),
    "done before its effect": dies("handover", "before"),
    "lock not tied to its holder": dies("start", "before"),
    "recovery not idempotent": dies("start", "after"),
    "restart policy set too early": restarted,
    "link replaced in place": read,
}


def broken(rig: Rig, mutant: Mutant) -> None:
    """Let what is typed from here on send an agent with a mistake in it."""
    folder = upgrade.another(rig.stage.folder, secrets.token_hex(4))
    mutant.apply(Path(folder) / "homeport")
    rig.stage.env["PYTHONPATH"] = folder


def sound(player: Player) -> None:
    """Let it send the agent as it is again, and put right what the mistake has left."""
    rig = player.rig
    rig.stage.env["PYTHONPATH"] = str(TOP / "deploy")
    others.Hand(rig).sh("rm -f $app/plug.json $app/lock.held /opt/homeport/run/$name/*.held")
    player.mend()


def seen(scenario: Scenario, player: Player) -> list[str]:
    """What is wrong in a scenario; that it came to no end is wrong as well."""
    try:
        return scenario(player)
    except (RuntimeError, subprocess.TimeoutExpired) as error:
        return [f"it came to no end: {str(error)[:300]}"]


def play(player: Player, names: Sequence[str]) -> dict[str, Any]:
    """Try each scenario without its mistake and with it; what goes into the evidence."""
    shown: dict[str, str] = {}
    missed: dict[str, str] = {}
    for name in names:
        scenario = SCENARIOS[name]
        well = seen(scenario, player)
        player.mend()
        broken(player.rig, named(name))
        ill = seen(scenario, player)
        sound(player)
        talk(f"{name}: {'; '.join(ill) or 'NOT SEEN'}" + "".join(f" | SOUND: {x}" for x in well))
        if well or not ill:
            missed[name] = "; ".join(well) or "the mistake was not seen"
        else:
            shown[name] = ill[0]
    return {"mutants_on_a_host": len(shown), "mutants_shown": shown, "mutants_not_shown": missed}


def main(argv: Sequence[str] | None = None) -> int:
    """Play them on a rig of their own; 0 if each mistake was seen, and only the mistakes."""
    parser = argparse.ArgumentParser(prog="python -m bench.faults.shown", description=__doc__)
    parser.add_argument("--only", action="append", choices=SCENARIOS, help="these mistakes")
    options = parser.parse_args(argv)
    rig = Rig.up("sqlite", made(talk, ("one", "two")), talk, "shown")
    try:
        # with some mistakes a run comes to no end
        rig.stage.patience = 120.0
        rig.settings()
        found = play(
            Player(rig, Tally(), 6, time.monotonic() + 3600, talk), options.only or [*SCENARIOS]
        )
    finally:
        rig.down()
    path = evidence.add("faults", **found)
    print("\n".join(f"{key}: {value}" for key, value in found.items()))
    print(f"\nAll figures: {path}")
    return 1 if found["mutants_not_shown"] else 0


if __name__ == "__main__":
    sys.exit(main())
