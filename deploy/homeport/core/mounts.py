"""What a compose file says of the places that an app writes to, and where it keeps its database.

Pure: Compose's JSON with its values filled in comes in. Of a variable's value only a path leaves,
never the value itself.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Iterable, Mapping

from homeport.core import service as services

Table = dict[str, Any]
#: how files are called that hold a SQLite database
DATABASE = re.compile(r"\.(?:db|db3|sqlite|sqlite3)\Z", re.IGNORECASE)
#: what such a file begins with
HEADER = b"SQLite format 3\0"
#: variables that name one by its path alone
_NAME = re.compile(r"(?:\A|_)(?:DATABASE|DB|SQLITE)(?:_|\Z)", re.IGNORECASE)
_URL = re.compile(r"\Asqlite3?(?:\+\w+)?:(?://)?(?P<path>[^?#]*)(?P<rest>.*)\Z", re.IGNORECASE)
_FILE = re.compile(r"\Afile:(?://(?=/))?(?P<path>[^?#]*)(?P<rest>.*)\Z")
#: what comes with an image there is read, not written
_SYSTEM = ("/usr/", "/etc/", "/lib/", "/proc/", "/sys/")
#: settings with which a power cut takes commits along: in a URL or a variable, on a command line
_LOOSE_URL = re.compile(
    r"(synchronous|journal_mode|_sync|_journal)\s*(?:=|\(|%28)\s*(off|memory|0)(?!\w)",
    re.IGNORECASE,
)
_LOOSE_NAME = re.compile(r"(?:\A|_)(SYNCHRONOUS|JOURNAL_MODE)\Z", re.IGNORECASE)
_LOOSE_SERVER = re.compile(
    r"(?:-c\s*|--)(fsync|synchronous_commit|full_page_writes)\s*=\s*(off|false|no|0)(?!\w)",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Mount:
    """One mount of a moving service. ``source`` is a path, a volume's name, or "" for neither.

    What has no source ends with its container: a tmpfs, or a volume without a name.
    """

    service: str
    kind: str
    source: str
    target: str
    read_only: bool = False

    def covers(self, path: str) -> bool:
        """Whether a path of the container lies in it."""
        return path == self.target or path.startswith(self.target.rstrip("/") + "/")


@dataclass(frozen=True)
class Named:
    """A SQLite database that a variable of a service's names; a path without "/" is relative."""

    service: str
    variable: str
    path: str


@dataclass(frozen=True)
class Loose:
    """A setting with which a power cut takes acknowledged writes along."""

    service: str
    setting: str


def mounts(resolved: Table, names: Iterable[str]) -> tuple[Mount, ...]:
    """Every mount of these services, volumes by their real names."""
    found = []
    for name in names:
        one = (resolved.get("services") or {}).get(name) or {}
        for mount in services.mounts(one):
            kind, source = str(mount.get("type", "")), str(mount.get("source") or "")
            if kind == "volume" and source:
                source = services.name_of(resolved, "volumes", source)
            target, fixed = str(mount.get("target", "")), bool(mount.get("read_only"))
            found.append(Mount(name, kind, source if kind != "tmpfs" else "", target, fixed))
        for text in one.get("tmpfs") or []:
            found.append(Mount(name, "tmpfs", "", str(text).partition(":")[0]))
    return tuple(found)


def databases(
    resolved: Table, names: Iterable[str], env: Mapping[str, str], folder: str
) -> tuple[Named, ...]:
    """The SQLite databases that variables of these services name; ``env`` is what app.env sets."""
    found: dict[tuple[str, str], Named] = {}
    for name in names:
        one = (resolved.get("services") or {}).get(name) or {}
        for variable, value in sorted(_variables(one, env, folder).items()):
            path = database_path(variable, value)
            if path and not path.startswith(_SYSTEM):
                found.setdefault((name, variable), Named(name, variable, path))
    return tuple(found.values())


def loose(
    resolved: Table,
    moving: Iterable[str],
    shared: Iterable[str],
    env: Mapping[str, str],
    folder: str,
) -> tuple[Loose, ...]:
    """Settings of SQLite's and PostgreSQL's that give durability up for speed."""
    found = []
    known = resolved.get("services") or {}
    for name in moving:
        for variable, value in sorted(_variables(known.get(name) or {}, env, folder).items()):
            said = _LOOSE_NAME.search(variable)
            if said and value.strip().lower() in ("off", "memory", "0"):
                found.append(Loose(name, f"{said[1].lower()}={value.strip().lower()}"))
            elif database_path(variable, value):
                found += [
                    Loose(name, f"{key.strip('_').lower()}={to.lower()}")
                    for key, to in _LOOSE_URL.findall(value)
                ]
    for name in shared:
        command = (known.get(name) or {}).get("command") or ""
        text = command if isinstance(command, str) else " ".join(str(one) for one in command)
        found += [
            Loose(name, f"{key.lower()}={to.lower()}") for key, to in _LOOSE_SERVER.findall(text)
        ]
    return tuple(dict.fromkeys(found))


def _variables(one: Table, env: Mapping[str, str], folder: str) -> dict[str, str]:
    """What a service is told: its env file where that is the app's own, then its environment."""
    files = [entry.get("path") for entry in one.get("env_file") or [] if isinstance(entry, dict)]
    mine = {f"{folder}/app.env", f"{folder}/.env"} & {str(path) for path in files}
    told = dict(env) if mine else {}
    for name, value in services.as_map(one.get("environment")).items():
        # without a value Compose takes the one of the env file
        told[name] = env.get(name, "") if value is None else str(value)
    return told


def database_path(variable: str, value: str) -> str:
    """The path of the SQLite database that a variable names; "" where it names none."""
    value = value.strip()
    if "$" in value:
        return ""
    url = _URL.match(value) or (_FILE.match(value) if _NAME.search(variable) else None)
    if url:
        path = url["path"]
        if value.lower().startswith("sqlite") and "://" in value:
            # sqlite:///relative and sqlite:////absolute: what stands between the slashes is a host
            path = path[1:]
        memory = "mode=memory" in url["rest"] or ":memory:" in path
        return "" if memory or not path.strip("/") else path
    if _NAME.search(variable) and value.startswith("/") and DATABASE.search(value):
        return value
    return ""
