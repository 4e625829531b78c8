"""What the load saw: one record a request, and the figures that follow from the records alone."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from lab.load_plan import WRITES

OUTCOMES = ("ok", "failed_edge", "answered_5xx", "answered_4xx", "answered_other")


@dataclass(frozen=True)
class Request:
    """One request from plan to end. Times are `time.monotonic()` seconds; `Result.wall` converts.

    `planned`: when the plan wanted it sent; latency counts from here. `begun`: when the
    generator's own loop took it up. `sent`: first byte handed to an open connection (None: no
    connection). `first_byte`: first byte of an answer (None: none). `done`: whole answer read, or
    failed. `release` and `edge`: the answer's `Homeport-Release` and `Homeport-Edge` headers.
    `error`: why there is no whole answer, in a word (`refused`, `reset`, `timeout`, `closed`,
    `short`, `garbage`, `mixed` (the answer to another request) or an OS error's own name).
    `sha256`: of a write's body, in hex. `idle`: seconds for which the connection had been idle
    (None: a fresh one).
    """

    id: str
    kind: str
    keepalive: bool
    planned: float
    begun: float
    sent: float | None
    first_byte: float | None
    done: float
    status: int | None
    release: str
    edge: str
    error: str
    sha256: str = ""
    idle: float | None = None

    @property
    def latency(self) -> float:
        """Seconds from the planned arrival to the end."""
        return self.done - self.planned

    @property
    def outcome(self) -> str:
        """One of OUTCOMES; each request has exactly one author of its failure."""
        if self.error or self.edge or self.status is None:
            return "failed_edge"
        if 200 <= self.status < 300:
            return "ok"
        family = self.status // 100
        return f"answered_{family}xx" if family in (4, 5) else "answered_other"


@dataclass(frozen=True)
class Result:
    """Everything one load saw.

    `offset`: wall clock less monotonic clock at the start, seconds. `clock_step`: how far the wall
    clock moved against the monotonic one during the run, seconds; beyond some ms, windows taken
    from other clocks do not fit these stamps. `cpu`: processor seconds of the generator's thread
    in `elapsed` seconds. `replaced`: kept connections that the peer had closed between requests.
    """

    requests: tuple[Request, ...]
    offset: float
    clock_step: float = 0.0
    elapsed: float = 0.0
    cpu: float = 0.0
    replaced: int = 0

    def wall(self, moment: float) -> float:
        """Convert a stamp of a request's to seconds as `time.time()` gives them."""
        return moment + self.offset

    @property
    def acked_writes(self) -> list[str]:
        """Ids of the writes that a release answered with 2xx, in the order of their answers."""
        acked = (r for r in self.requests if r.kind in WRITES and r.outcome == "ok")
        return [r.id for r in sorted(acked, key=lambda r: r.done)]

    def counts(self) -> dict[str, int]:
        """Return `requests`, each of OUTCOMES, `acked_writes` and `replaced`; none is left out."""
        by_outcome = Counter(r.outcome for r in self.requests)
        return {
            "requests": len(self.requests),
            **{outcome: by_outcome[outcome] for outcome in OUTCOMES},
            "acked_writes": len(self.acked_writes),
            "replaced": self.replaced,
        }

    def lag_ms(self) -> dict[str, float]:
        """Return the generator's own lateness (planned to begun): `generator_lag_ms_p99`, `_max`.

        A run in which these are not small against the figure to be shown says nothing about the
        server: reject it.
        """
        lags = [(r.begun - r.planned) * 1000 for r in self.requests]
        return {
            "generator_lag_ms_p99": percentile(lags, 99),
            "generator_lag_ms_max": percentile(lags, 100),
        }


class Hold(NamedTuple):
    """A hold as clients felt it, in wall-clock seconds; the first two are a window for `judge`."""

    start: float
    end: float
    old: str
    new: str
    silent_from: float
    waiting: int


def holds_seen(result: Result, at_least: float = 0.05) -> list[Hold]:
    """Find the holds from the answers alone; nobody's journal is asked.

    Taken are whole answers with a `Homeport-Release` and without a `Homeport-Edge`, in the order
    of their first bytes. A **handover** from `old` to `new` is the first answer of another release
    to a request that was sent after `old` had begun to answer (an answer to an earlier request,
    by the release before `old`, is a leftover of its drain, not a way back).

    `end` = first byte of that first answer of `new`'s.
    `start` = when the earliest request was sent that `new` answered although it had been sent
    before `end`: from there on requests waited. (Not the last answer of `old`'s: while `old`
    finishes what it has in flight it still answers, but whoever asks then is already held, and
    counting from that last answer would leave the drain out of the figure.)
    `silent_from` = end of the last answer of `old`'s before `end`: from there to `end` nobody got
    any answer at all.
    `waiting` = requests sent within [`start`, `end`] and answered by `new`.

    A handover whose window is shorter than `at_least` seconds held nobody (overlap) and is left
    out; keep it well above the gap between two arrivals.
    """
    return [hold for hold in _handovers(result) if hold.end - hold.start >= at_least]


def _handovers(result: Result) -> Iterable[Hold]:
    answers = [
        (r.first_byte, r.sent, r)
        for r in result.requests
        if r.first_byte is not None and r.sent is not None and not r.error
        if r.release and not r.edge
    ]
    answers.sort(key=lambda answer: answer[:2])
    old, since = "", -math.inf
    for first_byte, sent, request in answers:
        if request.release == old or sent < since:
            continue
        new, end = request.release, first_byte
        if old:
            held = [s for _, s, r in answers if r.release == new and since <= s <= end]
            silent = max(r.done for f, _, r in answers if r.release == old and f < end)
            yield Hold(
                start=result.wall(min(held)),
                end=result.wall(end),
                old=old,
                new=new,
                silent_from=result.wall(min(silent, end)),
                waiting=len(held),
            )
        # nobody answered before the first one, so no early answer is a leftover
        since = end if old else since
        old = new


def percentile(values: Iterable[float], percent: float) -> float:
    """Return the nearest-rank percentile of `values`, rounded to 0.001; 0.0 for none."""
    ranked = sorted(values)
    if not ranked:
        return 0.0
    rank = max(1, -(-len(ranked) * percent // 100))
    return round(ranked[int(rank) - 1], 3)
