"""The scripts in an app's folder: one line each, a door to the agent."""

from __future__ import annotations

from homeport.host.paths import Paths, write

DOORS = ("deploy", "rollback", "health-check", "freeze", "unfreeze", "backup")
_SCRIPT = """#!/bin/sh
# {door}: a door to Homeport's agent; run it as the user homeport
exec python3 -I -c "import sys; sys.path.insert(0, '{home}/agent/current'); \\
from homeport.host.doors import main; sys.exit(main('{door}', '{app}', sys.argv[1:]))" "$@"
"""


def hang(paths: Paths) -> None:
    """Write the scripts into the app's folder."""
    folder = paths.folder / "scripts"
    folder.mkdir(exist_ok=True)
    for door in DOORS:
        text = _SCRIPT.format(door=door, app=paths.app, home=paths.home)
        path = folder / door
        if not path.exists() or path.read_text() != text:
            write(path, text, 0o755)
