"""What a check-up says of one thing: well, a warning, a problem, or that nobody could look."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable, Iterable, Literal

from homeport.core.cautions import cautions
from homeport.core.checkup import Checkup
from homeport.errors import Problem

State = Literal["ok", "warning", "problem", "unknown"]


@dataclass(frozen=True)
class Said:
    """One judgement: what was found, why it matters, and the command that mends it."""

    state: State
    what: str
    why: str = ""
    mend: str = ""


@dataclass(frozen=True)
class Finding:
    """A judgement with the check that made it, and the group that a person finds it under."""

    id: str
    group: str
    state: State
    what: str
    why: str = ""
    mend: str = ""


Judge = Callable[[Checkup], Iterable[Said]]


def ok(what: str) -> Said:
    """It is as it should be."""
    return Said("ok", what)


def warn(what: str, why: str, mend: str) -> Said:
    """It works, and may not for ever."""
    return Said("warning", what, why, mend)


def bad(what: str, why: str, mend: str) -> Said:
    """It needs a person."""
    return Said("problem", what, why, mend)


def unknown(what: str, why: str = "") -> Said:
    """Nobody could look."""
    return Said("unknown", what, why)


def problems(found: Iterable[Problem], well: str, mend: str = "") -> list[Said]:
    """The problems of another part of the engine, or ``well`` where there is none.

    They stop a deploy, which is why one matters that does not say so itself; ``mend`` is for those
    whose words already say what would do.
    """
    said = []
    for one in found:
        what = f"{one.where}: {one.what}" if one.where not in ("", "host") else one.what
        said.append(bad(what, one.why or "no deploy gets through until then", one.mend or mend))
    return said or [ok(well)]


def cautioned(seen: Checkup, check: str) -> list[Said]:
    """What is said under a check's name wherever a host is looked at."""
    found = cautions(seen.facts)
    return [warn(one.what, one.why, one.mend) for name, one in found if name == check]
