"""Figures that README quotes: one JSON file a measurement, with where and when it was made."""

from __future__ import annotations

import fcntl
import json
import os
import platform
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.images import TOP

FOLDER = TOP / "build" / "evidence"
MIB = 1024 * 1024
#: the keys that say where figures come from
ORIGIN = ("date", "commit", "machine")


def write(name: str, figures: Mapping[str, Any], folder: Path = FOLDER) -> Path:
    """Store a measurement's figures, whole or not at all.

    Args:
        name: of the measurement; the file is ``build/evidence/NAME.json``.
        figures: what was measured, JSON-ready; its keys stand at the top of the file.
        folder: where to write instead.

    Returns:
        The file's path.

    Raises:
        ValueError: the figures use one of the keys that say where they come from.
        OSError: the folder cannot be written.
    """
    origin = dict(zip(ORIGIN, (_now(), commit(), machine())))
    taken = sorted(set(origin) & set(figures))
    if taken:
        raise ValueError(f"{name}: {', '.join(taken)} is filled in by evidence itself")
    folder.mkdir(parents=True, exist_ok=True)
    path, beside = folder / f"{name}.json", folder / f".{name}.{os.getpid()}"
    text = json.dumps({**origin, **figures}, indent=2, ensure_ascii=False) + "\n"
    # README's figures are read from here while a measurement may be cut short at any moment
    with open(beside, "w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(beside, path)
    return path


def add(name: str, folder: Path = FOLDER, **figures: Any) -> Path:
    """Add figures to a measurement's file; what it has of the same names is replaced.

    Several tests measure parts of one promise, side by side: each adds its own.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / f".{name}.lock", "w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        try:
            known = json.loads((folder / f"{name}.json").read_text("utf-8"))
        except (FileNotFoundError, ValueError):
            known = {}
        for key in ORIGIN:
            known.pop(key, None)
        return write(name, {**known, **figures}, folder)


def commit() -> str:
    """The commit measured, ``+changes`` behind it where the tree differs; or ``unknown``."""
    head = _said("git", "-C", str(TOP), "rev-parse", "HEAD")
    changed = _said("git", "-C", str(TOP), "status", "--porcelain", "--untracked-files=no")
    return f"{head}{'+changes' if changed else ''}" if head else "unknown"


def machine() -> dict[str, Any]:
    """Usable cores, memory in MiB, kernel, architecture, and Docker's and Python's versions."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // MIB
    return {
        "cores": len(os.sched_getaffinity(0)),
        "memory_mib": memory,
        "kernel": platform.release(),
        "arch": platform.machine(),
        "docker": _said("docker", "version", "--format", "{{.Server.Version}}") or "unknown",
        "python": platform.python_version(),
    }


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _said(*argv: str) -> str:
    """What a program printed; nothing where it is missing or fails."""
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
