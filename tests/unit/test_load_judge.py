"""The load's figures by tables: records in, figures out."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from itertools import islice
from pathlib import Path

import pytest

from lab.load import AuditRow, Load, Request, Result, holds_seen, judge, read_audit
from lab.load_plan import Bodies, arrivals
from lab.load_record import percentile

A, B = "r0001-a", "r0002-b"


def request(planned: float, done: float, release: str = A, **changes: object) -> Request:
    """Return an answered read, sent when planned and answered when done."""
    values: dict[str, object] = {
        "id": f"id-{planned}",
        "kind": "read",
        "keepalive": True,
        "planned": planned,
        "begun": planned,
        "sent": planned,
        "first_byte": done,
        "done": done,
        "status": 200,
        "release": release,
        "edge": "",
        "error": "",
    }
    return Request(**{**values, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "requests, holds",
    [
        ([], []),
        ([(0, 0.1, A), (1, 1.1, A)], []),
        # drained: the old one still answers what it had while the next is held already
        ([(0, 2.0, A), (0.5, 2.5, B), (1, 2.6, B)], [(0.5, 2.5, A, B, 2.0, 2)]),
        # overlap: the new one answers at once, the old one's slow answer comes later: no hold
        ([(0, 2.0, A), (0.1, 0.2, A), (1, 1.01, B), (1.1, 1.11, B)], []),
        # there and back again
        (
            [(0, 0.1, A), (1, 2.0, B), (3, 3.1, B), (4, 5.0, A)],
            [(1, 2.0, A, B, 0.1, 1), (4, 5.0, B, A, 3.1, 1)],
        ),
    ],
)
def test_holds_are_seen_by_release(
    requests: list[tuple[float, float, str]], holds: list[tuple[object, ...]]
) -> None:
    """A hold lasts from the first request that had to wait to the new release's first answer."""
    result = Result(tuple(request(*r) for r in requests), offset=0)
    assert [tuple(hold) for hold in holds_seen(result)] == holds


def test_the_edges_own_answers_end_no_hold() -> None:
    """What the edge answers by itself is no release's answer."""
    edge = request(0.6, 0.7, B, edge="full", status=503)
    result = Result((request(0, 0.1), edge, request(0.5, 1.5, B)), offset=100)
    assert [hold[:2] for hold in holds_seen(result)] == [(100.5, 101.5)]


def test_extra_wait_is_counted_against_the_calm_ones_of_its_kind() -> None:
    """The median comes from outside the handover; slow requests are not taken for held ones."""
    slow = [request(t, t + 2, kind="slow") for t in (0.0, 10.0)]
    calm = [request(t, t + 0.1) for t in (0.0, 1.0, 2.0)]
    held = [request(5.0, 6.0), request(5.5, 6.0)]
    result = Result((*slow, *calm, *held), offset=50)
    figures = judge(result, [], holds=[(55, 56)], handovers=[(54.5, 56.5)])
    assert figures["max_extra_wait_ms"] == 900.0
    assert figures["min_sent_in_a_hold"] == 2
    assert figures["hold_ms"] == [1000.0]


def test_writers_changes_and_strangers() -> None:
    """A writer that comes back is two changes; rows of another load say nothing about this one."""
    writes = [request(t, t + 0.1, kind="write", id=f"w{t}", sha256="x") for t in (1, 2, 3)]
    rows = [(1, "w1", A), (2, "other", B), (3, "w2", B), (4, "w3", A)]
    audit = [AuditRow(n, load_id, release, n, 0.0, 1, "x") for n, load_id, release in rows]
    figures = judge(Result(tuple(writes), offset=0), reversed(audit))
    assert figures["writer_changes"] == 2
    assert (figures["lost_writes"], figures["doubled_writes"], figures["acked_writes"]) == (0, 0, 3)


def test_an_unanswered_write_that_was_stored_is_no_loss() -> None:
    """The client gave up and the release had stored it: told apart from a loss."""
    gone = request(1, 2, kind="write", id="w1", status=None, error="timeout", sha256="x")
    figures = judge(Result((gone,), offset=0), [AuditRow(1, "w1", A, 1, 0.0, 1, "x")])
    assert (figures["failed_edge"], figures["lost_writes"], figures["stored_unacked"]) == (1, 0, 1)


def test_the_generators_own_lateness_is_told() -> None:
    """A request taken up late is the generator's fault and shows as such."""
    result = Result((request(0, 1), request(1, 2, begun=1.5)), offset=0)
    assert result.lag_ms() == {"generator_lag_ms_p99": 500.0, "generator_lag_ms_max": 500.0}


@pytest.mark.parametrize(
    "values, percent, figure",
    [([], 50, 0.0), ([7], 99, 7), ([1, 2, 3, 4], 50, 2), (range(1, 101), 95, 95), ([3, 1], 100, 3)],
)
def test_percentiles_are_nearest_rank(values: list[float], percent: float, figure: float) -> None:
    """No figure is shown that no request had."""
    assert percentile(values, percent) == figure


def test_the_same_seed_plans_the_same_load() -> None:
    """Order and sizes follow from the seed; another seed gives another order."""
    plans = [list(islice(arrivals(seed), 400)) for seed in (1, 1, 2)]
    assert plans[0] == plans[1] != plans[2]
    assert max(a.size for a in plans[0] if a.kind == "write") <= 10_000


def test_bodies_carry_their_id_and_differ() -> None:
    """A body begins with its id, has its size, and is no other's content."""
    bodies = Bodies(1)
    first, second = bodies.make("run-1", 500)[0], bodies.make("run-1", 500)[0]
    assert len(first) == len(second) == 500 and first != second
    assert first.startswith(b"run-1\n")
    with pytest.raises(ValueError, match="a body holds 6 to 1000000 bytes: 3"):
        bodies.make("run-1", 3)


@pytest.mark.parametrize(
    "wrong, told",
    [
        ({"rate": 0}, "the rate is requests a second, above 0: 0"),
        ({"mix": {"raed": 1}}, "mix takes shares of read, write, big, slow"),
        ({"mix": {"read": 0}}, "at least one above 0"),
        ({"paths": {"raed": "/"}}, "paths takes read, write, big, slow"),
    ],
)
def test_wrong_settings_are_named_at_once(wrong: dict[str, object], told: str) -> None:
    """A load that cannot run says so when it is made, not from its thread."""
    with pytest.raises(ValueError, match=told):
        Load("http://127.0.0.1", **wrong)  # type: ignore[arg-type]


def test_audit_rows_still_in_the_wal_are_read(tmp_path: Path) -> None:
    """A copy of file and -wal gives all rows; no file is told, not made."""
    columns = "rowid INTEGER PRIMARY KEY, load_id, release, purchase_id, at, length, sha256"
    with closing(sqlite3.connect(tmp_path / "live.db", isolation_level=None)) as live:
        live.execute("PRAGMA journal_mode = WAL")
        live.execute(f"CREATE TABLE load_audit ({columns})")
        live.execute("INSERT INTO load_audit VALUES (1, 'w1', 'r', 9, 0.5, 3, 'x')")
        for suffix in ("", "-wal"):
            content = (tmp_path / f"live.db{suffix}").read_bytes()
            (tmp_path / f"copy.db{suffix}").write_bytes(content)
    assert read_audit(tmp_path / "copy.db") == [AuditRow(1, "w1", "r", 9, 0.5, 3, "x")]
    with pytest.raises(FileNotFoundError, match="no database at"):
        read_audit(tmp_path / "none.db")
