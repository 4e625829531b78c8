"""Major versions of PostgreSQL: what an image brings, and what a change of it would break. Pure."""

from __future__ import annotations

import re
from typing import Any, Mapping, Sequence

from homeport.core import service
from homeport.errors import Problem

_NAMES = re.compile(r"postgres|postgis|pgvec|timescale|paradedb")
_MARKED = re.compile(r"pg(\d+)")
_LEADING = re.compile(r"v?(\d+)")
#: numbers below are versions of an extension, not of a server that anybody runs
LEAST = 9
DATA = "/var/lib/postgresql/data"
#: Docker names a volume so that nobody named
_NAMELESS = re.compile(r"[0-9a-f]{64}")


def of_env(env: Sequence[str]) -> int:
    """The major version that an image or a container says it is; 0 where it does not."""
    known = dict(one.partition("=")[::2] for one in env)
    found = _LEADING.match(known.get("PG_MAJOR") or known.get("PG_VERSION") or "")
    return int(found.group(1)) if found else 0


def of_name(image: str) -> int:
    """The major version that an image's name tells; 0 where it does not, or is no PostgreSQL."""
    name, _, tag = image.partition("@")[0].rpartition(":")
    if "/" in tag or not _NAMES.search(name):
        return 0
    found = _MARKED.search(tag) or _LEADING.match(tag)
    major = int(found.group(1)) if found else 0
    return major if major >= LEAST else 0


def keeps(one: Mapping[str, Any], project: Mapping[str, Any], held: str) -> bool:
    """Whether a service goes on with the volume or folder ``held``, where the data lies now.

    One without a name goes with its container, from the old one to the new.
    """
    volumes = project.get("volumes") or {}
    sources = {str(mount.get("source", "")) for mount in service.mounts(dict(one))}
    names = {str((volumes.get(source) or {}).get("name") or source) for source in sources}
    return held in names or _NAMELESS.fullmatch(held) is not None


def refused(name: str, have: int, want: int, compose: str) -> Problem:
    """What is told of a new image that cannot read the data that is there."""
    return Problem(
        f"{name}: PostgreSQL {want} cannot read the files of PostgreSQL {have}",
        f"{compose}: services.{name}.image",
        "its data goes from one to the other by a dump and a restore only, and the app is away"
        " meanwhile",
        f"keep the image of {have}; or: homeport maintenance on; homeport backup now; give {name}"
        " another volume beside the new image; homeport deploy --shared; homeport restore SET;"
        " homeport maintenance off",
    )
