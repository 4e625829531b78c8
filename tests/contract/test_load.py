"""The load against a real HTTP server on real sockets: every planted fault must be found."""

from __future__ import annotations

import asyncio
import hashlib
import json
import resource
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from lab.load import AuditRow, Load, Result, holds_seen, judge
from lab.load_http import Answer, Pool, Stamps, exchange

DEPLOY = Path(__file__).parents[2] / "deploy"
OLD, NEW = "r0001-aaaaaaa", "r0002-bbbbbbb"
FAILURES = (
    "failed_edge",
    "answered_5xx",
    "answered_4xx",
    "answered_other",
    "cut_by_release",
    "lost_writes",
    "doubled_writes",
    "damaged_writes",
)
WRITE_FAULTS = ("lost", "double", "damage")
NOTHING = {name: 0 for name in FAILURES}


@dataclass
class Server:
    """An app with the manners of the load layer; each of `faults` is planted in one request."""

    faults: list[str] = field(default_factory=list)
    release: str = OLD
    closes_kept: bool = False
    rows: list[AuditRow] = field(default_factory=list)
    planted: list[str] = field(default_factory=list)
    waiting: int = 0
    most_waiting: int = 0
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection."""
        try:
            while await self._exchange(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines)
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        fault = self._fault(first.startswith("POST"))
        self.waiting += 1
        self.most_waiting = max(self.waiting, self.most_waiting)
        await self.gate.wait()
        self.waiting -= 1
        if "/slow" in first:
            await asyncio.sleep(0.05)
        if body:
            self._store(headers["x-load-id"], body, fault)
        if fault == "stall":
            await asyncio.sleep(3)
        if fault == "reset":
            # Lingering for no time makes the kernel send RST; abort() alone would send FIN.
            sock = writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
        if fault in ("stall", "reset", "hang up"):
            return False
        writer.write(self._answer(fault, headers["x-load-id"]))
        await writer.drain()
        return headers["connection"] != "close" and fault != "short" and not self.closes_kept

    def _fault(self, is_write: bool) -> str:
        for fault in self.faults:
            if is_write or fault not in WRITE_FAULTS:
                self.faults.remove(fault)
                self.planted.append(fault)
                return fault
        return ""

    def _store(self, load_id: str, body: bytes, fault: str) -> None:
        times = {"": 1, "damage": 1, "double": 2}.get(fault, 0)
        digest = hashlib.sha256(body if fault != "damage" else b"").hexdigest()
        for _ in range(times):
            number = len(self.rows) + 1
            row = (number, load_id, self.release, number, time.time(), len(body), digest)
            self.rows.append(AuditRow(*row))

    def _answer(self, fault: str, load_id: str) -> bytes:
        status = {"500": "500 Broken", "404": "404 None", "302": "302 Away"}.get(fault, "200 OK")
        lines = [f"HTTP/1.1 {status}", f"Homeport-Release: {self.release}"]
        lines.append(f"X-Load-Id: {'another' if fault == 'mixed' else load_id}")
        if fault == "edge":
            lines[0:2] = ["HTTP/1.1 503 Held", "Homeport-Edge: hold-limit"]
        body = "Content-Length: 5\r\n\r\nwhole"
        if fault == "chunked":
            body = "Transfer-Encoding: chunked\r\n\r\n3\r\nwho\r\n2\r\nle\r\n0\r\n\r\n"
        if fault == "early hints":
            lines.insert(0, "HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n")
        text = "\r\n".join([*lines, body]).encode()
        return {"short": text[:-2], "garbage": b"SSH-2.0-x\r\n\r\n"}.get(fault, text)


@dataclass
class Site:
    """A running server: its address, and a way to act in its loop."""

    app: Server
    url: str
    loop: asyncio.AbstractEventLoop

    def act(self, action: Callable[[], object]) -> None:
        """Run `action` in the server's loop; one that blocks stalls the whole server."""
        self.loop.call_soon_threadsafe(action)

    def hold(self) -> None:
        """Let requests wait, as the edge does while the link names nobody."""
        self.act(self.app.gate.clear)

    def resume(self, release: str) -> None:
        """Let them go on, answered by `release`."""

        def go() -> None:
            self.app.release = release
            self.app.gate.set()

        self.act(go)


