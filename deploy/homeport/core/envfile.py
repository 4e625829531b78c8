"""Env files as text: which names they set, and one file's lines replaced by another's.

The format is Compose's own: ``NAME=value`` (or ``NAME: value``) a line, ``#`` comments, values in
quotes may run over several lines. Values are carried, never interpreted.
"""

from __future__ import annotations

import re
from typing import Iterable

_NAME = re.compile(r"^\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_.-]*)\s*(?:[=:]|$)")
#: what is quoted to its end; a backslash carries the next character along, in both kinds of quotes
_QUOTED = {quote: re.compile(rf"{quote}(?:[^{quote}\\]|\\.)*{quote}", re.DOTALL) for quote in "\"'"}


def entries(text: str) -> dict[str, str]:
    """Name → the lines that set it, as they stand; the last one of a name counts."""
    found: dict[str, str] = {}
    # Compose's own ends of lines; splitlines would break a value at a form feed or U+2028
    lines = iter(text.replace("\r\n", "\n").split("\n"))
    for line in lines:
        match = _NAME.match(line)
        if not match:
            continue
        value = line[match.end() :].strip()
        quoted = _QUOTED.get(value[:1])
        if quoted:
            while not quoted.match(value):
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


def values(text: str) -> tuple[tuple[str, str], ...]:
    """Names and values as a program would see them, but for what is interpolated in them."""
    found = []
    for name, line in entries(text).items():
        match = _NAME.match(line)
        value = line[match.end() :].strip() if match else ""
        quote = value[:1]
        quoted = _QUOTED[quote].match(value) if quote in _QUOTED else None
        found.append((name, quoted.group(0)[1:-1] if quoted else value.split(" #")[0].rstrip()))
    return tuple(found)
