"""homeport.toml → ``Settings``, with every mistake in it named at once.

The table ``KEYS`` is the whole grammar: a section, its keys, and what each accepts. The reference
for people is ``homeport.example.toml``, which a test holds against this table.
"""

from __future__ import annotations

import difflib
import tomllib
from pathlib import Path
from typing import Any, Mapping

from homeport.backups import Backup, Migrate
from homeport.control import readers as to
from homeport.control import site_rules
from homeport.control.readers import Reader, Wrong
from homeport.core import words
from homeport.errors import Problem, SettingsError
from homeport.model import (
    DeployRules,
    HostAddress,
    Settings,
    Site,
    Smoke,
    Web,
)

FILE = "homeport.toml"

#: section → key → what reads its value; ``""`` is the top of the file
KEYS: Mapping[str, Mapping[str, Reader]] = {
    "": {"app": to.APP, "compose": to.matching(r"[^\s/-].*|/.+", "a path of a file")},
    "host": {
        "address": to.matching(r"[A-Za-z0-9:][A-Za-z0-9.:_-]*|", "an address", "a name or an IP"),
        "user": to.matching(r"[a-z_][a-z0-9_.-]*\$?", "a user's name"),
        "port": to.PORT,
    },
    "web": {"service": to.SERVICE, "port": to.PORT, "ready": to.PATH, "standby": to.flag},
    "site": {
        "name": to.HOST,
        "also": to.hosts,
        "port": to.PORT,
        "tls": to.tls,
        "email": to.matching(words.MAIL, "a mail address", '"me@example.org"'),
        "acme_ca": to.matching(words.ACME, "the address of an ACME directory", "https://…"),
        "acme_root": to.matching(r"[^\s/-].*|/.+", "a path of a file"),
    },
    "deploy": {
        "handover": to.mode,
        "drain": to.span(0.0),
        "hold": to.span(1.0),
        "start": to.span(1.0),
        "keep": to.whole(1, 100),
    },
    "backup": {
        "postgres": to.VARIABLE,
        "exclude": to.inside,
        "check": to.command,
        "schedule": to.matching(words.SCHEDULE, "a schedule", '"hourly", or a time: "03:30"'),
        "keep": to.whole(1, 1000),
        "days": to.whole(1, 3650),
        "offsite": to.repository,
        "offsite_daily": to.whole(0, 1000),
        "offsite_weekly": to.whole(0, 1000),
        "offsite_monthly": to.whole(0, 1000),
    },
    "migrate": {
        "command": to.command,
        "schema": to.command,
        "compatible": to.flag,
        "within": to.span(1.0),
    },
    "smoke": {
        "path": to.PATH,
        "status": to.whole(100, 599),
        "contains": to.text,
        "within": to.span(0.1),
    },
    "secrets": {"names": to.names},
}
#: what must be said where its section is there
NEEDED = {"migrate": ("command", "schema")}


def load(path: Path) -> Settings:
    """The settings in the file at ``path``; raises SettingsError with all that is wrong."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise SettingsError.of(
            "there is no such file", str(path), mend="homeport init, or --settings FILE"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        mend = "it must be a file of text in UTF-8; homeport init writes a new one"
        raise SettingsError.of("it cannot be read", str(path), str(error), mend) from None
    return site_rules.with_root(parse(text, path.name), path)


def parse(text: str, name: str = FILE) -> Settings:
    """The settings in ``text``; raises SettingsError with all that is wrong, ``name`` in front."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        mend = "correct it there; homeport.example.toml shows every key as it is written"
        raise SettingsError.of("it is not TOML", name, str(error), mend) from None
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
    problems += site_rules.problems(found["site"], name)
    for section, keys in NEEDED.items():
        problems += [
            Problem("it is missing", f"{name}: [{section}] {key}", mend=f'{key} = ["PROGRAM", …]')
            for key in keys
            if section in data and key not in found[section]
        ]
    if problems:
        raise SettingsError(*problems)
    return Settings(
        **found[""],
        host=HostAddress(**found["host"]),
        web=Web(**found["web"]),
        site=Site(**found["site"]),
        deploy=DeployRules(**found["deploy"]),
        backup=Backup(**found["backup"]) if "backup" in data else None,
        migrate=Migrate(**found["migrate"]) if "migrate" in data else None,
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
                mend = wrong.mend or "homeport.example.toml says what it takes"
                problems.append(Problem(wrong.what, where, mend=mend))
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
