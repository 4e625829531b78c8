"""The app's lock: who holds it may change the app, and it ends with whoever holds it."""

from __future__ import annotations

import fcntl
import json
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Callable, Mapping

from homeport import wire
from homeport.errors import Busy, HomeportError, Problem


class Lock:
    """The app's lock: an flock that dies with its holder. The file says who holds it.

    ``away`` is whether it guards the way off the box instead.
    """

    def __init__(self, path: Path, away: bool = False) -> None:
        self._path, self._away = path, away
        self._handle = -1

    def take(
        self,
        about: Mapping[str, Any],
        within: float = 0.0,
        waiting: Callable[[], None] = lambda: None,
    ) -> None:
        """Take the lock within so many seconds, or raise Busy with who holds it.

        ``waiting`` is called again and again while somebody does; what it raises ends the wait.
        """
        handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        end = time.monotonic() + within
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                try:
                    if time.monotonic() >= end:
                        raise Busy(_held(self.holder(), self._away)) from None
                    waiting()
                except HomeportError:
                    os.close(handle)
                    raise
                time.sleep(0.05)
        os.ftruncate(handle, 0)
        # on a full disk it holds without saying for whom
        with suppress(OSError):
            os.pwrite(handle, wire.encode({"pid": os.getpid(), "since": time.time(), **about}), 0)
        self._handle = handle

    def holder(self) -> dict[str, Any]:
        """What the file says of its holder."""
        try:
            data = json.loads(self._path.read_text())
        except (OSError, ValueError):
            return {}
        return data if isinstance(data, dict) else {}

    def held(self) -> dict[str, Any]:
        """Who holds the lock right now; empty where nobody does."""
        try:
            handle = os.open(self._path, os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            return {}
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return self.holder() or {"run": "?"}
        finally:
            os.close(handle)
        return {}

    def release(self) -> None:
        """Let go."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1


def _held(holder: Mapping[str, Any], away: bool) -> Problem:
    since = max(0.0, time.time() - float(holder.get("since", time.time())))
    who = holder.get("who") or "somebody"
    verb, run = holder.get("verb", "a run"), holder.get("run", "")
    what = f"{verb} {run} by {who} holds the app"
    if away:
        what = f"{verb} {run} by {who} holds the way off the box"
    mend = f"homeport attach {holder.get('run', '')}".rstrip() + "   (shows it to its end)"
    return Problem(what, "host", f"since {since:.0f} s", mend)
