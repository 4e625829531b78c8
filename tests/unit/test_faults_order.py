"""The plans of the list, step by step, against what the core plans: a step more is told at once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Callable

import pytest
from builders import facts, release, settings, slot
from homeport.backups import Backup, Migrate
from homeport.core import care, plan as plans, plan_back, plan_data, recovery
from homeport.core.care import Database
from homeport.core.edge import Wanted
from homeport.core.facts import Facts, Schema
from homeport.core.policy import Choice
from homeport.core.render import Rendered
from homeport.model import Mode, Smoke
from homeport.planned import Plan
from saving import at, kept

from bench.faults.plans import WAYS, way

RULES = Backup(postgres="DATABASE_URL", keep=1)
BOTH = ("web", "worker")
SAID = replace(
    settings(smoke=(Smoke("/health"),)), backup=RULES, migrate=Migrate(("up",), ("look",), True)
)
OLD, NEW = (release(number, moving=BOTH, said=SAID, schema="a") for number in (1, 2))
SETS = (kept("2026-03-30", schema="a"), kept("2026-03-31", schema="a"))
DATA = Rendered(writable=("data",))
SHARED = replace(DATA, shared={"services": {"db": {}}}, shared_hash="x")
ASK = Wanted("reload", (), "its settings change")


def seen(**rest: Any) -> Facts:
    """The old release serves, and two sets lie there."""
    boxes = (*slot(OLD, pinned=True), *rest.pop("boxes", ()))
    more = rest.pop("releases", ())
    usual = {"schema": Schema("a", "a"), "now": at("2026-03-31 13:00"), **rest}
    known = facts(OLD, *more, live=OLD, containers=boxes, **usual)
    checked = {one.manifest.id: one.verified for one in SETS if one.verified}
    images = known.images | {NEW.image}
    return replace(known, sets=tuple(one.manifest for one in SETS), verified=checked, images=images)


def deploy(mode: Mode, rendered: Rendered = DATA, to: str = "a", **rest: Any) -> Plan:
    """The plan of a deploy of the new release."""
    known = seen(schema=Schema("a", to), **rest)
    return plans.deploy(known, NEW, rendered, Choice(mode), Wanted())


def first() -> Plan:
    """The plan of the first one."""
    known = replace(facts(), images=frozenset(), schema=Schema("", "a"))
    rendered = replace(DATA, networks={"shop_default": {}})
    return plans.deploy(known, NEW, rendered, Choice("single-writer"), ASK)


def back(*data: Any) -> Plan:
    """The plan of a rollback to a release whose containers were kept."""
    known = seen(releases=(NEW,), boxes=slot(NEW, running=False))
    return plans.rollback(known, NEW, "single-writer", Wanted(), tuple(data))


def removed(shared: str = "") -> Plan:
    """The plan that ends the app."""
    return plans.remove(seen(shared_running=shared), ASK)


def vacuum() -> Plan:
    """The plan of the one care that a person asks for most."""
    return care.plan("vacuum", (Database("shop.db", 1, 0, "wal", "3", 10**9),), seen(), OLD)


def aboard() -> Plan:
    """The plan of a backup of a server's database."""
    return plan_data.backup(seen(), OLD, RULES, "asked for")


PLANS: dict[str, Callable[[], Plan]] = {
    "single-writer": lambda: deploy("single-writer"),
    "recreate": lambda: deploy("recreate"),
    "exclusive": lambda: deploy("exclusive"),
    "exclusive, migration": lambda: deploy("exclusive", to="b"),
    "overlap": lambda: deploy("overlap", SHARED, shared_running="x"),
    "overlap, migration": lambda: deploy("overlap", SHARED, "b", shared_running="x"),
    "exclusive, migration, server": lambda: deploy("exclusive", SHARED, "b", shared_running="x"),
    "first deploy": first,
    "rollback": back,
    "rollback with data": lambda: back(*plan_back.moved(seen(), SETS[0].manifest, NEW)),
    "restore": lambda: plan_back.restore(seen(), SETS[0].manifest, OLD),
    "restore, server": lambda: plan_back.restore(seen(), SETS[0].manifest, OLD),
    "backup": lambda: plan_data.backup(seen(), OLD, Backup(keep=1), "asked for"),
    "backup, held": lambda: plan_data.backup(seen(), OLD, Backup(keep=1), "asked for", True),
    "backup, server": aboard,
    "backup prune": lambda: plan_data.prune(seen(), RULES),
    "backup verify": lambda: plan_data.verify(SETS),
    "look after the data": vacuum,
    "edge change": lambda: plans.edge("edge-apply", ASK),
    "edge upgrade": plans.edge_pull,
    "maintenance on": lambda: plans.page("", 0),
    "maintenance off": plans.page_down,
    "shared services": lambda: plans.shared(seen(shared_running="w"), SHARED),
    "remove": removed,
    "remove, server": lambda: removed("x"),
    "taken back": lambda: plans.take_back(seen(releases=(NEW,), boxes=slot(NEW)), NEW, OLD),
}
#: ways whose plan is not one function's: what a rig's journal tells is compared with them
PLAYED = {"failed deploy", "deploy with the page"} | {
    one.name for one in WAYS if one.name.startswith("recovery of")
}
#: what depends on how many sets of which schema lie there
COUNTED = ("prune-sets", "prune-replaced")


@pytest.mark.parametrize("name", PLANS)
def test_the_steps_are_those_of_the_plan(name: str) -> None:
    """In their order, each with its operation."""
    one = way(name)
    verb = one.plans[-1][0]
    listed = [(step, do) for plan, step, do in one.steps if plan == verb and do not in COUNTED]
    plan = PLANS[name]()
    made = [(step.id.split()[0], step.do) for step in plan.steps]
    assert plan.verb == verb, "a plug for another plan is never pulled"
    assert [one for one in made if one[1] not in COUNTED] == listed


def test_every_way_is_compared() -> None:
    """A plan of the list that nothing is held to would be a mere claim."""
    assert set(PLANS) | PLAYED == {one.name for one in WAYS} and not set(PLANS) & PLAYED


def test_what_recovery_does_is_in_the_list() -> None:
    """After a deploy that died in its hold, and with data at stake."""
    known = replace(seen(boxes=slot(NEW, running=True)), link="unix//run/homeport/shop/hold.sock")
    stopped = tuple(
        replace(one, running=False, policy="no") if one.slot == OLD.slot else one
        for one in known.containers
    )
    made = recovery.plan(replace(known, containers=stopped)).steps
    listed = [(step, do) for _, step, do in way("recovery of a hold").steps]
    assert [(step.id.split()[0], step.do) for step in made] == listed
