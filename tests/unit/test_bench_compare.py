"""The comparison by tables: what the load saw in, figures and verdicts out."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from bench import compare, evidence, ratios
from bench.stage import Ran
from homeport.core.verdicts import Probe, healthy, pause
from lab.load import Request, Result
from lab.load_record import OUTCOMES

OLD, NEW = "r0001-a", "r0002-b"


def answer(at: float, release: str, **changes: object) -> Request:
    """Return a read that was answered at that moment."""
    values: dict[str, object] = {
        "id": f"id-{at}",
        "kind": "read",
        "keepalive": True,
        "planned": at - 0.01,
        "begun": at - 0.01,
        "sent": at - 0.01,
        "first_byte": at,
        "done": at,
        "status": 200,
        "release": release,
        "edge": "",
        "error": "",
    }
    return Request(**{**values, **changes})  # type: ignore[arg-type]


def seen(*requests: Request) -> Result:
    """Return what a load saw."""
    return Result(requests, offset=0.0, elapsed=1.0)


def test_order_alternates() -> None:
    """Neither side always has the machine that the other has warmed."""
    assert [ratios.order(pair)[0] for pair in range(4)] == [
        "homeport",
        "plain",
        "homeport",
        "plain",
    ]
    assert all(set(ratios.order(pair)) == set(ratios.SIDES) for pair in range(4))


@pytest.mark.parametrize(
    "requests, seconds",
    [
        pytest.param([answer(9, OLD), answer(12, NEW), answer(13, NEW)], 2.0, id="first new"),
        pytest.param([answer(13, NEW), answer(9, OLD), answer(12, NEW)], 2.0, id="any order"),
        pytest.param([answer(9, OLD), answer(11, OLD), answer(12, NEW)], 2.0, id="old goes on"),
        pytest.param(
            [answer(9, OLD), answer(11, NEW, status=503), answer(12, NEW)], 2.0, id="not an error"
        ),
        pytest.param(
            [answer(9, OLD), answer(11, NEW, edge="hold"), answer(12, NEW)], 2.0, id="not the edge"
        ),
        pytest.param(
            [answer(9, OLD), answer(11, NEW, error="short"), answer(12, NEW)], 2.0, id="not a part"
        ),
        pytest.param([answer(9, OLD), answer(11, ""), answer(12, NEW)], 2.0, id="not a stranger"),
    ],
)
def test_time_to_new(requests: list[Request], seconds: float) -> None:
    """The clock stops at the first whole good answer of a release that was not there before."""
    assert ratios.time_to_new(seen(*requests), typed=10.0) == seconds


@pytest.mark.parametrize(
    "requests, words",
    [
        pytest.param([answer(9, OLD), answer(12, OLD)], f"only {OLD} answered", id="nothing new"),
        pytest.param([answer(12, NEW)], "before the command", id="old never seen"),
    ],
)
def test_time_to_new_says_when_it_cannot_tell(requests: list[Request], words: str) -> None:
    """A measurement that shows nothing is an error, never a figure."""
    with pytest.raises(ValueError, match=words):
        ratios.time_to_new(seen(*requests), typed=10.0)


def raw(seconds: float, **counts: int) -> dict[str, Any]:
    """Return one side's half of a pair."""
    numbers = {outcome: counts.get(outcome, 0) for outcome in OUTCOMES}
    errors = {"refused": counts["failed_edge"]} if "failed_edge" in counts else {}
    total = sum(numbers.values())
    return {"time_to_new_s": seconds, "requests": total, **numbers, "errors": errors}


def pairs(mode: str, *times: tuple[float, float], **plain_counts: int) -> list[dict[str, Any]]:
    """Return pairs of one mode from (Homeport's, plain's) seconds."""
    return [
        {
            "mode": mode,
            "homeport": raw(ours, ok=10),
            "plain": raw(theirs, ok=10, **plain_counts),
            "ratio": ours / theirs,
        }
        for ours, theirs in times
    ]


FIVE = [(2.0, 4.0), (3.0, 3.0), (8.0, 10.0), (9.0, 10.0), (4.0, 5.0)]


