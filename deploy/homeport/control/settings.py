"""homeport.toml → ``Settings``, with every mistake in it named at once.

The table ``KEYS`` is the whole grammar: a section, its keys, and what each accepts. The reference
for people is ``homeport.example.toml``, which a test holds against this table.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from pathlib import Path
from typing import Any, Callable, Mapping

from homeport.errors import Problem, SettingsError
from homeport.model import APP_NAME, MODES, DeployRules, HostAddress, Settings, Site, Smoke, Web

FILE = "homeport.toml"

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
    text = value if isinstance(value, str) else ""
    parts = DURATION.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise Wrong(f"{value!r} is not a duration", 'write a number and a unit: "10s", "500ms"')
    seconds = float(sum(float(number) * UNITS[unit] for number, unit in parts))
    if seconds > DAY:
        raise Wrong(f"{value!r} is longer than a day", 'write a shorter one: "30s"')
    return seconds


def _span(least: float) -> Reader:
    def read(value: Any) -> float:
        seconds = duration(value)
        if seconds < least:
            raise Wrong(f"{value!r} is too short", f"at least {least:g}s")
        return seconds

    return read


def _whole(low: int, high: int) -> Reader:
    def read(value: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise Wrong(f"{value!r} is not a whole number from {low} to {high}")
        return value

    return read


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise Wrong(f"{value!r} is not text", "put it in quotes")
    return value


def _matching(pattern: str, meaning: str, mend: str = "") -> Reader:
    compiled = re.compile(pattern)

    def read(value: Any) -> str:
        if not compiled.fullmatch(_text(value)):
            raise Wrong(f"{value!r} is not {meaning}", mend)
        return str(value)

    return read


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise Wrong(f"{value!r} is neither true nor false", "write true or false, without quotes")
    return value


def _mode(value: Any) -> str:
    if value not in MODES:
        near = difflib.get_close_matches(str(value), MODES, 1)
        choice = f'"{near[0]}"' if near else " or ".join(f'"{mode}"' for mode in MODES)
        raise Wrong(f"{value!r} is no way of handing over", f"did you mean {choice}?")
    return str(value)


def _names(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise Wrong(f"{value!r} is not a list", 'write names = ["SECRET_KEY"]')
    for name in value:
        if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            raise Wrong(f"{name!r} is not the name of a variable", "names only, never values")
    return tuple(value)


_app = _matching(APP_NAME.pattern, "an app's name", "up to 32 characters of a-z, 0-9 and -")
_path = _matching(r"/[^\s#]*", "a path", 'begin it with a slash: "/health"')
_service = _matching(r"[A-Za-z0-9][A-Za-z0-9._-]*", "a service's name", "as in the compose file")
_port = _whole(1, 65535)

#: section → key → what reads its value; ``""`` is the top of the file
KEYS: Mapping[str, Mapping[str, Reader]] = {
    "": {"app": _app, "compose": _matching(r"[^\s/-].*|/.+", "a path of a file")},
    "host": {
        "address": _matching(r"[A-Za-z0-9:][A-Za-z0-9.:_-]*|", "an address", "a name or an IP"),
        "user": _matching(r"[a-z_][a-z0-9_.-]*\$?", "a user's name"),
        "port": _port,
    },
    "web": {"service": _service, "port": _port, "ready": _path, "standby": _flag},
    "site": {
        "name": _matching(
            r"(?=.{1,253}\Z)[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
            r"(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*",
            "a host name",
            'without scheme, port or path: "food.example.org"',
        ),
        "port": _port,
    },
    "deploy": {
        "handover": _mode,
        "drain": _span(0.0),
        "hold": _span(1.0),
        "start": _span(1.0),
        "keep": _whole(1, 100),
    },
    "smoke": {
        "path": _path,
        "status": _whole(100, 599),
        "contains": _text,
        "within": _span(0.1),
    },
    "secrets": {"names": _names},
}


def load(path: Path) -> Settings:
    """The settings in the file at ``path``; raises SettingsError with all that is wrong."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise SettingsError.of(
            "there is no such file", str(path), mend="homeport init, or --settings FILE"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError.of("it cannot be read", str(path), str(error)) from None
    return parse(text, path.name)


def parse(text: str, name: str = FILE) -> Settings:
    """The settings in ``text``; raises SettingsError with all that is wrong, ``name`` in front."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError.of("it is not TOML", name, str(error)) from None
    problems: list[Problem] = []
    found = {"": _section(data, "", name, problems, inner=tuple(KEYS))}
    for section in KEYS:
        if section and section != "smoke":
            found[section] = _section(
                _table(data, section, name, problems), section, name, problems
            )
    smoke = _smoke(data, name, problems)
    if "app" not in data:
        problems.append(Problem("it is missing", f"{name}: app", mend='app = "NAME"'))
    if {"name", "port"} <= found["site"].keys():
        problems.append(
            Problem("name and port exclude each other", f"{name}: [site]", mend="keep one of them")
        )
    if problems:
        raise SettingsError(*problems)
    return Settings(
        **found[""],
        host=HostAddress(**found["host"]),
        web=Web(**found["web"]),
        site=Site(**found["site"]),
        deploy=DeployRules(**found["deploy"]),
        smoke=smoke,
        secrets=found["secrets"].get("names", ()),
    )


def _table(
    data: Mapping[str, Any], section: str, name: str, problems: list[Problem]
) -> Mapping[str, Any]:
    table = data.get(section, {})
    if isinstance(table, Mapping):
        return table
    problems.append(Problem("it is not a section", f"{name}: {section}", mend=f"[{section}]"))
    return {}


def _smoke(data: Mapping[str, Any], name: str, problems: list[Problem]) -> tuple[Smoke, ...]:
    checks = data.get("smoke", [])
    if not isinstance(checks, list) or not all(isinstance(one, Mapping) for one in checks):
        problems.append(Problem("it is not a list of checks", f"{name}: smoke", mend="[[smoke]]"))
        return ()
    good = []
    for number, check in enumerate(checks, 1):
        read = _section(check, "smoke", name, problems, place=f"[[smoke]] {number}")
        if "path" not in check:
            where = f"{name}: [[smoke]] {number} path"
            problems.append(Problem("it is missing", where, mend='path = "/"'))
        elif "path" in read:
            good.append(Smoke(**read))
    return tuple(good)


def _section(
    table: Mapping[str, Any],
    section: str,
    name: str,
    problems: list[Problem],
    inner: tuple[str, ...] = (),
    place: str = "",
) -> dict[str, Any]:
    """The keys of one section, read; what is wrong goes to ``problems``."""
    readers = KEYS[section]
    place = place or (f"[{section}]" if section else "")
    found: dict[str, Any] = {}
    for key, value in table.items():
        where = f"{name}: {place} {key}".replace(":  ", ": ")
        if key in readers:
            try:
                found[key] = readers[key](value)
            except Wrong as wrong:
                problems.append(Problem(wrong.what, where, mend=wrong.mend))
        elif key not in inner:
            problems.append(Problem("there is no such key", where, mend=_near(key, section, inner)))
    return found


def _near(key: str, section: str, inner: tuple[str, ...]) -> str:
    """What was probably meant: a near name here, or the same name in another section."""
    near = difflib.get_close_matches(key, [*KEYS[section], *filter(None, inner)], 1)
    if near:
        return f"did you mean {near[0]}?"
    others = [other for other in KEYS if key in KEYS[other]]
    if others:
        return " or ".join(
            f"it belongs in [{other}]" if other else "at the top" for other in others
        )
    return "known here: " + ", ".join([*KEYS[section], *filter(None, inner)])
