"""A lab host's own disk: a power cut there drops whatever nobody had synced.

The disk is one ext4 in a file of the host's volume, mounted by the host itself before its init
runs (`disk.sh`): it goes with the container, its loop device too, whoever removes that. A cut
(`cut.py`) ends all writing while every process stands still; what the file holds then is what a
boot finds, and replays the journal of.
"""

from __future__ import annotations

import time
from pathlib import Path

from lab import network
from lab.errors import LabError
from lab.shell import docker, last_lines

HERE = Path(__file__).parent
#: where the file lies in a host, and where its filesystem is mounted
STORE, MOUNTED = "/var/lib/homeport-lab", "/disk"
#: what each flavour's image starts by itself
_INIT = {
    "systemd": ("/sbin/init",),
    "cron": ("tini-static", "--", "/bin/sh", "/usr/local/lib/homeport-lab/init.sh"),
}


def volume() -> str:
    """The mount that keeps the file, as `docker create --mount` wants it."""
    return f"type=volume,dst={STORE},volume-label={network.LABEL}"


def start(flavour: str) -> tuple[list[str], list[str]]:
    """What `docker create` is told before the image and after it, to mount the disk first."""
    script = (HERE / "disk.sh").read_text("utf-8")
    return ["--entrypoint", "/bin/sh"], ["-c", script, "disk.sh", *_INIT[flavour]]


def mounted(container: str) -> None:
    """Wait until a host that was just started has its disk.

    Raises:
        LabError: this machine mounts none, with what it said.
    """
    limit = time.monotonic() + 60
    while (
        docker("exec", container, "mountpoint", "-q", "/var/lib/docker", check=False).returncode
        != 0
    ):
        show = docker("inspect", "--format", "{{.State.Running}}", container, check=False)
        if show.stdout.strip() != b"true" or time.monotonic() > limit:
            said = docker("logs", "--tail", "5", container, check=False)
            why = last_lines(said.stdout + said.stderr, 3) or "it said nothing"
            mend = "take a host without one, or a machine whose kernel has loop devices and ext4"
            raise LabError("A lab host cannot have a disk of its own here.", why, mend)
        time.sleep(0.1)


def keep(container: str) -> None:
    """Make everything that is on the disk by now last, as on a machine that stood for a day."""
    docker("exec", container, "sync", "-f", MOUNTED, timeout=120)


def cut(container: str, image: str) -> None:
    """Power off: every process stands still, then nothing more is written, then they are gone.

    Args:
        container: the host's.
        image: one with a python3, for the container that does it: only root may.
    """
    pid = docker("inspect", "--format", "{{.State.Pid}}", container).stdout.decode().strip()
    docker("pause", container)
    argv = ["run", "--rm", "--privileged", "--pid", "host", "--network", "none"]
    argv += ["--label", network.LABEL, "--entrypoint", "python3", image]
    docker(*argv, "-I", "-c", (HERE / "cut.py").read_text("utf-8"), pid, MOUNTED)
    # where a frozen process may not even die it does so now
    docker("unpause", container, check=False)
    docker("wait", container)