def test_summary_takes_the_median_of_the_pairs_own_ratios() -> None:
    """A pair measured in a slow minute counts by its ratio, not by its seconds."""
    figures = ratios.summary([*pairs("overlap", *FIVE), *pairs("single_writer", *FIVE)])
    assert figures["time_to_new_ratio"] == {"overlap": 0.8, "single_writer": 0.8}
    assert figures["time_to_new_s"]["overlap"] == {"homeport": 4.0, "plain": 5.0}
    assert figures["pairs_per_mode"] == {"overlap": 5, "single_writer": 5}


def test_summary_counts_every_failure_once() -> None:
    """Failures are counted per side and by author."""
    made = pairs("overlap", (1, 1), (1, 1), failed_edge=3, answered_5xx=2)
    made[0]["plain"]["errors"] = {"refused": 3, "502 from plain-1": 2}
    made[1]["plain"]["errors"] = {"refused": 3, "502 from plain-2": 2}
    figures = ratios.summary(made)
    assert figures["failed"] == {"homeport": 0, "plain": 10}
    assert figures["failed_by_author"]["plain"]["failed_edge"] == 6
    assert figures["failed_by_author"]["plain"]["answered_5xx"] == 4
    assert figures["errors"]["plain"] == {"502": 4, "refused": 6}
    assert figures["requests"] == {"homeport": 20, "plain": 30}


def test_broken_is_silent_when_all_is_kept() -> None:
    """Plain's failures break no promise of ours."""
    both = [*pairs("overlap", *FIVE, failed_edge=9), *pairs("single_writer", *FIVE)]
    assert ratios.broken(ratios.summary(both)) == []


@pytest.mark.parametrize(
    "made, words",
    [
        pytest.param(pairs("overlap", *[(1.2, 1.0)] * 5), "overlap: time_to_new_ratio is 1.2"),
        pytest.param(pairs("single_writer", *[(2.1, 1.0)] * 5), "single_writer: time_to_new_ratio"),
        pytest.param(pairs("overlap", (1, 1)), "overlap: 1 pairs, a verdict takes 5"),
        pytest.param([], "single_writer: 0 pairs"),
    ],
)
def test_broken_names_what_is_not_kept(made: list[dict[str, Any]], words: str) -> None:
    """A ratio over its limit, and too few pairs for a verdict, are told."""
    assert any(words in sentence for sentence in ratios.broken(ratios.summary(made)))


def test_broken_tells_of_one_failed_request() -> None:
    """One failed request of Homeport's is one too many."""
    made = pairs("overlap", *FIVE)
    made[3]["homeport"]["answered_4xx"] = 1
    told = ratios.broken(ratios.summary(made))
    assert "1 requests failed while Homeport deployed" in told


def test_table_shows_both_sides() -> None:
    """The table is what a person sees: literal."""
    figures = ratios.summary(pairs("overlap", (2.0, 4.0), failed_edge=7))
    assert ratios.table(figures).splitlines() == [
        "                                      Homeport  pull && up -d  ratio",
        "command to first new answer, overlap    2.00 s         4.00 s  0.50 (at most 1.1)",
        "requests sent                               10             17",
        "requests failed                              0              7",
        "  refused                                    0              7",
    ]


class Switching(BaseHTTPRequestHandler):
    """An app whose release and status are what the server says at the moment."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self._answer()

    def _answer(self) -> None:
        self.send_response(self.server.status)  # type: ignore[attr-defined]
        self.send_header("Homeport-Release", self.server.release)  # type: ignore[attr-defined]
        if load_id := self.headers["X-Load-Id"]:
            self.send_header("X-Load-Id", load_id)
        page = f'<strong class="version">{self.server.page}</strong>'  # type: ignore[attr-defined]
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page.encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def app() -> Iterator[ThreadingHTTPServer]:
    """Serve on a free port of the loopback."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Switching)
    server.release, server.status = OLD, 200  # type: ignore[attr-defined]
    server.page = "v7"  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


