"""docs/troubleshooting.md quotes messages: each is one that the engine can really print."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]
PAGE = (TOP / "docs" / "troubleshooting.md").read_text("utf-8")
SECTIONS = re.findall(r"^### `([^`\n]+)`\n(.*?)(?=^##|\Z)", PAGE, re.MULTILINE | re.DOTALL)
#: every heading of the third level, quoted or not
HEADINGS = re.findall(r"^### (.+)$", PAGE, re.MULTILINE)


def messages(text: str) -> set[str]:
    """Every text of a module, with ``…`` where an f-string puts a value in; no docstring."""
    found = set()
    inside: set[ast.AST] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Expr):
            # a text that stands alone is told to nobody
            inside.add(node.value)
        elif isinstance(node, ast.JoinedStr):
            inside.update(node.values)
            parts = (one.value if isinstance(one, ast.Constant) else "…" for one in node.values)
            found.add("".join(str(part) for part in parts))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            if node not in inside:
                found.add(node.value)
    return found


def printed() -> set[str]:
    """Every text that the engine's modules hold."""
    folder = TOP / "deploy" / "homeport"
    return {one for path in folder.rglob("*.py") for one in messages(path.read_text("utf-8"))}


PRINTED = printed()


def known(quoted: str, texts: set[str]) -> bool:
    """Whether a quoted message is a text, or the beginning of one; ``…`` stands for anything."""
    parts = quoted.split("…")
    shape = re.compile(".+".join(re.escape(part) for part in parts))
    return max(len(part) for part in parts) > 8 and any(shape.match(one) for one in texts)


@pytest.mark.parametrize("quoted", [quoted for quoted, _ in SECTIONS])
def test_every_message_is_one_that_is_printed(quoted: str) -> None:
    """Whoever changes a message's words changes the page."""
    assert known(quoted, PRINTED), f"no message begins so: {quoted}"


def test_a_message_that_drifted_is_found() -> None:
    """Other words, and words that would fit anything, are not taken."""
    texts = messages(
        '"""only a docstring"""\nx = f"port {a} of the host is taken"\ny = "which host?"'
    )
    assert not known("only a docstring", texts)
    assert known("port … of the host is taken", texts) and known("which host?", texts)
    assert not known("port … of the host is used", texts)
    assert known("… of the host is taken", texts) and not known("the host is taken", texts)
    assert not known("… of", texts) and not known("which", texts)


def test_the_likely_messages_are_there_with_all_they_need() -> None:
    """At least 25 sections, each a quoted message with its meaning, its reason and its mend."""
    assert len(SECTIONS) == len(HEADINGS) >= 25
    assert len({quoted for quoted, _ in SECTIONS}) == len(SECTIONS)
    for quoted, text in SECTIONS:
        for word in ("**It means:**", "**Why:**", "**Do:**"):
            assert text.count(word) == 1, quoted
