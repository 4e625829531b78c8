"""`make data-evidence`: what is promised of people's data, shown on real databases.

The scenarios are tests, which `make test` runs as well; each adds what it measured to
build/evidence/data.json. This runs them alone, one after the other, and holds the figures to what
was promised: one that is missing counts as not held.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import evidence
from bench.images import TOP

README = TOP / "README.md"
BEGIN, END = "<!-- data -->", "<!-- /data -->"
#: where data is saved, moved, lost on purpose and brought back
SCENARIOS = ("tests/contract/test_data_*.py", "tests/e2e/test_data_*.py")


@dataclass(frozen=True)
class Promise:
    """A figure, the bounds that it must keep, and what it stands for."""

    figure: str
    text: str
    most: float | None = None
    least: float | None = None

    def missed(self, figures: Mapping[str, Any]) -> str:
        """Why it does not hold; empty where it does."""
        found = figures.get(self.figure)
        if not isinstance(found, (int, float)):
            return f"{self.figure}: nobody measured it"
        if self.most is not None and found > self.most:
            return f"{self.figure}: {found} is more than {self.most:g}"
        if self.least is not None and found < self.least:
            return f"{self.figure}: {found} is less than {self.least:g}"
        return ""


def exactly(figure: str, text: str, number: float = 0) -> Promise:
    """A figure that must be just this."""
    return Promise(figure, text, number, number)


PROMISES = (
    Promise(
        "moves_acked_writes", "writes acknowledged while migrations ran and failed", least=1000
    ),
    exactly("moves_failed_edge", "requests failed by the edge meanwhile"),
    exactly("moves_answered_5xx", "answered by an error of a release"),
    exactly("moves_lost_writes", "acknowledged writes that were gone"),
    exactly("moves_doubled_writes", "writes that were there twice"),
    Promise("snapshots", "snapshots under a steady writer", least=20),
    exactly("inconsistent_snapshots", "of them inconsistent, or without an acknowledged write"),
    Promise("snapshots_postgres", "dumps of PostgreSQL under a steady writer", least=10),
    exactly("inconsistent_snapshots_postgres", "of them inconsistent, or without one as well"),
    Promise("damaged_backups", "ways of damaging a backup that were tried", least=7),
    exactly("damaged_backups_missed", "of them not found"),
    Promise("damaged_backups_postgres", "ways of damaging a dump that were tried", least=11),
    exactly("damaged_backups_postgres_missed", "of them not found"),
    Promise("damaged_repositories", "ways of damaging a repository that were tried", least=10),
    exactly("damaged_repositories_missed", "of them not found"),
    Promise(
        "restore_s_for_1gb",
        "seconds until a dead host's app serves on a new one, reckoned for 1 GB from 200 MB",
        most=90,
    ),
    Promise("loss_databases", "kinds of database on which a loss was reported", least=2),
    exactly("loss_reported_wrong", "figures of a reported loss that were not exact"),
    Promise(
        "backup_cost_ratio", "a 200 MB backup against cp and sync in a container like it", most=3
    ),
    Promise("agent_rss_mb", "memory of the agent while it does that, MB", most=50),
    Promise(
        "exclusive_extra_hold_ms",
        "hold of an exclusive deploy beyond the containers' own stop and start, 10 MB",
        most=3000,
    ),
    Promise("exclusive_postgres_extra_hold_ms", "the same on PostgreSQL", most=3000),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the scenarios; 0 if all passed and every promise held, 1 if not."""
    options = _parser().parse_args(argv)
    path = evidence.FOLDER / "data.json"
    code = 0 if options.seen else measured(path)
    figures = json.loads(path.read_text()) if path.exists() else {}
    text = table(figures)
    print(text)
    if options.readme:
        before, _, rest = README.read_text().partition(BEGIN)
        README.write_text(f"{before}{BEGIN}\n```\n{text}\n```\n{END}{rest.partition(END)[2]}")
    missed = [why for why in (one.missed(figures) for one in PROMISES) if why]
    print(f"\nAll figures: {path}")
    for line in missed:
        print(f"NOT HELD: {line}")
    return 1 if missed or code else 0


def measured(path: Path) -> int:
    """Run the scenarios anew, so that the file at ``path`` has what they add and nothing else."""
    files = sorted(str(one.relative_to(TOP)) for glob in SCENARIOS for one in TOP.glob(glob))
    path.unlink(missing_ok=True)
    command = [sys.executable, "-m", "pytest", "-q", "--durations=10", *files]
    return subprocess.run(command, cwd=TOP).returncode


def table(figures: Mapping[str, Any]) -> str:
    """What was measured, a line a promise, as README shows it."""
    shown = [(_shown(figures.get(one.figure)), one.text) for one in PROMISES]
    width = max(len(found) for found, _ in shown)
    return "\n".join(f"{found:>{width}}  {text}" for found, text in shown)


def _shown(found: object) -> str:
    return f"{found:,}" if isinstance(found, (int, float)) else "-"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.data", description=__doc__)
    seen = "judge what `make test` has measured last, and run nothing"
    parser.add_argument("--seen", action="store_true", help=seen)
    parser.add_argument("--readme", action="store_true", help="put the figures into README.md")
    return parser


if __name__ == "__main__":
    sys.exit(main())
