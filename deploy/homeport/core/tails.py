"""From what a container wrote to the lines that tell why it ended or failed."""

from __future__ import annotations

import re
from typing import Iterable

#: words in which programs say that something is wrong
_TELLING = re.compile(
    r"error|exception|traceback|fatal|critical|panic|refused|denied|can(?:not|'t)|could not|fail"
    r"|killed|no such|not found|missing|invalid|out of memory|abort|unable",
    re.IGNORECASE,
)
#: so many of the last lines are shown whatever they say, and so many telling ones before them
LAST, BEFORE = 8, 6
#: a longer line is shown by its two ends: the end of a traceback in one line names the cause
HEAD, TAIL = 160, 320


def telling(text: str) -> str:
    """The last lines, and before them those that look like a cause; each line once."""
    lines = list(dict.fromkeys(line.rstrip() for line in text.splitlines() if line.strip()))
    early, last = lines[:-LAST], lines[-LAST:]
    causes = [line for line in early if _TELLING.search(line)][-BEFORE:]
    gap = ["…"] if causes and early[-1] != causes[-1] else []
    return "\n".join(_short(line) for line in (*causes, *gap, *last))


def _short(line: str) -> str:
    return line if len(line) <= HEAD + TAIL + 3 else f"{line[:HEAD]} … {line[-TAIL:]}"


#: names of variables whose values are nobody's business
_PRIVATE = re.compile(r"SECRET|PASS|TOKEN|KEY|CREDENTIAL|DSN|_URL$|_URI$", re.IGNORECASE)
_LOGIN = re.compile(r"://[^/@\s:]*:([^/@\s]+)@")
#: shorter values would blot out harmless words
_LEAST = 6
MASK = "•••"


def private(values: Iterable[tuple[str, str]], named: Iterable[str] = ()) -> tuple[str, ...]:
    """The values that must not be shown: of variables ``named`` or named like a secret.

    Of an address with a login in it the password alone is one too. The longest come first, so that
    one that holds another is masked whole.
    """
    wanted, found = set(named), set[str]()
    for name, value in values:
        if name in wanted or _PRIVATE.search(name):
            found.update((value, *_LOGIN.findall(value)))
    return tuple(sorted((one for one in found if len(one) >= _LEAST), key=lambda one: -len(one)))


def masked(text: str, secrets: Iterable[str]) -> str:
    """``text`` without these."""
    for one in secrets:
        text = text.replace(one, MASK)
    return text
