"""Plans about sets as literal text, ``test_core_plan_data.txt``: what is done, kept and said."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from builders import facts, line, release, settings, slot
from homeport.backups import Backup
from homeport.core import journal, plan as plans, plan_data
from homeport.core.edge import Wanted
from homeport.core.facts import Facts
from homeport.core.kept import Kept
from homeport.core.maintenance import Maintenance
from homeport.core.policy import Choice
from homeport.core.render import Rendered
from homeport.planned import Plan
from saving import at, kept

RULES = Backup(keep=2, days=30)
ONE = release(1, said=replace(settings(drain=4.0), backup=RULES))
LONE = replace(ONE, moving=("web",))
NOW = at("2026-03-31 13:00")


def seen(*sets: Kept, live: Any = ONE, **rest: Any) -> Facts:
    """The first release serves, and these sets lie there."""
    known = facts(live, live=live, now=NOW, **rest)
    checked = {one.manifest.id: one.verified for one in sets if one.verified}
    return replace(known, sets=tuple(one.manifest for one in sets), verified=checked)


def makes(known: Facts, hold: bool = False) -> Plan:
    """A backup of what serves."""
    live = known.committed
    assert live is not None
    return plan_data.backup(known, live, RULES, "scheduled, 03:30", hold)


FAR = Backup("DATABASE_URL", offsite="/mnt/usb")
FULL = (kept("2026-01-01"), kept("2026-03-30"), kept("2026-03-31"))

PLANS: dict[str, Plan] = {
    "the first": makes(seen()),
    "the new one counts when others go": makes(seen(kept("2026-01-01"), kept("2026-03-31"))),
    "of one instant": makes(seen(kept("2026-03-31")), hold=True),
    "of one instant, for the first time and without workers": makes(seen(live=LONE), hold=True),
    "checked again": plan_data.verify(FULL),
    "pruned": plan_data.prune(seen(*FULL), RULES),
    "nothing to prune": plan_data.prune(seen(kept("2026-01-01")), RULES),
    # with PostgreSQL, which was never put back as far as the journal tells
    "off the box too": plan_data.backup(seen(), ONE, FAR, "scheduled, 03:30"),
    # a plan of its own: what serves need not wait for the line
    "and away": plan_data.away(FAR),
}


def told() -> dict[str, str]:
    """Name → the text of that plan."""
    parts = Path(__file__).with_suffix(".txt").read_text().split("== ")[1:]
    return {name: text.strip("\n") for name, _, text in (one.partition("\n") for one in parts)}


@pytest.mark.parametrize("name", PLANS)
def test_the_plan(name: str) -> None:
    """The text of a plan is its promise: requests wait for the copying, not for the checking."""
    assert PLANS[name].text() == told()[name]


def test_every_text_has_its_plan() -> None:
    """A text that no plan is held to would promise nothing."""
    assert list(told()) == list(PLANS)


def test_what_a_stake_and_a_kept_release_need() -> None:
    """Neither goes, whatever the numbers say; a release that goes in the same run needs nothing."""
    old = replace(release(1, schema="a"), settings=ONE.settings)
    new = replace(release(2, schema="b"), settings=ONE.settings)
    sets = (
        kept("2025-01-01", schema="a"),
        *(kept(f"2026-03-{day}", schema="b") for day in (30, 31)),
    )
    known = replace(seen(*sets), releases=(old, new))
    assert plan_data.going_sets(known, RULES) == ()
    gone = plan_data.going_sets(known, RULES, going=(old.id,))
    assert [one.set for one in gone] == ["20250101T120000-0000"]
    staked = [line("begin", "y", verb="deploy", release=new.id)]
    staked += [line("stake", "y", set="20250101T120000-0000")]
    known = replace(known, history=journal.fold(staked))
    assert plan_data.going_sets(known, RULES, going=(old.id,)) == ()


#: verb of the run that made an unverified set → whether a newer good one lets it go
VERBS = {
    **{"restore": False, "rollback": False},
    **{"deploy": True, "backup": True, "restore-from": True, "take-back": True},
}


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("end", ["restored", "failed", ""])
def test_what_somebody_gave_up_does_not_go_with_the_next_backup(verb: str, end: str) -> None:
    """It is in the set that the run made which put other data in place, however that ended."""
    lines = [line("begin", "x", verb=verb, release=ONE.id)]
    lines += [line("end", "x", outcome=end)] if end else []
    before = kept("2026-03-30", "unverified", run="x")
    known = replace(seen(before, kept("2026-03-31")), history=journal.fold(lines))
    gone = plan_data.going_sets(known, RULES, coming=True)
    assert [one.set for one in gone] == ([before.manifest.id] if VERBS[verb] else [])
    # once it is older than that, it goes like any other
    later = replace(known, now=at("2026-04-30"))
    assert before.manifest.id in {one.set for one in plan_data.going_sets(later, RULES)}


#: schema of the old release's set, and of which release it is → whether it goes
FROM_BEFORE: dict[str, tuple[Kept, bool]] = {
    "made with [migrate] in sight": (
        kept("2025-01-01", schema="a", release="r0001-1111111"),
        False,
    ),
    "made before it": (kept("2025-01-01", release="r0001-1111111"), False),
    "of a release that nobody knows": (kept("2025-01-01", release="r0009-9999999"), True),
    "of a schema that nobody needs": (kept("2025-01-01", schema="0"), True),
}


@pytest.mark.parametrize("name", FROM_BEFORE)
@pytest.mark.parametrize("coming", [False, True])
def test_what_a_release_from_before_migrations_needs(name: str, coming: bool) -> None:
    """It says nothing of its schema: the one that the first migration found is what it needs."""
    old = replace(release(1), settings=ONE.settings)
    new = replace(release(2, schema="b"), settings=ONE.settings, came_from="a")
    one, goes = FROM_BEFORE[name]
    newer = [kept(f"2026-03-{day}", schema="b", release=new.id) for day in (30, 31)]
    told = journal.fold([line("begin", "y", verb="deploy"), line("schema", "y", schema="b")])
    known = replace(seen(one, *newer), releases=(old, new), history=told)
    gone = [one.set for one in plan_data.going_sets(known, RULES, coming)]
    assert (one.manifest.id in gone) == goes
    assert not {one.manifest.id for one in newer} & set(gone)
    # nobody needs it once that release goes too
    gone = [one.set for one in plan_data.going_sets(known, RULES, coming, going=(old.id,))]
    assert one.manifest.id in gone


def test_what_goes_with_a_new_one_leaves_nothing_to_let_go() -> None:
    """The set that is to come counts as if it were there: of today, verified, and the newest."""
    old = [kept(f"2026-03-31 0{hour}:00") for hour in range(4)]
    one_only = Backup(keep=1)
    gone = {one.set for one in plan_data.going_sets(seen(*old), one_only, coming=True)}
    left = [one for one in old if one.manifest.id not in gone]
    after = seen(*left, kept("2026-03-31 13:00"))
    assert left == [] and plan_data.going_sets(after, one_only) == ()


def test_a_deploy_lets_old_sets_go_at_its_end() -> None:
    """Who has no schedule keeps no more sets either; a deploy that makes none lets none go."""
    new = replace(release(2), settings=ONE.settings)
    known = seen(kept("2026-01-01"), kept("2026-03-31"), containers=slot(ONE, pinned=True))
    for rendered, last in ((Rendered(writable=("web",)), "prune-sets"), (Rendered(), "prune")):
        plan = plans.deploy(known, new, rendered, Choice("recreate"), Wanted())
        assert plan.steps[-1].do == last
    made = plans.deploy(known, new, Rendered(writable=("web",)), Choice("recreate"), Wanted())
    assert made.steps[-1].args == {"sets": ["20260101T120000-0000"]}


def test_requests_do_not_wait_longer_than_they_can() -> None:
    """Refused where the last set took longer than the hold limit, unless everybody has the page."""
    slow = kept("2026-03-31")
    slow = replace(slow, manifest=replace(slow.manifest, ended=slow.manifest.created + 31))
    assert (
        plan_data.too_long(seen(), ONE) == plan_data.too_long(seen(kept("2026-03-31")), ONE) == ()
    )
    problem = plan_data.too_long(seen(slow), ONE)[0]
    assert problem.why == "the last set took 31 s, and no request waits longer than 30 s"
    assert "homeport maintenance on" in problem.mend
    assert plan_data.too_long(seen(slow, maintenance=Maintenance()), ONE) == ()
