"""A line to a host: where commands run, over SSH or on this very machine."""

from __future__ import annotations

import os
import select
import subprocess
import time
from typing import Protocol

#: bytes of one line of a command's; the longest there is, a long history, has a tenth of it
MOST = 16 * 1024 * 1024
#: what is kept of a command's stderr
TAIL = 4000


class Lost(Exception):
    """The connection broke, or nothing came for too long."""


class Pipe(Protocol):
    """One running command: bytes in, lines out."""

    def send(self, data: bytes) -> None:
        """Writes all of ``data`` to the command's stdin; raises Lost when it is gone."""

    def end_input(self) -> None:
        """Closes the command's stdin."""

    def read_line(self, timeout: float) -> bytes:
        """The next line, b"" at the end; raises Lost after ``timeout`` seconds of silence.

        Also where a line has more than ``MOST`` bytes.
        """

    def finish(self) -> tuple[int, str]:
        """The exit code (-1: unknown) and the end of stderr, once the output has ended."""


def grown(pending: bytes, chunk: bytes) -> bytes:
    """What has come of a line that has not ended; raises Lost where it would have no end."""
    if len(pending) > MOST:
        raise Lost(f"a line of more than {MOST >> 20} MiB came")
    return pending + chunk


class Line(Protocol):
    """A way to run shell commands on one host."""

    @property
    def where(self) -> str:
        """The host as a person knows it."""

    def run(self, command: str) -> Pipe:
        """Starts ``command`` in the host's shell; raises Lost when there is no connection."""

    def close(self) -> None:
        """Ends the line and what still runs over it."""


class LocalPipe:
    """A command of this machine."""

    def __init__(self, command: str) -> None:
        self._child = subprocess.Popen(
            ["/bin/sh", "-c", command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            # Ctrl-C in the terminal is for the controller, not for what it started
            start_new_session=True,
        )
        self._pending = b""
        self._errors = b""

    def send(self, data: bytes) -> None:
        assert self._child.stdin is not None
        try:
            self._child.stdin.write(data)
            self._child.stdin.flush()
        except OSError as error:
            raise Lost(str(error)) from None

    def end_input(self) -> None:
        assert self._child.stdin is not None
        try:
            self._child.stdin.close()
        except OSError:
            pass  # the command has ended already; its exit code tells

    def read_line(self, timeout: float) -> bytes:
        assert self._child.stdout is not None and self._child.stderr is not None
        out, err = self._child.stdout.fileno(), self._child.stderr.fileno()
        deadline = time.monotonic() + timeout
        watched = [out, err]
        while b"\n" not in self._pending:
            ready, _, _ = select.select(watched, [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                raise Lost(f"nothing came for {timeout:g} s")
            if err in ready:
                chunk = os.read(err, 65536)
                self._errors = (self._errors + chunk)[-TAIL:]
                if not chunk:
                    watched.remove(err)
            if out in ready:
                chunk = os.read(out, 65536)
                if not chunk:
                    rest, self._pending = self._pending, b""
                    return rest
                self._pending = grown(self._pending, chunk)
        line, _, self._pending = self._pending.partition(b"\n")
        return line + b"\n"

    def finish(self) -> tuple[int, str]:
        assert self._child.stderr is not None
        self.end_input()
        try:
            self._errors = (self._errors + self._child.stderr.read())[-TAIL:]
            return self._child.wait(timeout=15), self._errors.decode("utf-8", "replace")
        except subprocess.TimeoutExpired:
            return -1, self._errors.decode("utf-8", "replace")

    def close(self) -> None:
        """Leaves the command: its stdin and stdout end here."""
        for stream in (self._child.stdin, self._child.stdout, self._child.stderr):
            if stream is not None:
                try:
                    stream.close()
                except OSError:
                    pass  # unsent bytes of a command that has ended
        self._child.poll()


class LocalLine:
    """This machine as the host."""

    where = "this machine"

    def __init__(self) -> None:
        self._pipes: list[LocalPipe] = []

    def run(self, command: str) -> Pipe:
        pipe = LocalPipe(command)
        self._pipes.append(pipe)
        return pipe

    def close(self) -> None:
        for pipe in self._pipes:
            pipe.close()