def test_measure_finds_a_planted_gap(app: Any) -> None:
    """Half a second of errors before the new release is seen, with its errors and its time."""

    def command() -> Ran:
        app.status = 503
        time.sleep(0.5)  # the planted gap itself
        app.release, app.status = NEW, 200
        return Ran(0, "", "", 0.5, time.time())

    found = compare.measure(f"http://127.0.0.1:{app.server_port}", command, seed=1)
    assert found["time_to_new_s"] >= 0.5
    assert found["answered_5xx"] > 0
    assert found["requests"] == sum(found[outcome] for outcome in OUTCOMES)
    assert found["requests"] >= 2 * compare.SETTLED


def test_version_at_reads_the_page(app: Any) -> None:
    """What is live is read where people read it."""
    assert compare.version_at(f"http://127.0.0.1:{app.server_port}") == "v7"


@pytest.mark.parametrize(
    "steps, mode",
    [
        (["start", "healthy", "handover", "drain", "retire"], "overlap"),
        (["standby", "start", "healthy", "hold", "drain", "lift", "handover"], "single_writer"),
        (["hold", "drain", "retire", "start", "healthy", "handover"], "recreate"),
    ],
)
def test_mode_of(steps: list[str], mode: str) -> None:
    """A deploy that fell back to another handover is not taken for the one asked for."""
    assert ratios.mode_of(steps) == mode


def test_evidence_says_where_it_comes_from(tmp_path: Path) -> None:
    """A file of evidence has its figures, its date, its commit and its machine."""
    path = evidence.write("bench", {"failed": 0}, tmp_path / "new")
    written = json.loads(path.read_text())
    assert path == tmp_path / "new" / "bench.json"
    assert written["failed"] == 0
    assert written["date"].endswith("+00:00")
    assert set(written) == {"date", "commit", "machine", "failed"}
    assert written["commit"] == evidence.commit() != ""
    facts = written["machine"]
    assert facts["cores"] >= 1 and facts["memory_mib"] > 100 and facts["kernel"]


def test_evidence_is_whole_or_not_there(tmp_path: Path) -> None:
    """Figures that cannot be written leave the ones before as they were, and no rubbish."""
    evidence.write("bench", {"failed": 0}, tmp_path)
    with pytest.raises(TypeError):
        evidence.write("bench", {"failed": object()}, tmp_path)
    assert json.loads((tmp_path / "bench.json").read_text())["failed"] == 0
    assert [one.name for one in tmp_path.iterdir()] == ["bench.json"]


def test_parts_of_one_measurement_come_together(tmp_path: Path) -> None:
    """What is added keeps what was there, and replaces what has its name."""
    evidence.add("trust", tmp_path, one=1, two=2)
    path = evidence.add("trust", tmp_path, two=3)
    written = json.loads(path.read_text())
    assert (written["one"], written["two"], written["commit"]) == (1, 3, evidence.commit())


def test_evidence_keeps_its_own_keys(tmp_path: Path) -> None:
    """A measurement cannot pass off another machine or day as its own."""
    with pytest.raises(ValueError, match="date"):
        evidence.write("bench", {"date": "yesterday"}, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "probes, now, seconds",
    [
        pytest.param([Probe(5.0, False, "refused")], 5.0, 0.03, id="soon after a bad one"),
        pytest.param([Probe(5.0, True)], 5.0, 0.5, id="half of the span"),
        pytest.param([Probe(5.0, True)], 5.3, 0.2, id="less what the health check took"),
        pytest.param([Probe(5.0, True)], 7.0, 0.02, id="a long health check"),
        pytest.param([Probe(5.0, True), Probe(5.6, True)], 5.6, 0.4, id="from the first one"),
        pytest.param([Probe(4.0, True), Probe(4.5, False), Probe(5.0, True)], 5.0, 0.5, id="a row"),
    ],
)
def test_pause_between_probes(probes: list[Probe], now: float, seconds: float) -> None:
    """Three probes fill their second, whatever is done between them."""
    assert pause(probes, good=3, span=1.0, now=now) == pytest.approx(seconds)


def test_pause_leads_to_healthy() -> None:
    """Probes at the paces that ``pause`` gives are healthy after the third, not before."""
    probes = [Probe(5.0, True)]
    while not healthy(probes, 3, 1.0):
        at = probes[-1].at
        probes.append(Probe(at + pause(probes, 3, 1.0, at) + 0.001, True))
    assert len(probes) == 3
