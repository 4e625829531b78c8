"""What the settings of a request may be, whoever sent it: what no homeport.toml can say is refused.

The controller reads the file and tells all that is wrong in it. This is the host's own look at what
comes out of that: nothing of it may end a line, be an option, leave a folder, or be without bounds.
"""

from __future__ import annotations

import re
from dataclasses import fields, is_dataclass
from typing import Any, Callable, Iterator

from homeport.core import words
from homeport.model import Request

#: no time that is asked for is longer, in seconds
DAY = 86400.0
Test = Callable[[Any], bool]


def _like(pattern: str, empty: bool = False) -> Test:
    compiled = re.compile(pattern)
    return lambda value: (empty and value == "") or compiled.fullmatch(value) is not None


def _within(low: float, high: float) -> Test:
    return lambda value: low <= value <= high


def _line(value: str) -> bool:
    return value == words.sentence(value, 4096)


def _inside(value: str) -> bool:
    return _line(value) and not value.startswith("/") and ".." not in value.split("/")


_TIME, _PORT = _within(0, DAY), _within(1, 65535)
#: the value by its place in a request, what it is in words, and the test it must pass
RULES: tuple[tuple[str, str, Test], ...] = (
    ("auth", "a login", words.is_auth),
    ("lines", "a number of lines", _within(0, 1_000_000)),
    ("monitor", "a time", _TIME),
    ("wait", "a time", _TIME),
    ("source", "a repository", lambda value: not value or words.is_repository(value)),
    ("image.platforms", "a platform", _like(r"[A-Za-z0-9._/:-]{1,80}")),
    ("image.size", "a size", _within(0, 2**50)),
    ("settings.compose", "a file", lambda value: _line(value) and not value.startswith("-")),
    ("settings.host.address", "an address", _like(r"[A-Za-z0-9:][A-Za-z0-9.:_-]*", empty=True)),
    ("settings.host.user", "a user", _like(r"[A-Za-z_][A-Za-z0-9_.-]*\$?")),
    ("settings.host.port", "a port", _PORT),
    ("settings.web.service", "a service", _like(words.SERVICE)),
    ("settings.web.port", "a port", _PORT),
    ("settings.web.ready", "a path", _like(words.PATH)),
    ("settings.site.name", "a name", _like(words.HOST)),
    ("settings.site.also", "a name", _like(words.HOST)),
    ("settings.site.port", "a port", _PORT),
    ("settings.site.email", "a mail address", _like(words.MAIL, empty=True)),
    ("settings.site.acme_ca", "an authority", _like(words.ACME, empty=True)),
    ("settings.deploy.drain", "a time", _TIME),
    ("settings.deploy.hold", "a time", _TIME),
    ("settings.deploy.start", "a time", _TIME),
    ("settings.deploy.keep", "a number of releases", _within(1, 1000)),
    ("settings.backup.postgres", "a variable", _like(words.VARIABLE, empty=True)),
    ("settings.backup.exclude", "a path in the data", _inside),
    ("settings.backup.schedule", "a schedule", _like(words.SCHEDULE, empty=True)),
    ("settings.backup.keep", "a number of sets", _within(0, 10_000)),
    ("settings.backup.days", "a number of days", _within(0, 100_000)),
    ("settings.backup.offsite", "a repository", lambda v: not v or words.is_repository(v)),
    ("settings.backup.offsite_daily", "a number of sets", _within(0, 10_000)),
    ("settings.backup.offsite_weekly", "a number of sets", _within(0, 10_000)),
    ("settings.backup.offsite_monthly", "a number of sets", _within(0, 10_000)),
    ("settings.migrate.within", "a time", _TIME),
    ("settings.smoke.path", "a path", _like(words.PATH)),
    ("settings.smoke.status", "a status", _within(100, 599)),
    ("settings.smoke.within", "a time", _TIME),
    ("settings.secrets", "a variable", _like(words.VARIABLE)),
)
#: what only people read, or what is data by itself: a compose file, a command, a text to look for
FREE = (
    *("verb", "app", "compose", "release", "set", "key", "opens", "minutes", "at"),
    *("cause.who", "cause.why", "cause.url", "image.ref", "image.digest"),
    *("settings.app", "settings.site.acme_root", "settings.backup.check"),
    *("settings.migrate.command", "settings.migrate.schema", "settings.smoke.contains"),
)


def wrong(request: Request) -> str:
    """The first value that is not what it should be, in words; "" where there is none."""
    for place, meaning, test in RULES:
        for value in _values(request, place.split(".")):
            if not test(value):
                return f"{place}: not {meaning}: {str(value)[:80]!r}"
    return ""


def _values(at: Any, names: list[str]) -> Iterator[Any]:
    """What stands at a place; of a list each one. None is no value."""
    if isinstance(at, tuple):
        for one in at:
            yield from _values(one, names)
    elif at is not None and names:
        yield from _values(getattr(at, names[0]), names[1:])
    elif at is not None:
        yield at


def places(at: Any, place: str = "") -> Iterator[str]:
    """Every place of a request that holds a text or a number, as the tables above name them."""
    for one in fields(at):
        value, name = getattr(at, one.name), f"{place}{one.name}"
        inner = value[0] if isinstance(value, tuple) and value else value
        if is_dataclass(inner):
            yield from places(inner, f"{name}.")
        else:
            yield name
