"""GitHub's side of a run: log groups, annotations, the job's outputs. Inert outside of GitHub.

A line of the log that begins with ``::`` is a command to the runner. What people, containers and
hosts wrote is printed between ``stop-commands`` and a word that nobody can guess.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import sys
from typing import Mapping, TextIO

from homeport.control import present
from homeport.control.present import Event
from homeport.errors import HomeportError, Problem

#: what the runner could take for a command, of today's form or of the one before
_COMMAND = re.compile(r"^\s*::|##\[", re.MULTILINE)
WORKFLOW = "rollback.yml"


def active() -> bool:
    """Whether this is a job of GitHub Actions."""
    return os.environ.get("GITHUB_ACTIONS") == "true"


def escaped(text: str, name: bool = False) -> str:
    """``text`` as the message of a command; ``name``: as the value of one of its properties."""
    text = text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    return text.replace(":", "%3A").replace(",", "%2C") if name else text


def foreign(text: str) -> str:
    """``text`` for the log, so that nothing in it is taken for a command."""
    # the runner ends a line at a lone carriage return as well
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if not active() or not _COMMAND.search(text):
        return text
    token = secrets.token_hex(16)
    return f"::stop-commands::{token}\n{text}\n::{token}::"


def annotate(kind: str, title: str, text: str, out: TextIO | None = None) -> None:
    """An annotation of the job: ``kind`` is error, warning or notice."""
    if active():
        line = f"::{kind} title={escaped(title, name=True)}::{escaped(text)}"
        print(line, file=out or sys.stderr, flush=True)


def problems(error: HomeportError, kind: str = "error") -> None:
    """Every problem of an error as an annotation of its own."""
    for one in error.problems or (Problem(error.meaning),):
        annotate(kind, error.meaning, one.text())


def output(values: Mapping[str, str]) -> None:
    """Adds outputs to the step, each between two lines that no value can hold."""
    path = os.environ.get("GITHUB_OUTPUT")
    if not active() or not path:
        return
    with open(path, "a", encoding="utf-8") as file:
        for name, value in values.items():
            end = f"end-{secrets.token_hex(16)}"
            file.write(f"{name}<<{end}\n{value}\n{end}\n")


def summary(markdown: str) -> None:
    """Adds to the summary of the job."""
    path = os.environ.get("GITHUB_STEP_SUMMARY")
    if active() and path:
        with open(path, "a", encoding="utf-8", errors="replace") as file:
            file.write(markdown.rstrip("\n") + "\n\n")


def request_key(verb: str, *asked: object) -> str:
    """What makes a retried or re-run job's request the same one; "" outside of a job.

    The number of the attempt is not part of it.
    """
    names = ("GITHUB_REPOSITORY", "GITHUB_RUN_ID", "GITHUB_JOB")
    where = [os.environ.get(name, "") for name in names]
    if not active() or not all(where):
        return ""
    text = "\0".join([*where, verb, *(str(one) for one in asked)])
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def run_url() -> str:
    """The page of this run; "" outside of a job."""
    server, repository = repository_url(), os.environ.get("GITHUB_RUN_ID", "")
    return f"{server}/actions/runs/{repository}" if server and repository else ""


def repository_url() -> str:
    """The page of the repository; "" outside of a job."""
    server, name = os.environ.get("GITHUB_SERVER_URL", ""), os.environ.get("GITHUB_REPOSITORY", "")
    return f"{server}/{name}" if server and name else ""


def rollback_url() -> str:
    """The page with the button that rolls back; "" outside of a job."""
    page = repository_url()
    return f"{page}/actions/workflows/{WORKFLOW}" if page else ""


class Grouped(present.Plain):
    """The plain view, with what belongs to a step folded under the step's name and cause."""

    def __init__(self, out: TextIO, verbose: bool = False) -> None:
        super().__init__(out, verbose)
        self._open = False

    def show(self, event: Event) -> None:
        # what went wrong is not folded away
        if event["e"] == "step" and event.get("state") != "done":
            self._end()
        super().show(event)
        if event["e"] == "step" and event.get("state") == "done":
            self._end()
        if event["e"] == "step" and event.get("state") == "begin":
            name = str(event.get("id"))
            cause = self._causes.get(name) or str(event.get("cause") or "")
            title = f"{name}: {cause}" if cause else name
            self._command(f"::group::{escaped(title)}")
            self._open = True

    def close(self) -> None:
        self._end()
        super().close()

    def _end(self) -> None:
        if self._open:
            self._command("::endgroup::")
        self._open = False

    def _command(self, line: str) -> None:
        print(line, file=self._out, flush=True)

    def _say(self, line: str) -> None:
        print(foreign(line), file=self._out, flush=True)
