"""Whether what setup has systemd or cron start will be started: by looking at them, not at words.

What is read lies below ``root``, which is a folder of literal files in the tests.
"""

from __future__ import annotations

import os
from pathlib import Path

from homeport.host import machine, proc

_WANTS = ("etc/systemd/system", "usr/lib/systemd/system", "lib/systemd/system")
#: a script of setup's → the unit that starts it
_UNITS = {"boot": "homeport-boot.service", "schedule": "homeport-schedule.timer"}


def runs(kind: str, root: Path, script: str) -> bool | None:
    """Whether a script of setup's will run: its unit is wanted, or cron runs and knows it.

    None for a kind of host that setup does not know.
    """
    if kind == "systemd":
        return wanted(root, _UNITS[script])
    if kind == "cron":
        if not any(proc.text(one) in ("cron", "crond") for one in root.glob("proc/[0-9]*/comm")):
            return False
        lines = machine.said("crontab", "-l").splitlines()
        return any(
            line.split()[-1:] == [f"/opt/homeport/{script}"] for line in lines if line[:1] != "#"
        )
    return None


def wanted(root: Path, *units: str) -> bool:
    """Whether a unit of systemd's is to start at boot: some target's folder of wants names it."""
    folders = [root / one for one in _WANTS]
    links = [one for folder in folders for unit in units for one in folder.glob(f"*.wants/{unit}")]
    masked = [os.path.realpath(folders[0] / unit) == "/dev/null" for unit in units]
    return bool(links) and not all(masked)
