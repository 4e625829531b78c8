"""What a host says, made harmless before anything shows it or goes by it.

A host is trusted with its app and with nothing of this machine: what comes from it may be too long,
of another shape, or hold what a terminal or a shell would obey. Lines of a log keep their colours.
"""

from __future__ import annotations

import json
import math
from typing import Any, Mapping

from homeport.core import words
from homeport.errors import HostFault

Event = dict[str, Any]

_NUMBER, _ROWS = (int, float), (list, tuple)
#: kind of event → field → what it is, where it is there and not null
_SHAPES: Mapping[str, Mapping[str, Any]] = {
    "plan": {"steps": _ROWS, "skips": _ROWS, "notices": _ROWS},
    "progress": {"done": _NUMBER, "total": _NUMBER},
    "step": {"id": str},
    "look": {"left": _NUMBER},
    "verdict": {"code": int, "problems": _ROWS, "figures": dict},
}
_FIGURES: Mapping[str, Any] = {
    **{name: dict for name in ("serves", "previous", "before", "frozen")},
    **{name: _NUMBER for name in ("held_s", "longest_hold_s", "total_s", "cut")},
    "steps": _ROWS,
}


def event(raw: bytes, where: str, colours: bool = False) -> Event:
    """One line of the host's as an event; raises HostFault for anything else."""
    try:
        said = json.loads(raw, parse_float=_finite, parse_constant=_finite)
    except (ValueError, RecursionError):
        said = None
    if not isinstance(said, dict) or not isinstance(said.get("e"), str) or not _shaped(said):
        text = words.harmless(raw[:2000].decode("utf-8", "replace")).strip()
        raise HostFault.of(
            "the host answered something that is not Homeport's",
            where,
            text[:200],
            "nothing that a login prints may reach stdout: look at the shell's start files there",
        )
    clean: Event = _clean(said, colours and said["e"] == "log")
    return clean


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number


def _shaped(said: Mapping[str, Any]) -> bool:
    kind = said["e"]
    if not _all(said, _SHAPES.get(kind, {})):
        return False
    if kind == "run":
        return words.is_key(str(said.get("run", "")))
    if kind == "plan":
        rows = [*(said.get("steps") or ()), *(said.get("skips") or ())]
        return all(isinstance(one, (dict, list)) and one for one in rows)
    if kind == "verdict":
        figures = said.get("figures") or {}
        problems = said.get("problems") or ()
        rows = [*problems, *(figures.get("steps") or () if isinstance(figures, dict) else ())]
        code = said.get("code", 0)
        known = isinstance(code, int) and 0 <= code <= 255
        return known and all(isinstance(one, dict) for one in rows) and _all(figures, _FIGURES)
    return True


def _all(said: Mapping[str, Any], shape: Mapping[str, Any]) -> bool:
    return all(
        said.get(name) is None or isinstance(said[name], kind) for name, kind in shape.items()
    )


def _clean(value: Any, colours: bool) -> Any:
    """The same with no text in it that steers anything."""
    if isinstance(value, str):
        return words.harmless(value, colours)
    if isinstance(value, list):
        return [_clean(one, colours) for one in value]
    if isinstance(value, dict):
        return {words.harmless(name): _clean(one, colours) for name, one in value.items()}
    return value
