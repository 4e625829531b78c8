"""`make audit`: known holes in what is locked. pip-audit is the gate; safety may add to it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from pipeline import github, markers, tools
from pipeline.errors import OutOfReach, PipelineError, told

LOCKS = (
    "requirements.txt",
    "requirements-dev.txt",
    "deploy/requirements.txt",
    "deploy/requirements-agent.txt",
)
MEND = "reach the package index itself: a mirror of its files knows nothing of holes"
# What it needs is taken as it was on that day: a release of any of it cannot break the check.
SAFETY = ("--exclude-newer", "2026-11-01", "safety@3.8.1")
# A hole that was looked at and does not concern us: its id, and why, until when.
ACCEPTED: dict[str, str] = {}


def holes(report: dict[str, Any]) -> list[str]:
    """The holes in a report of pip-audit's, as ``package version: ID (mended in …)``, sorted."""
    found = []
    for package in report.get("dependencies", []):
        for hole in package.get("vulns", []):
            if hole["id"] in ACCEPTED:
                continue
            mended = ", ".join(hole.get("fix_versions") or ["no release"])
            name = f"{package['name']} {package['version']}"
            found.append(f"{name}: {hole['id']} (mended in {mended})")
    return sorted(found)


def skipped(report: dict[str, Any]) -> list[str]:
    """The packages of a report that nothing was found out about, with the reason, sorted."""
    packages = report.get("dependencies", [])
    return sorted(
        f"{one['name']}: {one['skip_reason']}" for one in packages if "skip_reason" in one
    )


def unseen(report: dict[str, Any], lock: str) -> list[str]:
    """The packages of a lock file's text that a report is silent about, sorted.

    An entry with a marker may be meant for another Python than this one, so it may be missing.
    """
    told_of = {_same(one["name"]) for one in report.get("dependencies", [])}
    pins = [entry for entry in markers.entries(lock) if ";" not in entry]
    return sorted({_same(re.split(r"[=\[]", pin)[0]) for pin in pins} - told_of)


def _same(name: str) -> str:
    """A package's name as the index compares names."""
    return re.sub(r"[-_.]+", "-", name).lower()


def ask(lock: str) -> list[str]:
    """The holes in one lock file.

    Raises:
        OutOfReach: no answer was had, or not about every package: that is no clean bill.
    """
    command = [tools.beside("pip-audit"), "--requirement", lock, "--require-hashes"]
    command += ["--disable-pip", "--format", "json", "--progress-spinner", "off"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
        report = json.loads(done.stdout)
    except (OSError, ValueError, subprocess.TimeoutExpired) as failed:
        # of a traceback of its own only the last line tells people anything
        lines = (
            done.stderr.strip().splitlines() if isinstance(failed, ValueError) else [str(failed)]
        )
        said = (lines or ["pip-audit said nothing"])[-1][-600:]
        raise OutOfReach(f"{lock} was not audited.", said, MEND) from None
    passed = skipped(report) + unseen(report, Path(lock).read_text(encoding="utf-8"))
    if passed:
        # a mirror that knows the files but not the holes: pip-audit calls that a clean end
        why = f"{len(passed)} packages were passed over, the first: {passed[0]}"
        raise OutOfReach(f"{lock} was not audited.", why, MEND)
    return holes(report)


def second_opinion() -> str:
    """What safety says where SAFETY_API_KEY is set; "" where it is not, or it is content."""
    if not os.environ.get("SAFETY_API_KEY"):
        github.say("audit: safety is left out: SAFETY_API_KEY is not set")
        return ""
    # not among the locked tools: it brings 60 packages for a check that most cannot run
    command = [tools.beside("uv"), "tool", "run", *SAFETY, "--stage", "cicd", "scan"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    except subprocess.TimeoutExpired:
        return "safety gave no answer within 600 s"
    return "" if done.returncode == 0 else (done.stdout + done.stderr).strip()[-4000:]


def main() -> int:
    """1 where a locked package has a known hole."""
    rows, bad = ["| lock file | holes |", "|---|---|"], 0
    for lock in LOCKS:
        if not Path(lock).is_file():
            raise PipelineError("A lock file is missing.", lock, "make lock")
        found = ask(lock)
        rows.append(f"| {lock} | {len(found) or 'none known'} |")
        bad += len(found)
        for hole in found:
            github.error(hole, lock)
            github.say(f"{lock}: {hole}")
    opinion = second_opinion()
    if opinion:
        github.say(opinion)
        github.error(f"safety: {opinion[-500:]}")
    github.summary("\n".join(rows))
    github.say(f"audit: {bad} known holes in {len(LOCKS)} lock files")
    return 1 if bad or opinion else 0


if __name__ == "__main__":
    sys.exit(told(main))
