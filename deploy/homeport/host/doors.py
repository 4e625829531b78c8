"""The doors on the host itself: `scripts/` deploy IMAGE, rollback [RELEASE], health-check,
freeze [WHY], unfreeze, backup [now|verify|prune] [SET].

The same requests a controller sends, made from what the live release remembers of its settings.
"""

from __future__ import annotations

import getpass
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any, BinaryIO, cast

from homeport import wire
from homeport.core import adopt, policy
from homeport.errors import HomeportError, HostFault, ImageMissing, NoSuchRelease, Problem
from homeport.errors import RegistryError, UsageError
from homeport.host.agent import main as answer
from homeport.host.context import Context
from homeport.host.engine import Engine
from homeport.host.paths import Paths, from_environment
from homeport.host.read import status
from homeport.host.store import Store
from homeport.model import Cause, HostAddress, Image, Release, Request

#: a pull that took so many seconds is over: the docker command tells nobody how far it is
PATIENCE = 1800.0


def main(door: str, app: str, arguments: list[str]) -> int:
    """What a script does; its exit code."""
    paths = from_environment(app)
    try:
        if door == "health-check":
            return _health(paths)
        request = _REQUESTS[door](paths, arguments)
    except HomeportError as error:
        print(error.text(), file=sys.stderr)
        return error.code
    return answer(wire.encode(request), io.BytesIO(), cast(BinaryIO, _People()))


def _live(paths: Paths) -> Release:
    ctx = Context(paths, Engine(), Request("status", paths.app), "", lambda event: None)
    live = ctx.facts().committed
    if live is None:
        raise NoSuchRelease(Problem("nothing serves yet", "host", "", "homeport deploy"))
    return live


def _cause(why: str = "") -> Cause:
    return Cause(f"{os.environ.get('SUDO_USER') or getpass.getuser()}@host", why)


def _rollback(paths: Paths, arguments: list[str]) -> Request:
    if len(arguments) > 1:
        raise UsageError(
            Problem("at most one release can be named", "rollback", "", "rollback r0041")
        )
    return Request("rollback", paths.app, release="".join(arguments), cause=_cause())


def _deploy(paths: Paths, arguments: list[str]) -> Request:
    if len(arguments) != 1 or arguments[0].startswith("-"):
        raise UsageError(Problem("which image?", "deploy", "", "deploy ghcr.io/OWNER/APP:TAG"))
    live = _live(paths)
    compose = Store(paths).source(live)
    image = _pulled(arguments[0])
    # what mends something is typed here as well
    settings = replace(live.settings, host=HostAddress(adopt.LOCAL))
    return Request("deploy", paths.app, settings, compose, image, cause=_cause())


def _freeze(paths: Paths, arguments: list[str]) -> Request:
    return Request("freeze", paths.app, cause=_cause(" ".join(arguments)))


def _unfreeze(paths: Paths, arguments: list[str]) -> Request:
    if arguments:
        raise UsageError(Problem("nothing can be named", "unfreeze", "", "unfreeze"))
    return Request("unfreeze", paths.app, cause=_cause())


def _backup(paths: Paths, arguments: list[str]) -> Request:
    words = [one for one in arguments if one != "--hold"]
    action, name = (*words, "", "")[:2]
    actions = {"": "backup", "now": "backup", "verify": "backup-verify", "prune": "backup-prune"}
    if action not in actions or len(words) > (2 if action == "verify" else 1):
        raise UsageError(
            Problem("what about backups?", "backup", "", "backup [now|verify|prune] [SET]")
        )
    hold = len(words) < len(arguments)
    return Request(actions[action], paths.app, set=name, hold=hold, cause=_cause())


_REQUESTS: dict[str, Callable[[Paths, list[str]], Request]] = {
    "deploy": _deploy,
    "rollback": _rollback,
    "freeze": _freeze,
    "unfreeze": _unfreeze,
    "backup": _backup,
}


def _pulled(ref: str) -> Image:
    """The image by digest, pulled with the credentials that Docker has on this host."""
    command = ["docker", "pull", "--quiet", ref]
    what, mend = "the image cannot be pulled", f"docker pull {ref}   (what has come is kept)"
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    except FileNotFoundError as error:
        missing = Problem("the docker command is missing", "host", str(error), policy.DOCKER)
        raise HostFault(missing) from error
    except subprocess.TimeoutExpired as error:
        why = f"it is not there after {PATIENCE / 60:g} minutes"
        raise RegistryError(Problem(what, ref, why, mend)) from error
    if done.returncode != 0:
        why = done.stderr.strip()
        raise ImageMissing(Problem(what, ref, why, "docker login, then again"))
    seen = Engine().image(ref) or {}
    digests = seen.get("RepoDigests") or [""]
    return Image(ref, str(digests[0]).partition("@")[2])


def _health(paths: Paths) -> int:
    ctx = Context(paths, Engine(), Request("status", paths.app), "", lambda event: None)
    seen = status(ctx)
    state = "healthy" if seen["healthy"] else "not well"
    print(f"{paths.app}: {seen['release'] or 'nothing'} serves, {state}")
    for warning in seen["warnings"]:
        print(f"warning: {warning}", file=sys.stderr)
    return 0 if seen["healthy"] else 1


class _People(io.RawIOBase):
    """Takes the agent's events and prints them for a person."""

    def writable(self) -> bool:
        """Always."""
        return True

    def write(self, data: Any) -> int:
        """One event or several, each a whole line."""
        for line in bytes(data).splitlines():
            _show(json.loads(line))
        return len(data)


def _show(event: dict[str, Any]) -> None:
    kind = event.get("e")
    if kind == "step" and event.get("state") != "begin":
        print(
            f"{event['state']:<6} {event['id']}  {event.get('seconds', 0):.1f} s", file=sys.stderr
        )
    elif kind == "notice":
        print(event["text"], file=sys.stderr)
    elif kind == "verdict":
        print(event["sentence"])
        for problem in event.get("problems") or []:
            print(Problem(**problem).text(), file=sys.stderr)
