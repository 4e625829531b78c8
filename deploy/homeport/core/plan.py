"""Plans: pure functions from settings, facts and a goal to steps with causes.

Same input, same plan. Nothing here looks at the world, and nothing that executes a plan decides.
"""

from __future__ import annotations

from homeport.core import plan_data, recovery, saving, steps
from homeport.core.edge import IMAGE, Wanted
from homeport.core.facts import Facts
from homeport.core.policy import Choice
from homeport.core.render import Rendered
from homeport.model import Mode, Release
from homeport.planned import Plan, Skip, Step

#: a rollback moves code; data goes back when a person says so
NOT_CONFIGURED = tuple(Skip(one, "not configured") for one in ("backup", "verify", "migrate"))
#: taking back must be quick: seconds for what is in flight, and for the bad processes to end
TAKE_BACK_DRAIN, TAKE_BACK_GRACE = 2.0, 1.0


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
    skips: list[Skip] = []
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
    for part, left_out in (
        saving.save(facts, release, rendered),
        saving.rehearse(facts, release, choice.room),
    ):
        prepare += part
        skips += left_out
    prepare.append(
        Step("sockets", "sockets", "a slot has a folder of its own", {"slot": release.slot})
    )
    saved = any(one.do == "backup" for one in prepare)
    data = saving.adopted(facts, release) if saved else ()
    moved = steps.switch(facts, choice.mode, old, release, release.settings.deploy.drain, data)
    if not release.settings.smoke:
        skips.append(Skip("smoke", "homeport.toml names no smoke check"))
    late = steps.beside(choice.mode, old, release, release.settings.deploy.drain)
    after = _after(facts, release, old.id if old else "", late)
    rules = saving.asked(release.settings)
    if rules and saved:
        gone = prune_list(facts, release)
        after += plan_data.prune_sets(facts, rules, coming=True, going=gone)[0]
    every = (*prepare, *moved, *after)
    said = (*rendered.notices, *choice.notices, *edge.notices, *notices)
    made = Plan("deploy", release.id, every, tuple(skips), said, choice.mode)
    return saving.unrehearsed(facts, made, release)


def fetch(facts: Facts, release: Release) -> Plan:
    """The plan that brings the image, where it alone can tell what its migration would do."""
    unseen = release.settings.migrate and facts.committed and facts.schema is None
    if not unseen or release.image in facts.images:
        return Plan("deploy", release.id)
    args = {"image": release.image}
    cause = "its migration is known once it is here"
    return Plan("deploy", release.id, (Step("pull", "pull", cause, args),))


def rollback(
    facts: Facts, target: Release, mode: Mode, edge: Wanted, data: tuple[Step, ...] = ()
) -> Plan:
    """The plan that makes ``target``, which served before, live again.

    ``data`` is what puts data back under it while nobody writes; without, the code goes alone.
    """
    old, before = facts.committed, recovery.previous(facts, target)
    if old is not None and old.id == target.id:
        # one slot cannot stand beside itself: it is stopped and started
        mode = "recreate"
    if data:
        mode = "exclusive"
    prepare: list[Step] = [*_edge(edge)]
    skips = [] if data else list(NOT_CONFIGURED)
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
    drain = target.settings.deploy.drain
    moved = steps.switch(facts, mode, old, target, drain, data)
    late = steps.beside(mode, old, target, drain)
    return Plan(
        "rollback",
        target.id,
        (*prepare, *moved, *_after(facts, target, before.id if before else "", late)),
        tuple(skips),
        (),
        mode,
    )


def take_back(facts: Facts, bad: Release, good: Release) -> Plan:
    """The plan that ends a release found bad in its watch: it begins with a hold."""
    steps_ = (
        steps.hold(facts, f"{bad.id} went bad in its watch"),
        *steps.stop_old(bad, TAKE_BACK_DRAIN, f"{bad.id} went bad in its watch", TAKE_BACK_GRACE),
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
    """The plan that ends the app on this host and keeps its data, volumes and backups.

    Its commit comes first: a removal that dies is either not begun, or is the app's end.
    """
    cause = "nothing serves any more"
    todo: list[Step] = [Step("link", "unlink", cause, {"release": ""}, commit=True)]
    for slot in sorted({one.slot for one in facts.containers if one.slot}):
        todo.append(Step(f"clear {slot}", "remove-slot", "the app is removed", {"slot": slot}))
    if facts.shared_running:
        todo.append(Step("shared", "shared-down", "the app is removed; its volumes stay", {}))
    todo += _edge(edge)
    return Plan("remove", "", tuple(todo), (), edge.notices)


def edge(verb: str, wanted: Wanted) -> Plan:
    """The plan that changes the edge, and nothing else."""
    skips = () if wanted.change else (Skip("edge", "it is as wanted"),)
    return Plan(verb, "", tuple(_edge(wanted)), skips, wanted.notices)


def edge_pull() -> Plan:
    """The plan that looks for a newer build of the edge's image; nobody notices."""
    args = {"image": IMAGE}
    return Plan(
        "edge-upgrade", "", (Step("pull", "edge-pull", "a newer build may be there", args),)
    )


def page(why: str, minutes: int) -> Plan:
    """The plan that puts the maintenance page up."""
    args = {"why": why, "minutes": minutes}
    return Plan("maintenance", "", (Step("page", "page-up", "asked for", args),))


def page_down() -> Plan:
    """The plan that takes it down."""
    return Plan("maintenance", "", (Step("page", "page-down", "asked for"),))


def _edge(wanted: Wanted) -> list[Step]:
    if not wanted.change:
        return []
    args = {"change": wanted.change, "ports": list(wanted.ports)}
    return [Step("edge", "edge-apply", wanted.cause, args)]


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


def _after(
    facts: Facts, release: Release, previous: str, late: tuple[Step, ...]
) -> tuple[Step, ...]:
    pin, mark = steps.settle(release, previous, "the marks follow the link")
    watch = Step(
        "watch",
        "watch",
        "a release may turn bad after its handover",
        {"release": release.id, "seconds": release.monitor},
    )
    gone = prune_list(facts, release)
    last = Step("prune", "prune", f"keep={release.settings.deploy.keep}", {"releases": gone})
    return (pin, watch, *late, mark, last)


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
