"""The doors on the host itself: `scripts/` deploy IMAGE, rollback [RELEASE], health-check.

The same requests a controller sends, made from what the live release remembers of its settings.
"""

from __future__ import annotations

import getpass
import io
import json
import os
import subprocess
import sys
from typing import Any, BinaryIO, cast

from homeport import wire
from homeport.errors import HomeportError, ImageMissing, NoSuchRelease, Problem, UsageError
from homeport.host.agent import main as answer
from homeport.host.context import Context
from homeport.host.engine import Engine
from homeport.host.paths import Paths, from_environment
from homeport.host.read import status
from homeport.host.store import Store
from homeport.model import Cause, Image, Release, Request


def main(door: str, app: str, arguments: list[str]) -> int:
    """What a script does; its exit code."""
    paths = from_environment(app)
    try:
        if door == "health-check":
            return _health(paths)
        request = _deploy(paths, arguments) if door == "deploy" else _rollback(paths, arguments)
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


def _cause() -> Cause:
    return Cause(f"{os.environ.get('SUDO_USER') or getpass.getuser()}@host")


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
    return Request("deploy", paths.app, live.settings, compose, image, cause=_cause())


def _pulled(ref: str) -> Image:
    """The image by digest, pulled with the credentials that Docker has on this host."""
    done = subprocess.run(["docker", "pull", "--quiet", ref], capture_output=True, text=True)
    if done.returncode != 0:
        why = done.stderr.strip()
        raise ImageMissing(
            Problem("the image cannot be pulled", ref, why, "docker login, then again")
        )
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
