"""What the host remembers of its repository: the last copy there, and the last drill."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from homeport import wire
from homeport.core import offsite
from homeport.host import proc
from homeport.host.paths import Paths, write
from homeport.host.store import Lock


def known(paths: Paths) -> offsite.Offsite | None:
    """What the last copies and drills left written; None where there were none."""
    try:
        found = wire.decode(offsite.Offsite, json.loads(proc.text(path(paths))))
    except (ValueError, wire.WireError):
        return None
    holder = Lock(paths.away_lock).held()
    return replace(found, sending=str(holder.get("verb", "?")) if holder else "")


def remember(paths: Paths, repository: str, **news: Any) -> None:
    """Write down what became of a copy or a drill, beside what was known of that repository."""
    before = known(paths)
    kept = asdict(before) if before and before.repository == repository else {}
    kept.pop("sending", None)
    made = offsite.Offsite(**{**kept, "repository": repository, **news})
    path(paths).parent.mkdir(parents=True, exist_ok=True)
    write(path(paths), wire.encode(made), 0o600)


def newest(paths: Paths) -> str:
    """The id of the newest set off the box; "" where none is."""
    found = known(paths)
    return found.set if found else ""


def sending(paths: Paths) -> str:
    """The id of a set whose upload has begun and not ended; "" where there is none."""
    found = known(paths)
    return found.begun_set if found else ""


def path(paths: Paths) -> Path:
    """Where it is written down."""
    return paths.backups / "offsite.json"
