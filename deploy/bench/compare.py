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
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from bench import evidence, images
from bench.plain import COMMAND, Plain
from bench.stage import Ran, Stage, Talk, until
from lab.load import Load, Result, judge
from lab.load_record import OUTCOMES
from lab.registry import ensure_registry

#: figure's name → homeport.toml's word
MODES: Mapping[str, str] = {"overlap": "overlap", "single_writer": "single-writer"}
#: time_to_new_ratio is to be no more than this
LIMITS: Mapping[str, float] = {"overlap": 1.1, "single_writer": 2.0}
SIDES = ("homeport", "plain")
RATE = 100
#: the load runs this many requests before the command, and after its end
SETTLED = 2 * RATE
#: fewer pairs than this prove nothing
LEAST_PAIRS = 5
HOST = "compare"

Raw = dict[str, Any]


def order(pair: int) -> tuple[str, str]:
    """Who goes first in a pair, counted from 0: H P, P H, H P, …"""
    return ("homeport", "plain") if pair % 2 == 0 else ("plain", "homeport")


def time_to_new(result: Result, typed: float) -> float:
    """Seconds from ``typed`` to the first good answer of a release that did not answer before it.

    ``typed`` is a stamp of ``time.monotonic()``. Raises ValueError where there is no such answer,
    or none before the command, so that the new release cannot be told from the old.
    """
    answers = [
        (one.first_byte, one.release)
        for one in result.requests
        if one.outcome == "ok" and one.release and one.first_byte is not None
    ]
    before = {release for at, release in answers if at < typed}
    if not before:
        raise ValueError("no release answered before the command was typed")
    new = [at for at, release in answers if at >= typed and release not in before]
    if not new:
        raise ValueError(f"only {', '.join(sorted(before))} answered, before the command and after")
    return min(new) - typed


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


def failed(raw: Raw) -> int:
    """Requests of one measurement that got no good answer, whoever's fault."""
    return sum(int(raw[outcome]) for outcome in OUTCOMES if outcome != "ok")


def summary(pairs: Sequence[Raw]) -> Raw:
    """The figures of all pairs: medians per mode, failures per side.

    ``time_to_new_ratio`` is the median of the pairs' own ratios, each Homeport's time by plain's:
    what the machine was busy with besides changes slowly, and weighs on both halves of a pair.
    """
    times: dict[str, dict[str, float]] = {}
    ratios: dict[str, float] = {}
    for mode in MODES:
        mine = [pair for pair in pairs if pair["mode"] == mode]
        if mine:
            times[mode] = {
                side: round(median(pair[side]["time_to_new_s"] for pair in mine), 3)
                for side in SIDES
            }
            ratios[mode] = round(median(pair["ratio"] for pair in mine), 3)
    counts = {mode: sum(1 for pair in pairs if pair["mode"] == mode) for mode in MODES}
    return {
        "pairs_per_mode": counts,
        "time_to_new_ratio": ratios,
        "time_to_new_s": times,
        "requests": {side: sum(int(pair[side]["requests"]) for pair in pairs) for side in SIDES},
        "failed": {side: sum(failed(pair[side]) for pair in pairs) for side in SIDES},
        "failed_by_author": {side: _by_author(pair[side] for pair in pairs) for side in SIDES},
        "errors": {side: _errors(pair[side] for pair in pairs) for side in SIDES},
    }


