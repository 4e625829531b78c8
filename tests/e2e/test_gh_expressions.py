"""The readers of GitHub's expressions and patterns, against what GitHub's reference says."""

from __future__ import annotations

from typing import Any

import pytest

from bench.images import TOP
from gh_events import matches, starts
from gh_expressions import BadExpression, evaluate, fill
from gh_runner import load

CONTEXTS = {
    "github": {"ref": "refs/tags/v1.2", "event": {"repository": {"private": False}}},
    "inputs": {"release": "", "freeze": True},
    "needs": {"lint": {"result": "success"}, "test": {"result": "skipped"}},
    "vars": {"HOMEPORT-X": "yes"},
    "steps": {"build": {"outputs": {"digest": "sha256:ab"}}},
}

VALUES: list[tuple[str, Any]] = [
    ("'it''s'", "it's"),
    ("github.ref == 'REFS/TAGS/V1.2'", True),
    ("github.event.repository.private", False),
    ("!github.event.repository.private && 'public' || 'private'", "public"),
    ("inputs.release || 'the one before'", "the one before"),
    ("inputs.freeze && '--freeze' || ''", "--freeze"),
    ("vars.ABSENT == ''", True),
    ("vars.ABSENT.deeper", None),
    ("vars['HOMEPORT-X'] != 'no'", True),
    ("needs.*.result", ["success", "skipped"]),
    ("contains(needs.*.result, 'failure')", False),
    ("contains(fromJSON('[\"a\", \"b\"]'), 'B')", True),
    ("startsWith(github.ref, 'refs/tags/')", True),
    ("format('{0}@{1}', 'x', steps.build.outputs.digest)", "x@sha256:ab"),
    ("join(needs.*.result, '+')", "success+skipped"),
    ("1 < 2 && !(2 <= 1)", True),
    ("null == 0", True),
    ("'a' == 0", False),
    ("true == 'true'", False),
    ("github.event == 'x' || false", False),
]


@pytest.mark.parametrize(("source", "value"), VALUES, ids=[one[0] for one in VALUES])
def test_a_value(source: str, value: Any) -> None:
    assert evaluate(source, CONTEXTS, {}) == value


@pytest.mark.parametrize(
    "source",
    ["nowhere.x", "hashFiles('x')", "'open", "1 +", "a b", "github.", "(1", "github.ref ref"],
)
def test_what_is_not_known_is_an_error(source: str) -> None:
    with pytest.raises(BadExpression):
        evaluate(source, CONTEXTS, {})


def test_holes_in_a_text_become_text_and_a_whole_one_keeps_its_type() -> None:
    given = {"one": "${{ inputs.freeze }}", "two": ["at ${{ github.ref }}, ${{ inputs.freeze }}"]}
    assert fill(given, CONTEXTS, {}) == {"one": True, "two": ["at refs/tags/v1.2, true"]}


@pytest.mark.parametrize(
    ("pattern", "name", "fits"),
    [
        ("v*", "v2.0", True),
        ("v2*", "v20", True),
        ("*", "a/b", False),
        ("**", "a/b", True),
        ("releases/**", "releases/10/b", True),
        ("v[12].[0-9]+.[0-9]+", "v1.10.1", True),
        ("v[12].[0-9]+.[0-9]+", "v3.1.1", False),
        ("v1.0", "v1x0", False),
        ("main", "main2", False),
        ("octo?", "oct", True),
    ],
)
def test_a_pattern(pattern: str, name: str, fits: bool) -> None:
    assert matches(pattern, name) is fits


@pytest.mark.parametrize("pattern", ["!v1", "v{1,2}", "a\\b"])
def test_a_pattern_that_is_not_known_is_an_error(pattern: str) -> None:
    with pytest.raises(AssertionError, match="not known"):
        matches(pattern, "v1")


#: a push → the workflows that it starts
STARTED = {
    "refs/heads/main": ["cd.yml"],
    "refs/heads/other": [],
    "refs/tags/v1.2.3": ["release.yml"],
    "refs/tags/v10.20.30-rc.1": ["release.yml"],
    "refs/tags/v1": [],
    "refs/tags/v1.2": [],
    "refs/tags/v1.2.3.4": [],
    "refs/tags/va.b.c": [],
    "refs/tags/version-1.2.3": [],
    "refs/tags/nightly": [],
    "refs/tags/v1.2.3/x": [],
}


@pytest.mark.parametrize("ref", STARTED)
def test_what_a_push_starts(ref: str) -> None:
    """Main ships, a version is released, and no other branch or tag starts anything."""
    files = sorted((TOP / ".github/workflows").glob("*.yml"))
    assert len(files) == 5
    assert [one.name for one in files if starts(load(one), "push", ref)] == STARTED[ref]
