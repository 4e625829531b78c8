"""The real thing: gunicorn with the image's own configuration, on a socket."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlencode

import pytest

from foodbudget import healthcheck

ROOT = Path(__file__).parents[2]
DEADLINE = 15.0

# the app, with one page that takes its time, for requests in flight
SLOW = """
import time
from app_factory import create_app as make
def create_app():
    app = make()
    app.get("/slow")(lambda: (time.sleep(1), "done\\n")[1])
    return app
"""


class Server:
    """gunicorn in a folder of its own, as the image starts it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.socket = folder / "app.sock"
        (folder / "slow.py").write_text(SLOW)
        self.environ = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": f"{folder}:{ROOT}",
            "PYTHONDONTWRITEBYTECODE": "1",
            "SECRET_KEY": "k" * 32,
            "DATABASE_URL": f"sqlite:///{folder}/food.db",
            "HOMEPORT_BIND": f"unix:{self.socket}",
            "HOMEPORT_RELEASE": "r0042-1a2b3c4",
            "HOMEPORT_STANDBY": str(folder / "standby"),
        }
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", "gunicorn", "slow:create_app()"]
        self.process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=self.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def wait_until_alive(self) -> None:
        deadline = time.monotonic() + DEADLINE
        while time.monotonic() < deadline:
            assert self.process and self.process.poll() is None, self.end()
            try:
                if self.ask("GET", "/health")[0] == 200:
                    return
            except OSError:
                time.sleep(0.02)
        raise AssertionError("gunicorn did not come up")

    def ask(
        self, method: str, path: str, body: str = "", headers: Mapping[str, str] | None = None
    ) -> tuple[int, dict[str, str], str]:
        connection = http.client.HTTPConnection("localhost", timeout=DEADLINE)
        try:
            connection.sock = healthcheck.connect(self.environ["HOMEPORT_BIND"])
            connection.sock.settimeout(DEADLINE)
            connection.request(method, path, body, dict(headers or {}))
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read().decode()
        finally:
            connection.close()

    def end(self, how: int = signal.SIGTERM) -> tuple[int, str, str]:
        assert self.process
        if how == signal.SIGKILL:
            # as when a container is killed: the master and its worker at once
            os.killpg(self.process.pid, how)
        else:
            self.process.send_signal(how)
        out, err = self.process.communicate(timeout=DEADLINE)
        return self.process.returncode, out, err


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path)
    yield server
    if server.process and server.process.poll() is None:
        server.end(signal.SIGKILL)


def test_life_of_a_release(server: Server) -> None:
    """Killed and started again over its stale socket, in standby it reads and refuses writes,
    out of it it is ready, and SIGTERM finishes what is in flight."""
    standby = server.folder / "standby"
    server.start()
    server.wait_until_alive()
    server.end(signal.SIGKILL)
    assert server.socket.exists()
    standby.touch()
    server.start()
    server.wait_until_alive()
    assert server.socket.stat().st_mode & 0o777 == 0o777

    status, headers, text = server.ask("GET", "/health/ready")
    assert (status, headers["Homeport-Release"]) == (200, "r0042-1a2b3c4")
    assert json.loads(text)["standby"] is True
    assert server.ask("GET", "/")[0] == 200
    status, headers, _ = server.ask("POST", "/login", urlencode({"name": "ada"}))
    assert (status, headers["Retry-After"]) == (503, "1")
    standby.unlink()
    assert json.loads(server.ask("GET", "/health/ready")[2])["standby"] is False
    assert server.ask("POST", "/login")[0] == 400
    assert healthcheck.check(f"unix:{server.socket}")[0] is True

    answers: list[tuple[int, dict[str, str], str]] = []
    slow = threading.Thread(target=lambda: answers.append(server.ask("GET", "/slow")))
    slow.start()
    time.sleep(0.3)
    code, out, err = server.end()
    slow.join(DEADLINE)
    assert [(status, text) for status, _, text in answers] == [(200, "done\n")]
    assert (code, err) == (0, "")
    assert not server.socket.exists()
    lines = [json.loads(line) for line in out.splitlines()]
    assert {line["release"] for line in lines} == {"r0042-1a2b3c4"}
    assert any(line["msg"] == "GET /slow 200" for line in lines)


