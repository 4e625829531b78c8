"""A request asked a second time: it joins the run that the first one began.

A job of CI that is retried or run again sends the same key. While the first run goes on, the second
request follows it; who carries a run out holds a lock on ``RUN.key`` for as long as it lives, with
a key or without, so a run that died is never waited for. What the run did once it has ended is in
the journal, and is looked up under the app's lock (``Run.answered``).
"""

from __future__ import annotations

import fcntl
import json
import os
from contextlib import contextmanager, suppress
from typing import Iterator

from homeport.host import stop
from homeport.host.paths import Paths
from homeport.host.store import Store, pressed


@contextmanager
def door(paths: Paths, key: str) -> Iterator[None]:
    """Only one request with a key at a time looks for its run and begins one."""
    if not key:
        yield
        return
    paths.runs.mkdir(parents=True, exist_ok=True)
    handle = os.open(paths.runs.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def claim(paths: Paths, run: str, request: bytes) -> int:
    """Say that this process and its children carry ``run`` out; the key of its request.

    The handle that is returned keeps the claim, and dies with the last of them. Where somebody
    else has it, this waits.
    """
    key = json.loads(request).get("key")
    handle = os.open(paths.runs / f"{run}.key", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    fcntl.flock(handle, fcntl.LOCK_EX)
    # one that cannot be written down is still asked for under the app's lock
    with suppress(OSError):
        if key:
            pressed(paths, lambda: os.write(handle, str(key).encode()))
    return handle


@contextmanager
def claimed(paths: Paths, run: str, request: bytes) -> Iterator[None]:
    """The claim for as long as the block runs; a child that lives longer keeps it."""
    handle = claim(paths, run, request)
    try:
        yield
    finally:
        os.close(handle)


def carried(paths: Paths, run: str) -> bool:
    """Whether somebody carries the run out, or is about to recover it."""
    path = paths.runs / f"{run}.key"
    return path.exists() and _claimed(str(path))


def going_on(paths: Paths, key: str) -> str:
    """The newest run of that key which somebody carries out right now, or nothing.

    One that is being stopped is not what is asked for, unless it got past its commit.
    """
    found = sorted(paths.runs.glob("*.key"), reverse=True) if key else []
    for path in found:
        try:
            mine = path.read_text("utf-8", "replace") == key and _claimed(str(path))
            if mine and not _stopping(paths, path.stem):
                return path.stem
        except OSError:
            continue
    return ""


def _stopping(paths: Paths, run: str) -> bool:
    if not stop.path(paths, run).exists():
        return False
    known = Store(paths).history().run(run)
    return known is None or not known.committed


def _claimed(path: str) -> bool:
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False
