"""The edge as it really is: Caddy in its container, dialling what an app's link says right now."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import secrets
import socket
import socketserver
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from homeport.core import caddy
from homeport.core import edge as edges
from homeport.core import link as links
from homeport.core.policy import version
from homeport.errors import HostFault
from homeport.host import ops_traffic
from homeport.host.context import Context
from homeport.host.edge import Edge
from homeport.host.engine import Engine
from homeport.host.paths import Paths
from homeport.host.store import Store
from homeport.model import Request
from tinyapp.driver import Page, ask, docker, the_edge, wait

pytestmark = pytest.mark.docker
#: there since Linux 5.14
MIGRATES = Path("/proc/sys/net/ipv4/tcp_migrate_req")


class Handler(BaseHTTPRequestHandler):
    """A slot in this process: says which slot it is, and what it was sent."""

    protocol_version = "HTTP/1.1"
    slot = ""

    def do_GET(self) -> None:
        if self.path.startswith("/slow"):
            time.sleep(float(self.path.partition("?")[2]))
        self._answer(b"")

    def do_POST(self) -> None:
        self._answer(self.rfile.read(int(self.headers["Content-Length"])))

    def _answer(self, body: bytes) -> None:
        told = {"slot": self.slot, "sha256": hashlib.sha256(body).hexdigest()}
        text = json.dumps(told).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *args: Any) -> None:
        """Requests are counted by the tests, not printed."""


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """The slot's server on its socket."""

    daemon_threads = True
    request_queue_size = 64


class Site:
    """An app of the edge's: its link, its slots on sockets, and its clients."""

    def __init__(self, root: Path, name: str, port: int) -> None:
        self.paths, self.name, self.port = Paths(name, root), name, port
        self.paths.sockets.mkdir(parents=True)
        self.paths.folder.mkdir()
        self.store = Store(self.paths)
        self.edge = Edge(self.paths, Engine())
        self.servers: list[Server] = []
        self.pool = ThreadPoolExecutor(32)

    def entry(self, hold: float = 10.0, network: str = "") -> dict[str, Any]:
        """What the edge is told of it."""
        return {"name": f"{self.name}.test", "port": self.port, "hold": hold, "network": network}

    def apply(self, hold: float = 10.0, network: str = "") -> str:
        """Make the edge answer for it as an executed plan would; what had to be changed."""
        facts = self.edge.facts()
        wanted = edges.wanted(facts, self.name, self.entry(hold, network))
        if wanted.change:
            self.edge.apply(wanted.change, wanted, lambda: None)
        return wanted.change

    def slot(self, slot: str) -> str:
        """Start a slot; its dial address."""
        folder = self.paths.slot(slot)
        folder.mkdir()
        kind = type("Slot", (Handler,), {"slot": slot})
        server = Server(str(folder / links.SOCKET), kind)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        self.servers.append(server)
        return f"unix/{links.RUN}/{self.name}/{slot}/{links.SOCKET}"

    def hold(self) -> None:
        """Let requests wait."""
        self.store.write_link(links.hold(self.name))

    def ask(self, path: str = "/", body: bytes | None = None) -> Page:
        """One request through the edge."""
        return ask(self.port, f"{self.name}.test", path, body)

    def send(self, path: str = "/", body: bytes | None = None) -> Future[Page]:
        """One request through the edge, in the background."""
        return self.pool.submit(self.ask, path, body)

    def close(self) -> None:
        """End its slots, and a hold: an edge that holds for one app is not changed for another."""
        self.paths.link.unlink(missing_ok=True)
        for server in self.servers:
            server.shutdown()
            server.server_close()
        self.pool.shutdown()


@pytest.fixture
def site(host_root: Path, edge_port: int) -> Iterator[Site]:
    """An app that the edge answers for."""
    made = Site(host_root, f"e{os.getpid()}-{secrets.token_hex(3)}", edge_port)
    made.apply()
    yield made
    made.close()