@contextmanager
def serving(app: Server) -> Iterator[Site]:
    """Run `app` on a port of its own, in a thread, until the block ends."""
    loop, ready = asyncio.new_event_loop(), threading.Event()
    listening = socket.create_server(("127.0.0.1", 0), backlog=4096)

    def run() -> None:
        asyncio.set_event_loop(loop)
        app.gate.set()
        started = asyncio.start_server(app.serve, sock=listening, limit=2**21)
        server = loop.run_until_complete(started)
        loop.call_soon(ready.set)
        loop.run_forever()
        server.close()
        pending = asyncio.all_tasks(loop)
        for task in pending:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*pending, return_exceptions=True))
        loop.close()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        assert ready.wait(20)
        yield Site(app, f"http://127.0.0.1:{listening.getsockname()[1]}", loop)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(20)


@contextmanager
def sending(site: Site, rate: float) -> Iterator[Load]:
    """A load that ends with the block, however that ends.

    One that went on would open connections that nobody answers until this process has no more
    files to open, and every later test of it would fail.
    """
    load = Load(site.url, rate=rate)
    load.start()
    try:
        yield load
    finally:
        site.act(site.app.gate.set)
        load.stop()


def until(condition: Callable[[], bool], seconds: float = 30) -> None:
    """Wait until `condition` holds; fail after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        time.sleep(0.005)


def run(site: Site, requests: int, rate: float = 200, timeout: float = 60) -> Result:
    """Send at least so many requests and wait for all of them."""
    load = Load(site.url, rate=rate, timeout=timeout)
    load.start()
    try:
        until(lambda: load.sent() >= requests)
    finally:
        result = load.stop()
    return result


def failures(figures: dict[str, object]) -> dict[str, object]:
    """Return the figures that say something went wrong."""
    return {name: figures[name] for name in FAILURES}


def test_a_clean_run_is_clean() -> None:
    """Nothing is found where nothing was planted, and the shares are the planned ones."""
    with serving(Server()) as site:
        result = run(site, 400)
        figures = judge(result, site.app.rows)
    assert failures(figures) == NOTHING
    assert figures["errors"] == {}
    assert figures["requests"] == figures["ok"] == len(result.requests) >= 400
    assert figures["acked_writes"] == len(site.app.rows) >= 100
    assert figures["writer_changes"] == 0
    assert holds_seen(result) == []
    first = result.requests[:400]
    kinds = {kind: sum(1 for r in first if r.kind == kind) for kind in ("read", "big", "slow")}
    assert kinds == {"read": 280, "big": 8, "slow": 8}
    assert sum(1 for r in first if r.keepalive) == 200
    assert len({r.id for r in result.requests}) == len(result.requests)
    lengths = {r.id: row.length for row in site.app.rows for r in first if r.id == row.load_id}
    assert {lengths[r.id] for r in first if r.kind == "big"} == {1_000_000}
    assert max(lengths[r.id] for r in first if r.kind == "write") <= 10_000


@pytest.mark.parametrize(
    "fault, author, reason",
    [
        ("lost", "lost_writes", None),
        ("double", "doubled_writes", None),
        ("damage", "damaged_writes", None),
        ("500", "answered_5xx", "500 from r0001-aaaaaaa"),
        ("404", "answered_4xx", "404 from r0001-aaaaaaa"),
        ("302", "answered_other", "302 from r0001-aaaaaaa"),
        ("edge", "failed_edge", "edge: hold-limit"),
        ("reset", "failed_edge", "reset"),
        ("hang up", "failed_edge", "closed"),
        ("short", "failed_edge", "short"),
        ("garbage", "failed_edge", "garbage"),
        ("mixed", "failed_edge", "mixed"),
        ("stall", "failed_edge", "timeout"),
        ("chunked", None, None),
        ("early hints", None, None),
    ],
)
def test_a_planted_fault_is_found_once(fault: str, author: str | None, reason: str | None) -> None:
    """One planted fault is one failure, under its author and no other; odd HTTP is none."""
    with serving(Server(faults=[fault])) as site:
        result = run(site, 60, timeout=1)
        figures = judge(result, site.app.rows)
        assert site.app.planted == [fault]
    assert failures(figures) == NOTHING | ({author: 1} if author else {})
    assert figures["errors"] == ({reason: 1} if reason else {})


@pytest.mark.parametrize("answers", [b"HTTP/1.1 503 Away\r\nContent-Length: 0\r\n\r\n", b""])
def test_an_answer_before_the_whole_body_is_seen(answers: bytes) -> None:
    """A server that answers early and closes resets what is still sent: the answer came first."""

    def serve(listening: socket.socket) -> None:
        taken, _ = listening.accept()
        with taken:
            taken.recv(1000)
            taken.sendall(answers)
            # closed with bytes that nobody read: the kernel sends RST

    async def ask(port: int) -> Answer:
        connection = await Pool("127.0.0.1", port).fresh()
        # the loop meets the broken pipe first, which on a busy machine is a matter of luck
        connection.writer.transport.pause_reading()
        head = b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 50000000\r\n\r\n"
        return await exchange(connection, head + bytes(50_000_000), Stamps())

    with socket.create_server(("127.0.0.1", 0)) as listening, ThreadPoolExecutor(1) as pool:
        served = pool.submit(serve, listening)
        asked = ask(listening.getsockname()[1])
        if answers:
            assert asyncio.run(asked).status == 503
        else:
            with pytest.raises(ConnectionError):
                asyncio.run(asked)
        served.result(20)


def test_refused_connections_are_the_edges_failures() -> None:
    """Where nobody listens every request fails, none was sent, and no write counts as made."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    load = Load(f"http://127.0.0.1:{port}", rate=200)
    load.start()
    until(lambda: bool(load._done))  # sent() stays 0 here, which is the point
    result = load.stop()
    figures = judge(result, [])
    assert failures(figures) == NOTHING | {"failed_edge": len(result.requests)}
    assert figures["errors"] == {"refused": len(result.requests)}
    assert load.sent() == 0 and result.acked_writes == []


