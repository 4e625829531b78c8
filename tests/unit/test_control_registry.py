"""Names of images, Docker's logins, and a registry's answers, from a real HTTP server."""

from __future__ import annotations

import base64
import hashlib
import json
import select
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Iterator

import pytest

from homeport.control import credentials, images, reference, registry
from homeport.control.credentials import Credentials
from homeport.control.reference import HUB, HUB_LOGIN, Reference
from homeport.errors import ImageMissing, RegistryError, UsageError

HEX = "0123456789abcdef" * 4

GOOD = [
    ("nginx", Reference(HUB, "library/nginx", "latest")),
    ("me/app:1.2", Reference(HUB, "me/app", "1.2")),
    ("ghcr.io/me/app:main", Reference("ghcr.io", "me/app", "main")),
    ("localhost/app", Reference("localhost", "app", "latest")),
    ("127.0.0.1:5010/app:v1", Reference("127.0.0.1:5010", "app", "v1")),
    ("pi:5000/a/b/c", Reference("pi:5000", "a/b/c", "latest")),
    ("[::1]:5000/app", Reference("[::1]:5000", "app", "latest")),
    (f"ghcr.io/me/app@sha256:{HEX}", Reference("ghcr.io", "me/app", "", f"sha256:{HEX}")),
    (f"r.io/app:v1@sha256:{HEX}", Reference("r.io", "app", "v1", f"sha256:{HEX}")),
]
BAD = [
    "",
    ":",
    "App",
    "ghcr.io/Me/app",
    "app:",
    "app:-x",
    "app@sha256:abc",
    "a//b",
    "-o/app",
    "a b",
]


@pytest.mark.parametrize(("text", "meant"), GOOD)
def test_a_name_means_what_docker_means(text: str, meant: Reference) -> None:
    """Registry, path, tag and digest by Docker's own rules."""
    assert reference.parse(text) == meant


@pytest.mark.parametrize("text", BAD)
def test_what_is_no_name_is_refused(text: str) -> None:
    """No request is made for what cannot be an image."""
    with pytest.raises(ValueError):
        reference.parse(text)
    with pytest.raises(UsageError):
        images.from_registry(text)


@pytest.mark.parametrize(
    ("name", "scheme"),
    [
        ("127.0.0.1:1/a", "http"),
        ("127.8.8.8/a", "http"),
        ("localhost:1/a", "http"),
        ("[::1]:1/a", "http"),
        ("pi.local:5000/a", "https"),
        ("127.evil.example/a", "https"),
        ("localhost.example/a", "https"),
    ],
)
def test_only_this_machine_is_trusted_without_tls(name: str, scheme: str) -> None:
    """http for the loopback, https for everybody else."""
    assert reference.parse(name).api.startswith(f"{scheme}://")


def test_docker_hub_is_filed_under_its_old_name() -> None:
    """Credentials and API of the default registry live elsewhere than its name."""
    assert reference.parse("nginx").login == HUB_LOGIN
    assert reference.parse("nginx").api.endswith("/v2/library/nginx")


def test_secrets_show_in_no_repr() -> None:
    """Neither a login nor what is made of it is printed by accident."""
    login = Credentials("me", "hunter2", "ghcr.io")
    assert "hunter2" not in repr(login)
    header = json.loads(base64.urlsafe_b64decode(login.registry_auth()))
    assert header == {"username": "me", "password": "hunter2", "serveraddress": "ghcr.io"}
    token = Credentials(credentials.TOKEN_USER, "tok", "ghcr.io")
    header = json.loads(base64.urlsafe_b64decode(token.registry_auth()))
    assert header == {"identitytoken": "tok", "serveraddress": "ghcr.io"}


@pytest.fixture
def docker_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Docker configuration of the test's own."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    return tmp_path / "config.json"


def test_a_login_in_the_file_is_found(docker_config: Path) -> None:
    """``docker login`` without a helper; another registry's login is not given away."""
    pair = base64.b64encode(b"me:pass:word").decode()
    docker_config.write_text(json.dumps({"auths": {"ghcr.io": {"auth": pair}}}))
    assert credentials.find("ghcr.io") == Credentials("me", "pass:word", "ghcr.io")
    assert credentials.find("io") is None
    docker_config.write_text("{")
    assert credentials.find("ghcr.io") is None


