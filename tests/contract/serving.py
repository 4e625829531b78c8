"""MyFoodBudget on a port of this machine, served as the image serves it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
DEADLINE = 30.0


@contextmanager
def served(folder: Path, **settings: str) -> Iterator[str]:
    """gunicorn with its own gunicorn.conf.py and a database in the folder.

    Args:
        folder: where food.db is, or will be.
        settings: more variables.

    Returns:
        the address, `http://127.0.0.1:PORT`.
    """
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = int(one.getsockname()[1])
    known = {
        "PATH": os.environ["PATH"],
        "SECRET_KEY": "k" * 32,
        "DATABASE_URL": f"sqlite:///{folder}/food.db",
        "HOMEPORT_BIND": f"127.0.0.1:{port}",
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "gunicorn"],
        cwd=ROOT,
        env=known | settings,
        stdout=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + DEADLINE
        while not _ready(port):
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(DEADLINE)


def _ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/ready", timeout=DEADLINE):
            return True
    except OSError:
        return False