def test_a_hold_makes_all_wait_and_none_fail() -> None:
    """A hold of 1 s is seen from outside, by release, to within the gap between two arrivals."""
    with serving(Server()) as site, sending(site, 100) as load:
        until(lambda: load.sent() >= 100)
        site.hold()
        began = time.time()
        until(lambda: time.time() - began >= 1)
        site.resume(NEW)
        over = time.time()
        sent = load.sent()
        until(lambda: load.sent() >= sent + 100)
        result = load.stop()
        holds = holds_seen(result)
        figures = judge(result, site.app.rows, holds, handovers=holds)
    assert failures(figures) == NOTHING
    assert [(h.old, h.new) for h in holds] == [(OLD, NEW)]
    assert holds[0].start == pytest.approx(began, abs=0.1)
    assert holds[0].end == pytest.approx(over, abs=0.1)
    assert holds[0].waiting >= 80
    assert figures["writer_changes"] == 1
    assert figures["min_sent_in_a_hold"] == pytest.approx(100, abs=20)
    assert figures["max_extra_wait_ms"] == pytest.approx((over - began) * 1000, abs=200)


def test_latency_counts_from_the_planned_arrival() -> None:
    """A server that stalls for 1 s shows in all requests planned meanwhile, not in one."""
    with serving(Server()) as site, sending(site, 100) as load:
        until(lambda: load.sent() >= 50)
        site.act(lambda: time.sleep(1))
        until(lambda: load.sent() >= 250)
        result = load.stop()
    late = sorted((r.latency for r in result.requests), reverse=True)
    assert late[0] == pytest.approx(1, abs=0.2)
    assert sum(1 for latency in late if latency > 0.5) == pytest.approx(50, abs=15)
    assert judge(result, site.app.rows)["max_extra_wait_ms"] == pytest.approx(1000, abs=200)


