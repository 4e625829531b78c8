"""Which registry a login is handed to: the one it is for, and no other."""

from __future__ import annotations

import base64
import json

import pytest

from homeport.control import reference
from homeport.control.credentials import Credentials
from homeport.host.ops import login_for

DIGEST = "@sha256:" + "1" * 64


@pytest.mark.parametrize(
    ("image", "server", "given"),
    [
        ("ghcr.io/me/app", "ghcr.io", True),
        ("ghcr.io/me/app", "docker.io", False),
        ("127.0.0.1:5000/app", "127.0.0.1:5000", True),
        ("127.0.0.1:5000/app", "127.0.0.1:5001", False),
        ("localhost/app", "localhost", True),
        ("postgres", "https://index.docker.io/v1/", True),
        ("me/app", "https://index.docker.io/v1/", True),
        ("docker.io/me/app", "https://index.docker.io/v1/", True),
        ("me/app", "ghcr.io", False),
        ("evil.example/ghcr.io/app", "ghcr.io", False),
    ],
)
def test_a_login_goes_to_its_registry(image: str, server: str, given: bool) -> None:
    """Docker would hand it to whichever registry it pulls from."""
    auth = Credentials("me", "token", server).registry_auth()
    assert login_for(image + DIGEST, auth) == (auth if given else "")
    if given:
        assert reference.parse(image).login == server


@pytest.mark.parametrize(
    "auth", ["", "?", "e30=", base64.urlsafe_b64encode(json.dumps([1]).encode()).decode()]
)
def test_no_login_is_none(auth: str) -> None:
    """What is no login is handed to nobody."""
    assert login_for("ghcr.io/me/app" + DIGEST, auth) == ""
