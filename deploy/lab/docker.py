"""Docker on this machine: there, new enough, and running."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from lab import debian, state
from lab.errors import LabError
from lab.shell import Done, command, last_lines

COMPOSE = (2, 35)
PACKAGES = ["docker.io", "docker-cli", "docker-buildx", "docker-compose"]
LOG = Path("/var/log/homeport-lab-dockerd.log")
OFFICIAL = (
    "install Docker Engine with its Compose and buildx plugins "
    "(https://docs.docker.com/engine/install/):\n"
    "    curl -fsSL https://get.docker.com | sudo sh\n"
    "    sudo usermod -aG docker $USER      # then log in again"
)


def _ask(*argv: str) -> Done | None:
    """The docker client's answer, or None where it is missing, failed, or took 20 s."""
    try:
        done = command(["docker", *argv], check=False, timeout=20)
    except LabError:
        return None
    return done if done.returncode == 0 else None


def version(text: str) -> tuple[int, ...]:
    """The first dotted number in a text as integers: `v2.40.3` is (2, 40, 3)."""
    found = re.search(r"\d+(?:\.\d+)+", text)
    return tuple(int(part) for part in found.group().split(".")) if found else ()


def _engine_answers() -> bool:
    return _ask("info", "--format", "{{.ServerVersion}}") is not None


def missing() -> list[str]:
    """What this machine lacks to run the lab, sorted; an engine that is stopped lacks nothing."""
    lacks = []
    compose = _ask("compose", "version", "--short")
    have = version(compose.stdout.decode()) if compose else ()
    if have < COMPOSE:
        lacks.append(f"Docker Compose >= 2.35 (here: {'.'.join(map(str, have)) or 'none'})")
    if _ask("buildx", "version") is None:
        lacks.append("Docker's buildx plugin")
    if not _dockerd() and not _engine_answers():
        lacks.append("Docker Engine (dockerd)")
    return sorted(lacks)


def _dockerd() -> str | None:
    for place in ("/usr/bin/dockerd", "/usr/sbin/dockerd", "/usr/local/bin/dockerd"):
        if os.access(place, os.X_OK):
            return place
    return None


def may_install() -> bool:
    """Whether we may add packages here: root on Debian, under CI or told so by HOMEPORT_YES."""
    told = any(
        os.environ.get(name, "") not in ("", "0", "false") for name in ("CI", "HOMEPORT_YES")
    )
    return told and os.geteuid() == 0 and debian.release().get("ID") == "debian"


def ensure_engine(talk: Callable[[str], None]) -> None:
    """Make sure that `docker info` answers, with Compose >= 2.35 and buildx.

    Installs from Debian's newer suite and starts dockerd where it may (root on Debian, and `CI`
    or `HOMEPORT_YES` set). Running it again, or twice at once, changes nothing.

    Args:
        talk: gets a line for each thing done.

    Raises:
        LabError: something is missing that must not be installed here, or dockerd does not start.
    """
    if _engine_answers() and not missing():
        return
    with state.lock("engine"):
        lacks = missing()
        if lacks:
            if not may_install():
                raise LabError("The lab needs Docker.", "missing: " + "; ".join(lacks), _mend())
            talk(f"installing from Debian {debian.NEWER_SUITE}: {' '.join(PACKAGES)}")
            debian.install(PACKAGES, newer=True)
            lacks = missing()
            if lacks:
                raise LabError("Docker is not complete.", "missing: " + "; ".join(lacks), OFFICIAL)
        if not _engine_answers():
            _start(talk)


def _mend() -> str:
    if os.geteuid() == 0 and debian.release().get("ID") == "debian":
        return f"set HOMEPORT_YES=1 to let the lab install it from Debian, or {OFFICIAL}"
    return OFFICIAL


def _start(talk: Callable[[str], None], deadline: float = 60.0) -> None:
    """Start dockerd in a session of its own and wait until it answers."""
    daemon = _dockerd()
    if os.geteuid() != 0 or daemon is None or Path("/run/systemd/system").is_dir():
        why = "`docker info` gets no answer: the engine is stopped, or you may not use it"
        mend = "sudo systemctl start docker; and `sudo usermod -aG docker $USER`, then log in again"
        raise LabError("Docker Engine does not answer.", why, mend)
    talk(f"starting dockerd (its log: {LOG})")
    with open(LOG, "ab") as log:
        # No containerd snapshotter: image ids stay those of the classic store on every machine.
        subprocess.Popen(
            [daemon, "--feature", "containerd-snapshotter=false"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            cwd="/",
        )
    limit = time.monotonic() + deadline
    while time.monotonic() < limit:
        if _engine_answers():
            return
        time.sleep(0.2)
    why = f"no answer after {deadline:.0f} s; its last lines:\n" + last_lines(LOG.read_bytes())
    raise LabError("dockerd does not start.", why, f"read {LOG}, mend the cause, and try again")