def test_a_hold_keeps_requests_and_answers_them(site: Site) -> None:
    """Requests sent in a hold wait, and every one is answered by the release that ends it."""
    first, second = site.slot("r0001"), site.slot("r0002")
    site.store.write_link(first)
    assert site.ask().told()["slot"] == "r0001"
    site.hold()
    waiting = [site.send() for _ in range(10)]
    time.sleep(0.6)
    assert not any(one.done() for one in waiting)
    site.store.write_link(second)
    pages = [one.result(10) for one in waiting]
    assert [(page.status, page.told()["slot"]) for page in pages] == [(200, "r0002")] * 10
    assert all(0.5 < page.seconds < 3 for page in pages)


def test_a_large_post_survives_a_hold(site: Site) -> None:
    """A body of 1 MB, many times the edge's buffer, arrives whole and once after the hold."""
    address = site.slot("r0001")
    site.hold()
    bodies = [secrets.token_bytes(1_000_000), b"small", secrets.token_bytes(caddy.BUFFER + 1)]
    waiting = [site.send("/", body) for body in bodies]
    time.sleep(0.4)
    assert not any(one.done() for one in waiting)
    site.store.write_link(address)
    for body, one in zip(bodies, waiting):
        assert one.result(10).told()["sha256"] == hashlib.sha256(body).hexdigest()


@pytest.mark.parametrize("garbage", [None, b"", b"nonsense\xff", b"unix//run/nothing/here.sock"])
def test_a_link_that_says_nothing_is_a_hold(site: Site, garbage: bytes | None) -> None:
    """A missing, empty or garbled link lets requests wait as a hold does."""
    address = site.slot("r0001")
    if garbage is not None:
        site.paths.link.write_bytes(garbage)
    waiting = site.send()
    time.sleep(0.4)
    assert not waiting.done()
    site.store.write_link(address)
    assert waiting.result(10).told()["slot"] == "r0001"


def test_over_the_hold_limit_the_edge_answers_itself(site: Site) -> None:
    """A POST whose release ends in mid-answer is sent once; the answer is marked as the edge's."""
    assert site.apply(hold=0.5) == "load"
    site.hold()
    page = site.ask()
    assert page.status == 503 and 0.4 < page.seconds < 3
    assert page.headers["homeport-edge"] == "no-release"
    assert int(page.headers["retry-after"]) > 0
    assert page.headers["cache-control"] == "no-store"
    assert b"One moment" in page.body


def test_a_release_that_hangs_up_is_told_apart(site: Site) -> None:
    """A POST whose release ends in mid-answer is not sent twice; the edge owns the answer."""
    folder = site.paths.slot("r0001")
    folder.mkdir()
    door = socket.socket(socket.AF_UNIX)
    door.bind(str(folder / links.SOCKET))
    door.listen()
    taken: list[bytes] = []

    def hang_up() -> None:
        while True:
            try:
                client, _ = door.accept()
            except OSError:
                return
            taken.append(client.recv(65536))
            client.close()

    threading.Thread(target=hang_up, daemon=True).start()
    site.store.write_link(f"unix/{links.RUN}/{site.name}/r0001/{links.SOCKET}")
    page = site.ask("/", b"once")
    assert page.status in (502, 503) and page.headers["homeport-edge"]
    assert len([one for one in taken if one.startswith(b"POST")]) == 1
    door.shutdown(socket.SHUT_RDWR)
    door.close()


def test_a_name_nobody_has_is_answered_by_the_edge(site: Site) -> None:
    """A site that is not there is a 404 marked as the edge's own, and no app's."""
    page = ask(site.port, "nobody.test")
    assert page.status == 404 and page.headers["homeport-edge"] == "no-such-site"


def test_in_flight_is_counted_by_address(site: Site) -> None:
    """What is on its way to the old release is told from what is on its way to the new one."""
    first, second = site.slot("r0001"), site.slot("r0002")
    site.store.write_link(first)
    slow = [site.send("/slow?1.2") for _ in range(3)]
    wait(lambda: site.edge.in_flight(first) == 3, "three in flight to the old")
    site.store.write_link(second)
    slow += [site.send("/slow?0.8") for _ in range(2)]
    wait(lambda: site.edge.in_flight(second) == 2, "two in flight to the new")
    assert site.edge.in_flight(first) == 3
    wait(lambda: site.edge.in_flight(first) == 0, "the old one is drained")
    assert [one.result(10).told()["slot"] for one in slow] == ["r0001"] * 3 + ["r0002"] * 2


