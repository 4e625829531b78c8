"""`make gate`: the one required check. It is green only where every job before it is."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from typing import Any

from pipeline import github
from pipeline.errors import PipelineError, told


def failed(needs: Mapping[str, Any], may_skip: frozenset[str] = frozenset()) -> list[str]:
    """The jobs that did not succeed, sorted; one that may be skipped counts only if it failed.

    Args:
        needs: GitHub's ``needs`` context: each job's ``result``.
        may_skip: jobs that are skipped on purpose.
    """
    bad = []
    for job, told_of in sorted(needs.items()):
        result = told_of.get("result") if isinstance(told_of, Mapping) else None
        if result != "success" and not (result == "skipped" and job in may_skip):
            bad.append(f"{job} ({result})")
    return bad


def main() -> int:
    """1 with the names of the jobs that did not succeed; reads ``NEEDS`` and ``MAY_SKIP``."""
    try:
        needs = json.loads(os.environ.get("NEEDS", ""))
    except ValueError:
        needs = None
    if not isinstance(needs, dict) or not needs:
        raise PipelineError(
            "There is nothing to judge.", "NEEDS holds no jobs", "give it toJSON(needs)"
        )
    bad = failed(needs, frozenset(os.environ.get("MAY_SKIP", "").split()))
    rows = [f"| {job} | {told_of['result']} |" for job, told_of in sorted(needs.items())]
    github.summary("\n".join(["| job | |", "|---|---|", *rows]))
    if bad:
        raise PipelineError("CI did not succeed.", ", ".join(bad), "open those jobs' logs")
    return 0


if __name__ == "__main__":
    sys.exit(told(main))
