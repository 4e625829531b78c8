"""What the policy tests of workflows share: the files, the known actions, the verbs of make."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import yaml

from pipeline.workflows import File

ROOT = Path(__file__).parents[2]
KNOWN: dict[str, Any] = json.loads((ROOT / "tests/policy/actions.json").read_text())
VERBS = frozenset(
    name
    for line in (ROOT / "Makefile").read_text().splitlines()
    for name in re.findall(r"^([a-z][a-z-]*):(?!=)", line)
)
PATHS = sorted(ROOT.glob(".github/workflows/*.yml")) + sorted(
    ROOT.glob(".github/actions/*/action.yml")
)


def actions() -> dict[str, Any]:
    """The known actions, and our own under the paths by which they are used."""
    known = dict(KNOWN)
    for path in ROOT.glob(".github/actions/*/action.yml"):
        read = yaml.safe_load(path.read_text())
        known[f"./{path.parent.relative_to(ROOT)}"] = {
            "inputs": list(read["inputs"]),
            "outputs": list(read.get("outputs", {})),
        }
    return known


def parse(text: str, name: str = "try.yml") -> File:
    return File(name, text, yaml.safe_load(text), actions(), VERBS)
