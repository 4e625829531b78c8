"""Start what was built, on each platform, as production does, and ask whether it works."""

from __future__ import annotations

import json
import os
import secrets
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lab.shell import command, docker, last_lines
from pipeline import skopeo
from pipeline.builder import TOP
from pipeline.errors import PipelineError
from pipeline.layout import Manifest

Talk = Callable[[str], None]
#: seconds in which it must be ready; under emulation a start takes several times as long
LIMIT = 180.0
USER = "10001:10001"
# As docker-compose.prod.yml runs it, with a folder for the data that goes with the container.
AS_IN_PRODUCTION = (
    "--read-only --cap-drop ALL --security-opt no-new-privileges:true --memory 256m "
    "--tmpfs /tmp:size=32m,mode=1777 --tmpfs /app/data:uid=10001,gid=10001,mode=700"
).split()
# A Raspberry Pi 4's. What QEMU plays by default on arm64 computes pointer authentication so slowly
# that a start takes ten times as long; on a machine that is arm64 itself nobody reads this.
ARM64_CPU = "cortex-a72"
LABEL = "org.opencontainers.image."


def app_version() -> str:
    """The version that the app's source tells."""
    namespace = (TOP / "foodbudget" / "__init__.py").read_text(encoding="utf-8")
    for line in namespace.splitlines():
        if line.startswith("__version__ = "):
            return line.partition("=")[2].strip().strip('"')
    raise PipelineError("The app tells no version.", "foodbudget/__init__.py has none", "add it")


def override(platform: str) -> tuple[str, ...]:
    """skopeo's options that choose a platform of an index."""
    system, architecture, *variant = platform.split("/")
    options = (f"--override-os={system}", f"--override-arch={architecture}")
    return (*options, f"--override-variant={variant[0]}") if variant else options


def wrong(shown: Any, platform: str, expected: Manifest) -> list[str]:
    """What an engine's image has that the archive's manifest has not, each in a sentence.

    Args:
        shown: `docker image inspect`'s record.
        platform: what it is for.
        expected: what was built for it.
    """
    found = []
    architecture = platform.split("/")[1]
    if shown.get("Architecture") != architecture:
        found.append(f"it is for {shown.get('Architecture')}, not for {architecture}")
    if tuple((shown.get("RootFS") or {}).get("Layers") or ()) != expected.diff_ids:
        found.append("its layers are not those that were built")
    if (shown.get("Config") or {}).get("User") != USER:
        found.append(f"it does not run as {USER}")
    return found


def run(archive: Path, platform: str, built: Manifest, talk: Talk) -> int:
    """Start one platform's image from the archive and wait until it is ready.

    Args:
        archive: what was built.
        platform: as `linux/arm64`.
        built: what the archive holds for it.
        talk: gets a line with the time.

    Returns:
        milliseconds from the container's start to its first good answer.

    Raises:
        LabError: it is not what was built, ended, or was not ready in time; with its last lines.
    """
    name = f"homeport-probe-{platform.replace('/', '-')}-{os.getpid()}"
    _load(archive, platform, f"{name}:probe")
    try:
        shown = json.loads(docker("image", "inspect", f"{name}:probe").stdout)[0]
        problems = wrong(shown, platform, built)
        if problems:
            what = f"The engine took another image for {platform} than was built."
            raise PipelineError(what, "; ".join(problems), "make image")
        took = _start(name, platform, built)
    finally:
        docker("rm", "-f", "-v", name, check=False)
        docker("image", "rm", f"{name}:probe", check=False)
    talk(f"{platform} answered after {took} ms")
    return took


def _load(archive: Path, platform: str, tag: str) -> None:
    """Give one platform's image to the engine.

    By way of a file: skopeo's own way into an engine speaks an API that engines of today refuse.
    """
    with tempfile.TemporaryDirectory(prefix="homeport-probe-") as folder:
        file = Path(folder) / "image.tar"
        skopeo.copy(skopeo.archive(archive), f"docker-archive:{file}:{tag}", *override(platform))
        docker("load", "--quiet", "--input", str(file), timeout=300)


def _start(name: str, platform: str, built: Manifest) -> int:
    revision = built.labels.get(f"{LABEL}revision", "")
    # a key of this probe's own, never on a command line
    env = {**os.environ, "SECRET_KEY": secrets.token_urlsafe(48)}
    argv = ["docker", "run", "-d", "--name", name, "--platform", platform, *AS_IN_PRODUCTION]
    argv += ["-p", "127.0.0.1::8000", "-e", "SECRET_KEY", "-e", f"HOMEPORT_RELEASE={revision}"]
    # it is asked from here; under emulation Docker's own asking would take a third of the processor
    argv += ["--no-healthcheck"]
    if platform == "linux/arm64":
        argv += ["-e", f"QEMU_CPU={ARM64_CPU}"]
    began = time.monotonic()
    command([*argv, f"{name}:probe"], env=env, timeout=120, mend=_mend(platform))
    address = docker("port", name, "8000/tcp").stdout.decode().split("\n")[0].strip()
    while not _ready(f"http://{address}/health/ready"):
        running = docker("inspect", "--format", "{{.State.Running}}", name).stdout.strip()
        if running != b"true" or time.monotonic() > began + LIMIT:
            said = docker("logs", "--tail", "10", name, check=False)
            ended = "it ended" if running != b"true" else f"not ready after {LIMIT:.0f} s"
            why = f"{ended}; its last lines:\n{last_lines(said.stdout + said.stderr)}"
            raise PipelineError(f"The image for {platform} does not start.", why, _mend(platform))
        time.sleep(0.02)
    took = round((time.monotonic() - began) * 1000)
    _check_version(f"http://{address}/version", platform, revision)
    return took


def _mend(platform: str) -> str:
    return f"docker run --rm --platform {platform} IMAGE shows it by hand"


def _ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return bool(json.load(answer)["ready"] is True)
    except (OSError, ValueError):
        return False


def _check_version(url: str, platform: str, revision: str) -> None:
    with urllib.request.urlopen(url, timeout=30) as answer:
        told = json.load(answer)
    meant = {"version": app_version(), "release": revision}
    differ = [
        f"{key} is {told.get(key)!r}, not {text!r}"
        for key, text in meant.items()
        if told.get(key) != text
    ]
    if differ or not revision:
        why = "; ".join(differ) or "the image has no label for its revision"
        raise PipelineError(f"The image for {platform} tells of another one.", why, "make image")
