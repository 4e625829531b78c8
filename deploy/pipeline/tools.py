"""Where the pipeline's outside tools come from: the venv, Debian, or Go's module proxy."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from pipeline.errors import PipelineError

# Fetched and compiled by Go, which checks each against its public checksum database. None needs a
# newer Go than 1.26.
ACTIONLINT = "github.com/rhysd/actionlint/cmd/actionlint@v1.7.12"
GITLEAKS = "github.com/zricethezav/gitleaks/v8@v8.30.1"
OSV_SCANNER = "github.com/google/osv-scanner/v2/cmd/osv-scanner@v2.4.0"


def beside(name: str) -> str:
    """The path of a program of this Python's own venv."""
    return str(Path(sys.executable).parent / name)


def go(module: str) -> tuple[str, ...]:
    """The command that runs a Go program at its pinned version; empty where Go is not there."""
    program = shutil.which("go")
    return (program, "run", module) if program else ()


def tracked(top: Path) -> list[str]:
    """The files git knows or would add, sorted.

    Raises:
        PipelineError: this is no checkout.
    """
    done = subprocess.run(
        ["git", "-C", str(top), "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        capture_output=True,
    )
    if done.returncode:
        why = done.stderr.decode(errors="replace").strip()
        raise PipelineError("git does not say which files there are.", why, "run it in a checkout")
    return sorted(set(filter(None, done.stdout.decode().split("\0"))))


def shellcheck() -> str | None:
    """The path of shellcheck, taken from Debian where we may; None where it cannot be had."""
    from lab import debian
    from lab.docker import may_install

    if not shutil.which("shellcheck") and may_install():
        debian.install(["shellcheck"], newer=False)
    return shutil.which("shellcheck")


def compose_is_there() -> bool:
    """Whether `docker compose` answers; the lab brings it along where it may install."""
    from lab.docker import ensure_engine, may_install, missing

    if may_install():
        ensure_engine(lambda text: print(f"lab: {text}", file=sys.stderr, flush=True))
    return not any("Compose" in lack for lack in missing())
