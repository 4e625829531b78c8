"""One request to the agent and its events, to the verdict, over one line to the host."""

from __future__ import annotations

import shlex
import subprocess
import zlib
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from threading import Thread
from typing import Any, Callable, Iterator

from homeport import wire
from homeport.control import bundle, heard
from homeport.control.line import Line, Lost, Pipe
from homeport.core import words
from homeport.errors import HomeportError, HostFault, Internal, NotSetUp, Problem, RunLost
from homeport.errors import TooLate, from_wire
from homeport.model import Image, Request

Event = dict[str, Any]
Open = Callable[[], Line]

#: the agent speaks at least every 15 s; three times that is a dead connection
SILENCE = 3 * wire.SILENCE
#: verbs that change something and go on without us
RUNS = ("deploy", "rollback", "restore", "restore-from", "recover", "remove", "attach", "cancel")


class Session:
    """Sends ``request`` over the line that ``open_line`` gives; iterate it for the events.

    The last event is always a verdict. A connection lost in the middle of a run is opened once
    more to attach to it; raises RunLost where that does not help, HostFault where the agent
    does not start.
    """

    def __init__(self, request: Request, open_line: Open) -> None:
        self._request = request
        self._open = open_line
        self._line: Line | None = None
        self._given: set[str] = set()
        self.run = ""

    def __iter__(self) -> Iterator[Event]:
        try:
            yield from self._events()
        finally:
            self.close()

    def cancel(self) -> None:
        """Asks the host to stop the run, from another thread, while this one is read on.

        Returns when the host has written that down; raises Lost or HomeportError where it did not.
        """
        request = Request("cancel", self._request.app, release=self.run, cause=self._request.cause)
        line = self._line or self._open()
        pipe = line.run(command(self._agent.hash))
        pipe.send(wire.frame(wire.encode(request).rstrip()))
        raw = pipe.read_line(SILENCE)
        if not raw:
            raise Lost("the host did not answer")
        event = heard.event(raw, line.where)
        if int(event.get("code", 0)) not in (0, TooLate.code):
            raise from_wire(event)

    def close(self) -> None:
        """Ends the line; a run on the host goes on."""
        if self._line is not None:
            self._line.close()
            self._line = None

    def _events(self) -> Iterator[Event]:
        # the host takes its time to answer the call; the agent's files are read meanwhile
        reading = Thread(target=self._read)
        reading.start()
        try:
            self._line = self._open()
        finally:
            reading.join()
        try:
            yield from self._converse(self._line, self._request)
            return
        except Lost as lost:
            if not self.run:
                raise self._never_began(lost) from None
            yield {"e": "notice", "text": f"connection lost ({lost}); attaching to {self.run}"}
        self.close()
        attach = replace(self._request, verb="attach", release=self.run, image=None)
        attach = replace(attach, auth="", opens="")
        try:
            self._line = self._open()
            yield from self._converse(self._line, attach)
        except (Lost, HomeportError) as error:
            raise self._lost(error) from None

    @cached_property
    def _agent(self) -> bundle.Bundle:
        return bundle.build()

    def _read(self) -> None:
        """Have the agent's files read; what is wrong with them is told when they are needed."""
        with suppress(OSError):
            _ = self._agent

    def _converse(self, line: Line, request: Request) -> Iterator[Event]:
        agent = self._agent
        self._given = set()
        pipe = line.run(command(agent.hash))
        # sent at once: waiting for an answer first would cost a round trip
        try:
            pipe.send(wire.frame(wire.encode(request).rstrip()))
        except Lost:
            # it may have ended before it read anything; then its exit code says why
            raise self._ended(pipe, line) from None
        while True:
            raw = pipe.read_line(SILENCE)
            if not raw:
                raise self._ended(pipe, line)
            event = heard.event(raw, line.where, colours=request.verb == "logs")
            if event["e"] == "need":
                yield from self._answer(event, pipe, line, agent, request.image)
                continue
            if event["e"] == "run":
                self.run = str(event.get("run", ""))
            yield event
            if event["e"] == "verdict":
                pipe.end_input()
                return

    def _answer(
        self, event: Event, pipe: Pipe, line: Line, agent: bundle.Bundle, image: Image | None
    ) -> Iterator[Event]:
        """What the agent asked for, once each: itself, or the image of the request."""
        asked = str(event.get("need"))
        if asked in self._given:
            raise HostFault.of(f"the host asks for the {asked} again and again", line.where)
        self._given.add(asked)
        if event.get("need") == "agent":
            packed = agent.packed()
            pipe.send(b"%d\n" % len(packed) + packed)
        elif event.get("need") == "image" and image is not None:
            failure = ""
            # the one that was asked for, whatever the host would like to have of this machine
            for step in send_image(image.ref, image.size, line):
                failure = str(step.get("failure", ""))
                yield step
            pipe.send(b"image failed\n" if failure else b"image ok\n")
        else:
            raise Internal.of(f"the agent asked for what is not known: {event}", line.where)

    def _ended(self, pipe: Pipe, line: Line) -> Exception:
        """Why there was no verdict: the agent never began, or the connection broke."""
        code, errors = pipe.finish()
        errors = words.harmless(errors)
        if code < 0 or self.run:
            return Lost("it was closed" if code < 0 else f"the agent ended with {code}")
        last = "\n".join(errors.strip().splitlines()[-10:])
        if code == 127:
            return NotSetUp.of(
                "the host has no python3", line.where, last, "on the host: apt install python3"
            )
        return HostFault.of(
            f"the agent ended with {code} and no verdict", line.where, last, "homeport recover"
        )

    def _never_began(self, lost: Lost) -> HomeportError:
        why = f"{lost}, before the host said that it began"
        mend = "homeport attach"
        if self._request.verb not in RUNS:
            mend = "the same command again"
        return RunLost.of("the connection was lost", why=why, mend=mend)

    def _lost(self, error: Exception) -> HomeportError:
        problems = error.problems if isinstance(error, HomeportError) else (Problem(str(error)),)
        first = Problem(
            "the connection was lost; the host goes on with the run by itself",
            f"run {self.run}",
            "and attaching to it again failed",
            f"homeport attach {self.run}",
        )
        return RunLost(first, *problems)


