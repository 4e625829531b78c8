"""Which events start a workflow: branches and tags, by GitHub's own patterns.

After GitHub's reference "Workflow syntax: filter pattern cheat sheet". A pattern with something in
it that is not known here is an error.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

PART = re.compile(r"(?P<all>\*\*)|(?P<any>\*)|(?P<more>[+?])|(?P<set>\[[A-Za-z0-9-]+\])|(?P<one>.)")


def matches(pattern: str, name: str) -> bool:
    """Whether a pattern stands for a whole name."""
    made = ""
    for part in PART.finditer(pattern):
        kind, text = part.lastgroup, part[0]
        assert text not in "!\\{}()", f"{pattern}: {text} is not known here"
        made += {"all": ".*", "any": "[^/]*"}.get(str(kind)) or (
            re.escape(text) if kind == "one" else text
        )
    return re.fullmatch(made, name) is not None


def starts(flow: Mapping[str, Any], event: str, ref: str) -> bool:
    """Whether an event on ``refs/heads/…`` or ``refs/tags/…`` starts a workflow."""
    on = flow["on"]
    if isinstance(on, (str, list)):
        return event in ([on] if isinstance(on, str) else on)
    if event not in on:
        return False
    if event != "push" or not on[event]:
        return True
    filters: Mapping[str, Sequence[str]] = on[event]
    unknown = set(filters) - {"branches", "tags"}
    assert not unknown, f"{sorted(unknown)} are not known here"
    kind = "tags" if ref.startswith("refs/tags/") else "branches"
    name = ref.split("/", 2)[2]
    return any(matches(pattern, name) for pattern in filters.get(kind, ()))
