"""`python -m lab.load URL`: the load by hand. stdout is data, talk goes to stderr."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
from collections.abc import Sequence

from lab.load import Load
from lab.load_judge import judge
from lab.load_plan import MIX
from lab.load_record import holds_seen

FAILURES = ("failed_edge", "answered_5xx", "answered_4xx", "answered_other")
# Only the database knows these, and this command does not see it.
FROM_THE_DATABASE = (
    "lost_writes",
    "doubled_writes",
    "damaged_writes",
    "stored_unacked",
    "writer_changes",
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the load for a while and print its figures; 0: no failure, 1: some, 2: wrong usage."""
    parser = _parser()
    asked = parser.parse_args(argv)
    mix = {"read": 1} if asked.get else MIX
    paths = {"read": asked.get} if asked.get else {}
    try:
        load = Load(asked.url, asked.rate, asked.seed, asked.host, mix=mix, paths=paths)
    except ValueError as error:
        parser.error(str(error))
    enough = threading.Event()
    signal.signal(signal.SIGINT, lambda *_: enough.set())
    print(f"{asked.rate:g} requests/s to {asked.url} for {asked.seconds:g} s", file=sys.stderr)
    load.start()
    enough.wait(asked.seconds)
    result = load.stop()
    holds = holds_seen(result)
    figures = judge(result, [], holds=holds, handovers=holds)
    figures = {name: value for name, value in figures.items() if name not in FROM_THE_DATABASE}
    print(json.dumps(figures, indent=2) if asked.json else _table(figures))
    return 1 if any(figures[name] for name in FAILURES) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m lab.load",
        description="Send planned requests to an app with the load layer and count what happens.",
    )
    parser.add_argument("url", help="http://HOST[:PORT]")
    parser.add_argument("--rate", type=float, default=100, help="requests a second (100)")
    parser.add_argument("--seconds", type=float, default=30, help="how long to plan arrivals (30)")
    parser.add_argument("--seed", type=int, default=1, help="order of the requests (1)")
    parser.add_argument("--host", help="Host header, where the address is not the site's name")
    parser.add_argument("--get", metavar="PATH", help="only GET this path: for any other app")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    return parser


def _table(figures: dict[str, object]) -> str:
    rows: list[tuple[str, object]] = []
    for name, value in figures.items():
        if isinstance(value, dict):
            rows += [(f"{name}: {part}", _plain(under)) for part, under in value.items()]
        else:
            rows.append((name, _plain(value)))
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {value}" for name, value in rows)


def _plain(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {figure}" for name, figure in value.items())
    return ", ".join(map(str, value)) or "none" if isinstance(value, list) else str(value)
