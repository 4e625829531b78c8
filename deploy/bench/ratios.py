"""What pairs of updates come to: pure, records in, figures and verdicts out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import Any

from lab.load import Result
from lab.load_record import OUTCOMES

#: figure's name → homeport.toml's word
MODES: Mapping[str, str] = {"overlap": "overlap", "single_writer": "single-writer"}
#: time_to_new_ratio is to be no more than this
LIMITS: Mapping[str, float] = {"overlap": 1.1, "single_writer": 2.0}
SIDES = ("homeport", "plain")
#: fewer pairs than this prove nothing
LEAST_PAIRS = 5

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


def mode_of(steps: Iterable[str]) -> str:
    """The handover that a run's step ids show: what was done, not what was asked for."""
    ids = set(steps)
    if "standby" in ids:
        return "single_writer"
    return "recreate" if "hold" in ids else "overlap"


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
