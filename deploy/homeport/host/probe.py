"""Asking a slot over HTTP, from the host: by its socket or by its container's address."""

from __future__ import annotations

import http.client
import os
import stat
import time
from dataclasses import dataclass
from pathlib import Path

from homeport.core.verdicts import Probe
from homeport.host.paths import Paths
from homeport.host.engine import Engine
from homeport.host.unix import UnixConnection
from homeport.core import link as links
from homeport.model import Release, Smoke

HEADER = "Homeport-Release"


@dataclass(frozen=True)
class Answer:
    """An HTTP answer: status, the release it declares, the start of its body, and the seconds."""

    status: int
    release: str
    body: str
    seconds: float


def ask(connection: http.client.HTTPConnection, path: str, host: str = "") -> Answer:
    """One GET; raises OSError or HTTPException where there is no answer."""
    begun = time.monotonic()
    headers = {"User-Agent": "homeport", "Connection": "close"}
    if host:
        headers["Host"] = host
    try:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        body = answer.read(65536).decode("utf-8", "replace")
        declared = answer.getheader(HEADER) or ""
        return Answer(answer.status, declared, body, time.monotonic() - begun)
    finally:
        connection.close()


class Slot:
    """One slot as the engine reaches it."""

    def __init__(self, paths: Paths, engine: Engine, release: Release) -> None:
        self._paths, self._engine, self._release = paths, engine, release

    @property
    def socket(self) -> Path:
        """Where the slot's socket is to be."""
        return self._paths.slot(self._release.slot) / links.SOCKET

    def connection(self, timeout: float) -> http.client.HTTPConnection:
        """A connection to the slot, not yet opened; raises OSError where there is none."""
        port = self._release.settings.web.port
        if port is None:
            # lstat: a slot that plants a link to somebody else's socket must get nothing
            if not stat.S_ISSOCK(os.lstat(self.socket).st_mode):
                raise OSError(f"{links.SOCKET} is not a socket")
            return UnixConnection(str(self.socket), timeout)
        name = links.web_container(self._paths.app, self._release.slot, self._release.web)
        seen = self._engine.inspect(name) or {}
        networks = (seen.get("NetworkSettings") or {}).get("Networks") or {}
        found = [one["IPAddress"] for _, one in sorted(networks.items()) if one.get("IPAddress")]
        if not found:
            raise OSError(f"{name} has no address")
        return http.client.HTTPConnection(found[0], port, timeout=timeout)

    def probe(self, timeout: float = 2.0) -> Probe:
        """Ask the readiness path once. A redirect is good, another release's answer is not."""
        path = self._release.settings.web.ready
        try:
            answer = ask(self.connection(timeout), path)
        except (OSError, http.client.HTTPException) as error:
            return Probe(time.monotonic(), False, f"GET {path}: {error or type(error).__name__}")
        at = time.monotonic()
        if not 200 <= answer.status < 400:
            return Probe(at, False, f"GET {path}: {answer.status} {_line(answer.body)}")
        if answer.release and answer.release != self._release.id:
            return Probe(at, False, f"GET {path}: answered by {answer.release}", answer.release)
        return Probe(at, True, "", answer.release)

    def check(self, smoke: Smoke) -> str:
        """Run one smoke check against the slot; why it failed, or nothing."""
        try:
            answer = ask(self.connection(smoke.within), smoke.path)
        except (OSError, http.client.HTTPException) as error:
            return f"GET {smoke.path}: {error or type(error).__name__}"
        return judge(smoke, answer)


def judge(smoke: Smoke, answer: Answer) -> str:
    """Why an answer does not pass a smoke check, or nothing."""
    if answer.status != smoke.status:
        return f"GET {smoke.path}: {answer.status}, expected {smoke.status}: {_line(answer.body)}"
    if smoke.contains and smoke.contains not in answer.body:
        return f"GET {smoke.path}: its text does not contain {smoke.contains!r}"
    if answer.seconds > smoke.within:
        return f"GET {smoke.path}: took {answer.seconds:.1f} s, expected within {smoke.within:g} s"
    return ""


def _line(body: str) -> str:
    return " ".join(body.split())[:200]
