"""What is looked at after a fault: every rule has something that breaks it, and is found broken."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.faults import look, points, told, upgrade
from bench.faults.__main__ import figures, main
from bench.faults.plans import UPGRADE, WAYS, way
from bench.faults.points import Point, Seen, Tally
from bench.stage import Ran
from lab.load import Request, Result

OLD, NEW = "r0001-1111111", "r0002-2222222"


def box(slot: str, service: str, running: bool, **more: Any) -> dict[str, Any]:
    """A container as the look tells it."""
    policy = "unless-stopped" if running else "no"
    told = {"id": slot + service, "slot": slot, "service": service, "running": running}
    return {**told, "oneshot": False, "started": "x", "policy": policy, **more}


def good() -> dict[str, Any]:
    """A host on which the new release serves and nothing is wrong."""
    first = {
        "link": "unix//run/homeport/shop/r0002/app.sock",
        "kind": "release",
        "slot": "r0002",
        "current": NEW,
        "committed": NEW,
        "containers": {
            "old": box("r0001", "web", False),
            "new": box("r0002", "web", True),
            "worker": box("r0002", "worker", True),
        },
        "strays": [],
        "releases": [OLD, NEW],
        "needs": {OLD: "0002", NEW: "0002"},
        "slots": ["r0001", "r0002"],
        "standby": [],
        "page": False,
        "sets": [],
        "journal": "abc",
        "garbled": 0,
        "unfinished": [],
        "runs": [],
    }
    data = {"sound": [[["ok"]], []], "half": "0", "schema": "0002", "points": False}
    second, verdict = copy.deepcopy(first), {"outcome": "nothing-to-do", "code": 0}
    return {"first": first, "second": second, "verdict": verdict, "data": data}


def test_a_whole_host_breaks_no_rule() -> None:
    """With the release that is to serve, or one of two."""
    assert look.wrong(good(), (NEW,)) == []
    assert look.wrong(good(), (OLD, NEW)) == []


def test_a_compatible_schema_may_be_ahead_and_never_behind() -> None:
    """Old code works on what an expanding migration has left; new code not on what was before."""
    seen = good()
    seen["data"].update(schema="0003", points=True)
    assert look.wrong(seen, (NEW,), ahead=True) == [] != look.wrong(seen, (NEW,))
    seen["data"].update(schema="0001", points=False)
    assert look.wrong(seen, (NEW,), ahead=True) != []


def both(change: Callable[[dict[str, Any]], None]) -> Callable[[dict[str, Any]], None]:
    """A change that the second look sees as well."""

    def change_both(seen: dict[str, Any]) -> None:
        change(seen["first"])
        change(seen["second"])

    return change_both


BREAKS: dict[str, tuple[str, Callable[[dict[str, Any]], None]]] = {
    "linked": ("is to serve", both(lambda one: one.update(slot="r0001"))),
    "held": ("is to serve", both(lambda one: one.update(kind="hold", slot=""))),
    "current": ("current", both(lambda one: one.update(current=OLD))),
    "told": ("told", both(lambda one: one.update(committed=OLD))),
    "stopped": ("of r0002", both(lambda one: one["containers"]["worker"].update(running=False))),
    "two": ("old runs too", both(lambda one: one["containers"]["old"].update(running=True))),
    "policy": ("policy", both(lambda one: one["containers"]["old"].update(policy="always"))),
    "unpinned": ("policy", both(lambda one: one["containers"]["new"].update(policy="no"))),
    "standby": ("standby", both(lambda one: one.update(standby=["r0002"]))),
    "unfinished": ("without an end", both(lambda one: one.update(unfinished=["run-1"]))),
    "garbled": ("cannot be read", both(lambda one: one.update(garbled=1))),
    "page": ("page is up", both(lambda one: one.update(page=True))),
    "one-shot": ("old is left", both(lambda one: one["containers"]["old"].update(oneshot=True))),
    "stranger": ("no release", both(lambda one: one["containers"].update(x=box("r9", "w", False)))),
    "folder": ("r0007 belongs", both(lambda one: one.update(slots=["r0007"]))),
    "stray": ("/x/.new is left", both(lambda one: one.update(strays=["/x/.new"]))),
    "changes": ("changes containers", lambda seen: seen["second"].update(containers={})),
    "journals": ("changes journal", lambda seen: seen["second"].update(journal="abd")),
    "recovers": ("recovery says", lambda seen: seen["verdict"].update(outcome="recovered")),
    "damaged": ("damaged", lambda seen: seen["data"].update(sound=[[["row 3 missing"]], []])),
    "rows": ("half of", lambda seen: seen["data"].update(half="7")),
    "column": ("half of", lambda seen: seen["data"].update(points=True)),
    "schema": ("made for 0002", lambda seen: seen["data"].update(schema="0003", points=True)),
}


@pytest.mark.parametrize("name", BREAKS)
def test_each_rule_is_found_broken(name: str) -> None:
    """One thing wrong is one thing told."""
    words, change = BREAKS[name]
    seen = good()
    change(seen)
    found = look.wrong(seen, (NEW,))
    assert any(words in one for one in found), found


def test_nothing_may_serve_where_nothing_did() -> None:
    """And then nothing may run."""
    seen = good()
    for part in ("first", "second"):
        seen[part].update(link="", kind="none", current="", slot="")
    del seen["data"]
    assert "new runs and nothing serves" in look.wrong(seen, ("",))
    for part in ("first", "second"):
        for one in seen[part]["containers"].values():
            one.update(running=False, policy="no")
    assert look.wrong(seen, ("",)) == [] == look.wrong(seen, ("", NEW))
    assert look.wrong(good(), ("",)) != []


def test_the_script_compiles_and_looks_at_what_is_compared() -> None:
    """It runs where only a host can tell."""
    compile(look.SCRIPT, "look", "exec")
    assert all(f'"{name}":' in look.SCRIPT for name in look.SAME)


# --- where a death leaves which release
@pytest.mark.parametrize(
    "name,step,when,expected",
    [
        ("single-writer", "retire", "after", (False, False)),
        ("single-writer", "handover", "before", (False, False)),
        ("single-writer", "handover", "middle", (True, False)),
        ("single-writer", "handover", "after", (True, True)),
        ("single-writer", "pin", "before", (True, True)),
        ("restore", "handover", "after", (False, False)),
        ("backup", "verify", "after", (False, False)),
    ],
)
def test_the_commit_parts_old_from_new(
    name: str, step: str, when: str, expected: tuple[bool, bool]
) -> None:
    """Before it the old release is to serve, after it the new one, and within it either."""
    one = way(name)
    assert points.committing(one, Point(one, one.plans[0][0], step, when)) == expected


def test_the_recovery_of_a_handover_ends_it() -> None:
    """And that of anything else takes it back."""
    for name, new in (("recovery of a handover", True), ("recovery of a hold", False)):
        one = way(name)
        assert points.committing(one, Point(one, *one.points[0])) == (new, new)
    one = way("taken back")
    assert points.committing(one, Point(one, "take-back", "handover", "after")) == (False, False)


# --- which points there are
def test_points_can_be_named() -> None:
    """By plan, step and moment; all of them are there without a name."""
    assert len(points.every()) == sum(len(one.points) for one in (*WAYS, UPGRADE)) > 600
    assert [str(one) for one in points.every(only="backup/verify/after")] == ["backup/verify/after"]
    assert {str(one) for one in points.every(only="failed deploy/recover.data")} == {
        f"failed deploy/recover.data/{when}" for when in ("before", "middle", "after")
    }
    assert points.every(only="nothing") == []


def test_a_part_is_drawn_by_its_seed() -> None:
    """The same seed draws the same."""
    all_ = points.every()
    drawn = [points.chosen(all_, seed, 20) for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2] and len(drawn[0]) == 20
    assert points.chosen(all_, 1, 10_000) == all_


def test_they_can_be_listed(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a host."""
    assert main(["--list", "--only", "restore"]) == 0
    assert "restore/snapshot/middle" in capsys.readouterr().out