@pytest.mark.parametrize("way", ["unix", "tcp", "tcp, named"])
def test_only_the_edge_is_believed(server: Server, way: str) -> None:
    """Over the socket, or from a network that is named, HTTPS is believed; over TCP from this very
    machine it is not, whatever gunicorn itself would do. A client's word for where the app lies
    counts nowhere."""
    if way != "unix":
        with socket.socket() as one:
            one.bind(("127.0.0.1", 0))
            server.environ["HOMEPORT_BIND"] = f"127.0.0.1:{one.getsockname()[1]}"
    if way == "tcp, named":
        server.environ["TRUSTED_NETWORKS"] = "127.0.0.0/8"
    server.start()
    server.wait_until_alive()
    told = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "203.0.113.7", "SCRIPT_NAME": "/evil"}
    _, headers, text = server.ask("GET", "/login", headers=told)
    assert headers["Set-Cookie"].startswith("foodbudget" if way == "tcp" else "__Host-foodbudget")
    assert ("Strict-Transport-Security" in headers) is (way != "tcp")
    assert "evil" not in text


def test_a_log_in_survives_a_restart(server: Server) -> None:
    """Killed and started again, the app knows who is logged in."""
    server.start()
    server.wait_until_alive()
    _, headers, text = server.ask("GET", "/signup")
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    cookie = {"Cookie": headers["Set-Cookie"].partition(";")[0]}
    token = text.partition('name="csrf_token" value="')[2].partition('"')[0]
    fields = {"csrf_token": token, "name": "ada", "password": "correct horse battery"}
    status, headers, _ = server.ask("POST", "/signup", urlencode(fields), form | cookie)
    cookie = {"Cookie": headers["Set-Cookie"].partition(";")[0]}
    assert status == 302 and "Log out" in server.ask("GET", "/", headers=cookie)[2]
    server.end(signal.SIGKILL)
    server.start()
    server.wait_until_alive()
    assert "Log out" in server.ask("GET", "/", headers=cookie)[2]


def test_mistakes_end_it_with_all_their_lines(server: Server) -> None:
    """Bad settings: exit code 78, every mistake on stderr, no traceback, no socket."""
    server.environ |= {"SECRET_KEY": "", "LOG_LEVEL": "loud", "CURRENCY": "XXX"}
    server.start()
    assert server.process
    out, err = server.process.communicate(timeout=DEADLINE)
    assert server.process.returncode == 78
    for variable in ("SECRET_KEY is not set", "LOG_LEVEL is 'loud'", "CURRENCY is 'XXX'"):
        assert f"\n  - {variable}; it accepts: " in err
    assert "Traceback" not in out + err
    assert not server.socket.exists()


@pytest.mark.parametrize(
    ("bind", "said"),
    [
        ("unix:/nowhere/app.sock", "No such file"),
        ("127.0.0.1:1", "refused"),
        (":1", "refused"),
        ("here", "invalid literal"),
    ],
)
def test_healthcheck_says_why_not(bind: str, said: str) -> None:
    ready, text = healthcheck.check(bind)
    assert not ready
    assert text.startswith(f"no answer from {bind}: ") and said in text


@pytest.mark.parametrize("status", [200, 503])
def test_healthcheck_over_tcp(status: int) -> None:
    """The script that Docker runs: exit code by status, the answer's text on stdout."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        listener.settimeout(DEADLINE)

        def answer() -> None:
            link, _ = listener.accept()
            with link:
                link.recv(4096)
                link.sendall(f"HTTP/1.0 {status} x\r\n\r\nwhat it said".encode())

        thread = threading.Thread(target=answer)
        thread.start()
        run = subprocess.run(
            [sys.executable, ROOT / "foodbudget" / "healthcheck.py"],
            env={"HOMEPORT_BIND": f"0.0.0.0:{port}"},
            capture_output=True,
            text=True,
            timeout=DEADLINE,
        )
        thread.join(DEADLINE)
    assert run.stderr == ""
    assert (run.returncode, run.stdout) == (0 if status == 200 else 1, "what it said\n")
