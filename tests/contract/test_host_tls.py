"""HTTPS at the edge as it really is: by its own authority, or by an ACME server's."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import secrets
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from homeport.core import edge as edges
from homeport.errors import Refused
from homeport.host import read, read_edge
from homeport.host.context import Context
from homeport.host.engine import Engine
from homeport.host.probe import ask as ask_over
from homeport.host.probe import through_edge
from homeport.model import Request
from homeport.model import Site as ModelSite
from test_host_edge import Site
from tinyapp.driver import Tiny, ask, docker, the_edge, wait

pytestmark = pytest.mark.docker
ADDRESS = "127.0.0.1"


class Safe(Site):
    """An app that is answered over HTTPS, by name and by address."""

    def __init__(self, root: Path, name: str, port: int, redirect: int) -> None:
        super().__init__(root, name, port)
        self.redirect = redirect
        self.extra: dict[str, Any] = {"tls": "internal"}

    def entry(self, hold: float = 10.0, network: str = "") -> dict[str, Any]:
        """What the edge is told of it."""
        also = [f"www.{self.name}.test", ADDRESS] if self.extra["tls"] == "internal" else []
        told = {**super().entry(hold, network), "also": also, "redirect": self.redirect}
        return {**told, **self.extra}

    def root_file(self) -> Path:
        """The root certificate of the edge's own authority."""
        return self.paths.edge / "data" / "caddy" / "pki" / "authorities" / "local" / "root.crt"

    def context(self) -> Context:
        """The hands of a run that reads."""
        request = Request("edge-status", self.name)
        return Context(self.paths, Engine(), request, "", lambda event: None)

    def certificates(self) -> dict[str, dict[str, Any]]:
        """What ``edge status`` says of its certificates, by name."""
        [site] = [
            one for one in read_edge.status(self.context())["sites"] if one["app"] == self.name
        ]
        return {one["name"]: one for one in site["certificates"]}

    def has_all(self) -> bool:
        """Whether every name has its certificate."""
        return all(one["ends"] for one in self.certificates().values())


def shake(port: int, name: str | None, roots: Path, alpn: str = "http/1.1") -> ssl.SSLSocket:
    """A connection whose certificate was verified against these roots, for this name."""
    context = ssl.create_default_context(cafile=str(roots))
    context.set_alpn_protocols([alpn])
    raw = socket.create_connection((ADDRESS, port), timeout=10)
    try:
        return context.wrap_socket(raw, server_hostname=name or ADDRESS)
    except (ssl.SSLError, OSError):
        raw.close()
        raise


def get(site: Safe, name: str, path: str = "/") -> tuple[int, dict[str, str], bytes]:
    """One GET over verified HTTPS."""
    with shake(site.port, name, site.root_file()) as safe:
        head = f"GET {path} HTTP/1.1\r\nHost: {name}:{site.port}\r\nConnection: close\r\n\r\n"
        safe.sendall(head.encode())
        answer = http.client.HTTPResponse(safe)
        answer.begin()
        return answer.status, dict(answer.getheaders()), answer.read()


@pytest.fixture(scope="module")
def ports() -> tuple[int, int]:
    """A port for HTTPS and one for HTTP that leads there."""
    found = []
    for _ in range(2):
        with socket.socket() as one:
            one.bind((ADDRESS, 0))
            found.append(int(one.getsockname()[1]))
    return found[0], found[1]


@pytest.fixture
def safe(host_root: Path, ports: tuple[int, int]) -> Iterator[Safe]:
    """An app with certificates of the edge's own authority."""
    made = Safe(host_root, f"s{os.getpid()}-{secrets.token_hex(3)}", *ports)
    made.apply()
    wait(made.has_all, "certificates", 30)
    yield made
    made.close()
    edge = made.edge
    wanted = edges.wanted(edge.facts(), made.name, None)
    edge.apply(wanted.change, wanted, lambda: None)


