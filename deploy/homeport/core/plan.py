"""Plans: pure functions from settings, facts and a goal to steps with causes.

Same input, same plan. Nothing here looks at the world, and nothing that executes a plan decides.
"""

from __future__ import annotations

from homeport.core import recovery, steps
from homeport.core.edge import Wanted
from homeport.core.facts import Facts
from homeport.core.policy import Choice
from homeport.core.render import Rendered
from homeport.model import Mode, Plan, Release, Skip, Step

NOT_CONFIGURED = (
    Skip("backup", "not configured"),
    Skip("verify", "not configured"),
    Skip("migrate", "not configured"),
)
#: taking back must be quick: what is in flight gets this long, in seconds
TAKE_BACK_DRAIN = 2.0


def deploy(
    facts: Facts,
    release: Release,
    rendered: Rendered,
    choice: Choice,
    edge: Wanted,
    notices: tuple[str, ...] = (),
) -> Plan:
    """The plan that makes ``release``, which is new, live."""
    old = facts.committed
    prepare: list[Step] = []
    skips = list(NOT_CONFIGURED)
    args = {"release": release.id}
    prepare.append(Step("release", "write-release", "every deploy makes a release", args))
    if release.image in facts.images:
        skips.append(Skip("pull", "the image is on the host"))
    else:
        prepare.append(
            Step("pull", "pull", "the image is not on the host", {"image": release.image})
        )
    prepare += _data(facts, rendered)
    # after the networks are there: the edge joins those on which slots answer by name
    prepare += _edge(edge)
    prepare += _shared(facts, rendered)
    prepare.append(
        Step("sockets", "sockets", "a slot has a folder of its own", {"slot": release.slot})
    )
    moved = steps.switch(facts, choice.mode, old, release, release.settings.deploy.drain)
    if not release.settings.smoke:
        skips.append(Skip("smoke", "homeport.toml names no smoke check"))
    after = _after(facts, release, old.id if old else "")
    every = (*prepare, *moved, *after)
    said = (*rendered.notices, *choice.notices, *edge.notices, *notices)
    return Plan("deploy", release.id, every, tuple(skips), said, choice.mode)


def rollback(
    facts: Facts, target: Release, mode: Mode, edge: Wanted, verb: str = "rollback"
) -> Plan:
    """The plan that makes ``target``, which served before, live again."""
    old, before = facts.committed, recovery.previous(facts, target)
    if old is not None and old.id == target.id:
        # one slot cannot stand beside itself: it is stopped and started
        mode = "recreate"
    prepare: list[Step] = [*_edge(edge)]
    skips = list(NOT_CONFIGURED)
    if facts.kept(target):
        skips.append(Skip("pull", "its containers were kept"))
    elif target.image in facts.images:
        skips.append(Skip("pull", "the image is on the host"))
    else:
        prepare.append(
            Step("pull", "pull", "the image is not on the host", {"image": target.image})
        )
    prepare.append(
        Step("sockets", "sockets", "a slot has a folder of its own", {"slot": target.slot})
    )
    moved = steps.switch(facts, mode, old, target, target.settings.deploy.drain)
    return Plan(
        verb,
        target.id,
        (*prepare, *moved, *_after(facts, target, before.id if before else "")),
        tuple(skips),
        (),
        mode,
    )


def take_back(facts: Facts, bad: Release, good: Release) -> Plan:
    """The plan that ends a release found bad in its watch: it begins with a hold."""
    steps_ = (
        steps.hold(facts, f"{bad.id} went bad in its watch"),
        *steps.stop_old(bad, TAKE_BACK_DRAIN, f"{bad.id} went bad in its watch"),
        steps.start(facts, good, good.moving, f"{good.id} served before", "start"),
        steps.probe(good, steps.GOOD_KNOWN, "it served before"),
        steps.commit(good),
        *steps.settle(good, "", "the marks follow the link"),
    )
    return Plan("take-back", good.id, steps_, (), (), "recreate")


def shared(facts: Facts, rendered: Rendered) -> Plan:
    """The plan that changes the shared services, and nothing else."""
    if not rendered.shared_hash:
        return Plan("shared", notices=("the compose file labels no service homeport.shared",))
    todo: list[Step] = [*_data(facts, rendered)]
    names = sorted(rendered.shared.get("services", {}))
    if facts.shared_running == rendered.shared_hash:
        return Plan("shared", skips=(Skip("shared", "the shared services are as wanted"),))
    args = {"services": names, "hash": rendered.shared_hash}
    todo.append(
        Step("shared", "shared-up", "the shared services differ from the compose file", args)
    )
    gap = f"a changed shared service is stopped before it is started anew: {', '.join(names)}"
    return Plan("shared", "", tuple(todo), (), (gap,))


def remove(facts: Facts, edge: Wanted) -> Plan:
    """The plan that ends the app on this host and keeps its data, volumes and backups."""
    todo: list[Step] = []
    for slot in sorted({one.slot for one in facts.containers if one.slot}):
        todo.append(Step(f"clear {slot}", "remove-slot", "the app is removed", {"slot": slot}))
    if facts.shared_running:
        todo.append(Step("shared", "shared-down", "the app is removed; its volumes stay", {}))
    todo += _edge(edge)
    todo.append(Step("link", "unlink", "nothing serves any more", {}))
    return Plan("remove", "", tuple(todo), (), edge.notices)


def _edge(edge: Wanted) -> list[Step]:
    if not edge.change:
        return []
    args = {"change": edge.change, "ports": list(edge.ports)}
    return [Step("edge", "edge-apply", edge.cause, args)]


def _data(facts: Facts, rendered: Rendered) -> list[Step]:
    args = {
        "networks": sorted(set(rendered.networks) - facts.networks),
        "volumes": sorted(set(rendered.volumes) - facts.volumes),
        "folders": sorted(one.path for one in rendered.folders if one.path not in facts.folders),
    }
    if not any(args.values()):
        return []
    return [
        Step("data", "data", "the app's own networks, volumes and folders outlive releases", args)
    ]


def _shared(facts: Facts, rendered: Rendered) -> list[Step]:
    if not rendered.shared_hash:
        return []
    names = sorted(rendered.shared.get("services", {}))
    if not facts.shared_running:
        args = {"services": names, "hash": rendered.shared_hash}
        return [Step("shared", "shared-up", "first deploy starts the shared services", args)]
    return [Step("shared", "shared-wait", "moving services depend on them", {"services": names})]


def _after(facts: Facts, release: Release, previous: str) -> tuple[Step, ...]:
    pin, mark = steps.settle(release, previous, "the marks follow the link")
    watch = Step(
        "watch",
        "watch",
        "a release may turn bad after its handover",
        {"release": release.id, "seconds": release.monitor},
    )
    gone = prune_list(facts, release)
    last = Step("prune", "prune", f"keep={release.settings.deploy.keep}", {"releases": gone})
    return (pin, watch, mark, last)


def prune_list(facts: Facts, live: Release) -> list[str]:
    """Releases to let go once ``live`` serves: failed ones, and served ones beyond ``keep``."""
    good = [one for one in facts.served if one.id not in facts.history.taken_back]
    good = sorted({one.number: one for one in (*good, live)}.values(), key=lambda one: -one.number)
    kept = {one.id for one in good[: live.settings.deploy.keep]} | {live.id}
    before = recovery.previous(facts, live)
    if before:
        kept.add(before.id)
    if facts.committed:
        kept.add(facts.committed.id)
    return sorted(one.id for one in facts.releases if one.id not in kept)
