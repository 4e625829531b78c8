"""The container's HEALTHCHECK: asks /health/ready where gunicorn listens; exit 0 when ready.

Run as a file by `python -IS`: the standard library only, so that it starts quickly on a Pi, and
not with its own folder on the path, where a module of the app could hide a standard one.
"""

from __future__ import annotations

import http.client
import os
import socket
import sys

# below the HEALTHCHECK's own timeout, so that the cause gets printed
TIMEOUT = 5.0
DEFAULT_BIND = "0.0.0.0:8000"


def connect(bind: str) -> socket.socket:
    """Connect to what gunicorn calls `bind`: `unix:/path`, `host:port`, `[v6]:port`, `:port`.

    Raises:
        OSError: nobody listens there.
        ValueError: the text is no such address.
    """
    if bind.startswith("unix:"):
        link = socket.socket(socket.AF_UNIX)
        link.settimeout(TIMEOUT)
        try:
            link.connect(bind.removeprefix("unix:"))
        except OSError:
            link.close()
            raise
        return link
    host, _, port = bind.rpartition(":")
    host = host.strip("[]")
    # listening on every address is not an address to connect to
    here = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return socket.create_connection((here, int(port)), TIMEOUT)


def check(bind: str) -> tuple[bool, str]:
    """Ask once; whether the app is ready, and what it or the network said."""
    connection = http.client.HTTPConnection("localhost", timeout=TIMEOUT)
    try:
        connection.sock = connect(bind)
        connection.request("GET", "/health/ready")
        answer = connection.getresponse()
        return answer.status == 200, answer.read().decode(errors="replace").strip()
    except (OSError, ValueError, http.client.HTTPException) as error:
        return False, f"no answer from {bind}: {error}"
    finally:
        connection.close()


if __name__ == "__main__":
    ready, said = check(os.environ.get("HOMEPORT_BIND") or DEFAULT_BIND)
    print(said)
    sys.exit(0 if ready else 1)
