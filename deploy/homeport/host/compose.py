"""The ``docker compose`` command line, called only where Compose itself is wanted."""

from __future__ import annotations

import ctypes
import json
import os
import re
import signal
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Sequence

from homeport.core import adopt, envfile, policy, service
from homeport.errors import ComposeError, HomeportError, HostFault, Problem, Refused
from homeport.host.paths import Paths
from homeport.host.store import faulty
from homeport.model import HostAddress, Release

#: an `up` of started containers answers in seconds; this is for a host that is deep in swap
PATIENCE = 180.0
#: the images of shared services come over somebody's line at home
PULL_PATIENCE = 1800.0


def die_with_parent() -> None:
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
    arguments: Sequence[str], folder: Path, up: bool = False, within: float | None = None
) -> subprocess.CompletedProcess[str]:
    # a bare environment: a variable of whoever logged in must not find its way into a release
    env = {key: os.environ[key] for key in ("PATH", "HOME", "DOCKER_HOST") if key in os.environ}
    # a file of somebody else's would be fetched by git, which is a program that is started
    env |= {f"COMPOSE_EXPERIMENTAL_{one}_REMOTE": "false" for one in ("GIT", "OCI")}
    env.setdefault("PATH", "/usr/local/bin:/usr/bin:/bin")
    limit = PATIENCE if within is None else within
    try:
        return subprocess.run(
            [*_program(), *arguments],
            cwd=folder,
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=limit,
            preexec_fn=die_with_parent if up else None,
        )
    except FileNotFoundError as error:
        raise HostFault(
            Problem("the docker command is missing", "host", str(error), policy.DOCKER)
        ) from error
    except subprocess.TimeoutExpired as error:
        why = f"no answer within {limit:.0f} s"
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


def read(
    paths: Paths, text: str, env_text: str, host: HostAddress
) -> tuple[dict[str, Any], dict[str, Any]]:
    """A compose file as Compose understands it: variables untouched, and filled in.

    Raises Refused where Compose is too old or a variable has no value, else ComposeError with
    Compose's own words where it does not accept the file.
    """
    found = version(paths)
    if policy.version(found) < policy.LEAST_COMPOSE:
        raise Refused(policy.older("Docker Compose 2.35", found))
    with tempfile.TemporaryDirectory(prefix="homeport-") as name:
        folder = Path(name)
        with faulty("the disk takes no more writes", folder.parent):
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
    views: list[dict[str, Any]] = []
    for answer in answers:
        if answer.returncode != 0:
            known = envfile.entries(env_text)
            missing = (
                policy.valueless(paths.app, service.variables(views[0]), known) if views else ()
            )
            if missing:
                raise Refused(*missing)
            raise _refused(paths, _last(answer.stderr).replace(f"{name}/", ""), host)
        try:
            views.append(json.loads(answer.stdout))
        except ValueError as error:
            why = f"{error}: {answer.stdout[:200]}"
            mend = "docker compose version; what is installed as its plugin?"
            raise HostFault(Problem("Compose answers oddly", "host", why, mend)) from error
    return views[0], views[-1]


def _refused(paths: Paths, why: str, host: HostAddress) -> HomeportError:
    """Compose does not accept the file; one that it misses in the app's folder can be brought."""
    mend = "correct it; the same is shown by: docker compose -f FILE config"
    lost = re.search(rf"{re.escape(str(paths.folder))}/([^\s:/]+)", why)
    if lost and not (paths.folder / lost[1]).exists():
        mend = adopt.to_host(host, lost[1], str(paths.folder))
    return ComposeError.of("Compose does not accept the file", "compose file", why, mend)


def up(paths: Paths, release: Release, services: Sequence[str], how: str = "-d") -> str:
    """Create and start services of a release's slot. Returns Compose's complaint, empty if none.

    With ``how="--no-start"`` they are only created.
    """
    answer = _run([*_of(paths, release), "up", how, *_PLAIN, *services], paths.folder, up=True)
    return "" if answer.returncode == 0 else _last(answer.stderr)


def only_created(paths: Paths, name: str, project: dict[str, Any], env_text: str) -> str:
    """Create the containers of a project that has no folder; Compose's complaint, empty if none.

    ``ENV`` in it stands for the file of its variables.
    """
    with tempfile.TemporaryDirectory(prefix="homeport-") as place:
        folder = Path(place)
        with faulty("the disk takes no more writes", folder.parent):
            handle = os.open(folder / "env", os.O_WRONLY | os.O_CREAT, 0o600)
            with os.fdopen(handle, "w") as stream:
                stream.write(env_text)
            text = json.dumps(project).replace(ENV, str(folder / "env"))
            (folder / "compose.json").write_text(text)
        words = ["-p", name, "--project-directory", str(paths.folder)]
        words += ["--env-file", str(folder / "env"), "-f", str(folder / "compose.json")]
        answer = _run([*words, "up", "--no-start", *_PLAIN], paths.folder, up=True)
    return "" if answer.returncode == 0 else _last(answer.stderr)


#: where the file of variables is named in a project whose folder is only known later
ENV = "/homeport-env-file"
_PLAIN = ("--no-deps", "--no-build", "--pull", "never")


def _of(paths: Paths, release: Release) -> list[str]:
    folder = paths.releases / release.id
    return [
        *("-p", f"{paths.app}-{release.slot}"),
        *("--project-directory", str(paths.folder)),
        *("--env-file", str(folder / "env")),
        *("-f", str(folder / "compose.json")),
    ]


def environment(paths: Paths, release: Release, name: str) -> dict[str, str]:
    """The variables of a release's service, every file read and every reference filled in."""
    answer = _run([*_of(paths, release), "config", "--format", "json"], paths.folder)
    try:
        found = json.loads(answer.stdout)["services"][name].get("environment") or {}
    except (ValueError, KeyError) as error:
        why = _last(answer.stderr) or f"{type(error).__name__}: {error}"
        mend = f"docker compose -f {paths.releases / release.id}/compose.json config"
        raise HostFault(Problem(f"{name}'s variables", "docker compose", why, mend)) from error
    # what Compose prints is meant to be read by it again
    return {key: str(value or "").replace("$$", "$") for key, value in found.items()}


def shared(paths: Paths, *verb: str, within: float | None = None) -> None:
    """Run a Compose verb on the shared services; raises HostFault with Compose's words."""
    file = paths.folder / "shared.json"
    common = ["-p", paths.app, "--project-directory", str(paths.folder), "-f", str(file)]
    if paths.settings_env.exists():
        common += ["--env-file", str(paths.settings_env)]
    answer = _run([*common, *verb], paths.folder, within=within)
    if answer.returncode != 0:
        mend = f"docker compose -p {paths.app} ps -a; docker compose -p {paths.app} logs"
        raise HostFault(
            Problem("the shared services", "docker compose", _last(answer.stderr), mend)
        )


def _last(text: str) -> str:
    return "\n".join(line for line in text.strip().splitlines() if line.strip())[-2000:]


def project(paths: Paths, release: Release) -> dict[str, Any]:
    """The Compose project of a release as it was written."""
    text = (paths.record(release.id) / "compose.json").read_text()
    return dict(json.loads(text))
