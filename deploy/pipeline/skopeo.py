"""skopeo, which carries images between archives, engines and registries without changing them."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lab.errors import LabError
from lab.shell import Done, command
from pipeline.errors import PipelineError

#: seconds that a push over a slow line may take
LIMIT = 1800.0
WHOLE = ("--all", "--preserve-digests")


def ensure(talk: Callable[[str], None]) -> None:
    """Make sure that skopeo is here: from Debian where we may install; else PipelineError."""
    if shutil.which("skopeo"):
        return
    from lab import debian, state
    from lab.docker import may_install

    if not may_install():
        raise PipelineError(
            "There is no skopeo here.",
            "it carries the image from the archive that was built to engines and registries",
            "sudo apt-get install skopeo (or brew, dnf); as root on Debian HOMEPORT_YES=1 does it",
        )
    with state.lock("engine"):
        if not shutil.which("skopeo"):
            talk("installing skopeo")
            debian.install(["skopeo"], newer=False)


def archive(path: Path) -> str:
    """An archive as skopeo names it."""
    return f"oci-archive:{path}"


def registry(reference: str) -> str:
    """An image in a registry as skopeo names it."""
    return f"docker://{reference}"


def copy(source: str, target: str, *options: str) -> Done:
    """Copy an image; registries on this machine itself are spoken to without TLS.

    Raises:
        LabError: it failed; with skopeo's last words.
    """
    argv = ["skopeo", "copy", "--quiet", *options]
    argv += ["--src-tls-verify=false"] if _here(source) else []
    argv += ["--dest-tls-verify=false"] if _here(target) else []
    mend = "docker login REGISTRY, with an account that may write there; or see whether it answers"
    return command([*argv, source, target], timeout=LIMIT, mend=mend, env=_environment())


def digest(reference: str, absent_is_denied: bool = False) -> str:
    """The digest of what a registry holds under a name; empty where it holds nothing there.

    It is computed from the document itself, not taken from the registry's word. With
    ``absent_is_denied`` a refusal counts as nothing there: ghcr.io may say no more of a package
    that was never pushed.

    Raises:
        LabError: the registry does not answer, or refuses.
    """
    name = registry(reference)
    argv = ["skopeo", "inspect", "--raw", *(["--tls-verify=false"] if _here(name) else []), name]
    done = command(argv, check=False, timeout=120, env=_environment())
    if done.returncode == 0:
        return "sha256:" + hashlib.sha256(done.stdout).hexdigest()
    said = done.stderr.decode(errors="replace").strip()
    if "manifest unknown" in said or "name unknown" in said:
        return ""
    if absent_is_denied and ("denied" in said or "403" in said):
        return ""
    raise LabError(f"{reference} cannot be read.", said[-500:], "docker login REGISTRY")


def inspect(reference: str) -> dict[str, Any]:
    """What skopeo tells of an image in a registry: ``Digest``, ``Labels``, ``Layers`` and more.

    Raises:
        LabError: the registry does not answer, or refuses.
    """
    name = registry(reference)
    # without it every tag that there is would be asked for: the official images have thousands
    argv = ["skopeo", "inspect", "--no-tags", *(["--tls-verify=false"] if _here(name) else [])]
    done = command([*argv, name], timeout=120, env=_environment(), mend="docker login REGISTRY")
    return dict(json.loads(done.stdout))


def _environment() -> dict[str, str]:
    """Ours, and Docker's own login: a runner may have no place where skopeo looks by itself."""
    login = Path(os.environ.get("DOCKER_CONFIG") or "~/.docker").expanduser() / "config.json"
    known = {"REGISTRY_AUTH_FILE": str(login)} if login.is_file() else {}
    return {**known, **os.environ}


def _here(name: str) -> bool:
    host = name.removeprefix("docker://").split("/")[0].rpartition(":")[0]
    return name.startswith("docker://") and host in ("127.0.0.1", "localhost")