@pytest.fixture
def context(site: Site) -> Context:
    """The hands of a run on the site."""
    events: list[Any] = []
    made = Context(site.paths, Engine(), Request("deploy", site.name), "run", events.append)
    made.figures["told"] = events
    return made


def test_draining_waits_for_the_last_request_or_its_limit(site: Site, context: Context) -> None:
    """A drain ends when nothing is in flight any more; at its limit it says how many are cut."""
    first = site.slot("r0001")
    site.store.write_link(first)
    slow = site.send("/slow?0.7")
    wait(lambda: site.edge.in_flight(first) == 1, "one in flight")
    assert ops_traffic.drain(context, {"address": first, "within": 5.0}) == ""
    assert slow.result(1).status == 200
    assert 0.7 < context.figures["drain_s"] < 2.5 and "cut" not in context.figures
    slow = site.send("/slow?1.0")
    wait(lambda: site.edge.in_flight(first) == 1, "one in flight")
    assert ops_traffic.drain(context, {"address": first, "within": 0.3}) == "1 cut"
    assert context.figures["cut"] == 1
    assert "1 requests were still in flight" in context.figures["told"][-1]["text"]
    assert slow.result(5).status == 200


def test_handover_from_socket_to_tcp_and_back(
    site: Site, tiny_image: Callable[..., str], context: Context
) -> None:
    """Traffic moves between a socket and a container's port; no request of many fails."""
    network, slot = f"{site.name}_default", "r0002"
    container = links.web_container(site.name, slot, "web")
    engine = Engine()
    docker("network", "create", network)
    try:
        docker("run", "-d", "--name", container, "--network", network, tiny_image("v9"))
        assert site.apply(network=network) == "load"
        by_socket = site.slot("r0001")
        site.store.write_link(by_socket)
        stop, pages = threading.Event(), []

        def client() -> None:
            while not stop.is_set():
                pages.append(site.ask())

        clients = [site.pool.submit(client) for _ in range(4)]
        for address, told in (
            (f"{container}:8000", ("version", "v9")),
            (by_socket, ("slot", "r0001")),
        ):
            wait(lambda: len(pages) > 40, "traffic")
            ops_traffic.link(context, {"address": links.hold(site.name)})
            time.sleep(0.2)
            held = ops_traffic.link(context, {"address": address})
            assert held.startswith("held 0.")
            key, value = told
            wait(lambda: site.ask().told().get(key) == value, f"answers of {value}")
            del pages[:-1]
            wait(lambda: len(pages) > 40, "traffic after the handover")
            assert {page.status for page in pages} == {200}
        stop.set()
        for one in clients:
            one.result(10)
        assert {page.status for page in pages} == {200}
        assert context.figures["held_s"] >= 0.4
    finally:
        engine.remove(container)
        site.apply()
        # an app that stays keeps its network at the edge: what serves may be reached there
        docker("network", "disconnect", "-f", network, the_edge())
        docker("network", "rm", network)


# --- the admin API -------------------------------------------------------------------------------
def admin(path: Path, request: bytes) -> bytes:
    """What the admin socket answers to these bytes."""
    with socket.socket(socket.AF_UNIX) as one:
        one.settimeout(5)
        one.connect(str(path))
        one.sendall(request)
        answer = b""
        while data := one.recv(65536):
            answer += data
        return answer


@pytest.mark.parametrize(
    "head",
    [
        b"Host: edge\r\n",
        b"Host: localhost\r\nOrigin: http://localhost\r\n",
        b"Host: 127.0.0.1:2019\r\nOrigin: http://guess.internal\r\n",
    ],
)
def test_the_admin_api_wants_its_secret(site: Site, head: bytes) -> None:
    """Whoever reaches the admin socket without the secret origin is refused."""
    path = site.paths.edge / "admin" / "admin.sock"
    for line in (b"GET /config/", b"GET /reverse_proxy/upstreams", b"POST /stop"):
        answer = admin(path, line + b" HTTP/1.1\r\n" + head + b"Connection: close\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 403"), answer[:200]
        assert b"upstreams" not in answer and b"apps" not in answer


