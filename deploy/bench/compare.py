"""`make bench`: Homeport against `ssh host 'docker compose pull && docker compose up -d'`.

    python -m bench.compare [--pairs 5]      → build/evidence/bench.json

Both sides run the same image and the same compose file on the same lab host, each with a database
of its own, and both stay up throughout. Only the side that is measured is under the load. A pair is
one update by each, in alternating order. Each update has an image of its own with one new layer of
the same few bytes, so both sides pull, and neither finds its layer there. Everything is told from
the load's own records: what clients saw, and nobody's journal.
"""

from __future__ import annotations

import argparse
import re
import secrets
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path

from bench import evidence, images
from bench.plain import COMMAND, Plain
from bench.ratios import MODES, SIDES, Raw, broken, mode_of, order, summary, table, time_to_new
from bench.stage import Ran, Stage, Talk, until
from lab.errors import LabError
from lab.load import Load, judge
from lab.load_record import OUTCOMES
from lab.registry import ensure_registry

RATE = 100
#: the load runs this many requests before the command, and after its end
SETTLED = 2 * RATE
HOST = "compare"


def measure(url: str, command: Callable[[], Ran], seed: int) -> Raw:
    """Type one command under the load; what the clients saw of it."""
    load = Load(url, RATE, seed)
    load.start()
    try:
        until(lambda: load.sent() >= SETTLED, 60, f"{SETTLED} requests to {url}")
        typed = time.monotonic()
        ran = command()
        enough = load.sent() + SETTLED
        until(lambda: load.sent() >= enough, 60, f"{SETTLED} more requests to {url}")
    finally:
        result = load.stop()
    figures = judge(result, [])
    raw: Raw = {"time_to_new_s": round(time_to_new(result, typed), 3)}
    raw["command_s"] = round(ran.seconds, 3)
    for key in ("requests", *OUTCOMES, "errors", "generator_lag_ms_p99"):
        raw[key] = figures[key]
    return raw


def version_at(url: str) -> str:
    """The version that the page at ``url`` shows; empty where it shows none."""
    with urllib.request.urlopen(f"{url}/", timeout=10) as answer:
        found = re.search(r'<strong class="version">([^<]*)<', answer.read().decode())
    return found[1] if found else ""


