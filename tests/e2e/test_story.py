"""The main job under load, as `make demo` does it, on a host of its own."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from bench import demo, speed, story
from bench.images import MARK
from bench.stage import Stage
from lab.load_plan import MIX

pytestmark = pytest.mark.lab
ZERO = ("failed_edge", "answered_5xx", "answered_4xx", "lost_writes", "doubled_writes")


@pytest.fixture(scope="module")
def told(versions: dict[str, str]) -> Iterator[tuple[Stage, dict[str, Any]]]:
    """The story, played once: v1 → v2 → v3, which is refused → back to v1."""
    stage = Stage.up(f"e2e-{MARK}-story", "systemd")
    speed.log_commands(stage)
    yield stage, story.tell(stage, versions, lambda line: None)
    stage.down()


def test_nothing_fails_or_is_lost(told: tuple[Stage, dict[str, Any]]) -> None:
    """No request fails and no write is lost or doubled through two handovers and a refusal."""
    _, figures = told
    assert {key: figures[key] for key in ZERO} == dict.fromkeys(ZERO, 0), figures["errors"]
    assert figures["requests"] >= 3000 and figures["acked_writes"] >= 500
    assert sum(MIX.values()) and set(figures["kinds"]) == set(MIX)


def test_requests_are_held_and_answered(told: tuple[Stage, dict[str, Any]]) -> None:
    """Requests arrive during every hold, wait for its length, and the writer changes just once."""
    _, figures = told
    assert figures["min_sent_in_a_hold"] >= 20
    assert figures["writer_changes"] == figures["handovers"] == 2
    assert figures["max_extra_wait_ms"] <= max(figures["hold_ms"]) + 1500


def test_the_refused_release_is_told(told: tuple[Stage, dict[str, Any]]) -> None:
    """v3 is refused with its own words, v1 serves at the end, and the table says so."""
    stage, figures = told
    assert figures["v3_refused"] and figures["v1_serves_again"]
    outcomes = [line["outcome"] for line in figures["lines"]]
    assert outcomes == ["deployed", "deployed", "failed", "rolled-back"]
    shown = stage.homeport("history").out
    assert "rolled-back" in shown and "failed" in shown


def test_every_mode_over_socket_and_tcp(
    told: tuple[Stage, dict[str, Any]], versions: dict[str, str]
) -> None:
    """All three modes over both kinds of link pass under the load."""
    stage, _ = told
    found = story.modes(stage, versions, lambda line: None)
    assert found["modes_passed"] == 6, [one for one in found["modes"] if not one["passed"]]


def test_a_deploy_takes_few_trips_and_leaves_little(
    told: tuple[Stage, dict[str, Any]], versions: dict[str, str]
) -> None:
    """One SSH connection, at most two commands, the agent uploaded once; a small edge."""
    stage, _ = told
    found = speed.trips(stage, versions, 1, lambda line: None)
    assert found["ssh_connections"] == 1 and 1 <= found["ssh_execs"] <= 2
    assert found["agent_folders"] == 1 and found["agent_upload_bytes"] <= 512 * 1024
    deadline = time.monotonic() + 20
    while speed.edge_memory(stage)["edge_rss_mb"] > 60 and time.monotonic() < deadline:
        time.sleep(1)
    assert speed.edge_memory(stage)["edge_rss_mb"] <= 60


def test_the_parts_of_a_deploy_add_up(
    told: tuple[Stage, dict[str, Any]], versions: dict[str, str]
) -> None:
    """What a deploy took is the sum of its parts, to the rounding."""
    stage, _ = told
    ran = stage.deploy(versions["v2"], "--force", "--monitor", "1s")
    parts = speed.split(ran)
    overhead, container, drain = (parts.pop(key) for key in ("overhead", "container", "drain"))
    assert sum(parts.values()) == pytest.approx(overhead, abs=1.0)
    whole = overhead + container + drain + speed.MONITOR * 1000
    assert whole == pytest.approx(ran.seconds * 1000, abs=25.0)


def test_the_promises_are_compared_with_their_bounds() -> None:
    """A figure on the wrong side of its bound is named; one on the right side is not."""
    good = {name: bound for name, _, bound in demo.PROMISES}
    rest = {"hold_ms": [900.0], "slowest_in_flight_ms": [200.0], "max_extra_wait_ms": 1000.0}
    rest |= {"writer_changes": 2, "handovers": 2, "v3_refused": True, "v1_serves_again": True}
    assert demo.misses({**good, **rest, "modes": []}) == []
    for name, sign, bound in demo.PROMISES:
        bad = {**good, name: bound + (-1 if sign == "≥" else 1)}
        assert any(name in line for line in demo.misses({**bad, **rest, "modes": []}))
    late = {**rest, "hold_ms": [1500.0]}
    assert demo.misses({**good, **late, "modes": []}) != []
