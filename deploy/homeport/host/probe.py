"""Asking a slot over HTTP, from the host: by its socket or by its container's address."""

from __future__ import annotations

import http.client
import os
import ssl
import stat
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Callable
from typing import Any, Mapping

from homeport.core import tls
from homeport.core.verdicts import Probe
from homeport.host.paths import Paths
from homeport.host.engine import Engine
from homeport.host.unix import UnixConnection
from homeport.core import link as links
from homeport.core.edge import HEADER as EDGE
from homeport.model import Release, Smoke

HEADER = "Homeport-Release"
Mask = Callable[[str], str]


@dataclass(frozen=True)
class Answer:
    """An HTTP answer: status, the release it declares, the start of its body, and the seconds.

    ``edge`` is why the edge itself answered, where it did.
    """

    status: int
    release: str
    body: str
    seconds: float
    edge: str = ""


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
        edge = answer.getheader(EDGE) or ""
        return Answer(answer.status, declared, body, time.monotonic() - begun, edge)
    finally:
        connection.close()


class _Safe(http.client.HTTPConnection):
    """HTTPS to this host's own edge. Whether its certificate is good is for its clients to ask."""

    def __init__(self, port: int, name: str, timeout: float) -> None:
        super().__init__("127.0.0.1", port, timeout=timeout)
        self._name = name

    def connect(self) -> None:
        """Connect and shake hands, for the site's name."""
        super().connect()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        self.sock = context.wrap_socket(self.sock, server_hostname=self._name)


def through_edge(site: Mapping[str, Any], timeout: float) -> http.client.HTTPConnection:
    """A connection to the edge as a client of the site's opens it, not yet opened."""
    port = int(site["port"])
    if tls.on(site):
        return _Safe(port, str(site["name"]), timeout)
    return http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)


def _unlinked(path: Path, timeout: float) -> UnixConnection:
    """A connection to the very socket that has this name, never to what a link there leads to.

    The folder is the slot's to write. A handle on the name is what it cannot exchange in between.
    """
    handle = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if not stat.S_ISSOCK(os.fstat(handle).st_mode):
            raise OSError(f"{path.name} is not a socket")
        connection = UnixConnection(f"/proc/self/fd/{handle}", timeout)
        connection.connect()
        return connection
    finally:
        os.close(handle)


class Slot:
    """One slot as the engine reaches it."""

    def __init__(self, paths: Paths, engine: Engine, release: Release, mask: Mask = str) -> None:
        """``mask`` takes the secrets out of what the slot answers before any of it is told."""
        self._engine, self._release, self._mask = engine, release, mask
        self._folder = paths.slot(release.slot)
        self._container = links.web_container(paths.app, release.slot, release.web)

    def elsewhere(self, container: str, folder: Path) -> Slot:
        """The same release in another container, with another folder for its socket."""
        self._container, self._folder = container, folder
        return self

    @property
    def socket(self) -> Path:
        """Where the slot's socket is to be."""
        return self._folder / links.SOCKET

    def connection(self, timeout: float) -> http.client.HTTPConnection:
        """A connection to the slot; raises OSError where there is none."""
        port = self._release.settings.web.port
        if port is None:
            return _unlinked(self.socket, timeout)
        seen = self._engine.inspect(self._container) or {}
        networks = (seen.get("NetworkSettings") or {}).get("Networks") or {}
        found = [one["IPAddress"] for _, one in sorted(networks.items()) if one.get("IPAddress")]
        if not found:
            raise OSError(f"{self._container} has no address")
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
            said = _line(self._mask(answer.body))
            return Probe(at, False, f"GET {path}: {answer.status} {said}")
        if answer.release and answer.release != self._release.id:
            return Probe(at, False, f"GET {path}: answered by {answer.release}", answer.release)
        return Probe(at, True, "", answer.release)

    def check(self, smoke: Smoke) -> str:
        """Run one smoke check against the slot; why it failed, or nothing."""
        try:
            answer = ask(self.connection(smoke.within), smoke.path)
        except (OSError, http.client.HTTPException) as error:
            return f"GET {smoke.path}: {error or type(error).__name__}"
        return judge(smoke, answer, self._mask)


def judge(smoke: Smoke, answer: Answer, mask: Mask = str) -> str:
    """Why an answer does not pass a smoke check, or nothing; ``mask`` blots out its secrets."""
    if answer.status != smoke.status:
        said = _line(mask(answer.body))
        return f"GET {smoke.path}: {answer.status}, expected {smoke.status}: {said}"
    if smoke.contains and smoke.contains not in answer.body:
        return f"GET {smoke.path}: its text does not contain {smoke.contains!r}"
    if answer.seconds > smoke.within:
        return f"GET {smoke.path}: took {answer.seconds:.1f} s, expected within {smoke.within:g} s"
    return ""


def _line(body: str) -> str:
    return " ".join(body.split())[:200]
