"""A web app and a worker in one file, for tests: every fault it can have is asked for by name.

``TINY_FAULT``: ``never-ready`` (503 on /ready), ``exit`` (at start), ``dies-writing`` (ends when
its standby file goes away), ``worker-dies`` (its worker ends at once), ``bad-page`` (500 on /),
``strict`` (not ready on any schema but its own).
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import socket
import sqlite3
import sys
import threading
import time
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

VERSION, FAULT = os.environ.get("TINY_VERSION", "?"), os.environ.get("TINY_FAULT", "")
RELEASE = os.environ.get("HOMEPORT_RELEASE", "none")
STANDBY = os.environ.get("HOMEPORT_STANDBY", "")
DATA = Path("/app/data")


def standing_by() -> bool:
    """Whether this release may only read."""
    return bool(STANDBY) and os.path.exists(STANDBY)


def decreed(what: str) -> bool:
    """Whether somebody wrote this version's name into the file that makes it so."""
    try:
        return (DATA / what).read_text() == VERSION
    except OSError:
        return False


def foreign() -> bool:
    """Whether the schema is another version's."""
    if not (DATA / "rows.db").exists():
        return False
    with closing(sqlite3.connect(f"file:{DATA}/rows.db?mode=ro", uri=True)) as database:
        (found,) = database.execute("PRAGMA user_version").fetchone()
    return f"v{found}" != VERSION


class Handler(BaseHTTPRequestHandler):
    """Answers who it is, takes its time when asked, and says what it was sent."""

    protocol_version = "HTTP/1.1"

    def _answer(self, status: int, **more: object) -> None:
        told = {"version": VERSION, "release": RELEASE, "standby": standing_by(), **more}
        body = json.dumps(told).encode()
        self.send_response(status)
        self.send_header("Homeport-Release", RELEASE)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        path, _, rest = self.path.partition("?")
        if path == "/slow":
            time.sleep(float(rest or 1))
        if path == "/ready" and (FAULT == "never-ready" or decreed("ill")):
            self._answer(503, error="the database is on fire")
        elif path == "/ready" and FAULT == "strict" and foreign():
            self._answer(503, error="these are not my tables")
        elif path == "/" and FAULT == "bad-page":
            self._answer(500, error="a page is missing")
        elif path == "/env":
            self._answer(200, value=os.environ.get(rest, ""))
        else:
            self._answer(200)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path == "/write":
            with open(DATA / "rows", "ab") as rows:
                rows.write(body + b" " + RELEASE.encode() + b"\n")
        self._answer(200, bytes=len(body), sha256=hashlib.sha256(body).hexdigest())

    def address_string(self) -> str:
        """A socket's client has no address to look up."""
        return "client"


class SocketServer(ThreadingHTTPServer):
    """The same server on the unix socket that ``HOMEPORT_BIND`` names."""

    address_family = socket.AF_UNIX

    def server_bind(self) -> None:
        """Take the path, also over what a killed one left."""
        path = str(self.server_address)
        if os.path.lexists(path):
            os.unlink(path)
        self.socket.bind(path)
        os.chmod(path, 0o777)
        self.server_name, self.server_port = "socket", 0


def worker() -> None:
    """Write down who works and since when, until told to stop."""
    if FAULT == "worker-dies":
        sys.exit("the worker has no work")
    with open(DATA / "shifts", "a") as shifts:
        shifts.write(f"{RELEASE} begins {time.time():.3f}\n")
    stopped = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopped.set())
    stopped.wait()
    with open(DATA / "shifts", "a") as shifts:
        shifts.write(f"{RELEASE} ends {time.time():.3f}\n")


def watch_standby() -> None:
    """End badly as soon as this release becomes the writer."""
    while standing_by():
        time.sleep(0.02)
    print("writing is not for me", flush=True)
    os._exit(7)


def web() -> None:
    """Serve until SIGTERM."""
    bind = os.environ.get("HOMEPORT_BIND", "")
    if bind.startswith("unix:"):
        server: ThreadingHTTPServer = SocketServer(bind.removeprefix("unix:"), Handler)
    else:
        server = ThreadingHTTPServer(("0.0.0.0", 8000), Handler)
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    if FAULT == "dies-writing":
        threading.Thread(target=watch_standby, daemon=True).start()
    print(f"{VERSION} serves as {RELEASE}", flush=True)
    server.serve_forever(poll_interval=0.02)


if __name__ == "__main__":
    if FAULT == "exit":
        sys.exit("cannot find my configuration")
    if decreed("dead"):
        sys.exit("dead by decree")
    worker() if sys.argv[1:] == ["worker"] else web()
