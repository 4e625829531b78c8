"""Releases that turn bad once people use them: taken back by themselves, and the cause told."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

import broken as cases
from bench import evidence
from bench.stage import Stage
from broken import AFTER, Broken, Told, configure, release, serving
from lab.load import Load, Result, holds_seen, judge
from lab.registry import ensure_registry
from scenario import sending, under_way

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def told() -> Told:
    """The causes so far."""
    return Told("after")


@pytest.fixture(scope="module")
def good(versions: dict[str, str]) -> Iterator[Stage]:
    """A host on which v1 serves, with a worker."""
    with serving("after", versions["v1"]) as stage:
        yield stage


@pytest.mark.parametrize("broken", AFTER, ids=lambda one: str(one.name))
def test_taken_back_by_itself(
    good: Stage, ships: str, versions: dict[str, str], told: Told, broken: Broken
) -> None:
    """A release that turns bad in its watch is taken back, quickly and with no human."""
    ref = cases.image(ships, ensure_registry(lambda line: None), broken)
    configure(good, broken)
    serves = release(good)
    load = Load(good.url, rate=100, seed=5)
    began = time.time()
    with sending(load):
        under_way(load)
        ran = good.deploy(ref, "--monitor", "20s", check=False)
        under_way(load)
        result = load.stop()
    told.check(ran, broken)
    assert ran.data["outcome"] == "taken-back" and release(good) == serves
    shown = good.homeport("history", "--json").data
    assert [one["verb"] for one in shown[:2]] == ["take-back", "deploy"]
    crashed = cases.crashes(good, began, time.time())
    figures = judge(result, good.audit(), crashes=crashed)
    for key in ("failed_edge", "lost_writes", "doubled_writes"):
        assert figures[key] == 0, (key, figures["errors"])
    if any(key.startswith("fails_after") for key in broken.does):
        _short(good, result, broken, serves)
    else:
        assert figures["answered_5xx"] == 0, figures["errors"]


def _short(stage: Stage, result: Result, broken: Broken, serves: str) -> None:
    """From the first bad answer to the first good one, and no bad one after the decision."""
    bad = [one for one in result.requests if one.outcome == "answered_5xx"]
    # of a second's hundred answers a twentieth must be bad before it may be taken back
    assert len(bad) > 5, "it never went bad"
    first, last = (result.wall(when(one.done for one in bad)) for when in (min, max))
    good = [
        one
        for one in result.requests
        if one.outcome == "ok" and one.release == serves and result.wall(one.done) > first
    ]
    back = min(result.wall(one.done) for one in good)
    web = f"{stage.app}-{serves.split('-')[0]}-web-1"
    stamp = stage.on_host("docker", "inspect", "--format", "{{.State.StartedAt}}", web).strip()
    started = float(stage.on_host("date", "+%s.%N", "-d", stamp))
    hold = max(holds_seen(result), key=lambda one: one.end - one.start)
    beside = started < first
    told = {
        "recovery_from_5xx_ms": round((back - first) * 1000),
        "old_start_ms": 0 if beside else round((back - started) * 1000),
        "last_error_after_decision_ms": round((last - hold.start) * 1000),
        "answered_5xx": len(bad),
    }
    evidence.add("trust", **{f"recovery_{broken.name.replace('-', '_')}": told})
    if broken.name == "fails-later":
        evidence.add("trust", recovery_from_5xx_ms=told["recovery_from_5xx_ms"])
    # what stood beside it all the time has no start to wait for
    spent = back - first if beside else started - first
    assert spent <= 4.0, f"{spent:.1f} s went by besides the old container's start"
    assert last - hold.start <= 1.0, "bad answers went on after the decision"


def test_no_cause_was_hidden(told: Told) -> None:
    """Every broken release's own words were in what the deploy printed."""
    assert told.scenarios == len(AFTER)
    assert told.hidden == []
