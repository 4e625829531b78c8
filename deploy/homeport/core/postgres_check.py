"""What a dump and a restored copy tell, and how that differs from what they should. Pure."""

from __future__ import annotations

import calendar
import json
import re
from dataclasses import dataclass
from typing import Any, Mapping

#: clocks of a container and of its host are one; a dump may be so many seconds off all the same
SLACK = 5.0
#: more than so many tables by name say no more
SHOWN = 5
_MADE = re.compile(
    r"^; Archive created at (\d{4})-(\d\d)-(\d\d) (\d\d):(\d\d):(\d\d)(?: UTC)?\s*$", re.M
)
_NAME = re.compile(r"^;\s+dbname: (.*)$", re.M)


@dataclass(frozen=True)
class Archive:
    """What pg_restore lists of a dump: of which database it is, and when it was begun."""

    name: str
    created: float


def archive(text: str) -> Archive:
    """The head of ``pg_restore --list``; its times are those of TZ, which is UTC for ours."""
    name, made = _NAME.search(text), _MADE.search(text)
    stamp = calendar.timegm(tuple(map(int, made.groups()))) if made else 0
    return Archive(name.group(1).strip() if name else "", float(stamp))


def foreign(found: Archive, name: str, began: float, ended: float) -> tuple[str, ...]:
    """Why a dump is not the one that was made of a database in that span; 0: not known."""
    said = []
    if found.name != name:
        said.append(f"it is a dump of the database {found.name!r}, not of {name!r}")
    if began and not began - SLACK <= found.created <= (ended or began) + SLACK:
        said.append("it is a dump from another time than its set")
    return tuple(said)


def rows(text: str) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """Lines of JSON that psql printed, as objects and as rows per table."""
    objects, counts = [], {}
    for line in text.splitlines():
        if line.startswith("{"):
            objects.append(dict(json.loads(line)))
        elif line.startswith("["):
            label, count = json.loads(line)
            counts[str(label)] = int(count)
    return objects, counts


def differing(then: Mapping[str, int], now: Mapping[str, int]) -> tuple[str, ...]:
    """What a restored copy does not have as the source had it, table by table."""
    said = []
    for name in sorted(then.keys() | now.keys()):
        had, has = then.get(name), now.get(name)
        if has is None:
            said.append(f"the table {name} is missing")
        elif had is None:
            said.append(f"the table {name} was not in the database")
        elif had != has:
            said.append(f"{name} has {has} rows, and had {had}")
    if len(said) > SHOWN:
        said = [*said[:SHOWN], f"and {len(said) - SHOWN} tables more"]
    return tuple(said)
