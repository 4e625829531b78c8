"""The reader of GitHub's expressions, against values that GitHub's reference gives for them."""

from __future__ import annotations

from typing import Any

import pytest

from gh_expressions import BadExpression, evaluate, fill

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