def _by_author(raws: Iterable[Raw]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for raw in raws:
        total.update({outcome: int(raw[outcome]) for outcome in OUTCOMES if outcome != "ok"})
    return dict(total)


def _errors(raws: Iterable[Raw]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for raw in raws:
        # a release's own name differs from update to update: "502 from plain-3" counts as "502"
        total.update({str(why).split(" from ")[0]: n for why, n in raw["errors"].items()})
    return dict(sorted(total.items()))


def broken(figures: Raw) -> list[str]:
    """Every promise that the figures do not keep, a sentence each."""
    found = []
    for mode, limit in LIMITS.items():
        count, ratio = figures["pairs_per_mode"][mode], figures["time_to_new_ratio"].get(mode)
        if count < LEAST_PAIRS:
            found.append(f"{mode}: {count} pairs, a verdict takes {LEAST_PAIRS}")
        if ratio is not None and ratio > limit:
            found.append(f"{mode}: time_to_new_ratio is {ratio}, at most {limit} is promised")
    if figures["failed"]["homeport"]:
        found.append(f"{figures['failed']['homeport']} requests failed while Homeport deployed")
    return found


def table(figures: Raw) -> str:
    """The figures as a person reads them."""
    rows: list[tuple[str, ...]] = [("", "Homeport", "pull && up -d", "ratio")]
    for mode, times in figures["time_to_new_s"].items():
        ratio = f"{figures['time_to_new_ratio'][mode]:.2f} (at most {LIMITS[mode]:g})"
        name = f"command to first new answer, {MODES[mode]}"
        rows.append((name, f"{times['homeport']:.2f} s", f"{times['plain']:.2f} s", ratio))
    for name, key in (("requests sent", "requests"), ("requests failed", "failed")):
        rows.append((name, *(f"{figures[key][side]}" for side in SIDES), ""))
    for why in sorted({one for side in SIDES for one in figures["errors"][side]}):
        rows.append((f"  {why}", *(str(figures["errors"][side].get(why, 0)) for side in SIDES), ""))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = (
        f"{row[0]:<{widths[0]}}  {row[1]:>{widths[1]}}  {row[2]:>{widths[2]}}  {row[3]}".rstrip()
        for row in rows
    )
    return "\n".join(lines)


class Bench:
    """Both sides on one lab host."""

    def __init__(self, stage: Stage, talk: Talk) -> None:
        self._stage, self._talk = stage, talk
        self._registry = ensure_registry(talk)
        self._ships = images.production(talk)
        talk("starting both sides")
        first = self._image("first")
        stage.deploy(first, "--monitor", "1s")
        self._plain = Plain.up(stage, self._registry, first)

    def _image(self, name: str) -> str:
        """Push a version with a layer that no host has yet."""
        return images.version(self._ships, self._registry, f"compare-{name}", {"version": name})

    def pair(self, mode: str, number: int) -> Raw:
        """One update by each side, and their ratio."""
        self._stage.settings(mode=MODES[mode])
        raw: Raw = {"mode": mode, "pair": number, "order": list(order(number))}
        # built before the first of the two is measured: the machine is equally warm for both
        made = {side: self._image(f"{mode}-{number}-{side}") for side in SIDES}
        for side in order(number):
            raw[side] = self._update(side, made[side], f"{mode}-{number}", seed=number + 1)
        raw["ratio"] = raw["homeport"]["time_to_new_s"] / raw["plain"]["time_to_new_s"]
        raw["ratio"] = round(raw["ratio"], 3)
        told = ", ".join(f"{side} {raw[side]['time_to_new_s']:.2f} s" for side in SIDES)
        self._talk(f"{mode} pair {number + 1}: {told}, ratio {raw['ratio']:.2f}")
        return raw

    def _update(self, side: str, image: str, name: str, seed: int) -> Raw:
        if side == "plain":
            self._plain.publish(image, f"plain-{name}")
            return measure(self._plain.url, self._plain.update, seed)
        ran: list[Ran] = []

        def deploy() -> Ran:
            ran.append(self._stage.deploy(image, "--monitor", "1s"))
            return ran[0]

        raw = measure(self._stage.url, deploy, seed)
        # where the time went, in the engine's own words; no figure of ours rests on them
        raw["steps"] = {one["id"]: one["seconds"] for one in ran[0].data["figures"]["steps"]}
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
    """Run the comparison and print its table; 0: every promise is kept, 1: not."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.compare", description="See `make bench`."
    )
    parser.add_argument("--pairs", type=int, default=5, help="pairs for each mode (5)")
    asked = parser.parse_args(argv)
    if asked.pairs < 1:
        parser.error(f"--pairs takes 1 or more: {asked.pairs}")
    figures, path = run(asked.pairs, lambda line: print(line, file=sys.stderr, flush=True))
    print(table(figures))
    print(f"\nthe raw pairs: {path}")
    for sentence in figures["broken"]:
        print(f"not kept: {sentence}", file=sys.stderr)
    return 1 if figures["broken"] else 0


if __name__ == "__main__":
    sys.exit(main())
