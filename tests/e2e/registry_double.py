"""A registry that misbehaves as the first part of an image's path says: `HOST:PORT/429/app:1`.

Typed as `python3 registry_double.py PORT good|bad`; for port 0 it prints the one it takes. A good
one answers every path well, so that what an image's name means can be found out on one machine and
its pull go wrong on another.
"""

from __future__ import annotations

import hashlib
import json
import select
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

CODES = {
    "401": "UNAUTHORIZED",
    "403": "DENIED",
    "404": "MANIFEST_UNKNOWN",
    "429": "TOOMANYREQUESTS",
    "500": "UNKNOWN",
}
MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"


def config(how: str) -> bytes:
    """An image's configuration; ``arm`` is built for another machine."""
    arch = "arm64" if how == "arm" else "amd64"
    layers = {"type": "layers", "diff_ids": [f"sha256:{'0' * 64}"]}
    return json.dumps({"os": "linux", "architecture": arch, "rootfs": layers, "how": how}).encode()


def digest(data: bytes) -> str:
    """What it is known by."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def manifest(how: str) -> bytes:
    """The manifest of the one image there is on a path."""
    about, layer = config(how), {"size": 1000, "digest": f"sha256:{'1' * 64}"}
    layer["mediaType"] = "application/vnd.docker.image.rootfs.diff.tar.gzip"
    head = {"mediaType": "application/vnd.docker.container.image.v1+json"}
    first = {**head, "size": len(about), "digest": digest(about)}
    return json.dumps(
        {"schemaVersion": 2, "mediaType": MANIFEST, "config": first, "layers": [layer]}
    ).encode()


class Double(BaseHTTPRequestHandler):
    """Answers GET and HEAD."""

    protocol_version = "HTTP/1.1"
    good = True

    def do_GET(self) -> None:
        """What the path asks for."""
        parts = self.path.strip("/").split("/")
        if len(parts) < 4:
            self.say(200, b"{}")
            return
        how, kind = parts[1], parts[-2]
        if not self.good and how in CODES:
            told = {"errors": [{"code": CODES[how], "message": "told to"}]}
            self.say(int(how), json.dumps(told).encode())
        elif not self.good and (how == "stall" or how == "late" and kind == "blobs"):
            # until the other side has had enough
            select.select([self.connection], [], [])
            self.close_connection = True
        elif not self.good and how == "garbage":
            self.say(200, b"<html>A router's page</html>", "text/html")
        elif not self.good and how == "digest":
            self.say(200, manifest("other"), MANIFEST)
        elif kind == "manifests":
            self.say(200, manifest(how), MANIFEST)
        elif parts[-1] == digest(config(how)):
            self.say(200, config(how))
        else:
            self.say(404, b"{}")

    do_HEAD = do_GET

    def say(self, code: int, body: bytes, kind: str = "application/json") -> None:
        """One answer."""
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Docker-Content-Digest", digest(body))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


if __name__ == "__main__":
    Double.good = sys.argv[2] == "good"
    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Double)
    print(server.server_address[1], flush=True)
    server.serve_forever()
