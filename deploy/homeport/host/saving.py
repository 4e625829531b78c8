"""One look at what is saved of an app on this host: its sets, and who makes the next one."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from homeport.core import link as links
from homeport.core import service
from homeport.core.facts import Facts
from homeport.core.kept import Saving, Ticker
from homeport.core.saving import asked
from homeport.host import compose, hooks, kept, proc
from homeport.host.paths import Paths
from homeport.host.store import Lock
from homeport.model import Release

ROOT = Path("/")
#: held by what makes due backups while it does
LOCK = "schedule.lock"


def look(paths: Paths, known: Facts, root: Path = ROOT) -> Facts:
    """The facts of an app's own files with what is saved of it."""
    found = kept.manifests(paths)
    checked = {one.id: kept.verified(paths, one.id) for one in found}
    good = {name: one for name, one in checked.items() if one is not None}
    saving = _saving(paths, known.committed, root)
    return replace(known, sets=found, verified=good, saving=saving)


def _saving(paths: Paths, live: Release | None, root: Path) -> Saving:
    backup = asked(live.settings) if live else None
    if live is None or backup is None:
        return Saving(declared(paths, live) if live else ())
    if not backup.schedule:
        return Saving()
    return Saving((), ticker(paths, root), offset)


def declared(paths: Paths, live: Release) -> tuple[str, ...]:
    """Where the live release's services can write to what outlives them, as they see it."""
    try:
        project: dict[str, Any] = compose.project(paths, live)
    except (OSError, ValueError):
        return ()
    found = {
        str(mount.get("target"))
        for one in (project.get("services") or {}).values()
        for mount in service.mounts(one)
        if mount.get("type") in ("bind", "volume") and not mount.get("read_only")
    }
    return tuple(sorted(found - {links.RUN}))


def ticker(paths: Paths, root: Path = ROOT) -> Ticker:
    """What setup made to look for due backups, and when that was done last."""
    hook = paths.home / "schedule-hook"
    kind = proc.text(hook)
    uptime = proc.text(root / "proc/uptime").partition(" ")[0]
    booted = time.time() - float(uptime) if uptime else 0.0
    since = max(_touched(hook), booted)
    # one that is at work looks at nothing else meanwhile, however long a backup takes
    busy = Lock(paths.home / LOCK).held()
    at = time.time() if busy else _touched(paths.scheduled)
    return Ticker(kind, hooks.runs(kind, root, "schedule"), at, since)


def _touched(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def offset(at: float) -> float:
    """How many seconds the host's clock is ahead of UTC at an instant."""
    return float(time.localtime(at).tm_gmtoff)
