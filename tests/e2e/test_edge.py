"""The edge from the command line: a newer one under traffic, HTTPS, and the maintenance page."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench import evidence
from bench.stage import Stage, until
from lab import hosts
from lab.load import Load, Result, judge
from scenario import sending, under_way

pytestmark = pytest.mark.lab

#: nobody is away longer than this when the edge is made anew, in seconds
LONGEST = 4.0
MAKE_ANOTHER = """\
set -e
docker create --name other caddy:2.11.4 >/dev/null
docker commit -c 'LABEL another=1' other caddy:2.11.4
docker rm other >/dev/null
"""


def away(result: Result) -> float:
    """Seconds between the last good answer before the gap and the first one after it."""
    good = sorted(r.done for r in result.requests if r.outcome == "ok")
    return max(later - earlier for earlier, later in zip(good, good[1:]))


def test_a_newer_edge_under_traffic(stage: Stage) -> None:
    """`edge upgrade` says its gap, keeps to it, and fails nobody before and after it."""
    stage.on_host("sh", "-c", MAKE_ANOTHER)
    told = stage.homeport("edge", "status").out
    assert "mend: homeport edge upgrade" in told
    load = Load(stage.url, rate=50, seed=3, mix={"read": 1})
    with sending(load):
        under_way(load)
        ran = stage.homeport("edge", "upgrade", "--json")
        under_way(load, 100)
    seen = load.stop()
    assert ran.data["outcome"] == "edge-changed" and "away for about a second" in ran.err
    figures, gap = judge(seen, []), away(seen)
    bad = sorted(r.begun for r in seen.requests if r.outcome != "ok")
    span = bad[-1] - bad[0] if bad else 0.0
    evidence.add(
        "trust",
        edge_gap_ms=round(gap * 1000),
        edge_gap_failed=len(bad),
        edge_gap_requests=len(seen.requests),
        edge_gap_told_ms=round(ran.data["figures"]["edge_gap_s"] * 1000),
    )
    assert gap < LONGEST and span < LONGEST, (gap, span, figures)
    # an edge that was never away would show nothing
    assert gap > 0.1 and 0 < ran.data["figures"]["edge_gap_s"] <= gap + 0.5
    assert figures["answered_5xx"] == 0, figures
    assert "edge upgrade" not in stage.homeport("edge").out


def over_https(stage: Stage, root: Path, name: str | None) -> tuple[int, str]:
    """One verified GET of the host over HTTPS, by a name or by its address."""
    context = ssl.create_default_context(cafile=str(root))
    with socket.create_connection((stage.host.address, 443), timeout=10) as raw:
        called = name or stage.host.address
        with context.wrap_socket(raw, server_hostname=called) as safe:
            safe.sendall(f"GET /health/ready HTTP/1.1\r\nHost: {called}\r\n\r\n".encode())
            answer = http.client.HTTPResponse(safe)
            answer.begin()
            return answer.status, answer.getheader("Homeport-Release") or ""


def test_https_at_home(stage: Stage, turns: Iterator[str], tmp_path: Path) -> None:
    """Turned on by `edge apply`, trusted by `edge ca`; the app answers by name and by address."""
    # so that there is a release to go back to
    stage.deploy(next(turns), "--monitor", "0s", "--force")
    file = stage.folder / "homeport.toml"
    before = file.read_text()
    address = stage.host.address
    safe = f'name = "food.lan"\nalso = ["{address}"]\ntls = "internal"'
    try:
        file.write_text(before.replace("port = 80", safe))
        ran = stage.homeport("edge", "apply")
        assert "away for about a second" in ran.err
        shown = stage.homeport("edge", "ca")
        root = tmp_path / "root.crt"
        root.write_text(shown.out)
        assert "SHA-256" in shown.err and "BEGIN CERTIFICATE" in shown.out
        until(
            lambda: "none yet" not in stage.homeport("edge").out, 30, "certificates are there", 0.5
        )
        assert over_https(stage, root, "food.lan")[0] == 200
        assert over_https(stage, root, None)[0] == 200
        plain = http.client.HTTPConnection(address, 80, timeout=10)
        plain.request("GET", "/login?next=%2F", headers={"Host": "food.lan"})
        answer = plain.getresponse()
        assert answer.status == 308
        assert answer.getheader("Location") == "https://food.lan/login?next=%2F"
        told = json.loads(stage.homeport("status", "--json").out)
        assert told["site"] == f"https://food.lan, https://{address}"
        # the release from before knows nothing of HTTPS; going back to it changes no name
        stage.homeport("rollback")
        assert json.loads(stage.homeport("status", "--json").out)["release"] != told["release"]
        assert over_https(stage, root, "food.lan")[0] == 200
    finally:
        file.write_text(before)
        stage.homeport("edge", "apply")
    assert stage.get("/health/ready")[0] == 200


def test_the_maintenance_page_outlasts_a_power_cut(stage: Stage) -> None:
    """Put up, it stays over a boot, until it is taken down."""
    said = stage.homeport("maintenance", "on", "--why", "a new disk", "--minutes", "20")
    assert "homeport maintenance off" in said.err
    try:
        hosts.power_cut(stage.host)
        hosts.boot(stage.host)
        page = until(lambda: reached(stage), 60, "the edge answers")
        assert page[0] == 503 and "a new disk" in page[1]
        assert page[2]["Homeport-Edge"] == "maintenance" and "GMT" in page[2]["Retry-After"]
        assert "MAINTENANCE" in stage.homeport("status").out
    finally:
        stage.homeport("maintenance", "off")
    until(lambda: stage.get("/health/ready")[0] == 200, 30, "the app answers")


def reached(stage: Stage) -> tuple[int, str, dict[str, str]] | None:
    """What the edge answers; None while nobody does."""
    try:
        return stage.get("/")
    except OSError:
        return None