def test_a_helper_is_asked_over_stdin(
    docker_config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """credHelpers and credsStore: the server's name on stdin, never on argv."""
    helper = tmp_path / "docker-credential-box"
    helper.write_text(
        '#!/bin/sh\nread server; [ "$1$#" = get1 ] && [ "$server" = ghcr.io ] || exit 1\n'
        'echo \'{"Username": "<token>", "Secret": "s"}\'\n'
    )
    helper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    docker_config.write_text('{"credsStore": "box"}')
    found = credentials.find("ghcr.io")
    assert found == Credentials("<token>", "s", "ghcr.io") and found.is_token
    assert credentials.find("other.io") is None
    docker_config.write_text('{"credHelpers": {"ghcr.io": "gone"}}')
    assert credentials.find("ghcr.io") is None


LAYERS = [{"size": 100}, {"size": 50}]
CONFIG = json.dumps({"os": "linux", "architecture": "arm64", "variant": "v8"}).encode()
ONE = json.dumps({"config": {"digest": "sha256:c"}, "layers": LAYERS}).encode()
INDEX = json.dumps(
    {
        "manifests": [
            {"digest": "sha256:x", "platform": {"os": "linux", "architecture": "arm64"}},
            {"digest": "sha256:y", "platform": {"os": "linux", "architecture": "amd64"}},
            {"digest": "sha256:z", "platform": {"os": "unknown", "architecture": "unknown"}},
        ]
    }
).encode()
SMALL = json.dumps({"layers": LAYERS[1:]}).encode()


class Fake(BaseHTTPRequestHandler):
    """A registry of fixed answers that wants a token, given for a password or a refresh token."""

    answers = {
        "/v2/app/manifests/one": ONE,
        "/v2/app/blobs/sha256:c": CONFIG,
        "/v2/app/manifests/many": INDEX,
        "/v2/app/manifests/sha256:x": ONE,
        "/v2/app/manifests/sha256:y": SMALL,
        "/v2/app/manifests/odd": b"[]",
        "/v2/app/manifests/worse": b"<html>",
        "/v2/app/manifests/deep": b"[" * 100_000,
    }
    seen: list[str] = []

    def do_GET(self) -> None:
        self.seen.append(self.path)
        path, _, query = self.path.partition("?")
        if path == "/token":
            good = self.headers["Authorization"] == Credentials("me", "pw").basic()
            self.say(200 if good else 401, b'{"token": "t0k"}')
            return
        if path.endswith(("/stall", "/dribble")):
            self.linger(dribble=path.endswith("/dribble"))
            return
        for code in (403, 429, 500):
            if path.endswith(f"/{code}"):
                self.say(code, b"")
                return
        if self.headers["Authorization"] != "Bearer t0k":
            host = f"http://127.0.0.1:{self.server.server_address[1]}"
            challenge = f'Bearer realm="{host}/token",service="s",scope="repository:app:pull"'
            self.say(401, b"", challenge)
            return
        body = self.answers.get(path)
        self.say(200 if body is not None else 404, body or b"")

    def linger(self, dribble: bool) -> None:
        """Nothing at all, or a byte now and then for as long as somebody listens."""
        if dribble:
            self.send_response(200)
            self.end_headers()
        try:
            while not select.select([self.connection], [], [], 0.05)[0]:
                self.wfile.write(b" " * dribble)
        except OSError:
            return

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        good = b"grant_type=refresh_token" in body and b"refresh_token=idt" in body
        self.say(200 if good else 400, b'{"access_token": "t0k"}')

    def say(self, code: int, body: bytes, challenge: str = "") -> None:
        self.send_response(code)
        if challenge:
            self.send_header("WWW-Authenticate", challenge)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing on the test's stderr."""


@pytest.fixture
def fake() -> Iterator[str]:
    """The address of a running ``Fake``."""
    Fake.seen = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Fake)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


