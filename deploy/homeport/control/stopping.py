"""Ctrl-C, and the signals of a job that is cancelled: the host is asked to stop the run.

The first one asks, and what happens is followed on: before its commit a run takes back what it
began, after it, it is finished. The second leaves at once. GitHub sends SIGINT, SIGTERM after
7.5 seconds, and kills after 2.5 more: the run's end is often seen, and the host always asked.
"""

from __future__ import annotations

import signal
import socket
import sys
import threading
from types import FrameType, TracebackType
from typing import Any, Mapping

from homeport.control import github
from homeport.control.line import Lost
from homeport.control.session import Session
from homeport.errors import Cancelled, HomeportError, TooLate

#: verbs that only follow a run: of them Ctrl-C ends the looking
FOLLOWS = ("attach", "cancel")
SIGNALS = (signal.SIGINT, signal.SIGTERM)
#: how long the host may take to say which run it began, once that is to stop, in seconds
MOMENT = 3.0
#: how often somebody who is to leave is woken up, in seconds
AGAIN = 0.1


class Stopping:
    """While the block lasts, the first signal asks the host to stop the session's run.

    The second raises KeyboardInterrupt, and so does the first where the verb only ``follows``. A
    thread learns of them by a pipe: the block may be waiting for the host, and would not notice
    one that came right before that.
    """

    def __init__(self, session: Session, follows: bool) -> None:
        self._session, self._follows = session, follows
        self._before: dict[int, Any] = {}
        self._began, self._over = threading.Event(), threading.Event()
        self._leaving = self._left = False
        #: whether a signal came that asked for the run's end
        self.asked = False

    def __enter__(self) -> Stopping:
        self._main = threading.get_ident()
        self._signals, self._wakes = socket.socketpair()
        self._wakes.setblocking(False)
        self._fd = signal.set_wakeup_fd(self._wakes.fileno(), warn_on_full_buffer=False)
        for one in SIGNALS:
            self._before[one] = signal.signal(one, self._handle)
        self._watching = threading.Thread(target=self._watch, daemon=True)
        self._watching.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._left = True
        self._over.set()
        self._began.set()
        signal.set_wakeup_fd(self._fd)
        for one, before in self._before.items():
            signal.signal(one, before)
        self._wakes.close()
        self._watching.join()
        self._signals.close()

    def began(self) -> None:
        """The host has said which run it is."""
        self._began.set()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._leaving and not self._left:
            self._left = True
            raise KeyboardInterrupt

    def _watch(self) -> None:
        while came := self._signals.recv(1):
            if came[0] not in SIGNALS or self._leaving:
                continue
            if self._follows or self.asked:
                self._leave()
                continue
            self.asked = True
            threading.Thread(target=self._ask, daemon=True).start()

    def _leave(self) -> None:
        """Wake the block up until it has left."""
        self._leaving = True
        while not self._over.wait(AGAIN):
            signal.pthread_kill(self._main, signal.SIGINT)

    def _ask(self) -> None:
        if not self._began.wait(MOMENT):
            # nothing has begun that could be stopped: an upload, or a host that does not answer
            self._leave()
        if self._over.is_set() or not self._session.run:
            return
        try:
            self._session.cancel()
        except (HomeportError, Lost, OSError) as error:
            failed = f"The host could not be asked to stop: {error}"
            print(f"\n{github.foreign(failed)}", file=sys.stderr)
            return
        print("\nThe host is asked to stop; Ctrl-C again leaves at once.", file=sys.stderr)


def tell_left(run: str, asked: bool) -> None:
    """What it means that nobody looks on any more."""
    if not run:
        print("\nStopped before the host said that it began.", file=sys.stderr)
        print("  to be sure:  homeport status", file=sys.stderr)
        return
    goes_on = f"The host goes on with run {run} by itself"
    told = f"{goes_on}, to stop it or to finish it." if asked else f"{goes_on}."
    print(f"\n{told}", file=sys.stderr)
    print(f"  to see how it ends:  homeport attach {run}", file=sys.stderr)


def verdict(told: Mapping[str, Any], verb: str, asked: bool) -> Mapping[str, Any]:
    """A run's verdict as whoever wanted it stopped is to read it, with an exit code that says so.

    A run that ended well all the same was past its commit: TooLate. For the verb ``cancel`` a run
    that was stopped is what was asked for.
    """
    code = int(told.get("code", 0))
    if verb == "cancel" and code == Cancelled.code:
        return {**told, "code": 0, "problems": ()}
    if (verb == "cancel" and told.get("outcome") != "nothing-to-do" or asked) and code == 0:
        sentence = f"it was too late to stop it, and it was finished: {told.get('sentence', '')}"
        return {**told, "code": TooLate.code, "sentence": sentence}
    return told
