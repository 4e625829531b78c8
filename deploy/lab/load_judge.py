"""The verdict on a load: what the clients saw against what the database holds."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from statistics import median
from typing import NamedTuple

from lab.load_plan import WRITES
from lab.load_record import Hold, Request, Result, percentile

Window = tuple[float, float] | Hold


class AuditRow(NamedTuple):
    """One stored write, as the release that stored it noted it in the same transaction."""

    rowid: int
    load_id: str
    release: str
    purchase_id: int
    at: float
    length: int
    sha256: str


def read_audit(database: Path) -> list[AuditRow]:
    """Return the audit rows of a copy of the app's database, in the order they were stored.

    `database` is a copy of your own: made by SQLite's backup API, or of the file together with its
    `-wal`. A `-wal` beside it is read, and may be merged into the copy.
    Raises FileNotFoundError, or sqlite3.Error where it holds no audit table.
    """
    if not database.is_file():
        raise FileNotFoundError(f"no database at {database}")
    columns = ", ".join(AuditRow._fields)
    with closing(sqlite3.connect(f"{database.resolve().as_uri()}?mode=rw", uri=True)) as opened:
        rows = opened.execute(f"SELECT {columns} FROM load_audit ORDER BY rowid")
        return [AuditRow(*row) for row in rows]


def judge(
    result: Result,
    audit_rows: Iterable[AuditRow],
    holds: Iterable[Window] = (),
    crashes: Iterable[Window | float] = (),
    handovers: Iterable[Window] = (),
) -> dict[str, object]:
    """Return the figures of one load, JSON-ready; times in ms.

    `holds` and `handovers` are windows, `crashes` instants or windows, all in wall-clock seconds
    (`time.time()`); of a `Hold` its first two fields are taken. Audit rows of other loads are
    passed over.

    * `failed_edge`, `answered_5xx`, `answered_4xx`, `answered_other`, `cut_by_release`: every
      request that failed is in exactly one. `cut_by_release` takes those of `failed_edge` that were
      sent before a crash was over and ended after it began. `errors` has the reasons.
    * `lost_writes`: answered 2xx and not stored. `doubled_writes`: ids stored more than once.
      `damaged_writes`: stored with another content than was sent. `stored_unacked`: stored without
      the client's knowing, which is no loss.
    * `writer_changes`: how often the release differs from the row before, in the order stored.
    * `min_sent_in_a_hold`: the fewest requests sent within one hold; 0 where there was no hold.
    * `max_extra_wait_ms`: the largest latency of an `ok` request less the median of its kind, the
      median taken over those that ran wholly outside `handovers`; a kind with none of them has the
      median 0, which errs against us. A failed request counts as a failure instead.
    * `hold_ms`: length of each hold. `kinds`: per kind `requests`, `p50_ms`, `p95_ms` of `ok` ones.
    * `generator_lag_ms_p99`, `generator_lag_ms_max`, `generator_cpu`: the generator's own lateness
      and its share of one core; reject a run in which they are large.
    """
    spans = [(float(w[0]), float(w[1])) for w in holds]
    counts = result.counts()
    cut = [r for r in result.requests if _cut(result, r, crashes)]
    counts["failed_edge"] -= len(cut)
    failed = (r for r in result.requests if r.outcome != "ok")
    return {
        **counts,
        "cut_by_release": len(cut),
        "errors": dict(sorted(Counter(_reason(r) for r in failed).items())),
        **_writes(result, list(audit_rows)),
        "min_sent_in_a_hold": min((_sent_within(result, span) for span in spans), default=0),
        "max_extra_wait_ms": _extra_wait(result, [(float(w[0]), float(w[1])) for w in handovers]),
        "hold_ms": [round((end - start) * 1000, 1) for start, end in spans],
        "kinds": _by_kind(result),
        **result.lag_ms(),
        "generator_cpu": round(result.cpu / result.elapsed, 3) if result.elapsed else 0.0,
        "clock_step_ms": round(result.clock_step * 1000, 1),
    }


def _cut(result: Result, request: Request, crashes: Iterable[Window | float]) -> bool:
    if request.outcome != "failed_edge" or request.sent is None:
        return False
    sent, done = result.wall(request.sent), result.wall(request.done)
    for crash in crashes:
        began, over = (crash, crash) if isinstance(crash, (int, float)) else (crash[0], crash[1])
        if sent <= over and done >= began:
            return True
    return False


def _reason(request: Request) -> str:
    if request.edge:
        return f"edge: {request.edge}"
    return request.error or f"{request.status} from {request.release or 'a release without name'}"


def _writes(result: Result, rows: list[AuditRow]) -> dict[str, int]:
    digests = {r.id: r.sha256 for r in result.requests if r.kind in WRITES}
    ours = sorted(row for row in rows if row.load_id in digests)
    stored = Counter(row.load_id for row in ours)
    acked = result.acked_writes
    return {
        "lost_writes": sum(1 for load_id in acked if not stored[load_id]),
        "doubled_writes": sum(1 for times in stored.values() if times > 1),
        "damaged_writes": len({r.load_id for r in ours if r.sha256 != digests[r.load_id]}),
        "stored_unacked": len(set(stored) - set(acked)),
        "writer_changes": sum(1 for a, b in zip(ours, ours[1:]) if a.release != b.release),
    }


def _sent_within(result: Result, span: tuple[float, float]) -> int:
    moments = (result.wall(r.sent) for r in result.requests if r.sent is not None)
    return sum(1 for moment in moments if span[0] <= moment <= span[1])


def _extra_wait(result: Result, handovers: list[tuple[float, float]]) -> float:
    answered = [r for r in result.requests if r.outcome == "ok"]

    def outside(request: Request) -> bool:
        start, end = result.wall(request.planned), result.wall(request.done)
        return all(end < began or start > over for began, over in handovers)

    usual: dict[str, float] = {}
    for kind in {r.kind for r in answered}:
        calm = [r.latency for r in answered if r.kind == kind and outside(r)]
        usual[kind] = median(calm) if calm else 0.0
    return round(max((r.latency - usual[r.kind] for r in answered), default=0.0) * 1000, 1)


def _by_kind(result: Result) -> dict[str, dict[str, float]]:
    figures: dict[str, dict[str, float]] = {}
    for kind in sorted({r.kind for r in result.requests}):
        ms = [r.latency * 1000 for r in result.requests if r.kind == kind and r.outcome == "ok"]
        figures[kind] = {
            "requests": sum(1 for r in result.requests if r.kind == kind),
            "p50_ms": round(percentile(ms, 50), 1),
            "p95_ms": round(percentile(ms, 95), 1),
        }
    return figures
