"""A Docker Engine that is not there, too old, too new or silent: a real socket, answers of ours."""

from __future__ import annotations

import json
import socketserver
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from homeport.errors import HomeportError, HostFault, ImageMissing, Refused, RegistryError
from homeport.host import engine as engines
from homeport.host import faults
from homeport.host.engine import Engine

LINES = (
    '{"status":"Pulling"}\n'
    '{"status":"Downloading","id":"a","progressDetail":{"current":1,"total":2}}\n'
)


class Fake(BaseHTTPRequestHandler):
    """Says what an Engine of some version would, or nothing."""

    told: dict[str, Any] = {}
    asked: list[str] = []
    pull: tuple[int, str, bool] = (200, "", False)

    def do_GET(self) -> None:
        """The version, or the info in whichever version of the API."""
        self.asked.append(self.path)
        self.say(200, json.dumps(self.told if self.path == "/version" else {"ID": "x"}))

    def do_POST(self) -> None:
        """A pull: status, text, and whether more is promised and never comes."""
        status, text, stalls = self.pull
        self.say(status, text, stalls)

    def say(self, status: int, text: str, stalls: bool = False) -> None:
        """One answer."""
        self.send_response(status)
        self.send_header("Content-Length", str(len(text) + stalls))
        self.end_headers()
        self.wfile.write(text.encode())
        self.wfile.flush()
        if stalls:
            self.rfile.read(1)

    def address_string(self) -> str:
        """A unix socket's client has none."""
        return ""

    def log_message(self, *words: Any) -> None:
        """Say nothing."""


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """An Engine asked on the fake's socket."""
    path = str(tmp_path / "docker.sock")
    server = socketserver.ThreadingUnixStreamServer(path, Fake)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    Fake.told, Fake.asked = {"ApiVersion": "1.47", "MinAPIVersion": "1.24"}, []
    yield Engine(path)
    server.shutdown()
    server.server_close()


VERSIONS = [
    ("1.41", "1.12", "/v1.41/info"),
    ("1.47", "1.24", "/v1.41/info"),
    ("1.52", "1.44", "/v1.44/info"),
    ("1.41", "", "/v1.41/info"),
]


@pytest.mark.parametrize("newest,oldest,path", VERSIONS)
def test_the_engine_is_asked_in_a_version_it_knows(
    engine: Engine, newest: str, oldest: str, path: str
) -> None:
    """1.41, or the oldest that it still knows; the version is asked for once."""
    Fake.told = {"ApiVersion": newest, "MinAPIVersion": oldest}
    engine.info()
    engine.info()
    assert Fake.asked == ["/version", path, path]


def test_an_old_engine_is_refused(engine: Engine) -> None:
    """The version needed, the one found, and where to get it."""
    Fake.told = {"Version": "19.03.15", "ApiVersion": "1.40", "MinAPIVersion": "1.12"}
    with pytest.raises(Refused) as caught:
        engine.info()
    (problem,) = caught.value.problems
    assert (problem.what, problem.why) == (
        "Docker Engine 20.10 or newer is needed",
        "it has 19.03.15",
    )
    assert "https://get.docker.com" in problem.mend


SILENCES: list[tuple[Exception, str, str]] = [
    (FileNotFoundError(2, "no"), "there is no Docker Engine", "systemctl enable --now docker"),
    (ConnectionRefusedError(111, "no"), "does not run", "systemctl restart docker"),
    (PermissionError(13, "no"), "this user may not use Docker", "usermod -aG docker homeport"),
    (TimeoutError("timed out"), "does not answer", "systemctl restart docker"),
]


@pytest.mark.parametrize("error,what,mend", SILENCES)
def test_no_answer(error: Exception, what: str, mend: str) -> None:
    """Each silence has its own reason, and the command for it."""
    (problem,) = faults.silent("/x/docker.sock", error).problems
    assert what in problem.what and mend in problem.mend and "/x/docker.sock" in problem.why


def test_no_socket_is_told_as_such(tmp_path: Path) -> None:
    """The Engine's caller gets the words, not the system's error."""
    with pytest.raises(HostFault, match="there is no Docker Engine, or it does not run"):
        Engine(str(tmp_path / "none")).info()


PULLS: dict[str, tuple[tuple[int, str, bool], type[HomeportError], str]] = {
    "not there": ((404, '{"message":"manifest unknown"}', False), ImageMissing, "manifest unknown"),
    "not let in": ((500, '{"message":"unauthorized"}', False), RegistryError, "unauthorized"),
    "in the middle": ((200, '{"error":"toomanyrequests"}', False), RegistryError, "toomany"),
    "a stall before the answer": ((200, "", True), RegistryError, "no progress for 0.3 s"),
    "a stall in the middle": ((200, LINES, True), RegistryError, "no progress for 0.3 s"),
    "no sense": ((200, "what?\n", False), RegistryError, "broke off: Expecting value"),
}


@pytest.mark.parametrize("name", PULLS)
def test_a_pull_that_ends_badly(engine: Engine, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """It ends, within the bound, as the registry's error with what was said and what to do."""
    monkeypatch.setattr(engines, "PULL_SILENCE", 0.3)
    Fake.pull, kind, why = PULLS[name]
    begun = time.monotonic()
    with pytest.raises(kind) as caught:
        engine.pull("reg/app@sha256:1", "", lambda done, total: None)
    (problem,) = caught.value.problems
    assert time.monotonic() - begun < 5
    assert problem.where == "reg/app@sha256:1" and why in problem.why and "deploy" in problem.mend
