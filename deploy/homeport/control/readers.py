"""What reads a value of homeport.toml: one function a kind, each with what would do instead."""

from __future__ import annotations

import difflib
import re
import shlex
from typing import Any, Callable

from homeport.core import words
from homeport.model import APP_NAME, MODES, TLS

UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)")
DAY = 86400.0

Reader = Callable[[Any], Any]


class Wrong(ValueError):
    """A value that a key does not accept: what is wrong with it, and what would do."""

    def __init__(self, what: str, mend: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.mend = mend


def duration(value: Any) -> float:
    """Seconds of ``"10s"``, ``"500ms"``, ``"2m"``, ``"1m30s"``; raises Wrong for anything else."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        raise Wrong(f"{value} has no unit", f'write it with one: "{value}s" or "{value}ms"')
    said = value if isinstance(value, str) else ""
    parts = DURATION.findall(said)
    if not parts or "".join(number + unit for number, unit in parts) != said:
        raise Wrong(f"{value!r} is not a duration", 'write a number and a unit: "10s", "500ms"')
    seconds = float(sum(float(number) * UNITS[unit] for number, unit in parts))
    if seconds > DAY:
        raise Wrong(f"{value!r} is longer than a day", 'write a shorter one: "30s"')
    return seconds


def span(least: float) -> Reader:
    """A duration of at least so many seconds."""

    def read(value: Any) -> float:
        seconds = duration(value)
        if seconds < least:
            raise Wrong(f"{value!r} is too short", f"at least {least:g}s")
        return seconds

    return read


def whole(low: int, high: int) -> Reader:
    """A whole number within bounds."""

    def read(value: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise Wrong(f"{value!r} is not a whole number from {low} to {high}")
        return value

    return read


def text(value: Any) -> str:
    """Any text."""
    if not isinstance(value, str):
        raise Wrong(f"{value!r} is not text", "put it in quotes")
    return value


def matching(pattern: str, meaning: str, mend: str = "") -> Reader:
    """Text that a pattern takes; ``meaning`` is what it then is, ``mend`` what would do."""
    compiled = re.compile(pattern)

    def read(value: Any) -> str:
        if not compiled.fullmatch(text(value)):
            raise Wrong(f"{value!r} is not {meaning}", mend)
        return str(value)

    return read


def flag(value: Any) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise Wrong(f"{value!r} is neither true nor false", "write true or false, without quotes")
    return value


def mode(value: Any) -> str:
    """A way of handing over."""
    if value not in MODES:
        near = difflib.get_close_matches(str(value), MODES, 1)
        choice = f'"{near[0]}"' if near else " or ".join(f'"{one}"' for one in MODES)
        raise Wrong(f"{value!r} is no way of handing over", f"did you mean {choice}?")
    return str(value)


def listed(value: Any, meaning: str, mend: str) -> tuple[str, ...]:
    """A list of texts that are not empty."""
    if not isinstance(value, list) or not all(isinstance(one, str) and one for one in value):
        raise Wrong(f"{value!r} is not {meaning}", mend)
    return tuple(value)


def command(value: Any) -> tuple[str, ...]:
    """A command and its arguments, as Compose's ``command`` takes them: a list, or one text."""
    if isinstance(value, str):
        try:
            value = shlex.split(value)
        except ValueError as error:
            raise Wrong(f"{value!r} is not a command: {error}") from None
    found = listed(value, "a command", 'write ["python", "-m", "flask", "migrate"]')
    if not found:
        raise Wrong("it names no program", "leave the key away instead")
    return found


def inside(value: Any) -> tuple[str, ...]:
    """Paths below the app's folder or a volume, never out of it."""
    found = listed(value, "a list of paths", 'write exclude = ["data/cache"]')
    for one in found:
        if one.startswith("/") or ".." in one.split("/"):
            mend = 'as seen from the app\'s folder, "data/cache", or from a volume: "images/cache"'
            raise Wrong(f"{one!r} leads out of the data", mend)
    return tuple(one.rstrip("/") for one in found)


def names(value: Any) -> tuple[str, ...]:
    """Names of variables."""
    if not isinstance(value, list):
        raise Wrong(f"{value!r} is not a list", 'write names = ["SECRET_KEY"]')
    for name in value:
        if not isinstance(name, str) or not re.fullmatch(words.VARIABLE, name):
            raise Wrong(f"{name!r} is not the name of a variable", "names only, never values")
    return tuple(value)


def repository(value: Any) -> str:
    """A restic repository."""
    if not words.is_repository(text(value)):
        raise Wrong(f"{value!r} is not a restic repository", '"sftp:me@nas:/backups/myapp"')
    return str(value)


def tls(value: Any) -> str:
    """A way of HTTPS."""
    if value not in TLS:
        raise Wrong(f"{value!r} is no way of HTTPS", " or ".join(f'"{one}"' for one in TLS))
    return str(value)


def hosts(value: Any) -> tuple[str, ...]:
    """A list of host names."""
    if not isinstance(value, list):
        raise Wrong(f"{value!r} is not a list", 'write also = ["www.example.org"]')
    return tuple(HOST(one) for one in value)


APP = matching(
    APP_NAME.pattern,
    "an app's name",
    "up to 32 characters of a-z, 0-9 and -; not homeport, and not ending like a release's slot",
)
PATH = matching(words.PATH, "a path", 'begin it with a slash: "/health"')
SERVICE = matching(words.SERVICE, "a service's name", "as in the compose file")
PORT = whole(1, 65535)
VARIABLE = matching(words.VARIABLE, "the name of a variable", "never its value")
HOST = matching(words.HOST, "a host name", 'without scheme, port or path: "food.example.org"')
