"""Modules are small, and whatever is public in the engine says what it is."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LIMIT = 300


def modules() -> list[str]:
    """Every module of the engine, the lab and the app, as a path from the top."""
    found = [*ROOT.glob("*.py"), *(ROOT / "foodbudget").rglob("*.py")]
    found += (ROOT / "deploy").rglob("*.py")
    return sorted(str(path.relative_to(ROOT)) for path in found)


MODULES = modules()
ENGINE = [one for one in MODULES if one.startswith("deploy/homeport/")]


def test_the_modules_were_found() -> None:
    """A rule over nothing would hold for ever."""
    assert "deploy/homeport/core/plan.py" in ENGINE and len(MODULES) > 35


@pytest.mark.parametrize("module", MODULES)
def test_length(module: str) -> None:
    """A part that wants more has a wrong design, or two nouns in it."""
    lines = (ROOT / module).read_text().count("\n")
    assert lines <= LIMIT, f"{module} has {lines} lines"


def nameless(text: str) -> list[str]:
    """Public functions and classes of a module without a docstring, and the module itself.

    The docstring of an error is its ``meaning``.
    """
    tree = ast.parse(text)
    found = [] if ast.get_docstring(tree) else ["the module"]
    for node in tree.body:
        if not isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        if node.name.startswith("_") or ast.get_docstring(node):
            continue
        bodies = node.body if isinstance(node, ast.ClassDef) else []
        if not any(isinstance(one, ast.Assign) and _means(one) for one in bodies):
            found.append(node.name)
    return found


def _means(node: ast.Assign) -> bool:
    return any(isinstance(to, ast.Name) and to.id == "meaning" for to in node.targets)


@pytest.mark.parametrize("module", ENGINE)
def test_docstrings(module: str) -> None:
    """A reader learns what goes in and what comes out without reading the body."""
    assert nameless((ROOT / module).read_text()) == []


PLANTED = [
    ("x = 1", ["the module"]),
    ('"""M."""\ndef f(): pass', ["f"]),
    ('"""M."""\nasync def f(): pass', ["f"]),
    ('"""M."""\nclass A: pass', ["A"]),
    ('"""M."""\ndef f():\n    meaning = 1', ["f"]),
    ('"""M."""\nclass A:\n    meaning = "bad"', []),
    ('"""M."""\ndef _f(): pass\nclass _A: pass', []),
    ('"""M."""\ndef f():\n    """F."""\n    def g(): pass', []),
]


@pytest.mark.parametrize("text,found", PLANTED)
def test_the_rule_catches(text: str, found: list[str]) -> None:
    """A planted function without a docstring is named."""
    assert nameless(text) == found
