"""The ``docker compose`` command line, called only where Compose itself is wanted."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Sequence

from homeport.errors import ComposeError, HostFault, Problem
from homeport.host.paths import Paths
from homeport.model import Release

#: an `up` of started containers answers in seconds; this is for a host that is deep in swap
PATIENCE = 180.0


def _die_with_parent() -> None:
    """Have the kernel end this process when the executor dies: no step may outlive its run.

    prctl(2), PR_SET_PDEATHSIG. Where it is missing, recovery's second look finds what came late.
    """
    try:
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    except (OSError, AttributeError):
        return


def _program() -> list[str]:
    """Compose itself where it can be found: one process less than by way of ``docker``."""
    plugin = _plugin()
    return [plugin] if plugin else ["docker", "compose"]


def _run(
    arguments: Sequence[str], folder: Path, up: bool = False
) -> subprocess.CompletedProcess[str]:
    # a bare environment: a variable of whoever logged in must not find its way into a release
    env = {key: os.environ[key] for key in ("PATH", "HOME", "DOCKER_HOST") if key in os.environ}
    env.setdefault("PATH", "/usr/local/bin:/usr/bin:/bin")
    try:
        return subprocess.run(
            [*_program(), *arguments],
            cwd=folder,
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            preexec_fn=_die_with_parent if up else None,
        )
    except FileNotFoundError as error:
        raise HostFault(
            Problem("the docker command is missing", "host", str(error), "install Docker's CLI")
        ) from error
    except subprocess.TimeoutExpired as error:
        why = f"no answer within {PATIENCE:.0f} s"
        raise HostFault(Problem("docker compose hangs", "host", why, "docker info")) from error


def version(paths: Paths) -> str:
    """The version of the Compose plugin, remembered beside the plugin's own date and size.

    Asking the plugin costs half a second on a small board, looking at its file nothing.
    """
    stamp = _plugin_stamp()
    memory = paths.home / "compose-version"
    try:
        known = json.loads(memory.read_text())
        if stamp and known["stamp"] == stamp:
            return str(known["version"])
    except (OSError, ValueError, KeyError, TypeError):
        known = {}
    answer = _run(["version", "--short"], Path("/"))
    found = answer.stdout.strip() if answer.returncode == 0 else ""
    if stamp and found:
        try:
            memory.write_text(json.dumps({"stamp": stamp, "version": found}))
        except OSError:
            return found
    return found


def _plugin() -> str:
    home = os.environ.get("HOME", "/")
    for folder in (
        f"{home}/.docker/cli-plugins",
        "/usr/local/lib/docker/cli-plugins",
        "/usr/local/libexec/docker/cli-plugins",
        "/usr/lib/docker/cli-plugins",
        "/usr/libexec/docker/cli-plugins",
    ):
        if os.access(f"{folder}/docker-compose", os.X_OK):
            return f"{folder}/docker-compose"
    return ""


def _plugin_stamp() -> str:
    path = _plugin()
    if not path:
        return ""
    found = os.stat(path)
    return f"{path} {found.st_mtime_ns} {found.st_size}"


def read(paths: Paths, text: str, env_text: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """A compose file as Compose understands it: variables untouched, and filled in.

    Raises ComposeError with Compose's own words where it does not.
    """
    with tempfile.TemporaryDirectory(prefix="homeport-") as name:
        folder = Path(name)
        (folder / "compose.yaml").write_text(text)
        handle = os.open(folder / "env", os.O_WRONLY | os.O_CREAT, 0o600)
        with os.fdopen(handle, "w") as stream:
            stream.write(env_text)
        common = ["-p", paths.app, "-f", str(folder / "compose.yaml")]
        common += ["--project-directory", str(paths.folder), "--env-file", str(folder / "env")]
        tail = ["config", "--no-env-resolution", "--format", "json"]
        jobs = [[*common, *tail, "--no-interpolate"]]
        if "$" in text:
            jobs.append([*common, *tail])
        with ThreadPoolExecutor(2) as pool:
            answers = list(pool.map(lambda job: _run(job, folder), jobs))
    views = []
    for answer in answers:
        if answer.returncode != 0:
            why = _last(answer.stderr).replace(f"{name}/", "")
            raise ComposeError(
                Problem("Compose does not accept the file", "compose file", why, _CHECK)
            )
        views.append(json.loads(answer.stdout))
    return views[0], views[-1]


_CHECK = "docker compose -f FILE config   (shows the same on your machine)"


def up(paths: Paths, release: Release, services: Sequence[str]) -> str:
    """Create and start services of a release's slot. Returns Compose's complaint, empty if none."""
    answer = _run([*_of(paths, release), "up", "-d", *_PLAIN, *services], paths.folder, up=True)
    return "" if answer.returncode == 0 else _last(answer.stderr)


_PLAIN = ("--no-deps", "--no-build", "--pull", "never")


def _of(paths: Paths, release: Release) -> list[str]:
    folder = paths.releases / release.id
    return [
        *("-p", f"{paths.app}-{release.slot}"),
        *("--project-directory", str(paths.folder)),
        *("--env-file", str(folder / "env")),
        *("-f", str(folder / "compose.json")),
    ]


def shared(paths: Paths, *verb: str) -> None:
    """Run a Compose verb on the shared services; raises HostFault with Compose's words."""
    file = paths.folder / "shared.json"
    common = ["-p", paths.app, "--project-directory", str(paths.folder), "-f", str(file)]
    if paths.settings_env.exists():
        common += ["--env-file", str(paths.settings_env)]
    answer = _run([*common, *verb], paths.folder)
    if answer.returncode != 0:
        mend = f"docker compose -p {paths.app} ps -a; docker compose -p {paths.app} logs"
        raise HostFault(
            Problem("the shared services", "docker compose", _last(answer.stderr), mend)
        )


def _last(text: str) -> str:
    return "\n".join(line for line in text.strip().splitlines() if line.strip())[-2000:]


def project(paths: Paths, release: Release) -> dict[str, Any]:
    """The Compose project of a release as it was written."""
    text = (paths.releases / release.id / "compose.json").read_text()
    return dict(json.loads(text))