LOGINS = [Credentials("me", "pw"), Credentials(credentials.TOKEN_USER, "idt")]


@pytest.mark.parametrize("login", LOGINS)
def test_an_image_of_one_platform(fake: str, login: Credentials) -> None:
    """Digest of the manifest's own bytes, platform of its configuration, sum of its layers."""
    name = f"{fake}/app:one"
    image = registry.resolve(reference.parse(name), login, name)
    assert image.digest == "sha256:" + hashlib.sha256(ONE).hexdigest()
    assert (image.platforms, image.size, image.ref) == (("linux/arm64/v8",), 150, name)
    assert image.pinned == f"{fake}/app@{image.digest}"


def test_an_image_of_many_platforms(fake: str) -> None:
    """All platforms but attestations; the size of the largest; one token for all requests."""
    name = f"{fake}/app:many"
    image = registry.resolve(reference.parse(name), LOGINS[0], name)
    assert image.digest == "sha256:" + hashlib.sha256(INDEX).hexdigest()
    assert (image.platforms, image.size) == (("linux/amd64", "linux/arm64"), 150)
    assert len([path for path in Fake.seen if path.startswith("/token")]) == 1


@pytest.mark.parametrize(
    ("tag", "login", "kind", "words"),
    [
        ("gone", LOGINS[0], ImageMissing, "push it first"),
        ("one", None, RegistryError, "docker login"),
        ("one", Credentials("me", "wrong"), RegistryError, "docker login"),
        ("one", Credentials(credentials.TOKEN_USER, "wrong"), RegistryError, "docker login"),
        ("403", LOGINS[0], RegistryError, "docker login"),
        ("429", LOGINS[0], RegistryError, "limit"),
        ("500", LOGINS[0], RegistryError, "HTTP 500"),
        ("odd", LOGINS[0], RegistryError, "answers oddly"),
        ("worse", LOGINS[0], RegistryError, "answers oddly"),
        ("deep", LOGINS[0], RegistryError, "answers oddly"),
    ],
)
def test_every_refusal_says_what_mends_it(
    fake: str, tag: str, login: Credentials | None, kind: type[RegistryError], words: str
) -> None:
    """401, 403, 404, 429, 5xx and nonsense: the right class, the command, never the secret."""
    name = f"{fake}/app:{tag}"
    with pytest.raises(RegistryError) as caught:
        registry.resolve(reference.parse(name), login, name)
    assert type(caught.value) is kind
    assert words in caught.value.text()
    assert login is None or login.secret not in caught.value.text()


@pytest.mark.parametrize("tag", ["stall", "dribble"])
def test_a_registry_that_takes_for_ever(
    fake: str, tag: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither silence nor a byte now and then is waited for beyond the bound."""
    monkeypatch.setattr(registry, "TIMEOUT", 0.3)
    name, begun = f"{fake}/app:{tag}", time.monotonic()
    with pytest.raises(RegistryError, match="cannot be reached") as caught:
        registry.resolve(reference.parse(name), LOGINS[0], name)
    assert time.monotonic() - begun < 5
    (problem,) = caught.value.problems
    assert f"curl -v http://{fake}/v2/app/manifests/{tag}" in problem.mend


def test_another_content_than_the_digest_is_refused(fake: str) -> None:
    """A registry that answers a digest with other bytes is not believed."""
    Fake.answers[f"/v2/app/manifests/sha256:{HEX}"] = ONE
    name = f"{fake}/app@sha256:{HEX}"
    with pytest.raises(RegistryError) as caught:
        registry.resolve(reference.parse(name), LOGINS[0], name)
    assert "digest" in caught.value.problems[0].why


def test_a_registry_that_is_not_there() -> None:
    """A closed port: RegistryError, worth trying again."""
    with pytest.raises(RegistryError) as caught:
        registry.resolve(reference.parse("127.0.0.1:1/app"), None, "127.0.0.1:1/app")
    assert caught.value.retry and "cannot be reached" in str(caught.value)
