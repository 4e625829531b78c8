"""Where an app's data lies on this host: kinds of filesystems, and files where folders belong."""

from __future__ import annotations

import os
from pathlib import Path

from homeport.core import storage
from homeport.core.mounts import DATABASE, HEADER
from homeport.core.render import Rendered
from homeport.host import proc
from homeport.host.engine import Engine


def filesystems(engine: Engine, rendered: Rendered) -> dict[str, str]:
    """Folder or volume of declared data → the kind of filesystem it lies on."""
    found = {one: filesystem(Path(one)) for one in rendered.data}
    for name in rendered.kept:
        # one that is there stays as it was made, whatever the compose file says today
        seen, asked = engine.volume(name) or {}, rendered.volumes.get(name) or {}
        driver = str(seen.get("Driver") or asked.get("driver") or "")
        options = (seen.get("Options") if seen else asked.get("driver_opts")) or {}
        kind, path = storage.kind_of(driver, options)
        path = path or str(seen.get("Mountpoint") or "")
        found[name] = kind or (filesystem(Path(path)) if path else "")
    return found


def filesystem(path: Path) -> str:
    """The kind of filesystem a path lies on."""
    _, _, what = proc.mount(Path("/"), os.path.realpath(path))
    return what[0] if what else ""


def files(rendered: Rendered) -> frozenset[str]:
    """Databases that are mounted as single files."""
    return frozenset(one for one in rendered.data if _database(Path(one)))


def _database(path: Path) -> bool:
    """Whether a path is, or by its name will be, a single file with a SQLite database."""
    named = bool(DATABASE.search(path.name))
    try:
        if path.is_dir():
            return False
        with path.open("rb") as stream:
            return stream.read(len(HEADER)) == HEADER or named
    except OSError:
        return named