def test_the_points_of_an_upgrade_are_its_deaths() -> None:
    """Each has an event at which the lines that take an agent in die."""
    assert [(one.step, one.when) for one in upgrade.DEATHS] == [one[1:] for one in UPGRADE.points]


# --- what people saw
def request(**more: Any) -> Request:
    """A good answer at the tenth second."""
    usual = {"planned": 10.0, "begun": 10.0, "sent": 10.0, "first_byte": 10.1, "done": 10.1}
    rest = {"status": 200, "release": NEW, "edge": "", "error": "", "keepalive": True}
    return Request(**{"id": "x", "kind": "read", **usual, **rest, **more})


def test_what_people_suffered_is_found() -> None:
    """Every failure whose author was not to fail, and whoever waited for too long."""
    bad = (
        request(error="reset", status=None),
        request(status=500),
        request(done=10.0 + told.HELD + 1),
    )
    result = Result((request(), *bad), 0.0)
    assert list(told.missed(result, ())) == list(bad)
    assert list(told.missed(result, ("answered_5xx", "failed_edge"))) == [bad[2]]


def test_the_time_to_the_next_good_answer_is_taken() -> None:
    """Of somebody who asked after the death."""
    result = Result((request(begun=8.0, done=8.5), request(begun=9.5, done=10.25)), 0.0)
    assert told.again(result, 9.0, 20.0) == [1250]
    assert told.again(result, 0.0, 20.0) == []


