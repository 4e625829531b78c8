"""`make secrets`: keys and passwords that should not be in the repository, in any commit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from pipeline import github, tools
from pipeline.errors import OutOfReach, PipelineError, told

CONFIG = ".gitleaks.toml"


def findings(report: list[dict[str, Any]]) -> list[tuple[str, int, str]]:
    """The (file, line, sentence) triples of a report, sorted; never the secret itself."""
    found = []
    for one in report:
        commit = str(one.get("Commit", ""))[:12]
        where = f" in commit {commit}" if commit else ""
        text = f"{one['Description']} ({one['RuleID']}){where}: {one['Fingerprint']}"
        found.append((str(one["File"]), int(one["StartLine"]), text))
    return sorted(found)


def ask(mode: str) -> list[tuple[str, int, str]]:
    """What gitleaks finds in the tree as it lies here (``dir``) or in every commit (``git``).

    Raises:
        PipelineError: it cannot be had, or did not end well.
    """
    program = tools.go(tools.GITLEAKS)
    if not program:
        raise OutOfReach("Secrets were not looked for.", "Go is not here", "https://go.dev/dl/")
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        options = ["--config", CONFIG, "--redact", "--no-banner", "--exit-code", "0"]
        options += ["--report-format", "json", "--report-path", str(report)]
        env = {**os.environ, "GOFLAGS": ""}
        command = [*program, mode, *options, "."]
        try:
            done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=900)
        except subprocess.TimeoutExpired:
            why = "no end after 900 s"
            raise PipelineError("Secrets were not looked for.", why, "try again") from None
        if done.returncode or not report.is_file():
            raise PipelineError(
                "Secrets were not looked for.", done.stderr.strip()[-600:], "see what it says"
            )
        return findings(json.loads(report.read_text(encoding="utf-8") or "[]"))


def main() -> int:
    """1 where something looks like a secret."""
    found = sorted({*ask("git"), *ask("dir")})
    for file, line, text in found:
        github.error(text, file, line)
        github.say(f"{file}:{line}: {text}")
    if found:
        github.say("hint: change the secret where it is valid first; then take it out of the files")
    github.say(f"secrets: {len(found)} found")
    github.summary(f"Secrets in any commit: {len(found) or 'none found'}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(told(main))