def test_every_name_and_the_address_have_a_good_certificate(safe: Safe) -> None:
    """Verified against the edge's own root: by name, by further name, by address without a name."""
    safe.store.write_link(safe.slot("r0001"))
    for name in (f"{safe.name}.test", f"www.{safe.name}.test", ADDRESS):
        status, headers, body = get(safe, name)
        assert (status, json.loads(body)["slot"]) == (200, "r0001"), name
        assert "Homeport-Edge" not in headers
    with pytest.raises(ssl.SSLError):
        shake(safe.port, "nobody.test", safe.root_file())
    with pytest.raises(ssl.SSLError):
        shake(safe.port, f"{safe.name}.test", Path(ssl.get_default_verify_paths().openssl_cafile))
    with shake(safe.port, f"{safe.name}.test", safe.root_file(), "h2") as two:
        assert two.selected_alpn_protocol() == "h2"


def test_http_leads_to_https(safe: Safe) -> None:
    """308 to the same host, path and query, for every method; another name is nobody's."""
    safe.store.write_link(safe.slot("r0001"))
    for body in (None, b"x=1"):
        page = ask(safe.redirect, f"{safe.name}.test", "/a/b?c=%20d", body)
        assert page.status == 308 and page.headers["homeport-edge"] == "to-https"
        assert page.headers["location"] == f"https://{safe.name}.test:{safe.port}/a/b?c=%20d"
    assert ask(safe.redirect, "nobody.test").status == 404


def test_a_hold_holds_over_https(safe: Safe) -> None:
    """A request over HTTPS waits for the release that ends the hold."""
    address = safe.slot("r0001")
    safe.hold()
    waiting = safe.pool.submit(get, safe, f"{safe.name}.test")
    time.sleep(0.5)
    assert not waiting.done()
    safe.store.write_link(address)
    assert waiting.result(10)[0] == 200


def test_the_engine_s_own_checks_go_over_https(safe: Safe) -> None:
    """The watch asks as a client does, and does not judge the certificate."""
    safe.store.write_link(safe.slot("r0001"))
    answer = ask_over(through_edge(safe.entry(), 5.0), "/", f"{safe.name}.test")
    assert answer.status == 200 and "r0001" in answer.body


def test_the_authority_is_the_users_and_outlives_the_edge(safe: Safe) -> None:
    """The root with its fingerprint; its keys are nobody else's; a new edge keeps it."""
    told = read_edge.authority(safe.context())
    assert told["pem"] == safe.root_file().read_text()
    digest = hashlib.sha256(ssl.PEM_cert_to_DER_cert(told["pem"])).hexdigest()
    assert told["sha256"].replace(":", "").lower() == digest
    assert (safe.paths.edge / "data").stat().st_mode & 0o077 == 0
    for key in (safe.paths.edge / "data").rglob("*.key"):
        assert key.stat().st_mode & 0o077 == 0, key
    Engine().remove(the_edge())
    assert safe.apply() == "create"
    wait(safe.has_all, "certificates", 30)
    assert read_edge.authority(safe.context()) == told
    safe.store.write_link(safe.slot("r0001"))
    assert get(safe, f"{safe.name}.test")[0] == 200


def test_status_of_the_edge(safe: Safe) -> None:
    """Names, ports, the certificates with their ends, memory, and nothing to mend."""
    found = read_edge.status(safe.context())
    assert found["running"] and found["current"] and not found["outdated"]
    assert {safe.port, safe.redirect} <= set(found["ports"]) and found["since"].startswith("20")
    assert 5_000_000 < found["memory"] < 100_000_000
    for one in safe.certificates().values():
        assert one["issuer"] == "local" and 25 < (one["ends"] - time.time()) / 86400 < 31
    assert found["busy"] == []
    safe.hold()
    assert read_edge.status(safe.context())["busy"] == [f"{safe.name} holds its requests"]


def test_without_https_there_is_no_authority(tmp_path: Path) -> None:
    """`edge ca` says what makes one."""
    (tmp_path / "homeport").mkdir()
    with pytest.raises(Refused) as caught:
        read_edge.authority(Safe(tmp_path, "none", 1, 2).context())
    assert 'tls = "internal"' in caught.value.problems[0].mend


