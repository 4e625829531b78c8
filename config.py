"""Settings: read from the environment or `NAME_FILE`, checked all at once.

`read_config` turns an environment into a `Config` or raises one `ConfigError` that names every
wrong variable. Nothing else in the app reads the environment, but for libpq's own PGOPTIONS.
"""

from __future__ import annotations

import ipaddress
import os
import struct
import sysconfig
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, timedelta, tzinfo
from pathlib import Path
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

from foodbudget import address
from foodbudget.errors import ConfigError
from foodbudget.money import CURRENCIES, Currency
from foodbudget.proxies import Network

NEW_KEY = 'python3 -c "import secrets; print(secrets.token_urlsafe(48))"'


@dataclass(frozen=True, kw_only=True)
class Config:
    """One checked set of settings.

    `session_lifetime` is a span, `database` an absolute path or a PostgreSQL server, `standby` the
    path of the file whose presence forbids writes (None: never), `trusted_proxies` a count,
    `trusted_networks` where the last of them connects from over TCP.
    """

    secret_key: str
    database: Path | address.Server
    session_lifetime: timedelta
    log_level: str
    currency: Currency
    timezone: tzinfo
    signup: bool
    trusted_proxies: int
    trusted_networks: tuple[Network, ...]
    release: str
    standby: Path | None

    name: ClassVar[str]
    json_logs: ClassVar[bool] = False
    testing: ClassVar[bool] = False
    shortest_key: ClassVar[int] = 1
    defaults: ClassVar[Mapping[str, str]] = {}


class Development(Config):
    """On a developer's machine: starts with no setting at all."""

    name = "development"
    defaults = {
        "SECRET_KEY": "only-for-development",
        "DATABASE_URL": "sqlite:///data/development.db",
        "LOG_LEVEL": "DEBUG",
    }


class Testing(Config):
    """In the test suite: every test brings its own database."""

    name = "testing"
    testing = True
    defaults = {"SECRET_KEY": "only-for-tests", "LOG_LEVEL": "WARNING"}


class Production(Config):
    """For people's data: refuses to start without a real SECRET_KEY."""

    name = "production"
    json_logs = True
    shortest_key = 32
    defaults = {"DATABASE_URL": "sqlite:////app/data/myfoodbudget.db", "TRUSTED_PROXIES": "1"}


KINDS: dict[str, type[Config]] = {kind.name: kind for kind in (Development, Testing, Production)}


@dataclass(frozen=True)
class Setting:
    """One variable: its name, where it lands in `Config`, how it is read, what it accepts.

    `parse` gets the text and the kind of configuration and raises ValueError for what it does
    not take. `default` None means that the variable must be set.
    """

    variable: str
    field: str
    parse: Callable[[str, type[Config]], Any]
    accepts: str
    default: str | None = None


class Unsupported(ValueError):
    """A right value that can not be had here; its text says all, with what mends it."""


def _secret(text: str, kind: type[Config]) -> str:
    if len(text) < kind.shortest_key:
        raise ValueError(f"has {len(text)} characters")
    return text


def _database(text: str, kind: type[Config]) -> Path | address.Server:
    where = address.parse(text)
    if isinstance(where, address.Server) and not address.has_driver():
        bits = struct.calcsize("P") * 8
        # 32-bit ARM has no wheel of it; anywhere else it was left out by mistake
        mend = "Use a 64-bit system and its image" if bits == 32 else "Install requirements.txt"
        raise Unsupported(
            "asks for PostgreSQL, and there is no PostgreSQL driver (psycopg) here "
            f"({sysconfig.get_platform()}, {bits}-bit). {mend}, or use SQLite: "
            f"{Production.defaults['DATABASE_URL']}"
        )
    return where


def _whole(lowest: int, highest: int) -> Callable[[str, type[Config]], int]:
    def parse(text: str, kind: type[Config]) -> int:
        # isascii first: isdigit alone takes digits that int() does not
        if not (text.isascii() and text.isdigit() and lowest <= int(text[:9]) <= highest):
            raise ValueError(f"is {text!r}")
        return int(text)

    return parse


def _minutes(text: str, kind: type[Config]) -> timedelta:
    return timedelta(minutes=_whole(1, 525600)(text, kind))


def _one_of(words: Mapping[str, Any]) -> Callable[[str, type[Config]], Any]:
    def parse(text: str, kind: type[Config]) -> Any:
        if text not in words:
            raise ValueError(f"is {text!r}")
        return words[text]

    return parse