def test_what_was_told_is_held_to_the_journal() -> None:
    """And to what serves."""
    end = {"outcome": "deployed", "code": 0, "sentence": ""}
    found = {"first": {"runs": [{"id": "run-1", "end": end}], "current": NEW}}

    def said(**more: Any) -> list[str]:
        text = json.dumps({"run": "run-1", "outcome": "deployed", "code": 0, "release": NEW} | more)
        return list(told.told(Ran(0, text, "", 1.0, 0.0), found))

    assert said() == []
    assert "the journal has" in said(outcome="failed", code=1)[0]
    assert "no end" in said(run="run-2")[0]
    assert "told to be live" in said(release=OLD)[0]
    assert "nothing was told" in next(told.told(Ran(1, "", "x", 1.0, 0.0), found))


def test_what_the_journal_does_not_know_of_is_told() -> None:
    """A run that died after an effect of which it had not said that it would come."""
    runs = [{"id": "run-1", "intents": ["hold"]}, {"id": "run-2", "intents": ["handover"]}]
    found, ran = {"first": {"runs": runs}}, Ran(52, '{"run": "run-1"}', "", 1.0, 0.0)
    assert told.unmeant("hold", ran, found) == []
    assert "no intent of handover" in told.unmeant("handover", ran, found)[0]
    assert told.unmeant("hold", Ran(1, "", "x", 1.0, 0.0), found) == []


def test_the_figures_count_what_was_not_tried() -> None:
    """A point that nobody came to is no point that was passed."""
    all_ = points.every(only="restore")
    tally = Tally(seen=[Seen("a", 0, 1), Seen("b", 0, 1, wrong=["x"])], again_ms=[5, 900, 70])
    found = figures(all_, [tally, Tally(lost=2)], 61.4)
    assert (found["points"], found["points_tried"], found["points_passed"]) == (len(all_), 2, 1)
    assert found["points_broken"] == {"b": ["x"]} and found["lost_writes"] == 2
    assert (found["killed_to_serving_ms_median"], found["killed_to_serving_ms_max"]) == (70, 900)


def test_the_make_target_is_there() -> None:
    """What README and the issue call it."""
    assert "\ntest-faults:" in (Path(__file__).parents[2] / "Makefile").read_text()