@pytest.mark.parametrize(
    "tls", [{"tls": "internal"}, {"tls": "acme", "acme_ca": "https://nobody.invalid/directory"}]
)
def test_a_deploy_does_not_hang_on_the_certificate(
    make_app: Callable[..., Tiny], free_port: int, tls: dict[str, Any]
) -> None:
    """A release is watched over HTTPS; a certificate that does not come is no fault of its own."""
    app = make_app(f"tls-{tls['tls']}")
    asked = replace(app.settings(), site=ModelSite(app.host, free_port, **tls))
    verdict = app.run("deploy", "v1", settings=asked, monitor=2.5)
    assert verdict.outcome == "deployed", (verdict.sentence, verdict.problems)
    told = read.status(app.context("status"))
    assert told["site"] == f"https://{app.host}" and told["healthy"]
    [site] = [
        one for one in read_edge.status(app.context("status"))["sites"] if one["app"] == app.name
    ]
    assert bool(site["certificates"][0]["ends"]) == (tls["tls"] == "internal")


# --- certificates of an ACME server --------------------------------------------------------------
CA = "homeport-test-ca"


def ca_name(challenge: str) -> str:
    """The ACME server with that challenge, by name."""
    return f"{challenge}.ca.test"


@pytest.fixture
def authority(host_root: Path, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A second Caddy that is an ACME server; its root certificate. The param is its challenge.

    Each has a name of its own: the edge keeps the account that it made with a server of that name.
    """
    called = ca_name(request.param)
    serves = {"handler": "acme_server", "host": called, "challenges": [request.param]}
    server = {
        "listen": [":443"],
        "automatic_https": {"disable": True},
        "tls_connection_policies": [{}],
        "routes": [{"handle": [serves]}],
    }
    issued = {"subjects": [called], "issuers": [{"module": "internal"}]}
    made = {
        "admin": {"disabled": True},
        "apps": {
            "http": {"servers": {"ca": server}},
            "tls": {
                "automation": {"policies": [issued]},
                "certificates": {"automate": [called]},
            },
            "pki": {"certificate_authorities": {"local": {"install_trust": False}}},
        },
    }
    (tmp_path / "ca.json").write_text(json.dumps(made))
    mount = f"{tmp_path}/ca.json:/ca.json:ro"
    words = ("run", "-d", "--name", CA, "--network", the_edge(), "--network-alias", called)
    words += ("-v", mount, "-v", f"{tmp_path}:/data")
    docker(*words, edges.IMAGE, "caddy", "run", "--config", "/ca.json")
    root = tmp_path / "caddy" / "pki" / "authorities" / "local" / "root.crt"
    leaf = tmp_path / "caddy" / "certificates" / "local" / called / f"{called}.crt"
    try:
        wait(lambda: root.exists() and leaf.exists(), "the ACME server has its certificate", 30)
        yield root
    finally:
        Engine().remove(CA)


@pytest.fixture
def public(host_root: Path) -> Iterator[Safe]:
    """An app on the ports that an ACME server asks on."""
    for port in (80, 443):
        with socket.socket() as one:
            assert one.connect_ex((ADDRESS, port)), f"port {port} of this machine is taken"
    made = Safe(host_root, f"a{os.getpid()}-{secrets.token_hex(3)}", 443, 80)
    made.apply()
    yield made
    made.close()
    wanted = edges.wanted(made.edge.facts(), made.name, None)
    made.edge.apply(wanted.change, wanted, lambda: None)


@pytest.mark.parametrize("authority", ["http-01", "tls-alpn-01"], indirect=True)
def test_an_acme_server_gives_the_certificate(
    public: Safe, authority: Path, request: pytest.FixtureRequest
) -> None:
    """With acme_ca and acme_root the edge gets its certificate there, by either challenge."""
    called = ca_name(request.node.callspec.params["authority"])
    network = f"{public.name}-acme"
    docker("network", "create", network)
    try:
        # the server finds the name at the edge, as public DNS would lead it there
        docker("network", "connect", "--alias", f"{public.name}.test", network, the_edge())
        docker("network", "connect", network, CA)
        directory = f"https://{called}/acme/local/directory"
        public.extra = {"tls": "acme", "acme_ca": directory, "acme_root": authority.read_text()}
        assert public.apply() == "load"
        wait(public.has_all, "the certificate", 40)
        [told] = public.certificates().values()
        assert told["issuer"].startswith(called), told
        public.store.write_link(public.slot("r0001"))
        with shake(443, f"{public.name}.test", authority) as safe:
            assert safe.getpeercert()
        assert ask(80, f"{public.name}.test", "/x").headers["location"] == (
            f"https://{public.name}.test/x"
        )
    finally:
        for name in (CA, the_edge()):
            docker("network", "disconnect", "-f", network, name)
        docker("network", "rm", network)