def _timezone(text: str, kind: type[Config]) -> tzinfo:
    if text == "UTC":
        # needs no time zone database, which a small image may lack
        return UTC
    try:
        return ZoneInfo(text)
    except (KeyError, ValueError, OSError):
        raise ValueError(f"is {text!r}, which this machine does not know") from None


def _text(text: str, kind: type[Config]) -> str:
    if not text.isascii() or not text.isprintable() or len(text) > 100:
        raise ValueError(f"is {text[:100]!r}")
    return text


def _networks(text: str, kind: type[Config]) -> tuple[Network, ...]:
    try:
        return tuple(ipaddress.ip_network(part) for part in text.replace(",", " ").split())
    except ValueError as error:
        raise ValueError(f"is {text!r} ({error})") from None


def _path(text: str, kind: type[Config]) -> Path | None:
    return Path(text) if text else None


LEVELS = {level: level for level in ("DEBUG", "INFO", "WARNING", "ERROR")}

SETTINGS = (
    Setting(
        "SECRET_KEY",
        "secret_key",
        _secret,
        f"a random text of at least 32 characters; make one: {NEW_KEY}",
    ),
    Setting("DATABASE_URL", "database", _database, address.FORMS),
    Setting(
        "SESSION_LIFETIME_MINUTES",
        "session_lifetime",
        _minutes,
        "a whole number of minutes from 1 to 525600",
        "43200",
    ),
    Setting("LOG_LEVEL", "log_level", _one_of(LEVELS), ", ".join(LEVELS), "INFO"),
    Setting("CURRENCY", "currency", _one_of(CURRENCIES), ", ".join(CURRENCIES), "EUR"),
    Setting("TIMEZONE", "timezone", _timezone, "UTC or a name like Europe/Berlin", "UTC"),
    Setting(
        "SIGNUP",
        "signup",
        _one_of({"open": True, "closed": False}),
        "open (anybody who reaches the page can make an account) or closed",
        "open",
    ),
    Setting(
        "TRUSTED_PROXIES",
        "trusted_proxies",
        _whole(0, 5),
        "how many proxies stand before the app, 0 to 5",
        "0",
    ),
    Setting(
        "TRUSTED_NETWORKS",
        "trusted_networks",
        _networks,
        "addresses or networks like 172.18.0.0/16, with commas between them",
        "",
    ),
    Setting("HOMEPORT_RELEASE", "release", _text, "at most 100 printable ASCII characters", "dev"),
    Setting("HOMEPORT_STANDBY", "standby", _path, "the path of a file", ""),
)


def read_config(environ: Mapping[str, str] | None = None) -> Config:
    """Read and check all settings.

    Args:
        environ: the variables; by default those of this process. FLASK_ENV chooses the kind of
            configuration, production when it is not set.

    Returns:
        the `Development`, `Testing` or `Production` configuration.

    Raises:
        ConfigError: with one line for every variable that is missing or wrong.
    """
    environ = os.environ if environ is None else environ
    problems: list[str] = []
    kind_name = environ.get("FLASK_ENV") or Production.name
    kind = KINDS.get(kind_name, Production)
    if kind_name not in KINDS:
        problems.append(f"FLASK_ENV is {kind_name!r}; it accepts: {', '.join(KINDS)}")
    values: dict[str, Any] = {}
    for setting in SETTINGS:
        try:
            values[setting.field] = setting.parse(_raw(setting, kind, environ), kind)
        except Unsupported as error:
            problems.append(f"{setting.variable} {error}")
        except ValueError as error:
            problems.append(f"{setting.variable} {error}; it accepts: {setting.accepts}")
    if problems:
        raise ConfigError(problems)
    return kind(**values)


def _raw(setting: Setting, kind: type[Config], environ: Mapping[str, str]) -> str:
    """The text of one setting: its variable, its file, or its default; empty counts as unset."""
    text = environ.get(setting.variable, "")
    file = environ.get(f"{setting.variable}_FILE", "")
    if text and file:
        raise ValueError(f"and {setting.variable}_FILE are both set, keep one")
    if file:
        try:
            text = Path(file).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            cause = getattr(error, "strerror", None) or "it is not UTF-8 text"
            raise ValueError(f"can not be read from {file} ({cause})") from None
        if not text:
            raise ValueError(f"can not be read from {file} (it is empty)")
    text = text or kind.defaults.get(setting.variable, setting.default or "")
    if not text and setting.default is None:
        raise ValueError("is not set")
    return text
