"""An app taken over by a new host from a set: what stands against it, and its plan.

It is the plan of a first deploy, with the data put in place before anything starts.
"""

from __future__ import annotations

from dataclasses import replace

from homeport.backups import Backup
from homeport.core import restic
from homeport.core.facts import Facts
from homeport.core.render import Rendered
from homeport.errors import Problem
from homeport.model import HostAddress, Image, Release, Settings
from homeport.planned import Plan, Step

VERB, PUT = "restore-from", "data-back"
#: what begins to use the data: it must be there before the first of these
_USES = ("migrate", "standby-on", "compose-up", "start-kept")


def serves(facts: Facts) -> tuple[Problem, ...]:
    """The app serves on this host: it has data of its own, newer than any set."""
    live = facts.committed
    if live is None:
        return ()
    what = f"{facts.app} lives on this host already: {live.id}"
    why = "a set from a repository makes an app on a host that has nothing of it yet"
    mend = "homeport restore SET goes back to a set of this host, and saves today's data first"
    return (Problem(what, "host", why, mend),)


def in_the_way(facts: Facts, rendered: Rendered) -> tuple[Problem, ...]:
    """Data that is on this host and that nobody would save first.

    What an earlier try left is in nobody's way: it came from a set.
    """
    tried = [run for run in facts.history.runs if run.verb == VERB and run.end is not None]
    if any(PUT in (run.step, *run.done) for run in tried) and not facts.history.served:
        return ()
    why = "a set would be put in its place, and nothing would give it back"
    found = []
    for path in sorted({one.path for one in rendered.folders} & facts.folders):
        mend = f"on the host: sudo mv {path} {path}.before"
        found.append(Problem("there is data already", path, why, mend))
    for name in sorted(set(rendered.volumes) & facts.volumes):
        mend = f"on the host, if nobody needs it: docker volume rm {name}"
        found.append(Problem("there is a volume already", name, why, mend))
    return tuple(found)


def settings(record: Release, asked: Settings, source: str) -> Settings:
    """The settings of the set's own release, for this host, saving on where the set came from."""
    kept = record.settings
    backup = replace(kept.backup or Backup(), offsite=source)
    return replace(kept, host=asked.host if asked else HostAddress(), backup=backup)


def image(record: Release) -> Image | None:
    """The image of the set's own release; None where no registry has it."""
    if "@" not in record.image:
        return None
    return Image(record.image.split("@")[0], record.digest, (), record.size)


def nowhere(record: Release) -> Problem:
    """No registry has the image, and none came along."""
    why = f"it came to {record.id} by --from-local, and the host that had it is another"
    mend = "the same with --from-local, where docker compose build has made it"
    return Problem("no registry has the image of the set's release", record.image, why, mend)


def fetching(repository: str, wanted: str) -> Plan:
    """The plan that brings the set here, with the keys and settings that go with it."""
    where = restic.shown(repository)
    args = {"repository": repository, "set": wanted}
    return Plan(VERB, "", (Step("fetch", "fetch", f"the data is in {where}", args),))


def plan(deploy: Plan, set_id: str, record: Release) -> Plan:
    """A first deploy's plan with the set's data put in place before anything uses it."""
    at = next((n for n, one in enumerate(deploy.steps) if one.do in _USES), len(deploy.steps))
    args = {"release": deploy.release}
    there = (
        Step("verify", "verify", "a copy counts when it was restored", {**args, "set": set_id}),
        Step(PUT, "restore-data", "it serves with the set's data", {**args, "set": set_id}),
    )
    steps = (*deploy.steps[:at], *there, *deploy.steps[at:])
    skips = tuple(one for one in deploy.skips if one.id not in ("backup", "verify"))
    said = f"{deploy.release} is made as {record.id} was; later deploys go by homeport.toml again"
    return replace(deploy, verb=VERB, steps=steps, skips=skips, notices=(*deploy.notices, said))
