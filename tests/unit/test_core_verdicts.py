"""Verdicts on probes and watches, as tables: one character a look."""

from __future__ import annotations

import pytest
from homeport.core.verdicts import Count, Look, Probe, bad, figures, healthy, known, pause

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
    "a restart": (
        [FINE, Look(2.0, restarts=(("web", 2),))],
        "web restarted 2 times since the handover",
    ),
    "a worker ended": ([Look(2.0, down=("a", "b"))], "a, b is not running any more"),
    "unhealthy": ([Look(2.0, unhealthy=("web",))], "web reports itself unhealthy"),
    "one failed check is chance": ([FINE, Look(2.0, smoke="500")], ""),
    "the first look fails": ([Look(2.0, smoke="500")], ""),
    "two in a row": (
        [FINE, Look(2.0, smoke="500"), Look(3.0, smoke="refused")],
        "two checks through the edge failed in a row",
    ),
    "two apart": ([Look(1.0, smoke="500"), FINE, Look(3.0, smoke="500")], ""),
    "it mended itself": ([Look(1.0, smoke="500"), Look(2.0, smoke="500"), FINE], ""),
    "out of memory comes before all": (
        [Look(2.0, restarts=(("web", 1),), starved=("web",))],
        "web ran out of memory",
    ),
    "unhealthy for a moment": ([Look(2.0, unhealthy=("web",)), FINE], ""),
    "a restart comes first": (
        [Look(2.0, restarts=(("web", 1), ("mail", 3)), down=("web",), unhealthy=("web",))],
        "web restarted once, mail restarted 3 times since the handover",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_watch(name: str) -> None:
    """A watch ends on the last look, and says what it rests on."""
    looks, why = BAD[name]
    assert bad(looks) == why


#: (seconds, answers, 5xx since the handover) of each look; (answers, 5xx) before it; the verdict
ANSWERS = {
    "nobody asks": ([(0, 0, 0), (5, 0, 0)], (0, 0), ""),
    "too few to say": ([(0, 0, 0), (1, 19, 19)], (100, 0), ""),
    "just enough": (
        [(0, 0, 0), (1, 20, 2)],
        (100, 0),
        "2 of 20 answers were 5xx since the handover (10.0 %; before it 0.0 %)",
    ),
    "as many as is borne": ([(0, 0, 0), (1, 100, 5)], (100, 0), ""),
    "one more": (
        [(0, 0, 0), (1, 100, 6)],
        (100, 0),
        "6 of 100 answers were 5xx since the handover (6.0 %; before it 0.0 %)",
    ),
    "it was no better before": ([(0, 0, 0), (1, 100, 20)], (100, 4), ""),
    "it is far worse than before": (
        [(0, 0, 0), (1, 100, 21)],
        (100, 4),
        "21 of 100 answers were 5xx since the handover (21.0 %; before it 4.0 %)",
    ),
    "nobody asked before": (
        [(0, 0, 0), (1, 50, 50)],
        (0, 0),
        "50 of 50 answers were 5xx since the handover (100.0 %; before it nobody asked)",
    ),
    "cut by the release": (
        [(0, 0, 0), (1, 100, 2, 5)],
        (100, 0),
        "2 of 100 answers were 5xx, 5 got none since the handover (7.0 %; before it 0.0 %)",
    ),
    "bad all at once, after a good while": (
        [(0, 0, 0), (10, 2000, 0), (11, 2100, 0), (12, 2200, 30), (13, 2230, 60)],
        (100, 0),
        "60 of 230 answers were 5xx in the last 3 s (26.1 %; before it 0.0 %)",
    ),
    "some trouble after a good while": (
        [(0, 0, 0), (10, 2000, 0), (11, 2100, 0), (12, 2200, 30), (13, 2260, 60)],
        (100, 0),
        "",
    ),
    "a few bad ones in a quiet moment": (
        [(0, 0, 0), (10, 2000, 0), (11, 2002, 1), (12, 2004, 4)],
        (100, 0),
        "",
    ),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_too_many_bad_answers(name: str) -> None:
    """At least 20 answers, more than 5 %, and more than 5 times what it was before."""
    rows, (asked, failed), why = ANSWERS[name]
    looks = [Look(float(at), count=Count(*rest)) for at, *rest in rows]
    assert bad(looks, Count(asked, failed)) == why


@pytest.mark.parametrize("failed,why", [(50, ""), (51, "51 of 100")])
def test_without_a_before(failed: int, why: str) -> None:
    """Where nobody knows how it was, most answers must be bad."""
    said = bad([Look(0.0), Look(1.0, count=Count(100, failed))], None)
    assert said.startswith(why) and bool(said) == bool(why)
    assert not why or "before it unknown" in said


COUNTS = [
    ((10, 1), (0, 0), (10, 1)),
    ((10, 1), (4, 1), (6, 0)),
    # the counters began anew: all that is there came since
    ((3, 0), (4, 0), (3, 0)),
    ((9, 0), (8, 1), (9, 0)),
]


#: (answers, 5xx) while the run prepared, and since the edge's start; which of them counts
KNOWN = {
    "enough lately": ((20, 0), (900, 300), "lately"),
    "few lately, and well ever since": ((5, 0), (900, 9), "ever"),
    "nobody ever asked": ((0, 0), (0, 0), "ever"),
    "one that was taken back": ((19, 0), (60, 19), "nobody"),
    "nobody asked since that one": ((0, 0), (60, 19), "nobody"),
    "as bad lately as ever": ((10, 4), (60, 19), "ever"),
    "better lately than ever": ((10, 3), (60, 19), "nobody"),
}


@pytest.mark.parametrize("lately,ever,which", KNOWN.values(), ids=KNOWN)
def test_how_it_was_before(lately: tuple[int, int], ever: tuple[int, int], which: str) -> None:
    """What another release answered excuses nobody, unless what serves does as badly."""
    counts = {"lately": Count(*lately), "ever": Count(*ever), "nobody": None}
    assert known(Count(*lately), Count(*ever)) == counts[which]


def test_what_was_taken_back_does_not_excuse_the_next_try() -> None:
    """All answers bad is bad, however many of the few before it were."""
    looks = [Look(0.0), Look(1.0, count=Count(30, 30))]
    assert bad(looks, Count(60, 19)) == "", "the counts that say nothing"
    assert "30 of 30" in bad(looks, known(Count(12, 0), Count(60, 19)))


@pytest.mark.parametrize("now,before,since", COUNTS)
def test_what_came_since(now: tuple[int, int], before: tuple[int, int], since: object) -> None:
    """The difference, or everything after the edge began to count anew."""
    assert Count(*now).since(Count(*before)) == Count(*since)  # type: ignore[misc]


def test_figures() -> None:
    """A verdict names what it rests on, good or bad."""
    assert figures([]) == "nothing was looked at"
    good = Look(1.0, count=Count(120, 1), checks=3)
    assert figures([good]) == (
        "1 of 120 answers were 5xx, no restart, 3 checks through the edge passed"
    )
    worse = Look(1.0, restarts=(("web", 2),), smoke="refused", checks=1)
    assert figures([worse]) == (
        "0 of 0 answers were 5xx, restarted 2 times, 1 checks through the edge"
    )
