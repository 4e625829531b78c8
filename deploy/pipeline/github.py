"""What a job tells GitHub: summaries, outputs, annotations. Outside GitHub all of it is inert."""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager


def here() -> bool:
    """Whether this runs in a job of GitHub's."""
    return os.environ.get("GITHUB_ACTIONS") == "true"


def summary(markdown: str) -> None:
    """Adds Markdown to the job's summary page; raises OSError where the file cannot be written."""
    _append("GITHUB_STEP_SUMMARY", markdown.rstrip("\n") + "\n\n")


def output(name: str, value: str) -> None:
    """Gives the step an output.

    Args:
        name: of the output: letters, digits, ``-`` and ``_``.
        value: any text; lines in it cannot end it, whatever they say.

    Raises:
        ValueError: the name is none.
        OSError: the file cannot be written.
    """
    if not name.replace("-", "").replace("_", "").isalnum():
        raise ValueError(f"{name!r} is no name of an output")
    mark = f"end-{secrets.token_hex(16)}"
    _append("GITHUB_OUTPUT", f"{name}<<{mark}\n{value}\n{mark}\n")


def path(folder: str) -> None:
    """Puts a folder first on the PATH of the job's later steps."""
    _append("GITHUB_PATH", folder + "\n")


def error(text: str, file: str = "", line: int = 0) -> None:
    """Marks an error, at a line of a file where that is known."""
    _say("error", text, file, line)


def notice(text: str) -> None:
    """Shows a remark beside the job."""
    _say("notice", text, "", 0)


@contextmanager
def group(title: str) -> Iterator[None]:
    """Folds what is printed inside away under a title."""
    if here():
        print(f"::group::{_data(title)}", flush=True)
    try:
        yield
    finally:
        if here():
            print("::endgroup::", flush=True)


def _say(kind: str, text: str, file: str, line: int) -> None:
    if not here():
        return
    places = [f"file={_property(file)}"] if file else []
    places += [f"line={line}"] if file and line > 0 else []
    at = " " + ",".join(places) if places else ""
    print(f"::{kind}{at}::{_data(text)}", flush=True)


def _data(text: str) -> str:
    """Text as a workflow command carries it: a line break would end the command."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def _append(variable: str, text: str) -> None:
    place = os.environ.get(variable, "")
    if not place:
        return
    # one write: steps that run beside each other append to the same file
    with open(place, "a", encoding="utf-8") as stream:
        stream.write(text)


def say(text: str) -> None:
    """Talk for a person, on stderr: stdout is for data."""
    print(text, file=sys.stderr, flush=True)
