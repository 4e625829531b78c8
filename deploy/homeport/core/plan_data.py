"""Plans about sets of copies: making one, checking them again, and letting old ones go.

Like every plan they are decided here, from facts, and carried out elsewhere.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Iterable

from homeport.backups import Backup, Manifest, Verified
from homeport.core import back, offsite, retention, schemas, steps
from homeport.core.facts import Facts
from homeport.core.retention import Gone
from homeport.core.kept import Kept
from homeport.errors import Problem
from homeport.model import Release
from homeport.planned import Plan, Skip, Step

#: days for which a database that a restore replaced is kept
ASIDE = 7
#: what puts other data in place: what was there before is in a set of that run
_GO_BACK = ("restore", "rollback")
#: the newest set there is, whose name is not known before it is made
_COMING = "99999999T999999-ffff"


def backup(facts: Facts, live: Release, rules: Backup, why: str, hold: bool = False) -> Plan:
    """The plan that makes a set of what is live, verifies it, and lets old ones go.

    With ``hold`` requests wait meanwhile, so that all of the set is of one instant. What goes off
    the box is a plan of its own (``away``): it takes as long as somebody's line does, and no
    deploy is to wait for it.
    """
    todo: list[Step] = []
    notices: tuple[str, ...] = ()
    if hold:
        cause = "asked for: all of the set is of one instant"
        bound = {"address": live.link, "within": live.settings.deploy.drain}
        todo += [steps.hold(facts, cause), Step("drain", "drain", cause, bound)]
        notices = _while_held(facts, live)
    args = {"release": live.id, "why": why, **({"hold": True} if hold else {})}
    todo.append(Step("backup", "backup", why or "asked for", args))
    if hold:
        back = {"address": live.link, "release": live.id}
        todo.append(Step("serve", "link", "the copies are made", back))
    todo.append(
        Step("verify", "verify", "a copy counts when it was restored", {"release": live.id})
    )
    last, skips = prune_sets(facts, rules, coming=True)
    if not rules.offsite:
        skips = (*skips, Skip("offsite", "homeport.toml names no repository"))
    return Plan("backup", "", (*todo, *last, *_replaced(live, rules)), skips, notices)


def away(rules: Backup) -> Plan:
    """The plan that carries what was saved off the box, once the app's lock is free again."""
    return Plan("backup", "", offsite.steps(rules))


def _replaced(live: Release, rules: Backup) -> tuple[Step, ...]:
    """What a restore put aside in PostgreSQL goes after a while.

    Looked for each time: it is not only a `restore` that puts data back, recovery does as well.
    """
    if not rules.postgres:
        return ()
    args = {"release": live.id, "days": ASIDE}
    cause = f"a database that a restore replaced is kept for {ASIDE} days"
    return (Step("replaced", "prune-replaced", cause, args),)


def _while_held(facts: Facts, live: Release) -> tuple[str, ...]:
    said = []
    newest = facts.copies[-1] if facts.copies else None
    if newest:
        took = newest.manifest.ended - newest.manifest.created
        said.append(f"requests wait for about {took:.1f} s, as long as the last set took")
    names = ", ".join(steps.workers(live))
    if names:
        said.append(f"{names}: no request reaches it, so it goes on writing meanwhile")
    return tuple(said)


def too_long(facts: Facts, live: Release) -> tuple[Problem, ...]:
    """Why requests cannot be held while a set is made, where that is known beforehand."""
    newest = facts.copies[-1] if facts.copies else None
    took = newest.manifest.ended - newest.manifest.created if newest else 0.0
    limit = live.settings.deploy.hold
    if took <= limit or facts.maintenance:
        return ()
    why = f"the last set took {took:.0f} s, and no request waits longer than {limit:g} s"
    mend = "homeport maintenance on, then again; then homeport maintenance off"
    return (Problem("requests cannot wait so long", "host", why, mend),)


def prune_sets(
    facts: Facts, rules: Backup, coming: bool = False, going: Iterable[str] = ()
) -> tuple[tuple[Step, ...], tuple[Skip, ...]]:
    """The step that lets old sets go, or why there is none.

    ``coming``: a new one is made and verified before it; ``going``: releases that are let go.
    """
    gone = going_sets(facts, rules, coming, going)
    if not gone:
        return (), (Skip("prune-sets", "no set is beyond what is kept"),)
    args = {"sets": [one.set for one in gone]}
    cause = f"keep={rules.keep}, days={rules.days}"
    return (Step("prune-sets", "prune-sets", cause, args),), ()


def going_sets(
    facts: Facts, rules: Backup, coming: bool = False, going: Iterable[str] = ()
) -> tuple[Gone, ...]:
    """The sets that go, each with its reason."""
    sets = [_known(facts, one) for one in facts.copies]
    live, stake = facts.committed, facts.history.stake
    if coming:
        manifest = Manifest(_COMING, facts.app, live.id if live else "", facts.now)
        manifest = replace(manifest, schema=facts.history.schema)
        sets.append(Kept(manifest, Verified(_COMING, facts.now, True)))
    left = [one for one in facts.releases if one.id not in set(going)]
    needed = {schemas.needs(facts, one) for one in left}
    name = stake.set if stake else ""
    given_up = _given_up(facts)
    return retention.gone(sets, rules.keep, rules.days, facts.now, needed, name, given_up)


def _known(facts: Facts, one: Kept) -> Kept:
    """A set with the schema of its data, also where it is from before anybody asked for one."""
    schema = back.schema_of(facts, one.manifest)
    return replace(one, manifest=replace(one.manifest, schema=schema))


def _given_up(facts: Facts) -> set[str]:
    """The sets that runs made before they put other data in place.

    Whether such a run got to its commit does not matter: where it did not and nobody could give
    the data back either, its set is the only one that has it.
    """
    runs = {run.id for run in facts.history.runs if run.verb in _GO_BACK}
    return {one.id for one in facts.sets if one.run in runs}


def prune(facts: Facts, rules: Backup) -> Plan:
    """The plan that lets old sets go, and says of each why."""
    last, skips = prune_sets(facts, rules)
    said = tuple(f"{one.set} goes: {one.why}" for one in going_sets(facts, rules))
    return Plan("backup-prune", "", last, skips, said)


def verify(sets: tuple[Kept, ...]) -> Plan:
    """The plan that checks sets again, all of them whatever becomes of one."""
    names = [one.manifest.id for one in sets]
    size = sum(one.manifest.size for one in sets)
    cause = f"asked for: {size / 1e6:.0f} MB are restored to a scratch place and looked at"
    return Plan("backup-verify", "", (Step("verify", "verify-sets", cause, {"sets": names}),))
