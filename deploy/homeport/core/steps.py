"""Runs of steps that plans are made of: what starts a slot, stops one, and moves traffic.

Each function returns steps and nothing else; the order inside them is the promise of a mode.
"""

from __future__ import annotations

from homeport.core import link as links
from homeport.core import saving
from homeport.core.facts import Facts
from homeport.model import Mode, Release
from homeport.planned import Step

#: how many good probes in a row make a new slot healthy, and one that served before
GOOD_NEW, GOOD_KNOWN = 3, 1


def workers(release: Release) -> tuple[str, ...]:
    """The moving services besides the web service."""
    return tuple(one for one in release.moving if one != release.web)


def start(facts: Facts, release: Release, services: tuple[str, ...], cause: str, id: str) -> Step:
    """Start services of a slot: its kept containers where all are there, else by Compose."""
    have = {one.service for one in facts.slot(release.slot)}
    fresh = release.id not in facts.stale
    how = "start-kept" if fresh and services and set(services) <= have else "compose-up"
    return Step(id, how, cause, {"release": release.id, "services": list(services)})


def ready(facts: Facts, release: Release) -> Step:
    """Wait until the slot is healthy: a second of good probes, or one for what served well before.

    A rollback is wanted quickly, and what it starts is the very release that served.
    """
    known = release in facts.served and release.id not in facts.history.taken_back
    if known:
        return probe(release, GOOD_KNOWN, "it served before")
    return probe(release, GOOD_NEW, "no traffic before it answers")


def probe(release: Release, good: int, cause: str) -> Step:
    """Wait until the slot answers well ``good`` times in a row."""
    args = {"release": release.id, "good": good, "within": release.settings.deploy.start}
    return Step("healthy", "probe", cause, args)


def smoke(release: Release) -> tuple[Step, ...]:
    """The user's own checks, where there are any."""
    if not release.settings.smoke:
        return ()
    args = {"release": release.id, "checks": len(release.settings.smoke)}
    return (Step("smoke", "smoke", "homeport.toml names smoke checks", args),)


def hold(facts: Facts, cause: str) -> Step:
    """Let requests wait at the edge."""
    return Step("hold", "link", cause, {"address": links.hold(facts.app)})


def unpin(old: Release) -> Step:
    """Take its restart policies from the old slot, so that no boot brings it back."""
    return Step("unpin", "policy-off", "a stopped slot must not come back", {"slot": old.slot})


def beside(mode: Mode, old: Release | None, new: Release, drain: float) -> tuple[Step, ...]:
    """What ends the old slot where it stood beside the new one until that was watched: overlap.

    It is not waited for before the watch: a client that stays for long would put that off.
    """
    if mode != "overlap" or old is None or old.id == new.id:
        return ()
    return stop_old(old, drain, "traffic has moved away")[1:]


def stop_old(
    old: Release, drain: float, cause: str, grace: float | None = None, only: str = ""
) -> tuple[Step, ...]:
    """Let the old slot finish what it has in flight, then end its processes.

    ``grace`` bounds how long they may take, in seconds: all of them, or the service ``only``.
    """
    bound = {} if grace is None else {"within": grace, **({"only": only} if only else {})}
    return (
        unpin(old),
        Step("drain", "drain", cause, {"address": old.link, "within": drain}),
        Step("retire", "stop", cause, {"slot": old.slot, **bound}),
    )


def held_stop(old: Release, new: Release, drain: float, cause: str) -> tuple[Step, ...]:
    """The same while requests wait: a drained web service that ignores SIGTERM is not waited for.

    Half of the hold limit is left for what comes after. Workers get what their compose file grants.
    """
    return stop_old(old, drain, cause, new.settings.deploy.hold / 2, old.web)


def commit(release: Release) -> Step:
    """Write the link: handover, commit, and the end of a hold, in one rename."""
    args = {"address": release.link, "release": release.id}
    return Step("handover", "link", f"{release.id} is ready for traffic", args, commit=True)


def settle(release: Release, previous: str, cause: str) -> tuple[Step, ...]:
    """What follows from the link: restart policies, then the marks for people."""
    args = {"release": release.id, "previous": previous}
    return (
        Step(
            "pin", "policy-on", "the committed slot comes back by itself", {"release": release.id}
        ),
        Step("mark", "mark", cause, args),
    )


def switch(
    facts: Facts,
    mode: Mode,
    old: Release | None,
    new: Release,
    drain: float,
    data: tuple[Step, ...] = (),
) -> tuple[Step, ...]:
    """From "everything is prepared" to "the new slot has the traffic", in the order of the mode.

    ``data`` is what an exclusive handover or a first one does to the data, if it is not a mere
    migration.
    """
    if old is None:
        return (
            *(data or saving.migrate(facts, new)),
            start(facts, new, new.moving, "first release", "start"),
            ready(facts, new),
            *smoke(new),
            commit(new),
        )
    if mode == "overlap":
        return (
            *saving.migrate(facts, new),
            start(facts, new, new.moving, "overlap: both may run", "start"),
            ready(facts, new),
            *smoke(new),
            commit(new),
            unpin(old),
        )
    if mode == "single-writer":
        late = workers(new)
        standby = {"slot": new.slot}
        return (
            Step("standby", "standby-on", "only one release may write", standby),
            start(facts, new, (new.web,), "single-writer: it only reads yet", "start"),
            ready(facts, new),
            *smoke(new),
            hold(facts, "single-writer: no request may reach two writers"),
            *held_stop(old, new, drain, "its writes end before the new one's begin"),
            Step("lift", "standby-off", "the old writer is gone", standby),
            commit(new),
            *((start(facts, new, late, "workers move after the commit", "workers"),) * bool(late)),
        )
    if mode == "exclusive":
        return (
            hold(facts, "exclusive: nobody writes until the new release is ready"),
            *held_stop(old, new, drain, "its writes end before the data is copied"),
            *(data or saving.staked(facts, old, new)),
            start(facts, new, new.moving, "exclusive: the old slot is gone", "start"),
            ready(facts, new),
            *smoke(new),
            *(() if data else saving.known(facts, new)),
            commit(new),
        )
    return (
        hold(facts, "recreate: one slot at a time"),
        *held_stop(old, new, drain, "makes room for the new slot"),
        start(facts, new, new.moving, "recreate: the old slot is gone", "start"),
        ready(facts, new),
        *smoke(new),
        commit(new),
    )
