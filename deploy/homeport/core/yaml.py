"""JSON's kinds of values as YAML, for a file that people read. Strings are always quoted."""

from __future__ import annotations

import json
from typing import Any

#: what a YAML of some version reads as something other than text
_WORDS = frozenset(("true", "false", "yes", "no", "on", "off", "y", "n", "null"))


def dump(value: Any, depth: int = 0) -> str:
    """The text of a mapping or list, two spaces a level, keys in their order."""
    pad = "  " * depth
    if isinstance(value, dict) and value:
        return "".join(f"{pad}{_key(key)}:{_after(one, depth)}" for key, one in value.items())
    if isinstance(value, list) and value:
        return "".join(f"{pad}-{_item(one, depth)}" for one in value)
    return f"{pad}{_scalar(value)}\n"


def _after(value: Any, depth: int) -> str:
    if isinstance(value, (dict, list)) and value:
        return "\n" + dump(value, depth + 1)
    return f" {_scalar(value)}\n"


def _item(value: Any, depth: int) -> str:
    if isinstance(value, (dict, list)) and value:
        return " " + dump(value, depth + 1).lstrip(" ")
    return f" {_scalar(value)}\n"


def _key(key: str) -> str:
    plain = key.replace("_", "").replace("-", "").isalnum() and key[0].isalpha()
    return key if plain and key.lower() not in _WORDS else json.dumps(key, ensure_ascii=False)


def _scalar(value: Any) -> str:
    # a JSON scalar is a YAML scalar, and the empty containers read the same in both
    return json.dumps(value, ensure_ascii=False)