def command(agent: str) -> str:
    """The shell command that starts the agent of that hash on a host."""
    source = Path(__file__).with_name("bootstrap.py").read_text(encoding="utf-8")
    return f"exec python3 -I -c {shlex.quote(source)} {shlex.quote(agent)}"


def send_image(ref: str, size: int, line: Line) -> Iterator[Event]:
    """Streams ``docker save`` of this machine into ``docker load`` of the host, with progress.

    The last event carries ``failure``, the reason in a word or two, if it did not work.
    """
    save = subprocess.Popen(["docker", "save", ref], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert save.stdout is not None and save.stderr is not None
    load = line.run("docker load")
    packer = zlib.compressobj(1, wbits=31)
    sent = 0
    try:
        while chunk := save.stdout.read(1 << 20):
            load.send(packer.compress(chunk))
            sent += len(chunk)
            progress = {"e": "progress", "id": "pull", "text": f"sending {ref}"}
            yield {**progress, "done": sent, "total": max(size, sent)}
        load.send(packer.flush())
        load.end_input()
        while load.read_line(600):
            pass
        code, errors = load.finish()
    except Lost as lost:
        save.kill()
        code, errors = 1, str(lost)
    complaint = save.stderr.read().decode("utf-8", "replace").strip()
    if save.wait() or code:
        yield {"e": "notice", "failure": complaint or errors.strip() or f"docker load: {code}"}
        return
    yield {"e": "progress", "id": "pull", "text": f"sent {ref}", "done": sent, "total": sent}
