"""Verdicts on probes and watches, as tables: one character a look."""

from __future__ import annotations

import pytest
from homeport.core.verdicts import Look, Probe, bad, healthy, pause

#: probes half a second apart, + good and - bad; how many in a row, over how long; the verdict
HEALTHY = [
    ("", 3, 1.0, False),
    ("+", 3, 1.0, False),
    ("++", 3, 1.0, False),
    ("+++", 3, 1.0, True),
    ("-", 1, 0.0, False),
    ("+", 1, 0.0, True),
    ("+-+", 1, 0.0, True),
    ("++-", 1, 0.0, False),
    ("++-+", 3, 1.0, False),
    ("++-++", 3, 1.0, False),
    ("++-+++", 3, 1.0, True),
    ("+++", 3, 1.5, False),
    ("++++", 3, 1.5, True),
    ("++-+++", 3, 1.5, False),
    ("+++-", 3, 0.0, False),
]


@pytest.mark.parametrize("looks,good,span,verdict", HEALTHY)
def test_healthy(looks: str, good: int, span: float, verdict: bool) -> None:
    """So many good ones in a row at the end, over at least so long."""
    probes = [
        Probe(at / 2, one == "+", "" if one == "+" else "refused") for at, one in enumerate(looks)
    ]
    assert healthy(probes, good, span) is verdict


#: probes half a second apart from 0; how many in a row, over how long; what time it is; the wait
PAUSES = [
    ("-", 3, 1.0, 0.0, 0.03),
    ("+-", 3, 1.0, 9.0, 0.03),
    ("+", 3, 1.0, 0.0, 0.5),
    ("+", 3, 1.0, 0.4, 0.1),
    ("++", 3, 1.0, 0.5, 0.5),
    ("++", 3, 1.0, 2.0, 0.02),
    ("-+", 3, 1.0, 0.5, 0.5),
    ("+", 1, 0.0, 0.0, 0.02),
]


@pytest.mark.parametrize("looks,good,span,now,wait", PAUSES)
def test_pause(looks: str, good: int, span: float, now: float, wait: float) -> None:
    """Soon after a bad probe; else so that the good ones just fill their span."""
    probes = [Probe(at / 2, one == "+") for at, one in enumerate(looks)]
    assert pause(probes, good, span, now) == pytest.approx(wait)


FINE = Look(1.0)
BAD = {
    "no look yet": ([], ""),
    "fine": ([FINE, FINE], ""),
    "a restart": ([FINE, Look(2.0, restarts=2)], "it restarted 2 times since the handover"),
    "a worker ended": ([Look(2.0, down=("a", "b"))], "a, b is not running any more"),
    "unhealthy": ([Look(2.0, unhealthy=("web",))], "web reports itself unhealthy"),
    "one failed check is chance": ([FINE, Look(2.0, smoke="500")], ""),
    "the first look fails": ([Look(2.0, smoke="500")], ""),
    "two in a row": (
        [FINE, Look(2.0, smoke="500"), Look(3.0, smoke="refused")],
        "two checks through the edge failed in a row: refused",
    ),
    "two apart": ([Look(1.0, smoke="500"), FINE, Look(3.0, smoke="500")], ""),
    "it mended itself": ([Look(1.0, smoke="500"), Look(2.0, smoke="500"), FINE], ""),
    "unhealthy for a moment": ([Look(2.0, unhealthy=("web",)), FINE], ""),
    "a restart comes first": (
        [Look(2.0, restarts=1, down=("web",), unhealthy=("web",))],
        "it restarted 1 times since the handover",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_watch(name: str) -> None:
    """A watch ends on the last look, and says what it rests on."""
    looks, why = BAD[name]
    assert bad(looks) == why