class Bench:
    """Both sides on one lab host."""

    def __init__(self, stage: Stage, talk: Talk) -> None:
        self._stage, self._talk = stage, talk
        self._registry = ensure_registry(talk)
        self._ships = images.production(talk)
        # a name of this run's own, so that an earlier run's layers are no help to anybody
        self._run = secrets.token_hex(3)
        talk("starting both sides")
        first = self._image("first")
        self._settings("overlap")
        stage.deploy(first, "--monitor", "1s")
        self._plain = Plain.up(stage, self._registry, first)

    def _image(self, name: str) -> str:
        """Push a version with a layer that no host has yet."""
        tag = f"compare-{self._run}-{name}"
        return images.version(self._ships, self._registry, tag, {"version": tag})

    def pair(self, mode: str, number: int) -> Raw:
        """One update by each side, and their ratio."""
        self._settings(mode)
        raw: Raw = {"mode": mode, "pair": number, "order": list(order(number))}
        # built before the first of the two is measured: the machine is equally warm for both
        made = {side: self._image(f"{mode}-{number}-{side}") for side in SIDES}
        for side in order(number):
            raw[side] = self._update(side, made[side], raw)
        raw["ratio"] = raw["homeport"]["time_to_new_s"] / raw["plain"]["time_to_new_s"]
        raw["ratio"] = round(raw["ratio"], 3)
        told = ", ".join(f"{side} {raw[side]['time_to_new_s']:.2f} s" for side in SIDES)
        self._talk(f"{mode} pair {number + 1}: {told}, ratio {raw['ratio']:.2f}")
        return raw

    def _settings(self, mode: str) -> None:
        """Name the handover; leave ``start`` at its default, since the machine may be busy."""
        self._stage.settings(mode=MODES[mode])
        path = self._stage.folder / "homeport.toml"
        lines = path.read_text().splitlines(keepends=True)
        path.write_text("".join(line for line in lines if not line.startswith("start = ")))

    def _update(self, side: str, image: str, pair: Raw) -> Raw:
        """Measure one update; raises RuntimeError where something else was done than was meant."""
        mode, number = pair["mode"], pair["pair"]
        if side == "plain":
            self._plain.publish(image, f"plain-{mode}-{number}")
            url, raw = self._plain.url, measure(self._plain.url, self._plain.update, number + 1)
        else:
            url, raw = self._stage.url, self._deploy(image, number + 1)
            if mode_of(raw["steps"]) != mode:
                raise RuntimeError(f"{mode} was asked for, {mode_of(raw['steps'])} was done")
        meant, shown = image.rpartition(":")[2], version_at(url)
        if shown != meant:
            raise RuntimeError(f"{side} shows {shown or 'no version'}, and {meant} was meant")
        return raw

    def _deploy(self, image: str, seed: int) -> Raw:
        ran: list[Ran] = []

        def deploy() -> Ran:
            ran.append(self._stage.deploy(image, "--monitor", "1s"))
            return ran[0]

        raw = measure(self._stage.url, deploy, seed)
        # where the time went, in the engine's own words; no figure of ours rests on them
        told = ran[0].data["figures"]
        raw["steps"] = {one["id"]: one["seconds"] for one in told["steps"]}
        # this command's own start, the connection, and the agent's start
        raw["outside_run_s"] = round(ran[0].seconds - told["total_s"], 3)
        return raw

    def host(self) -> Raw:
        """What the lab host runs on."""
        on_host = self._stage.on_host
        caddy = on_host("docker", "exec", "homeport-edge", "caddy", "version").split()
        return {
            "flavour": self._stage.host.flavour,
            "docker": on_host("docker", "version", "--format", "{{.Server.Version}}").strip(),
            "compose": on_host("docker", "compose", "version", "--short").strip(),
            "caddy": caddy[0] if caddy else "unknown",
        }


def run(pairs: int, talk: Talk) -> tuple[Raw, Path]:
    """Measure, and write the evidence; the figures and the file."""
    stage = Stage.up(HOST, talk=talk)
    try:
        bench = Bench(stage, talk)
        raw = [bench.pair(mode, number) for mode in MODES for number in range(pairs)]
        facts = bench.host()
    finally:
        stage.down()
    figures = summary(raw)
    figures["broken"] = broken(figures)
    about = {
        "plain_command": f"ssh HOST '{COMMAND}'",
        "rate_per_s": RATE,
        "images": "each update pulls one new layer of the same size, on both sides",
        "host": facts,
    }
    return figures, evidence.write("bench", {**about, **figures, "pairs": raw})


def main(argv: Sequence[str] | None = None) -> int:
    """Run the comparison and print its table; 0: every promise is kept, 1: not, 2: no figures."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.compare", description="See `make bench`."
    )
    parser.add_argument("--pairs", type=int, default=5, help="pairs for each mode (5)")
    asked = parser.parse_args(argv)
    if asked.pairs < 1:
        parser.error(f"--pairs takes 1 or more: {asked.pairs}")
    try:
        figures, path = run(asked.pairs, lambda line: print(line, file=sys.stderr, flush=True))
    except (LabError, RuntimeError, TimeoutError, ValueError, subprocess.SubprocessError) as error:
        print(f"the comparison ended without figures:\n{error}", file=sys.stderr)
        return 2
    print(table(figures))
    print(f"\nthe raw pairs: {path}")
    for sentence in figures["broken"]:
        print(f"not kept: {sentence}", file=sys.stderr)
    return 1 if figures["broken"] else 0


if __name__ == "__main__":
    sys.exit(main())
