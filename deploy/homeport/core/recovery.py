"""What makes the host match its link again, whatever was left undone.

One mechanism serves a crash, a boot, a failed deploy and ``homeport recover``: not a stack of
undo actions but a plan, from fresh facts, towards the committed release. That is why it can run
twice, and why a step that is added to a deploy needs no undo of its own.
"""

from __future__ import annotations

from homeport.core import link as links
from homeport.core import steps
from homeport.core.facts import Facts
from homeport.model import Plan, Release, Step

_WATCHED = ("deploy", "rollback")


def plan(facts: Facts) -> Plan:
    """The steps from what was seen to "the committed release serves, and nothing else runs"."""
    live = facts.committed
    todo = [*_stop_others(facts, live)]
    todo += _lift_others(facts, live)
    if live is not None:
        todo += _bring_back(facts, live)
    return Plan("recover", live.id if live else "", tuple(todo))


def _stop_others(facts: Facts, live: Release | None) -> list[Step]:
    todo: list[Step] = []
    served = {one.slot for one in facts.served}
    # a slot that died before its first container left nothing but its folder
    slots = sorted({one.slot for one in facts.containers if one.slot} | set(facts.standby))
    for slot in slots:
        if live and slot == live.slot:
            continue
        mine = facts.slot(slot)
        if slot not in served:
            # nobody reached it: there is nothing to be patient about, and requests may be waiting
            todo.append(Step(f"clear {slot}", "remove-slot", "it never served", {"slot": slot}))
            continue
        if any(one.policy not in ("", "no") for one in mine):
            cause = f"{slot} is not committed"
            todo.append(Step(f"unpin {slot}", "policy-off", cause, {"slot": slot}))
        if any(one.running for one in mine):
            cause = f"{slot} is not committed"
            todo.append(Step(f"stop {slot}", "stop", cause, {"slot": slot}))
    return todo


def _lift_others(facts: Facts, live: Release | None) -> list[Step]:
    """A standby left behind would keep a release from writing when it is gone back to one day."""
    return [
        Step(f"lift {slot}", "standby-off", f"{slot} does not run", {"slot": slot})
        for slot in sorted(set(facts.standby) & {one.slot for one in facts.served})
        if live is None or slot != live.slot
    ]


def _bring_back(facts: Facts, live: Release) -> list[Step]:
    todo: list[Step] = []
    down = not facts.running(live)
    if live.slot in facts.standby:
        cause = f"{live.id} is the writer"
        todo.append(Step("lift", "standby-off", cause, {"slot": live.slot}))
    if down:
        todo.append(steps.start(facts, live, live.moving, f"{live.id} is committed", "start"))
    kind, slot = links.read(facts.app, facts.link)
    astray = kind != "release" or slot != live.slot
    if down or astray:
        todo.append(steps.probe(live, steps.GOOD_KNOWN, "it served before"))
    cause = f"the link was {kind if kind != 'release' else 'astray'}"
    if not astray and facts.history.committed != live.id:
        # killed between the rename and its line: without one a later hold would mean the release
        # before this one
        cause = "the journal does not know of this handover"
        astray = True
    if astray:
        args = {"address": live.link, "release": live.id}
        todo.append(Step("handover", "link", cause, args, commit=True))
    pinned = {one.service: one.policy for one in facts.slot(live.slot)}
    if down or any(pinned.get(name) != rule for name, rule in live.policies.items()):
        cause = "the committed slot comes back by itself"
        todo.append(Step("pin", "policy-on", cause, {"release": live.id}))
    if facts.current != live.id:
        before = previous(facts, live)
        args = {"release": live.id, "previous": before.id if before else ""}
        todo.append(Step("mark", "mark", "the marks follow the link", args))
    return todo


def previous(facts: Facts, release: Release) -> Release | None:
    """The release to go back to from ``release``: the newest older one that served well."""
    good = [
        one
        for one in facts.served
        if one.number < release.number and one.id not in facts.history.taken_back
    ]
    return max(good, key=lambda one: one.number, default=None)


def watch_failed_at_boot(facts: Facts) -> bool:
    """Whether the committed release was booted twice without a finished watch."""
    live = facts.committed
    for run in facts.history.runs:
        if live and run.committed == live.id and not run.watched and run.boots_since_commit >= 2:
            return run.end is None
    return False


def watch_left(facts: Facts) -> str | None:
    """Where the watch of the committed release was interrupted: the release before it, or ""."""
    live = facts.committed
    for run in facts.history.unfinished:
        if live and run.committed == live.id and not run.watched and run.verb in _WATCHED:
            return run.origin
    return None


def way_back(facts: Facts, bad: Release, origin: str) -> Release | None:
    """What to take ``bad`` back to: what served right before it, else the one before by number."""
    before = facts.release(origin) if origin else None
    if before and before.id != bad.id and before.id not in facts.history.taken_back:
        return before
    return previous(facts, bad)
