"""Env files as text: which names they set, and one file's lines replaced by another's.

The format is Compose's own: ``NAME=value`` a line, ``#`` comments, values in quotes may run over
several lines. Values are carried, never interpreted.
"""

from __future__ import annotations

import re
from typing import Iterable

_NAME = re.compile(r"^\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_.-]*)\s*(=|$)")


def entries(text: str) -> dict[str, str]:
    """Name → the lines that set it, as they stand; the last one of a name counts."""
    found: dict[str, str] = {}
    lines = iter(text.splitlines())
    for line in lines:
        match = _NAME.match(line)
        if not match:
            continue
        value = line.partition("=")[2].strip()
        quote = value[:1]
        if quote in ('"', "'"):
            while not _closed(value, quote):
                more = next(lines, None)
                if more is None:
                    break
                line, value = f"{line}\n{more}", f"{value}\n{more}"
        found[match.group(1)] = line
    return found


def with_todays(kept: str, today: str, names: Iterable[str]) -> str:
    """``kept`` with the named variables as ``today`` has them: added, changed or gone with it."""
    old, new = entries(kept), entries(today)
    for name in names:
        old.pop(name, None)
        if name in new:
            old[name] = new[name]
    return "".join(f"{line}\n" for line in old.values())


def differing(kept: str, today: str) -> tuple[str, ...]:
    """The names whose lines differ between two files, sorted."""
    old, new = entries(kept), entries(today)
    return tuple(sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name)))


def _closed(value: str, quote: str) -> bool:
    body = value[1:].replace("\\" + quote, "") if quote == '"' else value[1:]
    return quote in body
