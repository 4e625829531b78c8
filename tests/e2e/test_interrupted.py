"""Whoever dies in mid-deploy, executor, controller, cable or power: one whole release serves."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bench.booting import boot
from bench.stage import Stage, until
from homeport.core import journal as journals
from homeport.core import link as links
from lab import hosts
from lab.load import Load, judge
from scenario import (
    Before,
    Typed,
    busy,
    file_at_cut,
    gap_after,
    identity,
    note,
    one_serves,
    sending,
    under_way,
)

pytestmark = pytest.mark.lab
BOTH = pytest.mark.parametrize("flavour", hosts.FLAVOURS)
#: many slow requests, so that something is in flight whenever a deploy begins to drain
SLOW = {"read": 50, "write": 40, "slow": 10}
AGAIN_WITHIN = 3.0


@BOTH
def test_a_killed_executor_leaves_the_old_release_serving(
    stage: Stage, flavour: str, turns: Iterator[str]
) -> None:
    """SIGKILL in a hold: people are served again within 3 s, nobody having done anything."""
    before = Before(stage)
    with sending(Load(stage.url, rate=100)) as load:
        under_way(load)
        with Typed(stage, "deploy", next(turns), "--json", "--force") as typed:
            killed = before.reaches("hold", kill=True)
            ran = typed.wait()
        under_way(load)
    result = load.stop()

    assert killed.link == links.hold(stage.app)
    figures = judge(result, stage.audit())
    again = gap_after(result, killed.at)
    note(**{f"executor_killed_{flavour}": {"serving_again_s": round(again, 3), **_kept(figures)}})
    assert again <= AGAIN_WITHIN
    assert _kept(figures) == dict.fromkeys(_kept(figures), 0)
    assert figures["writer_changes"] == 0
    assert stage.link() == before.link
    assert stage.running() == before.running

    assert ran.code != 0 and ran.data["outcome"] == "failed", ran
    told = stage.homeport("attach", ran.data["run"], "--json", check=False)
    assert (told.code, told.data["sentence"]) == (ran.code, ran.data["sentence"])
    assert "interrupted before its handover and taken back" in told.data["sentence"]

    is_so = (identity(stage), stage.link())
    assert stage.homeport("recover", "--json").data["outcome"] == "nothing-to-do"
    assert (identity(stage), stage.link()) == is_so
    one_serves(stage)


@BOTH
def test_a_killed_controller_stops_nothing(stage: Stage, turns: Iterator[str]) -> None:
    """SIGKILL on the laptop: the host finishes by itself, and `attach` tells how it ended."""
    before = Before(stage)
    typing = ("deploy", next(turns), "--json", "--monitor", "1s", "--force")
    with sending(Load(stage.url, rate=50)) as load:
        with Typed(stage, *typing) as typed:
            before.reaches("starting")
            typed.kill()
        assert stage.link() == before.link, "it was killed too late to show anything"
        told = stage.homeport("attach", "--json")
    result = load.stop()

    assert told.data["outcome"] == "deployed"
    assert stage.link() != before.link
    figures = judge(result, stage.audit())
    assert _kept(figures) == dict.fromkeys(_kept(figures), 0)
    assert figures["writer_changes"] == 1
    one_serves(stage)


def test_a_cut_cable_stops_nothing(stage: Stage, turns: Iterator[str]) -> None:
    """Silence on the wire in mid-deploy: the host finishes meanwhile, and `attach` tells."""
    before = Before(stage)
    typing = ("deploy", next(turns), "--json", "--monitor", "1s", "--force")
    with sending(Load(stage.url, rate=20)) as load, Typed(stage, *typing) as typed:
        before.reaches("starting")
        hosts.cut_network(stage.host)
        try:
            before.reaches("committed")
            until(lambda: not _old_runs(stage, before), 60, "the old slot's end")
        finally:
            hosts.mend_network(stage.host)
        told = stage.homeport("attach", "--json")
        assert told.data["outcome"] == "deployed"
        # mended in time: the one who typed it learns the same, over the old connection
        ran = typed.wait()
    result = load.stop()

    assert (ran.code, ran.data["sentence"]) == (0, told.data["sentence"])
    figures = judge(result, stage.audit())
    assert figures["lost_writes"] == figures["doubled_writes"] == 0
    one_serves(stage)


@BOTH
@pytest.mark.parametrize("point", ["starting", "hold", "committed"])
def test_after_a_power_cut_one_release_serves(
    stage: Stage, flavour: str, point: str, turns: Iterator[str]
) -> None:
    """Power off in mid-deploy: the boot hook that setup wrote brings the link's release back."""
    before = Before(stage)
    typing = ("deploy", next(turns), "--json", "--monitor", "4s", "--force")
    with sending(Load(stage.url, rate=25, mix=SLOW, timeout=10)) as load:
        under_way(load)
        with Typed(stage, *typing):
            before.reaches(point)
            hosts.power_cut(stage.host)
        at_cut = file_at_cut(stage, f"/opt/homeport/run/{stage.app}/live")
        journal = file_at_cut(stage, f"/opt/{stage.app}/journal.jsonl")
        assert _point(stage, before, at_cut) == point, f"the power went too late: {at_cut}"
        assert journals.fold(journal.splitlines()).unfinished, "the deploy was over already"

        seconds = boot(stage)
        note(**{f"boot_{flavour}_{point}_s": round(seconds, 2)})
        until(lambda: not busy(stage), 60, "the boot hook's end")
    result = load.stop()
    assert stage.link() == (at_cut if point == "committed" else before.link)
    figures = judge(result, stage.audit())
    assert figures["lost_writes"] == figures["doubled_writes"] == 0
    assert figures["acked_writes"]
    one_serves(stage)

    again = stage.deploy(next(turns), "--monitor", "0s", "--force")
    assert again.data["outcome"] == "deployed"
    one_serves(stage)


def _kept(figures: dict[str, object]) -> dict[str, object]:
    """The figures that must be nought: what failed, and what a database must not do."""
    names = ("failed_edge", "answered_5xx", "lost_writes", "doubled_writes", "damaged_writes")
    return {name: figures[name] for name in names}


def _point(stage: Stage, before: Before, link: str) -> str:
    """Which point of a deploy a link belongs to."""
    if link == before.link:
        return "starting"
    return "hold" if link == links.hold(stage.app) else "committed"


def _old_runs(stage: Stage, before: Before) -> bool:
    """Whether the old slot's container still runs, as seen past the cut cable."""
    return bool(set(stage.running()) & set(before.running))
