"""The model in a process of its own, on the engine as it is or with a mutant's mistake in it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench.faults.mutants import Mutant
from bench.images import TOP

DEPLOY = TOP / "deploy"
#: what a mistake does is seen within so many disturbances
MUTATED = 1


def explored(disturbances: int, only: str = "", source: Path = DEPLOY) -> dict[str, Any]:
    """What the model tells of the package ``homeport`` in the folder ``source``."""
    argv = [sys.executable, "-m", "bench.model", f"--disturbances={disturbances}"]
    path = os.pathsep.join((str(source), str(DEPLOY)))
    done = subprocess.run(
        [*argv, f"--only={only}"],
        env={**os.environ, "PYTHONPATH": path},
        cwd=TOP,
        capture_output=True,
        text=True,
    )
    if done.returncode not in (0, 1) or not done.stdout.startswith("{"):
        raise RuntimeError(f"the model did not end by itself: {done.stderr[-2000:]}")
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def caught(mutant: Mutant) -> str:
    """The violation by which the model finds a mutant; empty where it does not."""
    with tempfile.TemporaryDirectory(prefix="homeport-mutant-") as folder:
        package = Path(folder) / "homeport"
        shutil.copytree(DEPLOY / "homeport", package, ignore=shutil.ignore_patterns("__pycache__"))
        mutant.apply(package)
        return str(explored(MUTATED, mutant.shows, Path(folder))["violation"])
