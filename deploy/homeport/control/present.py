"""Events for people: a live list of steps on a terminal, plain lines anywhere else."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from typing import Any, Mapping, Protocol, TextIO

from homeport.core import words
from homeport.errors import HomeportError, Problem, from_wire

Event = Mapping[str, Any]
MARKS = {"begin": "…", "done": "✓", "failed": "✗"}


class View(Protocol):
    """What shows a run while it goes on."""

    def show(self, event: Event) -> None:
        """Shows one event."""

    def close(self) -> None:
        """Ends the view; what it showed stays."""


def for_terminal(out: TextIO | None = None, verbose: bool = False) -> View:
    """A live view where ``out`` (stderr) is a terminal a person looks at, else plain lines."""
    out = out or sys.stderr
    if os.environ.get("GITHUB_ACTIONS") == "true":
        from homeport.control.github import Grouped

        return Grouped(out, verbose)
    plain = not out.isatty() or "CI" in os.environ or os.environ.get("TERM") == "dumb"
    if plain:
        return Plain(out, verbose)
    from homeport.control.live import Live

    return Live(out, verbose)


class Plain:
    """One line for what began, one for how it ended."""

    def __init__(self, out: TextIO, verbose: bool = False) -> None:
        self._out = out
        self._verbose = verbose
        self._causes: dict[str, str] = {}
        self._said: set[str] = set()
        self._tenth: dict[str, int] = {}

    def show(self, event: Event) -> None:
        kind = event["e"]
        if kind == "run":
            self._say(f"{event.get('verb', 'run')} of {event.get('app', '')}: {event.get('run')}")
        elif kind == "plan":
            self._plan(event)
        elif kind == "step":
            self._step(event)
        elif kind == "progress":
            self._progress(event)
        elif kind == "notice" and "text" in event:
            self._say(f"note: {event['text']}")
        elif kind == "trace" and self._verbose:
            self._say(str(event.get("text", "")))
        elif kind == "log":
            self._once(f"  {event.get('service', '')} | {event.get('line', '')}")

    def close(self) -> None:
        self._out.flush()

    def _plan(self, event: Event) -> None:
        for step in event.get("steps", ()):
            self._causes[step_id(step)] = cause(step)
        mode = f", {event['mode']}" if event.get("mode") else ""
        if event.get("release"):
            self._say(f"release {event['release']}{mode}, {len(event.get('steps', ()))} steps")
        for skip in event.get("skips", ()) if self._verbose else ():
            self._say(f"  - {step_id(skip)} left out: {reason(skip)}")
        for notice in event.get("notices", ()):
            self._say(f"note: {notice}")

    def _step(self, event: Event) -> None:
        name, state = str(event.get("id")), str(event.get("state"))
        if state == "begin":
            why = self._causes.get(name, "")
            if self._verbose:
                self._say(f"{MARKS['begin']} {name}" + (f"  ({why})" if why else ""))
            return
        note = f"  {event['note']}" if event.get("note") else ""
        self._say(f"{MARKS.get(state, '?')} {name}{took(event)}{note}")

    def _progress(self, event: Event) -> None:
        """A line a tenth: a log of CI is no place for a moving bar."""
        name, total = str(event.get("id")), int(event.get("total") or 0)
        tenth = 10 * int(event.get("done") or 0) // total if total else 0
        if total and self._tenth.get(name) != tenth:
            self._tenth[name] = tenth
            self._say(f"  {event.get('text', name)}: {amount(event)}")
        elif not total:
            self._once(f"  {event.get('text', '')}")

    def _once(self, line: str) -> None:
        if line not in self._said:
            self._said.add(line)
            self._say(line)

    def _say(self, line: str) -> None:
        print(line, file=self._out, flush=True)


def step_id(step: Any) -> str:
    """The id of a step or skip, told as an object or as a pair."""
    return str(step.get("id", "")) if isinstance(step, Mapping) else str(step[0])


def cause(step: Any) -> str:
    """Why a step is there."""
    return str(step.get("cause", "")) if isinstance(step, Mapping) else str(step[-1])


def reason(skip: Any) -> str:
    """Why a step is left out."""
    return str(skip.get("reason", "")) if isinstance(skip, Mapping) else str(skip[-1])


def took(event: Event) -> str:
    """``  1.2 s``, or nothing where it was not told."""
    seconds = event.get("seconds")
    return f"  {seconds:.1f} s" if isinstance(seconds, (int, float)) else ""


def amount(event: Event) -> str:
    """``12 of 40 MB``."""
    done, total = int(event.get("done") or 0), int(event.get("total") or 0)
    return f"{done / 1e6:.0f} of {total / 1e6:.0f} MB"


def verdict(event: Event, out: TextIO | None = None, verbose: bool = False) -> None:
    """The last event as one sentence, with the problems and what mends them."""
    out = out or sys.stderr
    code = int(event.get("code", 0))
    mark = "✓" if code == 0 else "✗"
    error = from_wire(event)
    sentence = str(event.get("sentence") or "done")
    if sentence == str(error) and error.problems:
        # it stands below, with where and why: nothing is said twice
        sentence = error.meaning
    print(f"{colour(mark, code == 0, out)} {sentence}", file=out)
    if error.problems:
        problems(error, out)
    if verbose:
        for key, value in sorted(dict(event.get("figures") or {}).items()):
            print(f"  {key}: {value}", file=out)


def failure(error: HomeportError, out: TextIO | None = None) -> None:
    """An error of the controller's own, in the same form."""
    out = out or sys.stderr
    print(f"{colour('✗', False, out)} {error.meaning}", file=out)
    problems(error, out)


def problems(error: HomeportError, out: TextIO) -> None:
    """Every problem with its reason and what mends it, a blank line before each."""
    for problem in error.problems or (Problem(error.meaning),):
        print(file=out)
        # what a container said may have many lines: they stay under their "why:"
        whole = replace(problem, why=problem.why.replace("\n", "\n        "))
        # a container's words, or another program's on this machine
        for line in words.harmless(whole.text()).split("\n"):
            print(f"  {line}", file=out)


def colour(text: str, good: bool, out: TextIO) -> str:
    """``text`` in green or red where ``out`` is a terminal that wants colour."""
    if not out.isatty() or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return text
    return f"\x1b[{32 if good else 31}m{text}\x1b[0m"
