"""The error tree: its drawing, its codes, and its way over the wire."""

from __future__ import annotations

import json
import re

import pytest
from homeport import errors
from homeport.errors import HomeportError, Problem

#: a branch of the drawing: indent, name, meaning, code where it has one
_BRANCH = re.compile(r"^((?:[│ ]   )*)(?:├── |└── )(\w+) +(.*?)(?: +(\d+))?$")


def drawn() -> list[tuple[str, str, int]]:
    """The tree in the docstring, as (name, parent, code) from top to bottom."""
    found: list[tuple[str, str, int]] = []
    above = ["HomeportError"]
    for text in (errors.__doc__ or "").splitlines():
        branch = _BRANCH.match(text)
        if branch:
            depth = len(branch.group(1)) // 4
            above = [*above[: depth + 1], branch.group(2)]
            found.append((branch.group(2), above[depth], int(branch.group(4))))
    return found


def built() -> list[tuple[str, str, int]]:
    """The tree of the classes, in the same form."""
    return [(one.__name__, one.__bases__[0].__name__, one.code) for one in errors.every()][1:]


def test_the_drawing_is_the_tree() -> None:
    """Every class, below its parent, with its exit code, and none besides."""
    assert len(drawn()) > 15
    assert drawn() == built()


def test_every_code_means_one_error() -> None:
    """Whoever reads an exit code knows which error it was; 0 and shells' own codes stay free."""
    codes = [one.code for one in errors.every()]
    assert len(set(codes)) == len(codes)
    assert all(0 < code < 126 for code in codes)


@pytest.mark.parametrize("kind", errors.every(), ids=lambda kind: kind.__name__)
def test_every_error_survives_the_wire(kind: type[HomeportError]) -> None:
    """Class, code and every problem arrive as they were sent; it has a meaning of its own."""
    sent = kind(Problem("what", "where", "why", "mend"), Problem("second"))
    got = errors.from_wire(json.loads(json.dumps(errors.to_wire(sent))))
    assert type(got) is kind
    assert (got.code, got.problems, got.text()) == (sent.code, sent.problems, sent.text())
    assert kind is HomeportError or kind.meaning != kind.__bases__[0].meaning


def test_a_code_of_a_newer_agent_is_kept() -> None:
    """It is not one of ours and still ends the command with its own code."""
    got = errors.from_wire({"code": 77, "problems": [{"what": "new"}]})
    assert (type(got), got.code, str(got)) == (HomeportError, 77, "new")
    assert HomeportError.code == 1


def test_an_event_without_problems() -> None:
    """What is missing is empty; the meaning speaks for it."""
    got = errors.from_wire({"code": 31})
    assert (type(got), got.text(), str(got)) == (
        errors.Busy,
        "another run holds the app",
        "another run holds the app",
    )
    assert type(errors.from_wire({})) is HomeportError


TEXTS = [
    (Problem("it is gone"), "it is gone"),
    (Problem("it is gone", "host"), "host: it is gone"),
    (
        Problem("it is gone", "host", "nobody knows", "look"),
        "host: it is gone\n  why:  nobody knows\n  mend: look",
    ),
]


@pytest.mark.parametrize("problem,text", TEXTS)
def test_a_problem_as_text(problem: Problem, text: str) -> None:
    """What, where, why, and what mends it."""
    assert problem.text() == text


def test_all_problems_at_once() -> None:
    """The text has every one; the short form is the first."""
    error = errors.Refused(Problem("a"), Problem("b", "here"))
    assert error.text() == "a\nhere: b" and str(error) == "a"
    one = errors.SettingsError.of("a", "here", "why", "mend")
    assert isinstance(one, errors.SettingsError)
    assert one.problems == (Problem("a", "here", "why", "mend"),)


def test_what_a_retry_may_help() -> None:
    """Only what can change without a person."""
    again = {one.__name__ for one in errors.every() if one.retry}
    assert again == {"ConnectError", "Busy", "RegistryError", "HostFault", "RunLost"}
