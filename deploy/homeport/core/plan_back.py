"""Plans that put data back: under the release that serves, or under one that is gone back to.

What is there now is saved first, when nobody writes any more. From then on it is at stake: whatever
fails before the commit, it is put back and what served serves.
"""

from __future__ import annotations

from homeport.backups import Manifest
from homeport.core import back, steps
from homeport.core.facts import Facts
from homeport.model import Release
from homeport.planned import Plan, Skip, Step


def verify(set_: Manifest, target: Release) -> Plan:
    """The plan that checks a set which nobody has checked yet, before anybody waits."""
    args = {"set": set_.id, "release": target.id}
    step = Step("verify", "verify", "a copy counts when it was restored", args)
    return Plan("verify", target.id, (step,))


def moved(facts: Facts, set_: Manifest, target: Release, anyway: bool = False) -> tuple[Step, ...]:
    """What happens to the data while nobody writes: today's is saved, the set's put in place.

    ``anyway``: a copy that is not what was saved is better than none.
    """
    old = facts.committed or target
    args = {"release": target.id, "set": set_.id, "schema": back.schema_of(facts, set_)}
    return (
        Step(
            "snapshot",
            "snapshot",
            "what is there now is kept, and put back if anything fails from here on",
            # damaged data is why somebody goes back: then it is kept as it lies
            {"release": old.id, "why": f"before {set_.id} was put back", "raw": True},
        ),
        Step(
            "restore",
            "restore-data",
            f"{target.id} gets the data of {set_.id}",
            {**args, **({"anyway": True} if anyway else {})},
        ),
    )


def restore(facts: Facts, set_: Manifest, live: Release, anyway: bool = False) -> Plan:
    """The plan that puts a set's data under the release that serves: its slot stops and starts."""
    cause = f"nobody writes while the data of {set_.id} is put back"
    todo = (
        steps.hold(facts, cause),
        *steps.held_stop(live, live, live.settings.deploy.drain, "its writes end first"),
        *moved(facts, set_, live, anyway),
        steps.start(facts, live, live.moving, "it serves on, with that data", "start"),
        steps.ready(facts, live),
        *steps.smoke(live),
        steps.commit(live),
        steps.settle(live, "", "")[0],
    )
    skips = (Skip("watch", "the code is the one that served"),)
    return Plan("restore", live.id, todo, skips, (), "exclusive")
