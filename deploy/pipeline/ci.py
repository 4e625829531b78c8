"""`make ci`: what ci.yml runs, here, in its order; what this machine cannot do is named."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline import github
from pipeline.errors import NOTE, PipelineError, told

WORKFLOW = Path(".github/workflows/ci.yml")
#: steps that only mean something among GitHub's jobs, with the reason
ONLY_THERE = {"make gate": "it judges the other jobs; here their end is the verdict"}


@dataclass(frozen=True)
class Step:
    """One `run:` of a job: whose it is, the command, and its matrix value where it has one."""

    job: str
    command: str
    python: str = ""


@dataclass(frozen=True)
class Ended:
    """How a step ended: `passed`, `failed`, or `left out` and why."""

    step: Step
    word: str
    seconds: float
    why: str = ""


def order(jobs: dict[str, Any]) -> list[str]:
    """The jobs' names so that each comes after those it needs, else as they are written."""
    placed: list[str] = []
    while len(placed) < len(jobs):
        free = [
            name for name in jobs if name not in placed and set(_needs(jobs[name])) <= set(placed)
        ]
        if not free:
            raise PipelineError("ci.yml goes in a circle.", "", "look at its `needs`")
        placed.append(free[0])
    return placed


def _needs(job: dict[str, Any]) -> list[str]:
    needs = job.get("needs", [])
    return [needs] if isinstance(needs, str) else list(needs)


def steps(workflow: dict[str, Any]) -> list[Step]:
    """Every `run:` line of a workflow, in the order in which it could run on one machine."""
    found = []
    jobs = workflow["jobs"]
    for name in order(jobs):
        matrix = jobs[name].get("strategy", {}).get("matrix", {}).get("python", [""])
        for python in matrix:
            for step in jobs[name].get("steps", []):
                if "run" in step:
                    found.append(Step(name, step["run"].strip(), python))
                if "setup-python" in step.get("uses", "") and not python:
                    python = _fixed(step)
    return found


def _fixed(step: dict[str, Any]) -> str:
    version = str(step.get("with", {}).get("python-version", ""))
    return "" if "${{" in version else version


def command(step: Step) -> tuple[list[str], str]:
    """The words to run here, and why it is left out instead where it is."""
    if step.command in ONLY_THERE:
        return [], ONLY_THERE[step.command]
    words = shlex.split(step.command)
    # only the tests go by Python version; the other verbs use the venv that is there
    if step.command.startswith("make test-") and step.python:
        program = f"python{step.python}"
        try:
            there = subprocess.run([program, "--version"], capture_output=True).returncode == 0
        except OSError:
            there = False
        if not there:
            return [], f"{program} is not here"
        words.append(f"PYTHON={program}")
    return words, ""


def run(step: Step) -> Ended:
    """Runs a step in this terminal."""
    words, why = command(step)
    if why:
        return Ended(step, "left out", 0.0, why)
    title = f"{step.job}: {' '.join(words)}"
    github.say(f"\n=== {title}")
    began = time.monotonic()
    note = Path("build/left-out")
    note.unlink(missing_ok=True)
    done = subprocess.run(words, env={**os.environ, NOTE: str(note.resolve())})
    seconds = time.monotonic() - began
    if done.returncode == 0:
        return Ended(step, "passed", seconds)
    if note.is_file():
        return Ended(step, "left out", seconds, note.read_text(encoding="utf-8").strip())
    return Ended(step, "failed", seconds, f"exit code {done.returncode}")


def main() -> int:
    """Runs them all, the rest even where one fails; 1 where one did."""
    import yaml

    workflow = yaml.safe_load(WORKFLOW.read_text(encoding="utf-8"))
    Path("build").mkdir(exist_ok=True)
    ended = [run(step) for step in steps(workflow)]
    github.say("")
    for one in ended:
        python = f" ({one.step.python})" if one.step.command.startswith("make test-") else ""
        tail = f": {one.why}" if one.why else ""
        github.say(f"{one.word:9} {one.step.command}{python}  {one.seconds:.0f} s{tail}")
    return 1 if any(one.word == "failed" for one in ended) else 0


if __name__ == "__main__":
    sys.exit(told(main))
