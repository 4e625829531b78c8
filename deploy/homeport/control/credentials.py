"""This machine's own Docker logins: what is in ``~/.docker/config.json`` or behind its helpers."""

from __future__ import annotations

import base64
import binascii
import json
import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

#: the user name with which a helper says that its secret is an identity token
TOKEN_USER = "<token>"
HELPER_TIMEOUT = 20


@dataclass(frozen=True)
class Credentials:
    """A login. The secret shows in no repr."""

    user: str
    secret: str = field(repr=False)
    server: str = ""

    @property
    def is_token(self) -> bool:
        """Whether the secret is an identity token, to be traded, and not a password."""
        return self.user == TOKEN_USER

    def basic(self) -> str:
        """The value of an HTTP Authorization header."""
        return "Basic " + base64.b64encode(f"{self.user}:{self.secret}".encode()).decode()

    def registry_auth(self) -> str:
        """The value of the Engine API's ``X-Registry-Auth`` header: URL-safe base64 of JSON."""
        if self.is_token:
            data = {"identitytoken": self.secret, "serveraddress": self.server}
        else:
            data = {"username": self.user, "password": self.secret, "serveraddress": self.server}
        return base64.urlsafe_b64encode(json.dumps(data).encode()).decode()


def find(server: str) -> Credentials | None:
    """The login for ``server`` (as Docker files it), or None: then ask anonymously."""
    config = _config()
    helper = (config.get("credHelpers") or {}).get(server) or config.get("credsStore")
    if isinstance(helper, str) and helper:
        found = _from_helper(helper, server)
        if found is not None:
            return found
    return _from_file(config.get("auths") or {}, server)


def _config() -> dict[str, Any]:
    folder = os.environ.get("DOCKER_CONFIG") or os.path.expanduser("~/.docker")
    try:
        data = json.loads((Path(folder) / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}  # no login at all is a good answer: public images need none
    return data if isinstance(data, dict) else {}


def _from_helper(helper: str, server: str) -> Credentials | None:
    try:
        done = subprocess.run(
            [f"docker-credential-{helper}", "get"],
            input=server.encode(),
            capture_output=True,
            timeout=HELPER_TIMEOUT,
            check=True,
        )
        data = json.loads(done.stdout)
        return Credentials(str(data["Username"]), str(data["Secret"]), server)
    except (OSError, subprocess.SubprocessError, ValueError, KeyError, TypeError):
        return None  # a helper exits 1 for "nothing stored"


def _from_file(auths: dict[str, Any], server: str) -> Credentials | None:
    names = (server, f"https://{server}", f"https://{server}/v1/", f"https://{server}/v2/")
    for name in names:
        entry = auths.get(name)
        if not isinstance(entry, dict):
            continue
        if entry.get("identitytoken"):
            return Credentials(TOKEN_USER, str(entry["identitytoken"]), server)
        try:
            pair = base64.b64decode(str(entry.get("auth", ""))).decode()
        except (binascii.Error, UnicodeDecodeError):
            continue
        user, colon, secret = pair.partition(":")
        if colon and user:
            return Credentials(user, secret.rstrip("\0"), server)
    return None
