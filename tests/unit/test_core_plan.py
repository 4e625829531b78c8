"""Plans as a table of literal text, ``test_core_plan.txt``: the order of steps is the promise."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from builders import HOLD, facts, history, line, release, settings, slot
from homeport.backups import Backup, Manifest, Migrate
from homeport.core import journal, plan as plans, plan_back, recovery, saving
from homeport.core.edge import Wanted
from homeport.core.facts import Facts, Schema
from homeport.core.maintenance import Maintenance
from homeport.core.policy import Choice
from homeport.core.render import Folder, Rendered
from homeport.model import Mode, Release, Smoke
from homeport.planned import Plan, Skip, Step

ONE, TWO, THREE = release(1), release(2), release(3)
LONE = (release(1, moving=("web",)), release(2, moving=("web",)))
SMOKY = settings(smoke=(Smoke("/a"), Smoke("/b")), drain=4.0, start=20.0)
FULL = Rendered(
    networks={"shop_front": {}, "shop_default": {}},
    volumes={"shop_data": {}},
    folders=(Folder("/opt/shop/data", "web", "/data"),),
    shared={"services": {"db": {}, "cache": {}}},
    shared_hash="abc",
    notices=("web: its published port is answered by the edge",),
)
NEW_EDGE = Wanted("create", "no edge runs yet; shop is to answer on port 80", (80,))
NO_SITE = Wanted("load", "shop is removed", (), ("the configuration is loaded anew",))

#: the first release serves; nothing else is there
LIVE_1 = facts(ONE, live=ONE, containers=slot(ONE, pinned=True))
#: the second serves; the first is kept
LIVE_2 = facts(ONE, TWO, live=TWO, containers=(*slot(ONE, False), *slot(TWO, pinned=True)))
LIVE_3 = facts(ONE, TWO, THREE, live=THREE, containers=slot(THREE, pinned=True))


SET = Manifest("20261126T031500-1a2b", "shop", ONE.id, 1.0, "0001")


def deploy(seen: Facts, new: Release, mode: Mode, rendered: Rendered = Rendered()) -> Plan:
    """A deploy for which nothing is to be said and nothing changes at the edge."""
    return plans.deploy(seen, new, rendered, Choice(mode), Wanted())


def back(seen: Facts, target: Release, mode: Mode) -> Plan:
    """A rollback that leaves the edge alone."""
    return plans.rollback(seen, target, mode, Wanted())


def died(link: str = ONE.link, **rest: Any) -> Plan:
    """Recovery after a deploy of the second release over the first ended too early."""
    return recovery.plan(facts(ONE, live=ONE, **{"link": link, **rest}))


def seeing(seen: Facts, schema: str) -> Facts:
    """The facts with a database of this schema, where "s2" is wanted."""
    return replace(seen, schema=Schema(schema, "s2"))


WRITES = Rendered(writable=("web",))
RULES = Migrate(("up",), ("look",), within=30.0)
MOVED = release(2, "exclusive", said=replace(settings(), migrate=RULES), schema="s2")
ADDS = release(
    2,
    "overlap",
    said=replace(
        settings(), backup=Backup("DATABASE_URL"), migrate=replace(RULES, compatible=True)
    ),
)
#: a first release came to have the data that it found
FOUND_LINES = [
    line("begin", "x", verb="deploy", release=TWO.id),
    line("stake", "x", set=SET.id),
    line("intent", "x", step="migrate", do="migrate"),
]
#: the first release served when the second one's run came to have the data
STAKED_LINES = [
    line("begin", "x", verb="deploy", release=ONE.id),
    line("done", "x", step="handover", committed=ONE.id),
    line("done", "x", step="watch"),
    line("end", "x", outcome="deployed"),
    line("begin", "y", verb="deploy", release=TWO.id),
    line("intent", "y", step="snapshot", do="snapshot"),
    line("stake", "y", set="20260101T000000-abcd"),
]
STAKED = journal.fold(STAKED_LINES)

BOTH = (*slot(ONE, pinned=True), *slot(TWO))
AFTER = {"link": TWO.link, "releases": (ONE, TWO), "history": history(ONE, TWO)}

PLANS: dict[str, Plan] = {
    "overlap: first": deploy(facts(), ONE, "overlap"),
    "overlap: changed": deploy(LIVE_1, TWO, "overlap"),
    "overlap: failed": died(containers=BOTH),
    "overlap: interrupted after the handover": died(containers=BOTH, **AFTER),
    "single-writer: first": deploy(facts(), ONE, "single-writer"),
    "single-writer: changed": deploy(LIVE_1, TWO, "single-writer"),
    "single-writer: changed, no workers, image there": deploy(
        facts(LONE[0], live=LONE[0], images=frozenset({LONE[1].image})), LONE[1], "single-writer"
    ),
    "single-writer: failed": died(
        containers=(*slot(ONE, pinned=True), *slot(TWO, only=("web",))), standby=(TWO.slot,)
    ),
    "single-writer: interrupted in the hold": died(
        HOLD, containers=(*slot(ONE, False), *slot(TWO, only=("web",)))
    ),
    "single-writer: interrupted after the handover": died(
        containers=(*slot(ONE, False), *slot(TWO, only=("web",))), **AFTER
    ),
    "exclusive: first": deploy(seeing(facts(), "empty"), MOVED, "exclusive", WRITES),
    "exclusive: first, over data that was there": deploy(
        replace(seeing(facts(), "empty"), folders=frozenset({"/opt/shop/data"})),
        MOVED,
        "exclusive",
        replace(WRITES, folders=FULL.folders),
    ),
    "exclusive: first, failed in its migration": recovery.plan(
        facts(TWO, history=journal.fold(FOUND_LINES), containers=slot(TWO))
    ),
    "exclusive: first, failed, and what was there before was started by hand": recovery.plan(
        facts(TWO, history=journal.fold(FOUND_LINES), strangers=("shop-web-1",))
    ),
    "exclusive: changed": deploy(seeing(LIVE_1, "s1"), MOVED, "exclusive", WRITES),
    "exclusive: changed, nothing to migrate": deploy(
        seeing(LIVE_1, "s2"), MOVED, "exclusive", WRITES
    ),
    "exclusive: changed, no memory to rehearse": plans.deploy(
        seeing(LIVE_1, "s1"), MOVED, WRITES, Choice("exclusive", (), False), Wanted()
    ),
    "exclusive: changed, no memory to rehearse, and a page is up": plans.deploy(
        replace(seeing(LIVE_1, "s1"), maintenance=Maintenance()),
        MOVED,
        WRITES,
        Choice("exclusive", (), False),
        Wanted(),
    ),
    "exclusive: the rest of it, where requests would wait for too long": saving.paged(
        saving.rehearsed(deploy(seeing(LIVE_1, "s1"), MOVED, "exclusive", WRITES))[1], 95.0
    ),
    "exclusive: the image that tells what is pending": plans.fetch(LIVE_1, MOVED),
    "exclusive: failed with the page up": died(
        HOLD,
        containers=slot(ONE, False),
        history=journal.fold([*STAKED_LINES, line("intent", "y", step="page", do="page-up")]),
        maintenance=Maintenance(),
    ),
    "exclusive: failed in the migration": died(
        HOLD, containers=(*slot(ONE, False), *slot(TWO)), history=STAKED
    ),
    "exclusive: interrupted, and somebody started the old one by hand": died(
        HOLD, containers=slot(ONE), history=STAKED
    ),
    "exclusive: interrupted right after the rename": died(
        TWO.link, releases=(ONE, TWO), containers=(*slot(ONE, False), *slot(TWO)), history=STAKED
    ),
    "overlap: a migration that only adds": deploy(
        seeing(LIVE_1, "s1"), ADDS, "overlap", replace(WRITES, writable=())
    ),
    "overlap: saved, with an image that is not here": deploy(LIVE_1, ADDS, "overlap", WRITES),
    "recreate: first, everything is new": plans.deploy(
        facts(),
        release(1, said=SMOKY),
        FULL,
        Choice("recreate", ("recreate: 100 MiB are free",)),
        NEW_EDGE,
        ("the clock is not synchronised",),
    ),
    "recreate: changed, with smoke checks": deploy(LIVE_1, release(2, said=SMOKY), "recreate"),
    "recreate: failed": died(HOLD, containers=(*slot(ONE, False), *slot(TWO))),
    "recreate: interrupted after the handover": died(
        containers=(*slot(ONE, False), *slot(TWO)), **AFTER
    ),
    "deploy: shared services run already": deploy(
        replace(
            LIVE_1,
            shared_running="old",
            networks=frozenset({"shop_default", "shop_front"}),
            volumes=frozenset({"shop_data"}),
            folders=frozenset({"/opt/shop/data"}),
        ),
        TWO,
        "overlap",
        FULL,
    ),
    "rollback: kept containers": back(LIVE_2, ONE, "single-writer"),
    "rollback: recreated from its image": back(
        replace(LIVE_2, containers=slot(TWO, pinned=True)), ONE, "recreate"
    ),
    "rollback: its secrets changed": back(
        replace(LIVE_2, stale=frozenset({ONE.id})), ONE, "overlap"
    ),
    "rollback: pulled": plans.rollback(
        replace(LIVE_3, images=frozenset()), TWO, "overlap", replace(NEW_EDGE, change="load")
    ),
    "rollback: to what is live": back(LIVE_2, TWO, "overlap"),
    "rollback: with data": plans.rollback(
        LIVE_2, ONE, "single-writer", Wanted(), plan_back.moved(LIVE_2, SET, ONE)
    ),
    "restore": plan_back.restore(LIVE_2, SET, replace(TWO, settings=SMOKY)),
    "take-back: kept containers": plans.take_back(LIVE_2, TWO, ONE),
    "take-back: recreated": plans.take_back(LIVE_3, THREE, TWO),
    "shared: changed": plans.shared(replace(facts(), shared_running="old"), FULL),
    "shared: as wanted": plans.shared(replace(facts(), shared_running="abc"), FULL),
    "shared: none": plans.shared(facts(), Rendered()),
    "remove": plans.remove(replace(LIVE_2, shared_running="abc"), NO_SITE),
    "remove: nothing there": plans.remove(facts(), Wanted()),
}


def table() -> dict[str, str]:
    """The literal texts by name."""
    found: dict[str, str] = {}
    for part in Path(__file__).with_suffix(".txt").read_text().split("== ")[1:]:
        name, _, body = part.partition("\n")
        found[name] = body.strip("\n")
    return found


TABLE = table()


def test_every_plan_is_in_the_table() -> None:
    """Neither a plan without its text nor a text without its plan."""
    assert sorted(TABLE) == sorted(PLANS)


@pytest.mark.parametrize("name", PLANS)
def test_plans(name: str) -> None:
    """The plan is what the table says, whole."""
    assert PLANS[name].text() == TABLE[name]


@pytest.mark.parametrize("mode", ["overlap", "single-writer", "recreate"])
def test_the_order_of_what_was_seen_does_not_matter(mode: Mode) -> None:
    """The same input gives the same plan, in whatever order it comes."""
    mixed = replace(
        LIVE_2, containers=LIVE_2.containers[::-1], releases=LIVE_2.releases[::-1], standby=()
    )
    turned = replace(
        FULL,
        networks=dict(reversed(FULL.networks.items())),
        shared={"services": dict(reversed(FULL.shared["services"].items()))},
    )
    assert deploy(LIVE_2, THREE, mode, FULL) == deploy(LIVE_2, THREE, mode, FULL)
    assert deploy(mixed, THREE, mode, turned) == deploy(LIVE_2, THREE, mode, FULL)
    assert back(mixed, ONE, mode) == back(LIVE_2, ONE, mode)
    assert plans.remove(mixed, NO_SITE) == plans.remove(LIVE_2, NO_SITE)


# --- what prune lets go --------------------------------------------------------------------------
MANY = tuple(release(number, said=settings(keep=2)) for number in range(1, 8))


def served(*numbers: int) -> journal.History:
    """A history in which these releases served, in this order."""
    return history(*(MANY[number - 1] for number in numbers))


def taken(number: int) -> list[str]:
    """Lines of a run whose release was taken back."""
    one = MANY[number - 1]
    return [line("begin", "x", release=one.id), line("end", "x", outcome="taken-back")]


def serving(number: int, past: journal.History) -> Facts:
    """Seven releases are there and this one serves."""
    return facts(*MANY, live=MANY[number - 1], history=past)


LINES = [
    *(line("begin", one.slot, release=one.id) for one in MANY),
    *(line("done", one.slot, step="handover", committed=one.id) for one in MANY),
]
PRUNES = {
    "keeps two that served": (serving(6, served(1, 2, 3, 4, 5, 6)), 6, [1, 2, 3, 4, 7]),
    "failed ones do not count": (serving(6, served(1, 6)), 6, [2, 3, 4, 5, 7]),
    "keeps what serves now": (serving(3, served(1, 2, 3)), 7, [1, 2, 4, 5, 6]),
    "after a rollback keeps the newer ones": (serving(5, served(2, 5, 6, 4)), 4, [1, 3, 7]),
    "taken back ones do not count": (
        serving(7, journal.fold([*LINES, *taken(6)])),
        7,
        [1, 2, 3, 4, 6],
    ),
}


@pytest.mark.parametrize("name", PRUNES)
def test_prune_lists(name: str) -> None:
    """What is let go once a release serves: never it, the one before, or the one that serves."""
    seen, number, gone = PRUNES[name]
    found = plans.prune_list(seen, MANY[number - 1])
    assert found == [MANY[one - 1].id for one in gone]


def test_a_plan_as_text_shows_every_kind_of_argument() -> None:
    """Lists, nested mappings, seconds and empties can be read."""
    args = {"a": ["x", "y"], "b": [], "c": 1.5, "d": {"k": (1, 2.0)}, "e": ""}
    plan = Plan("x", steps=(Step("s", "do", "why", args), Step("t", "go", "why", {}, True)))
    plan = replace(plan, skips=(Skip("u", "no need"),), notices=("mind",))
    assert plan.text() == (
        "- s: do a=x,y b=none c=1.5s d={k=1,2s} e=  # why\n"
        "* t: go  # why\n  skip u: no need\n  note: mind"
    )


EDGE = Wanted("recreate", "port 443 is new at the edge", (80, 443), ("it is away for a second",))
EDGE_PLANS = [
    (
        plans.edge("edge-apply", EDGE),
        "- edge: edge-apply change=recreate ports=80,443  # port 443 is new at the edge\n"
        "  note: it is away for a second",
    ),
    (plans.edge("edge-apply", Wanted()), "  skip edge: it is as wanted"),
    (
        plans.edge_pull(),
        "- pull: edge-pull image=caddy:2.11.4  # a newer build may be there",
    ),
    (plans.page("a disk", 30), "- page: page-up minutes=30 why=a disk  # asked for"),
    (plans.page_down(), "- page: page-down  # asked for"),
]


@pytest.mark.parametrize(("plan", "text"), EDGE_PLANS)
def test_plans_that_change_the_edge_alone(plan: Plan, text: str) -> None:
    """Each step has its cause, and the gap is said beforehand."""
    assert plan.text() == text
