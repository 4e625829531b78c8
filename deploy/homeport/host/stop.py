"""A run that is asked to stop: a file ``RUN.cancel`` beside what the run tells.

Whoever asks puts the file there whole, with who it was. The run looks for it between two steps, and
in the middle of those that may end there, and heeds it once: what it began is taken back as after
any failure. It looks no more from its commit on, nor while something is taken or brought back: that
is finished. The file names one run, so that one left by a crash stops nobody.
"""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Callable, Iterator

from homeport.core import words
from homeport.errors import Cancelled, HomeportError, Problem
from homeport.host.paths import Paths, write
from homeport.host.store import faulty, pressed
from homeport.model import Cause
from homeport.planned import Step

#: how often somebody looks while a step cannot do so itself, in seconds
LOOK = 0.1
#: operations that may end in the middle: what is left then, one that fails leaves as well, and no
#: data that anybody works on is being written
SAFE = frozenset(
    ("pull", "edge-pull", "probe", "smoke", "schema", "drain", "rehearse")
    + ("backup", "verify", "snapshot", "verify-sets", "offsite", "drill", "fetch")
)


def path(paths: Paths, run: str) -> Path:
    """Where it is said that a run is to stop."""
    return paths.runs / f"{run}.cancel"


def ask(paths: Paths, run: str, cause: Cause) -> None:
    """Say that a run is to stop; raises HostFault where the disk takes no more writes."""
    where = path(paths, run)
    with faulty("the run cannot be asked to stop", where):
        pressed(paths, lambda: write(where, json.dumps(asdict(cause))))


class Stop:
    """Whether a run is to stop, looked at by the run itself."""

    def __init__(self, where: Path) -> None:
        self._path = where
        self._heeds = True
        self._within = ""

    def asked(self) -> bool:
        """Whether somebody asked, and the run still heeds it."""
        return self._heeds and self._path.exists()

    def before(self, step: Step) -> Cancelled | None:
        """What ends the run right before a step, where it is to; after a commit nothing does."""
        if self.asked():
            return self._cancelled(f"before {step.id}")
        self._within = step.id if step.do in SAFE else ""
        self._heeds = self._heeds and not step.commit
        return None

    def look(self) -> None:
        """Raise Cancelled in the middle of a step, where it may end there and is to."""
        if self._within and self.asked():
            raise self._cancelled(f"at {self._within}")

    def waiting(self) -> None:
        """Raise Cancelled for a run that only waits until it may begin."""
        if self.asked():
            raise self._cancelled("while it waited for another run")

    @contextmanager
    def deaf(self) -> Iterator[None]:
        """What goes on in the block is done to its end, whoever asks."""
        heeds, self._heeds = self._heeds, False
        try:
            yield
        finally:
            self._heeds = heeds

    @contextmanager
    def breaks(self, end: Callable[[], None]) -> Iterator[None]:
        """A block that waits for something else, which ``end``, called from a thread, ends.

        Raises Cancelled where that was done. ``end`` may be called again until the block is left.
        """
        if not self._within or not self._heeds:
            yield
            return
        over, ended = threading.Event(), threading.Event()

        def watch() -> None:
            while not over.wait(LOOK):
                if self.asked():
                    ended.set()
                    end()

        watching = threading.Thread(target=watch, daemon=True)
        watching.start()
        try:
            yield
        except (HomeportError, OSError) as error:
            # what the block broke off with is told as what it is
            if isinstance(error, Cancelled) or not ended.is_set():
                raise
        finally:
            over.set()
            watching.join()
        if ended.is_set() and self._heeds:
            raise self._cancelled(f"at {self._within}")

    def _cancelled(self, when: str) -> Cancelled:
        """The error that ends the run: who asked, when, and why."""
        self._heeds = False
        who, why = _asker(self._path)
        mend = "the same command again, if it is to be done after all"
        return Cancelled(Problem(f"{who} stopped the run", when, why, mend))


def _asker(where: Path) -> tuple[str, str]:
    """Who asked and why, as far as the file says."""
    try:
        told = json.loads(where.read_text("utf-8"))
        return words.sentence(str(told["who"])) or "somebody", words.sentence(str(told["why"]))
    except (OSError, ValueError, KeyError, TypeError):
        return "somebody", ""
