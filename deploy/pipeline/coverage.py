"""Coverage: at least 85 %, and never falling; the report that people open."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline import github, tools
from pipeline.errors import PipelineError, told

FLOORS = "tests/coverage.json"
#: what no floor may go below, in percent
LEAST = {"total": 85.0, "core": 90.0}
CORE = "deploy/homeport/core/"
HTML = "build/coverage"


def floors(text: str, where: str) -> dict[str, float]:
    """The floors that a file holds, in percent.

    Raises:
        PipelineError: it holds something else.
    """
    try:
        read = json.loads(text)
        found = {name: float(read[name]) for name in LEAST}
    except (ValueError, KeyError, TypeError) as wrong:
        mend = f'write {{"total": 85.0, "core": 90.0}} into {FLOORS}'
        raise PipelineError(
            "The coverage floor cannot be read.", f"{where}: {wrong}", mend
        ) from None
    return found


def base_floors(base: str) -> dict[str, float] | None:
    """The floors on the branch that a change goes to; None where that is not at hand."""
    done = subprocess.run(
        ["git", "show", f"origin/{base}:{FLOORS}"], capture_output=True, text=True
    )
    return floors(done.stdout, f"origin/{base}") if done.returncode == 0 else None


def measured(report: Mapping[str, Any]) -> dict[str, float]:
    """Percent covered, lines and branches, in all and in the core.

    Args:
        report: what ``coverage json`` writes.
    """
    parts: dict[str, list[Mapping[str, int]]] = {"total": [], "core": []}
    for name, about in report["files"].items():
        parts["total"].append(about["summary"])
        if name.startswith(CORE):
            parts["core"].append(about["summary"])
    return {name: _percent(rows) for name, rows in parts.items()}


def _percent(rows: list[Mapping[str, int]]) -> float:
    there = sum(row["num_statements"] + row.get("num_branches", 0) for row in rows)
    met = sum(row["covered_lines"] + row.get("covered_branches", 0) for row in rows)
    # nothing measured is not everything covered
    return 100.0 * met / there if there else 0.0


def problems(
    have: Mapping[str, float], ours: Mapping[str, float], base: Mapping[str, float] | None
) -> list[str]:
    """What is below its floor, and floors that were lowered; empty where all is well."""
    found = []
    for name, least in LEAST.items():
        if base is not None and ours[name] < base[name]:
            found.append(f"the floor of {name} fell from {base[name]:g} to {ours[name]:g} %")
        floor = max(least, ours[name], base[name] if base else 0.0)
        if have[name] < floor:
            found.append(f"{name}: {have[name]:.1f} % is covered, the floor is {floor:g} %")
    return found


def main() -> int:
    """Reads what pytest measured; 1 where it is below a floor. ``fast``: no gate, parts ran."""
    gate = sys.argv[1:] != ["fast"]
    program, scratch = tools.beside("coverage"), Path("build/coverage.json")
    scratch.parent.mkdir(exist_ok=True)
    for argv in (["json", "--quiet", "-o", str(scratch)], ["html", "--quiet", "-d", HTML]):
        done = subprocess.run([program, *argv], capture_output=True, text=True)
        if done.returncode:
            why = (done.stdout + done.stderr).strip()[-300:]
            raise PipelineError("There is no coverage to report.", why, "run the tests first")
    have = measured(json.loads(scratch.read_text(encoding="utf-8")))
    told_as = ", ".join(f"{name} {value:.1f} %" for name, value in have.items())
    github.say(f"coverage: {told_as} (lines and branches; {HTML}/index.html)")
    if not gate:
        return 0
    ours = floors(Path(FLOORS).read_text(encoding="utf-8"), FLOORS)
    bad = problems(have, ours, base_floors(os.environ.get("BASE") or "main"))
    github.summary(f"Coverage: {told_as}" + "".join(f"\n\n{one}" for one in bad))
    for one in bad:
        github.error(one, FLOORS)
        github.say(f"coverage: {one}")
    for name, value in have.items():
        if value >= ours[name] + 1:
            github.say(f"coverage: the floor of {name} can rise to {int(value)} ({FLOORS})")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(told(main))
