"""Which release is committed, and what of it is there, as a table."""

from __future__ import annotations

from dataclasses import replace

import pytest
from builders import HOLD, facts, history, release, slot
from homeport.core.facts import Facts
from homeport.model import Release

ONE, TWO, GONE = release(1), release(2), release(9)
BASE = facts(ONE, TWO, live=ONE, history=history(ONE, TWO), current=ONE.id)

COMMITTED: dict[str, tuple[Facts, Release | None]] = {
    "the link wins over journal and current": (BASE, ONE),
    "a hold: the journal": (replace(BASE, link=HOLD), TWO),
    "missing: the journal": (replace(BASE, link=None), TWO),
    "garbage: the journal": (replace(BASE, link="\x00\x00"), TWO),
    "empty: the journal": (replace(BASE, link=""), TWO),
    "another app's address: the journal": (
        replace(BASE, link="unix//run/homeport/other/r0001/app.sock"),
        TWO,
    ),
    "a release that is gone: the journal": (replace(BASE, link=GONE.link), TWO),
    "no journal: current": (replace(BASE, link=HOLD, history=history()), ONE),
    "the journal's release is gone: current": (
        replace(BASE, link=HOLD, history=history(GONE)),
        ONE,
    ),
    "nothing at all": (facts(), None),
    "a removed app": (
        replace(BASE, link=None, history=replace(history(TWO), removed=True)),
        None,
    ),
    "a removed app of which a link is left": (
        replace(BASE, history=replace(history(TWO), removed=True)),
        ONE,
    ),
}


@pytest.mark.parametrize("name", COMMITTED)
def test_committed(name: str) -> None:
    """The link, then the journal, then ``current``."""
    seen, live = COMMITTED[name]
    assert seen.committed == live


def test_a_release_is_found_by_id_and_by_slot() -> None:
    """And by nothing else."""
    assert BASE.release(ONE.id) == BASE.release("r0001") == ONE
    assert BASE.release("") is None and BASE.release("1") is None


def test_served_are_those_still_here_with_what_serves() -> None:
    """Pruned ones are left out; what the link names counts before the journal knows of it."""
    assert replace(BASE, history=history(GONE, ONE, TWO)).served == (ONE, TWO)
    assert replace(BASE, link=TWO.link, history=history(ONE)).served == (ONE, TWO)
    assert facts().served == ()


PARTS = {
    "whole": (slot(ONE), True, True),
    "stopped": (slot(ONE, False), True, False),
    "a part of it": (slot(ONE, only=("web",)), False, False),
    "another's": (slot(TWO), False, False),
    "one service stopped": (
        (*slot(ONE, only=("web",)), *slot(ONE, False, only=("worker",))),
        True,
        False,
    ),
    "nothing": ((), False, False),
}


@pytest.mark.parametrize("name", PARTS)
def test_kept_and_running(name: str) -> None:
    """Every moving service counts."""
    containers, kept, running = PARTS[name]
    seen = replace(BASE, containers=containers)
    assert (seen.kept(ONE), seen.running(ONE)) == (kept, running)


#: service, restart policy, exit code, when it started; whether its release counts as running
ENDED = [
    ("worker", "no", 0, "2026-01-31T12:00:00Z", True),
    ("worker", "on-failure:3", 0, "2026-01-31T12:00:00Z", True),
    ("worker", "on-failure", 1, "2026-01-31T12:00:00Z", False),
    ("worker", "no", 1, "2026-01-31T12:00:00Z", False),
    ("worker", "no", 0, "0001-01-01T00:00:00Z", False),
    ("worker", "no", 0, "", False),
    ("worker", "always", 0, "2026-01-31T12:00:00Z", False),
    ("web", "no", 0, "2026-01-31T12:00:00Z", False),
]


@pytest.mark.parametrize("service,policy,code,started,running", ENDED)
def test_what_may_end(service: str, policy: str, code: int, started: str, running: bool) -> None:
    """A service that runs once, to a good end, is not down; the web service always is."""
    one = replace(ONE, policies={**ONE.policies, service: policy})
    ended = [
        (
            replace(box, running=False, exit_code=code, started=started)
            if box.service == service
            else box
        )
        for box in slot(one)
    ]
    assert replace(BASE, containers=tuple(ended)).running(one) is running


def test_a_stale_release_is_not_kept() -> None:
    """Its containers hold yesterday's secrets."""
    seen = replace(BASE, containers=slot(ONE), stale=frozenset({ONE.id}))
    assert not seen.kept(ONE) and seen.running(ONE)


def test_a_release_without_services_is_neither() -> None:
    """Nothing to run is not the same as running."""
    empty = replace(ONE, moving=())
    assert not BASE.kept(empty) and not BASE.running(empty)


def test_containers_of_a_slot() -> None:
    """By the slot's name alone."""
    seen = replace(BASE, containers=(*slot(ONE), *slot(TWO)))
    assert seen.slot("r0002") == slot(TWO)


WAYS = {
    "its containers are kept": ({"containers": slot(TWO, False)}, "start"),
    "only its image": ({}, "recreate"),
    "neither, but a registry has it": ({"images": frozenset()}, "pull"),
    "it never served": ({"history": history(ONE), "containers": slot(TWO)}, "no"),
    "it was taken back": (
        {"history": replace(BASE.history, taken_back=(TWO.id,)), "containers": slot(TWO)},
        "no",
    ),
}


@pytest.mark.parametrize("name", WAYS)
def test_how_a_release_can_be_gone_back_to(name: str) -> None:
    """The quickest way that is there."""
    rest, way = WAYS[name]
    assert replace(BASE, **rest).way_back(TWO) == way


def test_an_image_that_was_sent_by_hand_is_in_no_registry() -> None:
    """Gone from the host, it is gone."""
    sent = replace(TWO, image="sha256:2222")
    seen = replace(BASE, releases=(ONE, sent), images=frozenset())
    assert seen.way_back(sent) == "no"