def test_a_crash_is_the_releases_doing_once() -> None:
    """What was in flight when a release crashed is cut by it; the same fault elsewhere is not."""
    with serving(Server(faults=["reset"])) as site:
        result = run(site, 60)
    broken = next(r for r in result.requests if r.error)
    assert broken.sent is not None
    moment = result.wall((broken.sent + broken.done) / 2)
    rows = site.app.rows
    assert failures(judge(result, rows, crashes=[moment])) == NOTHING | {"cut_by_release": 1}
    assert failures(judge(result, rows, crashes=[moment + 9])) == NOTHING | {"failed_edge": 1}


def test_a_kept_connection_closed_in_between_is_replaced_and_counted() -> None:
    """A peer that closes idle connections costs no request, and is told."""
    with serving(Server(closes_kept=True)) as site:
        figures = judge(run(site, 100, rate=50), site.app.rows)
    assert failures(figures) == NOTHING
    assert figures["replaced"] == pytest.approx(50, abs=15)


def test_hundreds_wait_at_once_for_long() -> None:
    """A hold of 3 s at 400 requests/s: more than a thousand wait, all are answered.

    Server and load share this process and its open files, two a request: where the system grants
    too few for a thousand, as many wait as it grants.
    """
    with serving(Server()) as site, sending(site, 400) as load:
        until(lambda: load.sent() >= 100)
        site.hold()
        files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        most = min(1100, (files - 200) // 2)
        until(lambda: site.app.waiting >= most)
        site.resume(NEW)
        result = load.stop()
        figures = judge(result, site.app.rows)
    assert failures(figures) == NOTHING
    assert site.app.most_waiting >= most


def test_the_generator_leaves_the_machine_alone() -> None:
    """At 100 requests/s it uses less than 40 % of one core and says how late it was itself."""
    with serving(Server()) as site:
        figures = judge(run(site, 300, rate=100), site.app.rows)
    assert 0 < float(str(figures["generator_cpu"])) < 0.4
    assert 0 <= float(str(figures["generator_lag_ms_p99"])) < 100


@pytest.mark.parametrize("fault, code", [("", 0), ("500", 1)])
def test_the_command_prints_json_and_exits_by_what_it_saw(fault: str, code: int) -> None:
    """stdout is data alone; the exit code says whether anything failed."""
    with serving(Server(faults=[fault])) as site:
        command = [sys.executable, "-m", "lab.load", site.url, "--seconds", "0.5", "--json"]
        ran = subprocess.run(command, cwd=DEPLOY, capture_output=True, text=True, timeout=20)
    figures = json.loads(ran.stdout)
    assert ran.returncode == code, ran.stderr
    assert figures["answered_5xx"] == code and figures["requests"] >= 40
    assert "lost_writes" not in figures


@pytest.mark.parametrize("url", ["https://127.0.0.1", "127.0.0.1:80", "http://127.0.0.1/path"])
def test_the_command_says_what_a_wrong_address_lacks(url: str) -> None:
    """A wrong address is a sentence and exit code 2, no traceback."""
    command = [sys.executable, "-m", "lab.load", url]
    ran = subprocess.run(command, cwd=DEPLOY, capture_output=True, text=True, timeout=20)
    assert ran.returncode == 2 and ran.stdout == ""
    assert f"the load takes http://HOST[:PORT] and no path: {url}" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_a_load_that_was_not_started_says_so() -> None:
    """stop() without start() is a mistake with a name, not a wait without end."""
    with pytest.raises(RuntimeError, match="not started"):
        Load("http://127.0.0.1:1").stop()
