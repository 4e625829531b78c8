"""Where the lab keeps its keys, and the locks by which its processes take turns."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def folder() -> Path:
    """The lab's state folder, made if absent, readable by its owner only."""
    base = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    path = Path(base) / "homeport-lab"
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


@contextmanager
def lock(name: str) -> Iterator[None]:
    """Hold the machine-wide lock of that name; another process waits here for its turn.

    It lies in /tmp and not in the state folder: engine, images and registry are the machine's,
    whoever's home the state lies in. An flock dies with its holder, so none is ever stale.
    """
    path = f"/tmp/homeport-lab-{os.getuid()}-{name}.lock"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
