"""The lab's registry: stands in for ghcr.io, reachable from this machine and the lab hosts only."""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from collections.abc import Callable

from lab import network, state
from lab.errors import LabError
from lab.images import ensure_images
from lab.shell import docker

CONTAINER = "homeport-lab-registry"
ADDRESS = "127.0.0.1:5010"


def _answers() -> bool:
    try:
        with urllib.request.urlopen(f"http://{ADDRESS}/v2/", timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def _running() -> bool:
    done = docker("inspect", "--format", "{{.State.Running}}", CONTAINER, check=False)
    return done.stdout.strip() == b"true"


def _create(image: str) -> None:
    volume = f"type=volume,dst=/var/lib/registry,volume-label={network.LABEL}"
    argv = ["run", "-d", "--name", CONTAINER, "--label", network.LABEL, "--network", network.NAME]
    argv += ["--restart", "unless-stopped", "--mount", volume, "-p", f"{ADDRESS}:5000", image]
    docker(*argv)


def ensure_registry(talk: Callable[[str], None]) -> str:
    """Make sure that the lab's registry answers.

    Args:
        talk: gets a line where it has to be started.

    Returns:
        Its address, the same on this machine and inside every lab host: `127.0.0.1:5010`.

    Raises:
        LabError: it does not answer within 20 s, or the port is taken.
    """
    image = ensure_images(talk).registry
    with state.lock("registry"):
        if _running() and _answers():
            return ADDRESS
        talk(f"starting the registry on {ADDRESS}")
        network.ensure_network()
        if docker("start", CONTAINER, check=False).returncode != 0:
            docker("rm", "-f", "-v", CONTAINER, check=False)
            _create(image)
        limit = time.monotonic() + 20
        while time.monotonic() < limit:
            if _answers():
                return ADDRESS
            time.sleep(0.1)
    why = f"http://{ADDRESS}/v2/ gave no answer within 20 s"
    raise LabError("The lab's registry does not answer.", why, f"docker logs {CONTAINER}")
