"""YAML as text: a table, and the layout of every tree."""

from __future__ import annotations

from typing import Any

import pytest
from homeport.core import yaml
from hypothesis import given
from hypothesis import strategies as st

DUMPED: list[tuple[Any, str]] = [
    ({}, "{}\n"),
    ([], "[]\n"),
    ("on", '"on"\n'),
    ({"a": 1, "b": 1.5, "c": True, "d": None}, "a: 1\nb: 1.5\nc: true\nd: null\n"),
    ({"a": {}, "b": []}, "a: {}\nb: []\n"),
    ({"a": {"b": {"c": "x"}}}, 'a:\n  b:\n    c: "x"\n'),
    ({"a": ["x", 2]}, 'a:\n  - "x"\n  - 2\n'),
    (["x", ["y", "z"]], '- "x"\n- - "y"\n  - "z"\n'),
    ({"a": [{"b": 1, "c": [2]}, {}]}, "a:\n  - b: 1\n    c:\n      - 2\n  - {}\n"),
    ({"a": 'q"\\\n\t#: $$x'}, 'a: "q\\"\\\\\\n\\t#: $$x"\n'),
    ({"é": "ü"}, 'é: "ü"\n'),
    (
        {"a_b-c": 1, "homeport.app": 1, "0": 1, "": 1, "a b": 1},
        'a_b-c: 1\n"homeport.app": 1\n"0": 1\n"": 1\n"a b": 1\n',
    ),
    (
        {"yes": 1, "NO": 1, "null": 1, "on": 1, "Y": 1, "true": 1, "truest": 1},
        '"yes": 1\n"NO": 1\n"null": 1\n"on": 1\n"Y": 1\n"true": 1\ntruest: 1\n',
    ),
]


@pytest.mark.parametrize("value,text", DUMPED)
def test_dump(value: Any, text: str) -> None:
    """Two spaces a level, strings quoted, keys too where YAML has a word of its own."""
    assert yaml.dump(value) == text


SCALARS = st.one_of(st.none(), st.booleans(), st.integers(-99, 99), st.text(max_size=6))
TREES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


@given(TREES)
def test_the_layout_holds_for_every_tree(tree: Any) -> None:
    """No tabs, no empty lines, indents of two, and never two values on one line."""
    lines = yaml.dump(tree).split("\n")
    assert lines.pop() == ""
    for line in lines:
        assert line.strip() and "\t" not in line
        assert (len(line) - len(line.lstrip(" "))) % 2 == 0
