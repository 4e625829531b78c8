"""The journal's fold: what lines tell, and what broken lines do not."""

from __future__ import annotations

import json

import pytest
from builders import line
from homeport.core import journal
from hypothesis import given
from hypothesis import strategies as st

ONE, TWO = "r0001-1111111", "r0002-2222222"

DEPLOYED = [
    line("begin", "a", 1.0, verb="deploy", release=ONE, cause={"who": "ann"}),
    line("intent", "a", 2.0, step="pull", do="pull"),
    line("done", "a", 3.0, step="pull", seconds=1.0),
    line("intent", "a", 4.0, step="handover", do="link"),
    line("done", "a", 5.0, step="handover", committed=ONE),
    line("intent", "a", 6.0, step="watch", do="watch"),
    line("done", "a", 7.0, step="watch"),
    line("end", "a", 8.0, outcome="deployed", code=0),
]


def test_a_whole_run() -> None:
    """Every kind of line finds its place."""
    told = journal.fold(DEPLOYED)
    assert told.runs == (
        journal.Run(
            id="a",
            verb="deploy",
            release=ONE,
            origin="",
            began=1.0,
            cause={"who": "ann"},
            step="watch",
            done=("pull", "handover", "watch"),
            committed=ONE,
            committed_at=5.0,
            watched=True,
            end={
                "v": 1,
                "k": "end",
                "run": "a",
                "t": 8.0,
                "outcome": "deployed",
                "code": 0,
            },
            ended_at=8.0,
        ),
    )
    assert (told.committed, told.committed_at, told.served) == (ONE, 5.0, (ONE,))
    assert (told.highest, told.garbled, told.unfinished) == (1, 0, ())
    assert told.run("a") == told.runs[0] and told.run("b") is None


def test_line_by_line_it_tells_the_same() -> None:
    """What came before and the lines since are as good as all lines at once."""
    lines = [*DEPLOYED, "garbage", line("begin", "b", 9.0, verb="deploy", release=TWO)]
    told = journal.History()
    for at, one in enumerate(lines, 1):
        told = journal.fold([one], told)
        assert told == journal.fold(lines[:at])


def test_whether_the_schema_was_told() -> None:
    """Nothing told is not the same as told that nobody knows."""
    known = [*DEPLOYED, line("schema", "a", 8.0, schema="")]
    assert [(one.schema, one.told) for one in map(journal.fold, (DEPLOYED, known))] == [
        ("", False),
        ("", True),
    ]