def test_the_secret_is_nobodys_to_read(site: Site) -> None:
    """The secret, the configuration that holds it and the admin socket's folder are the user's."""
    edge = site.paths.edge
    for path in (edge / "secret", edge / "conf" / "caddy.json"):
        assert path.stat().st_mode & 0o077 == 0
    assert (edge / "admin").stat().st_mode & 0o077 == 0


def test_a_planted_link_to_the_admin_socket_gets_nothing(site: Site, context: Context) -> None:
    """An app that links its socket to the admin's is refused; dialled anyway, it gets nothing."""
    slot = site.paths.slot("r0009")
    slot.mkdir()
    (slot / links.SOCKET).symlink_to("/run/homeport-admin/admin.sock")
    address = f"unix/{links.RUN}/{site.name}/r0009/{links.SOCKET}"
    with pytest.raises(HostFault) as caught:
        ops_traffic.link(context, {"address": address, "release": "r0009-1a2b3c4"})
    assert "not a socket" in caught.value.problems[0].what
    assert site.store.read_link() is None
    site.store.write_link(address)
    for path in ("/config/", "/config/apps", "/reverse_proxy/upstreams"):
        page = site.ask(path)
        assert page.status in (403, 502, 503)
        assert b"upstreams" not in page.body and b"homeport-admin" not in page.body
    assert site.ask("/load", json.dumps({"apps": {}}).encode()).status in (403, 502, 503)
    site.store.write_link(site.slot("r0001"))
    assert site.ask().status == 200


# --- the container -------------------------------------------------------------------------------
def test_the_edge_is_new_enough_and_small(site: Site) -> None:
    """Caddy is 2.11.4 or newer, and at rest well within its 60 MB."""
    engine = Engine()
    code, text = engine.run_in(the_edge(), ["caddy", "version"])
    assert code == 0 and version(text.split()[0]) >= edges.LEAST
    pid = (engine.inspect(the_edge()) or {})["State"]["Pid"]
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    rss = next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))
    print(f"edge: {rss / 1024:.1f} MB resident")
    assert 0 < rss < 60 * 1024


def test_the_edge_keeps_to_itself(site: Site) -> None:
    """Its root is read-only, its capabilities are gone but one; links are not its to write."""
    seen = (Engine().inspect(the_edge()) or {})["HostConfig"]
    assert seen["ReadonlyRootfs"] and seen["CapDrop"] == ["ALL"]
    assert [one.removeprefix("CAP_") for one in seen["CapAdd"]] == ["NET_BIND_SERVICE"]
    assert seen["RestartPolicy"]["Name"] == "always"
    # what its old listener had not taken yet is not reset when its settings change
    assert (seen["Sysctls"] or {}) == (
        {"net.ipv4.tcp_migrate_req": "1"} if MIGRATES.exists() else {}
    )
    code, _ = Engine().run_in(the_edge(), ["touch", f"{links.RUN}/{site.name}/live"])
    assert code != 0


def knock(address: str, port: int, name: str, over: threading.Event) -> Counter[str]:
    """Connections one after the other, each with one request, and how they ended."""
    request = f"GET / HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n".encode()
    ended: Counter[str] = Counter()
    while not over.is_set():
        try:
            with socket.create_connection((address, port), 10) as connection:
                connection.sendall(request)
                answer = b"".join(iter(lambda: connection.recv(4096), b""))
            ended["answered" if answer.startswith(b"HTTP/1.1 200") else "closed"] += 1
        except ConnectionResetError:
            ended["reset"] += 1
    return ended


