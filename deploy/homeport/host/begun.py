"""A one-shot container that was begun: what it writes is read by whoever asks how it ended."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Iterator

from homeport.errors import HostFault, Problem
from homeport.host.engine import Engine
from homeport.host.faults import EngineError
from homeport.host.unix import frames

#: characters that are kept of what it writes: its answer, and the end of what it complains of
MOST, TAIL = 16 * 1024 * 1024, 4000
#: what runc says by its exit code where the program is missing or is none
MISSING = (126, 127)
#: seconds of silence beyond its time after which it is not listened to any more
SILENCE = 60.0


@dataclass(frozen=True)
class Output:
    """How a command in a one-shot container ended, and what it wrote."""

    code: int
    out: str
    err: str


class Late(HostFault):
    """A command that had no end in its time and was killed; ``output`` is what it had written."""

    output: Output = Output(-1, "", "")


class Begun:
    """Starts a container that was made, and listens to it.

    Args:
        engine: the Engine that made it.
        made: its id.
        within: seconds that its command gets, from when its end is asked for.
    """

    def __init__(self, engine: Engine, made: str, within: float) -> None:
        self.made = made
        self._engine, self._within = engine, within
        self._missing: Output | None = None
        query = {"stream": "1", "stdout": "1", "stderr": "1"}
        self._answer = engine.stream(
            "POST", f"/containers/{made}/attach", query=query, timeout=within + SILENCE
        )
        try:
            engine.start(made)
        except EngineError as error:
            self._answer.close()
            self._missing = self._none(error)
        except BaseException:
            self._answer.close()
            raise

    def _none(self, error: EngineError) -> Output:
        """What to say of a program that the image does not have; another error goes on."""
        state = (self._engine.inspect(self.made) or {}).get("State") or {}
        if state.get("ExitCode") not in MISSING:
            raise error
        return Output(int(state["ExitCode"]), "", str(error))

    def over(self, within: float) -> bool:
        """Whether it has ended, or does within so many seconds."""
        end = time.monotonic() + within
        while self._missing is None and self._runs():
            if time.monotonic() >= end:
                return False
            time.sleep(0.05)
        return True

    def _runs(self) -> bool:
        return bool(((self._engine.inspect(self.made) or {}).get("State") or {}).get("Running"))

    def end(self, what: str, where: str) -> Output:
        """Read what it writes until it has ended; raises Late where it was killed for its time.

        ``what`` is the command's name and ``where`` whose it is, for that error.
        """
        if self._missing:
            return self._missing
        late = threading.Event()

        def end() -> None:
            late.set()
            kill(self.made)

        timer = threading.Timer(self._within, end)
        timer.daemon = True
        timer.start()
        try:
            out, err = _read(frames(self._answer))
            code = int(self._engine.call("POST", f"/containers/{self.made}/wait")["StatusCode"])
        finally:
            timer.cancel()
            self._answer.close()
        if late.is_set():
            what = f"{what} did not end within {self._within:g} s and was killed"
            fault = Late(Problem(what, where, err[-TAIL:].strip(), "homeport logs"))
            fault.output = Output(code, out, err)
            raise fault
        return Output(code, out, err)

    def close(self) -> None:
        """Remove it, whatever it does."""
        self._answer.close()
        self._engine.remove(self.made)


def kill(made: str) -> None:
    """End a container that runs, from another thread: the kept connection serves one at a time."""
    with suppress(HostFault):
        Engine().call("POST", f"/containers/{made}/kill")


def _read(parts: Iterator[tuple[int, bytes]]) -> tuple[str, str]:
    """Both streams as text: the begin of the one, the end of the other."""
    out, err = bytearray(), bytearray()
    for kind, data in parts:
        if kind == 1 and len(out) < MOST:
            out += data
        elif kind == 2:
            err = (err + data)[-TAIL:]
    return out.decode("utf-8", "replace"), err.decode("utf-8", "replace")