BROKEN = {
    "torn": DEPLOYED[4][:40],
    "no JSON": "\x00\x00\x00",
    "no object": "[1]",
    "no kind": '{"t": 1}',
    "kind is no text": '{"k": 5, "t": 1}',
    "no instant": '{"k": "done", "run": "a"}',
    "instant is no number": '{"k": "done", "run": "a", "t": "now"}',
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_line_is_counted_and_never_guessed_at(name: str) -> None:
    """The lines around it count as if it were not there."""
    whole = journal.fold(DEPLOYED[:4])
    told = journal.fold([*DEPLOYED[:4], BROKEN[name]])
    assert told.garbled == 1
    assert (told.runs, told.committed) == (whole.runs, "")


QUIET = {
    "empty": "",
    "blank": "   \n",
    "an unknown kind of a newer agent": line("moon", "a"),
    "failed": line("failed", "a", step="pull", why={}),
    "an unknown run": line("done", "ghost", step="handover", committed=TWO),
    "an end of an unknown run": line("end", "ghost", outcome="taken-back"),
    "a boot": line("boot", ""),
}


@pytest.mark.parametrize("name", QUIET)
def test_a_line_that_says_nothing_of_a_run_changes_nothing(name: str) -> None:
    """It is neither garbled nor does it move what is known."""
    assert journal.fold([*DEPLOYED, QUIET[name]]) == journal.fold(DEPLOYED)


def test_two_runs_and_a_rollback() -> None:
    """The last commit counts; what served is in the order of its last turn."""
    lines = [
        *DEPLOYED,
        line("begin", "b", 10.0, verb="deploy", release=TWO, **{"from": ONE}),
        line("done", "b", 11.0, step="handover", committed=TWO),
        line("end", "b", 12.0, outcome="deployed"),
        line("begin", "c", 20.0, verb="rollback", release=ONE, **{"from": TWO}),
        line("done", "c", 21.0, step="handover", committed=ONE),
    ]
    told = journal.fold(lines)
    assert told.served == (TWO, ONE)
    assert (told.committed, told.committed_at, told.highest) == (ONE, 21.0, 2)
    assert [run.id for run in told.unfinished] == ["c"]
    assert told.runs[1].origin == ONE


def test_a_second_commit_of_what_serves_keeps_its_instant() -> None:
    """Recovery writes the link anew; "since when" stays the first time."""
    lines = [*DEPLOYED, line("begin", "b", 9.0), line("done", "b", 9.5, step="x", committed=ONE)]
    assert journal.fold(lines).committed_at == 5.0


def test_taken_back() -> None:
    """The run's own release is bad, once, however often it is said."""
    lines = [
        *DEPLOYED[:7],
        line("begin", "a-back", 8.0, verb="take-back", release="r0000-0000000"),
        line("end", "a-back", 8.0, outcome="rolled-back"),
        line("end", "a", 9.0, outcome="taken-back"),
        line("end", "a", 9.0, outcome="taken-back"),
    ]
    assert journal.fold(lines).taken_back == (ONE,)


def test_why_a_release_was_taken_back() -> None:
    """As its last taking back says, which journals of before do not."""
    lines = [
        line("begin", "a-back", 8.0, verb="take-back", why="4 of 20 answers bad", **{"from": ONE}),
        line("begin", "b-back", 9.0, verb="take-back", why="it fell", **{"from": TWO}),
        line("begin", "c", 9.5, verb="rollback", **{"from": ONE}),
    ]
    told = journal.fold([*DEPLOYED, *lines])
    assert [told.blamed(one) for one in (ONE, TWO, "r0009-abcdef0")] == [
        "4 of 20 answers bad",
        "it fell",
        "",
    ]
    old = line("begin", "d-back", 10.0, verb="take-back", **{"from": TWO})
    assert journal.fold([*DEPLOYED, *lines, old]).blamed(TWO) == ""


def test_boots_count_for_committed_runs_that_have_not_ended() -> None:
    """A run before its commit has no watch to finish, an ended one neither."""
    boot = line("boot", "")
    assert journal.fold([*DEPLOYED[:4], boot]).runs[0].boots_since_commit == 0
    assert journal.fold([*DEPLOYED[:5], boot, boot]).runs[0].boots_since_commit == 2
    assert journal.fold([*DEPLOYED, boot]).runs[0].boots_since_commit == 0


def test_removed_until_the_next_commit() -> None:
    """A removed app has nothing committed; a deploy after it begins anew."""
    gone = [*DEPLOYED, line("begin", "b", verb="remove"), line("end", "b", outcome="removed")]
    told = journal.fold(gone)
    assert told.removed and told.committed == "" and told.served == (ONE,)
    again = [line("begin", "c", release=TWO), line("done", "c", step="h", committed=TWO)]
    told = journal.fold([*gone, *again])
    assert not told.removed and told.committed == TWO


def test_the_highest_number_counts_runs_that_never_served() -> None:
    """A number is never used twice, not even that of a release that failed."""
    lines = [line("begin", "a", release="r0042-1a2b3c4"), line("begin", "b", release="")]
    assert journal.fold(lines).highest == 42
    odd = [line("begin", "a", release="rX"), line("begin", "b"), line("begin", "c", release="r²")]
    assert journal.fold(odd).highest == 0
    late = [line("begin", "a"), line("done", "a", step="h", committed="r0007-1a2b3c4")]
    assert journal.fold(late).highest == 7


def test_a_failed_run_that_brings_back_what_served_has_committed_nothing() -> None:
    """Killed before its end, it must be called failed, and nobody watches what it brought back."""
    told = journal.fold(
        [
            line("begin", "a", verb="deploy", release="r0002-2222222"),
            line("done", "a", step="handover", committed="r0001-1111111"),
        ]
    )
    assert told.committed == "r0001-1111111" and told.runs[0].committed == ""


def test_a_cause_that_is_no_object_is_left_out() -> None:
    """History shows nothing rather than fail."""
    assert journal.fold([line("begin", "a", cause="me")]).runs[0].cause == {}


@given(st.lists(st.one_of(st.sampled_from(DEPLOYED), st.text(max_size=40)), max_size=12))
def test_no_line_makes_the_fold_fail(lines: list[str]) -> None:
    """Whatever a disk gives back, there is a history."""
    told = journal.fold(lines)
    assert told.garbled <= len(lines)
    assert not told.committed or told.committed == ONE


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=9)),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=4,
)
KINDS = st.sampled_from(["begin", "intent", "done", "end", "boot", "x"])
KEYS = ("v", "t", "run", "verb", "release", "from", "cause", "step", "committed", "outcome")


@given(st.lists(st.tuples(KINDS, st.dictionaries(st.sampled_from(KEYS), JSON)), max_size=6))
def test_no_field_of_another_type_makes_the_fold_fail(records: list[tuple[str, dict]]) -> None:
    """A line of another version or hand is read as far as it can be."""
    lines = [json.dumps({"t": 1.0, "run": "a", **rest, "k": kind}) for kind, rest in records]
    assert len(journal.fold(lines).runs) <= len(lines)
