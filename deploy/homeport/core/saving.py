"""Steps that keep data safe around a deploy: saved, checked, rehearsed, migrated.

Each function returns steps, or why there are none.
"""

from __future__ import annotations

import math
from dataclasses import replace

from homeport.backups import Backup, Manifest
from homeport.core.facts import Facts
from homeport.core.render import Rendered
from homeport.errors import Problem
from homeport.model import Release, Settings
from homeport.planned import Plan, Skip, Step

NOT_CONFIGURED = "not configured"
UNCOVERED = (
    '[backup] postgres = "DATABASE_URL" saves the server of the compose file; for another database'
    " take [migrate] out and migrate by hand"
)
UNSEEN = "what is pending is known once the image is on the host"


def asked(settings: Settings) -> Backup | None:
    """What is to be saved, or None: whoever names migrations wants what makes them safe."""
    if settings.backup is None and settings.migrate is not None:
        return Backup()
    return settings.backup


def has_data(settings: Settings, rendered: Rendered) -> bool:
    """Whether a release of these settings has anything that could be lost."""
    wanted = asked(settings)
    return bool(rendered.writable or (wanted and wanted.postgres))


def pending(facts: Facts, release: Release) -> bool:
    """Whether the release has something to migrate."""
    seen = facts.schema
    return bool(release.settings.migrate and seen and seen.pending)


def save(facts: Facts, release: Release, rendered: Rendered) -> tuple[list[Step], list[Skip]]:
    """A copy of the data before a deploy, and the check that it can be restored."""
    why = _nothing(facts, release, rendered)
    if why:
        return [], [Skip("backup", why), Skip("verify", why)]
    served = facts.committed or release
    args = {"release": served.id, "why": f"before {release.id}"}
    return [
        Step("backup", "backup", "a deploy may touch the data", args),
        Step("verify", "verify", "a copy counts when it was restored", {"release": served.id}),
    ], []


def _nothing(facts: Facts, release: Release, rendered: Rendered) -> str:
    settings = release.settings
    wanted = asked(settings)
    if wanted is None:
        return NOT_CONFIGURED
    if not has_data(settings, rendered):
        return "it declares no data"
    there = {one.path for one in rendered.folders} & facts.folders
    if facts.committed is None and not there and not set(rendered.volumes) & facts.volumes:
        return "there is no data yet"
    return ""


def rehearse(facts: Facts, release: Release, room: bool) -> tuple[list[Step], list[Skip]]:
    """The migration tried on the copy, and the new release started on that, touching no user."""
    if release.settings.migrate is None:
        return [], [Skip("migrate", NOT_CONFIGURED)]
    if facts.committed is None:
        return [], [Skip("rehearse", "nothing serves yet")]
    if facts.schema is None:
        return [], [Skip("migrate", UNSEEN)]
    if not facts.schema.pending:
        return [], [Skip("migrate", f"the schema is at {facts.schema.found}, as it needs")]
    if not room:
        why = "there is no memory for a second slot beside the one that serves"
        return [], [Skip("rehearse", why)]
    cause = f"{change(facts)} is tried on the copy first"
    return [Step("rehearse", "rehearse", cause, {"release": release.id})], []


def uncovered(release: Release, manifest: Manifest) -> tuple[Problem, ...]:
    """Why a set does not have the database that a release's migration changes; empty if it does.

    Such a migration could neither be tried on a copy nor be put back.
    """
    kinds, wanted = {one.kind for one in manifest.items}, asked(release.settings)
    name = wanted.postgres if wanted else ""
    if "postgres" in kinds or (not name and "sqlite" in kinds):
        return ()
    what = f"the set {manifest.id} has no copy of the database that would be migrated"
    why = "a SQLite database lies in none of the app's mounts, and [backup] names no PostgreSQL one"
    if name:
        why = f"{name} leads to no database that the app's own services could save"
    return (Problem(what, "[migrate] command", why, UNCOVERED),)


def rehearsed(plan: Plan) -> tuple[Plan, Plan]:
    """A plan up to its rehearsal, and from there on; all of it and nothing where it has none."""
    at = [number for number, step in enumerate(plan.steps, 1) if step.do == "rehearse"]
    cut = at[0] if at else len(plan.steps)
    return replace(plan, steps=plan.steps[:cut]), replace(plan, steps=plan.steps[cut:])


def paged(rest: Plan, seconds: float) -> Plan:
    """The same steps with the maintenance page up while requests would wait for too long."""
    args = {"why": "", "minutes": max(1, math.ceil(seconds / 60))}
    up = Step("page", "page-up", "it takes longer than requests may wait", args)
    down = Step("unpage", "page-down", "the release answers", {})
    steps: list[Step] = []
    for step in rest.steps:
        steps += [up, step] if step.id == "hold" else [step, down] if step.commit else [step]
    return replace(rest, steps=tuple(steps), notices=(), skips=())


def unrehearsed(facts: Facts, plan: Plan, release: Release) -> Plan:
    """The plan with the page up where a migration was not tried first: nobody knows how long
    requests would have to wait for it.
    """
    rules, known = release.settings.migrate, {one.do for one in plan.steps}
    held = any(one.id == "hold" for one in plan.steps)
    if rules is None or facts.maintenance or "rehearse" in known or "migrate" not in known:
        return plan
    if not held or plan.mode != "exclusive":
        return plan
    deploy = release.settings.deploy
    steps = paged(plan, deploy.drain + rules.within + deploy.start).steps
    notice = "the migration is not rehearsed: the maintenance page answers while it goes on"
    return replace(plan, steps=steps, notices=(*plan.notices, notice))


def change(facts: Facts) -> str:
    """``0001 -> 0002``: what a migration makes of the schema."""
    return f"{facts.schema.found} -> {facts.schema.wanted}" if facts.schema else ""


def migrate(facts: Facts, release: Release, later: bool = False) -> tuple[Step, ...]:
    """The schema brought up, where it must be: a first release's always is.

    ``later`` leaves it to ``known`` to look at what it did.
    """
    rules = release.settings.migrate
    first = facts.committed is None
    if rules is None or not (first or pending(facts, release)):
        return ()
    cause = f"the schema goes {change(facts)}" if not first else "the first release's schema"
    args: dict[str, object] = {"release": release.id, "within": rules.within}
    if later:
        args["later"] = True
    return (Step("migrate", "migrate", cause, args),)


def known(facts: Facts, release: Release) -> tuple[Step, ...]:
    """What looks at a migration that nobody has looked at yet: people wait, and a container that
    does nothing but ask takes as long as the release takes to start.
    """
    if not migrate(facts, release):
        return ()
    args = {"release": release.id}
    return (Step("schema", "schema", "the migration did what it said it would", args),)


def staked(facts: Facts, old: Release, new: Release) -> tuple[Step, ...]:
    """The last copy, made when nobody writes any more, and the migration that it makes safe."""
    args = {"release": old.id, "why": f"in the hold before {new.id}"}
    cause = "if anything fails from here on, the data is put back"
    return (Step("snapshot", "snapshot", cause, args), *migrate(facts, new, later=True))


def adopted(facts: Facts, new: Release) -> tuple[Step, ...]:
    """The same for a first release over data that was there before it; nobody writes to that."""
    moved = migrate(facts, new) if facts.committed is None else ()
    if not moved:
        return ()
    args = {"release": new.id, "why": f"before the migration of {new.id}"}
    cause = "if anything fails from here on, the data is put back"
    return (Step("snapshot", "snapshot", cause, args), *moved)
