"""Who else is on this host: other apps' folders, networks and volumes, and where links lead."""

from __future__ import annotations

import os
from typing import Any, Mapping

from homeport.core.render import Rendered
from homeport.host.engine import Engine
from homeport.host.paths import Paths
from homeport.model import APP_NAME

_APP, _EDGE = "homeport.app", "homeport.edge"
#: what is in the folder of every app that was set up or deployed
_MARKS = ("journal.jsonl", "app.env")


def apps(paths: Paths) -> frozenset[str]:
    """The other apps of this host, by name."""
    found = {one.parent.name for mark in _MARKS for one in paths.root.glob(f"*/{mark}")}
    return frozenset(one for one in found if APP_NAME.match(one)) - {paths.app}


def leads(rendered: Rendered) -> dict[str, str]:
    """Paths that the compose file names and that lead elsewhere by links → where they end."""
    ends = {one.path: os.path.realpath(one.path) for one in rendered.reached}
    return {path: end for path, end in ends.items() if end != os.path.normpath(path)}


def others(engine: Engine, rendered: Rendered, app: str) -> dict[str, str]:
    """Networks and volumes that the compose file names and that are somebody else's → whose."""
    found = {}
    for look, names in ((engine.network, rendered.networks), (engine.volume, rendered.volumes)):
        for name in names:
            owner = _owner(look(name) or {}, app)
            if owner:
                found[name] = owner
    return found


def _owner(seen: Mapping[str, Any], app: str) -> str:
    labels = seen.get("Labels") or {}
    if _EDGE in labels:
        return "the edge's own"
    owner = labels.get(_APP)
    return f"the app {owner}'s" if owner and owner != app else ""
