"""What a failed call of the Docker Engine means: who is missing, who is not let in, what is old."""

from __future__ import annotations

import json
from typing import Any, Mapping

from homeport.core import policy
from homeport.errors import HostFault, ImageMissing, Problem, Refused, RegistryError

#: the API of Docker 20.10, and as what it is asked where nothing newer is demanded
LEAST_API = (1, 41)


class EngineError(HostFault):
    """The Engine answered with an error; ``status`` is its HTTP status."""

    status = 0


def fault(what: str, status: int = 0) -> EngineError:
    """An error that the Engine told of itself."""
    error = EngineError(Problem(what, "Docker Engine", "", "docker info; journalctl -u docker"))
    error.status = status
    return error


def silent(path: str, error: Exception) -> EngineError:
    """There is no answer on the socket at ``path``, for what ``error`` says."""
    what, why = "the Docker Engine does not answer", f"{path}: {error}"
    mend = "on the host: sudo systemctl restart docker; journalctl -u docker tells why"
    if isinstance(error, FileNotFoundError):
        what = "there is no Docker Engine, or it does not run"
        mend = f"on the host: sudo systemctl enable --now docker; without one: {policy.DOCKER}"
    elif isinstance(error, ConnectionRefusedError):
        what = "the Docker Engine does not run"
    elif isinstance(error, PermissionError):
        what = "this user may not use Docker"
        mend = "on the host: sudo usermod -aG docker homeport, or homeport setup once more"
    return EngineError(Problem(what, "Docker Engine", why, mend))


def api(told: Mapping[str, Any]) -> str:
    """The API's version to ask in, by what ``/version`` told; raises Refused for an old Engine."""
    if policy.version(str(told.get("ApiVersion", ""))) < LEAST_API:
        raise Refused(policy.older("Docker Engine 20.10", str(told.get("Version", ""))))
    least = policy.version(str(told.get("MinAPIVersion", "")))
    return "/v" + ".".join(str(number) for number in max(least, LEAST_API))


def message(text: bytes) -> str:
    """What the body of an error says."""
    try:
        return str(json.loads(text).get("message", ""))
    except (ValueError, AttributeError):
        return text.decode("utf-8", "replace").strip()


def pull_failed(ref: str, why: str, status: int = 0) -> RegistryError:
    """A pull ended badly, with the Engine's own words."""
    if status == 404:
        mend = "push it, or docker login where you deploy from; then deploy again"
        return ImageMissing(Problem("the image cannot be pulled", ref, why, mend))
    mend = "docker login where you deploy from if it wants one, then deploy again; on the host:"
    mend += f" docker pull {ref}"
    return RegistryError(Problem("the image cannot be pulled", ref, why, mend))
