"""The boot hook: after a boot, every app on this host is made to match its link."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from homeport import wire
from homeport.errors import HostFault
from homeport.host import detach, verbs
from homeport.host.engine import Engine
from homeport.host.paths import ROOT_VARIABLE, from_environment
from homeport.host.store import Store
from homeport.model import APP_NAME

#: how long Docker may take to come up after a boot, in seconds
PATIENCE = 240.0


def main() -> int:
    """Wait for Docker, then recover every app. 0 if all of them serve as they should."""
    if not docker(PATIENCE):
        print("homeport: Docker does not answer; nothing was recovered", file=sys.stderr)
        return HostFault.code
    return max((_recovered(app) for app in apps()), default=0)


def _recovered(app: str) -> int:
    """Recover one app, and never keep the others from it; the exit code."""
    paths = from_environment(app)
    try:
        Store(paths).append({"k": "boot", "run": ""})
    except HostFault as error:
        # on a full disk the app may be brought back all the same
        print(f"homeport: {app}: {error.text()}", file=sys.stderr)
    request = wire.encode({"verb": "recover", "app": app, "cause": {"who": "boot"}})
    return verbs.carry_out(app, detach.new_run(), request)


def apps() -> list[str]:
    """The apps of this host that were ever deployed, by name."""
    root = Path(os.environ.get(ROOT_VARIABLE, "/opt"))
    found = [one.parent.name for one in root.glob("*/journal.jsonl")]
    return sorted(name for name in found if APP_NAME.match(name))


def docker(within: float) -> bool:
    """Wait until Docker answers; whether it did within so many seconds."""
    end = time.monotonic() + within
    while time.monotonic() < end:
        try:
            Engine().info()
            return True
        except HostFault:
            time.sleep(0.1)
    return False
