"""A builder for several platforms, for where this machine's own Docker is none.

The lab keeps its engine on the classic image store, and without Docker Hub there is no BuildKit
image for a builder of its own. So the lab lends one: a Docker Engine with the containerd store,
in a container, reached through a socket in the lab's state folder.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable
from pathlib import Path

from lab import network, state
from lab.errors import LabError
from lab.images import ensure_images
from lab.registry import ensure_registry
from lab.shell import command, docker, last_lines

CONTAINER = "homeport-lab-builder"
MADE_OF = "homeport.lab.made-of"
RELAY = "/usr/local/lib/homeport-lab/relay.sh"
# The image's own configuration is that of a lab host: classic store, and no builder.
CONFIG = {
    "features": {"containerd-snapshotter": True},
    "bip": "10.215.0.1/24",
    "default-address-pools": [{"base": "10.216.0.0/16", "size": 24}],
    "builder": {"gc": {"enabled": True, "defaultKeepStorage": "8GB"}},
}
# /run is a tmpfs, so that a start after a kill finds no stale pid file; a stale socket goes first.
START = """
rm -f /lab/docker.sock
sh {relay} &
exec dockerd --config-file /lab/daemon.json --group {group} -H unix:///lab/docker.sock
"""


def _folder() -> Path:
    path = state.folder() / "builder"
    path.mkdir(mode=0o700, exist_ok=True)
    return path


def _env() -> dict[str, str]:
    """This process's environment with the builder as its Docker."""
    ours = {"DOCKER_HOST": f"unix://{_folder() / 'docker.sock'}", "BUILDX_BUILDER": "default"}
    kept = {name: value for name, value in os.environ.items() if name != "DOCKER_CONTEXT"}
    return {**kept, **ours}


def _answers() -> bool:
    try:
        show = ["docker", "info", "--format", "{{json .DriverStatus}}"]
        done = command(show, env=_env(), check=False, timeout=20)
    except LabError:
        return False
    return done.returncode == 0 and b"io.containerd.snapshotter" in done.stdout


def _made_of(image: str) -> str:
    """What a container's label says that it was made of: image, this file, and the folder."""
    id_ = docker("image", "inspect", "--format", "{{.Id}}", image).stdout
    parts = [id_, Path(__file__).read_bytes(), str(_folder()).encode(), str(os.getgid()).encode()]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]


def _state() -> tuple[str, bool]:
    """What the builder's container was made of, and whether it runs."""
    show = '{{index .Config.Labels "' + MADE_OF + '"}} {{.State.Running}}'
    done = docker("inspect", "--format", show, CONTAINER, check=False)
    made_of, _, running = done.stdout.decode().strip().partition(" ")
    return made_of, running == "true"


def _create(image: str, made_of: str) -> None:
    folder = _folder()
    (folder / "daemon.json").write_text(json.dumps(CONFIG), encoding="utf-8")
    volume = f"type=volume,dst=/var/lib/docker,volume-label={network.LABEL}"
    script = START.format(relay=RELAY, group=os.getgid())
    argv = ["run", "-d", "--name", CONTAINER, "--label", network.LABEL, "--privileged"]
    argv += ["--label", f"{MADE_OF}={made_of}"]
    argv += ["--cgroupns", "private", "--network", network.NAME, "--mount", volume]
    argv += ["--tmpfs", "/run:mode=755,exec,size=256m", "-v", f"{folder}:/lab"]
    argv += ["--entrypoint", "tini-static", image, "--", "/bin/sh", "-c", script]
    docker(*argv)


def ensure(talk: Callable[[str], None]) -> dict[str, str]:
    """Make sure that the lab's builder answers; one that was killed comes up with its cache.

    Args:
        talk: gets a line where it has to be started.

    Returns:
        the environment in which `docker buildx build` uses it. The lab's registry has the same
        address for it as for this machine. Its RUN lines need `--network host` to look names up.

    Raises:
        LabError: it does not answer within 60 s.
    """
    image = ensure_images(talk).host_cron
    ensure_registry(talk)
    with state.lock("builder"):
        wanted, (have, running) = _made_of(image), _state()
        if have == wanted and running and _answers():
            return _env()
        talk("starting the lab's builder for several platforms")
        if have == wanted and docker("start", CONTAINER, check=False).returncode == 0 and _wait(30):
            return _env()
        docker("rm", "-f", "-v", CONTAINER, check=False, timeout=120)
        network.ensure_network()
        _create(image, wanted)
        if _wait(60):
            return _env()
    said = docker("logs", "--tail", "10", CONTAINER, check=False)
    why = "no answer after 60 s; its last lines:\n" + last_lines(said.stdout + said.stderr)
    raise LabError("The lab's builder does not answer.", why, f"docker logs {CONTAINER}")


def _wait(seconds: float) -> bool:
    """Wait until it answers or is found dead; whether it answers."""
    limit = time.monotonic() + seconds
    while time.monotonic() < limit:
        if _answers():
            return True
        if not _state()[1]:
            return False
        time.sleep(0.1)
    return False