def test_new_settings_reset_nobody(site: Site) -> None:
    """A connection that the old listener had not taken yet is the new one's."""
    site.store.write_link(site.slot("r0001"))
    networks = (Engine().inspect(the_edge()) or {})["NetworkSettings"]["Networks"]
    address = next(one["IPAddress"] for one in networks.values() if one["IPAddress"])
    over, name = threading.Event(), f"{site.name}.test"
    clients = [site.pool.submit(knock, address, site.port, name, over) for _ in range(8)]
    try:
        for turn in range(15):
            assert site.apply(hold=9.0 - turn % 2) == "load"
    finally:
        over.set()
    ended = sum((one.result(30) for one in clients), Counter())
    assert ended["answered"] > 100
    assert ended["reset"] == 0 or not MIGRATES.exists(), ended


def test_what_a_run_changes_at_the_edge(site: Site, free_port: int) -> None:
    """Nothing where nothing differs; a load for a setting; a new container for a new port."""
    assert site.apply() == ""
    container = (Engine().inspect(the_edge()) or {})["Id"]
    assert site.apply(hold=9.0) == "load"
    assert (Engine().inspect(the_edge()) or {})["Id"] == container
    address = site.slot("r0001")
    site.store.write_link(address)
    assert site.ask().status == 200
    old, site.port = site.port, free_port
    assert site.apply() == "recreate"
    assert (Engine().inspect(the_edge()) or {})["Id"] != container
    assert site.ask().status == 200
    assert free_port in site.edge.facts().ports
    site.port = old
    assert site.apply() == "recreate"


def test_an_edge_that_went_away_comes_back(site: Site) -> None:
    """Killed, it is seen so and in flight is unknown; started, it serves over what was left."""
    address = site.slot("r0001")
    site.store.write_link(address)
    docker("kill", "-s", "KILL", the_edge())
    wait(lambda: not site.edge.facts().running, "the edge is down")
    assert site.edge.in_flight(address) is None
    assert site.apply() == "start"
    assert site.edge.facts().running
    assert site.ask().told()["slot"] == "r0001"


def test_the_edge_is_not_changed_while_another_app_holds(site: Site, host_root: Path) -> None:
    """A change that would fail another app's held requests waits until its hold is over."""
    other = Site(host_root, f"{site.name}-o", site.port)
    try:
        assert other.apply() == "load"
        (host_root / "homeport" / "run" / f"{site.name}-x").mkdir()
        (host_root / "homeport" / "run" / f"{site.name}-x" / "live").write_bytes(b"\xff garbage")
        address = site.slot("r0001")
        site.hold()
        held = site.send()
        change = site.pool.submit(other.apply, 8.0)
        time.sleep(0.4)
        assert not change.done() and not held.done()
        site.store.write_link(address)
        assert held.result(5).status == 200
        assert change.result(10) == "load"
    finally:
        other.close()


def test_a_configuration_the_edge_refuses_is_a_fault(site: Site) -> None:
    """Caddy's own words come back where it does not accept what it is told; all is as before."""
    facts = site.edge.facts()
    entry = {**site.entry(), "hold": 1e300}
    wanted = edges.wanted(facts, site.name, entry)
    with pytest.raises(HostFault) as caught:
        site.edge.apply("load", wanted, lambda: None)
    problem = caught.value.problems[0]
    assert "refused /load" in problem.what and problem.why and the_edge() in problem.mend
    assert site.edge.facts() == facts and facts.current
    assert site.apply() == ""


def test_an_app_that_leaves_takes_its_site_along(site: Site) -> None:
    """Without its site an app's name is nobody's; the edge with no site left is removed."""
    wanted = edges.wanted(site.edge.facts(), site.name, None)
    sites = dict(wanted.sites)
    site.edge.apply(wanted.change, wanted, lambda: None)
    if sites:
        assert site.ask().status == 404
    for other in sites:
        edge = Edge(Paths(other, site.paths.root), Engine())
        gone = edges.wanted(edge.facts(), other, None)
        edge.apply(gone.change, gone, lambda: None)
    assert not site.edge.facts().exists
    with pytest.raises((OSError, http.client.HTTPException)):
        site.ask()
    assert edges.wanted(site.edge.facts(), site.name, site.entry()).change == "create"
    assert site.apply() == "create"
