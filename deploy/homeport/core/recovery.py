"""What makes the host match its link again, whatever was left undone.

One mechanism serves a crash, a boot, a failed deploy and ``homeport recover``: not a stack of
undo actions but a plan, from fresh facts, towards the committed release. That is why it can run
twice, and why a step that is added to a deploy needs no undo of its own.
"""

from __future__ import annotations

from homeport.core import link as links
from homeport.core import schemas
from homeport.core import stake as stakes
from homeport.core import steps, unfinished
from homeport.core.facts import Facts
from homeport.errors import Problem
from homeport.model import Release
from homeport.planned import Plan, Step

#: seconds that a slot gets to end which no request can reach
UNREACHED = 1.0
_AT_EDGE = ("edge", "site")
#: steps that stop what serves
_STOPS = ("retire", "stop")


def plan(facts: Facts) -> Plan:
    """The steps from what was seen to "the right release serves, and nothing else runs"."""
    live = unfinished.goal(facts)
    if facts.unrecorded:
        # what cannot be understood is left alone: see ``not_understood``
        return Plan("recover", "")
    todo = [*_records_back(facts), *_stop_others(facts, live)]
    todo += _lift_others(facts, live)
    todo += _edge(facts)
    if live is None:
        todo += _found_back(facts)
    if live is not None:
        todo += _data_back(facts, live)
        todo += _bring_back(facts, live)
        todo += _site_back(facts, live)
    if facts.maintenance and facts.history.page not in ("", "maintenance"):
        todo.append(Step("unpage", "page-down", f"the {facts.history.page} is over", {}))
    return Plan("recover", live.id if live else "", tuple(todo))


def not_understood(facts: Facts) -> Problem | None:
    """Why this host cannot be made to match its link, and what mends it; None where it can."""
    slot = facts.unrecorded
    if not slot:
        return None
    return Problem(
        f"the record of {slot} is gone, and the link names it",
        f"/opt/{facts.app}/releases",
        f"what serves cannot be told apart from what does not; {slot} is left alone",
        f"put the folder {slot}-* back; or homeport remove and homeport deploy: data and volumes"
        " stay, and nobody is answered in between",
    )


def _records_back(facts: Facts) -> list[Step]:
    return [
        Step(f"record {name}", "record-back", f"the folder of {name} is gone", {"release": name})
        for name in sorted(facts.lost)
    ]


def _stop_others(facts: Facts, live: Release | None) -> list[Step]:
    todo: list[Step] = []
    served = {one.slot for one in facts.served}
    # a slot that died before its first container left nothing but its folder
    slots = sorted({one.slot for one in facts.containers if one.slot} | set(facts.standby))
    for slot in slots:
        if live and slot == live.slot:
            continue
        mine = facts.slot(slot)
        if slot not in served and not _unsure(facts, slot):
            # nobody reached it: there is nothing to be patient about, and requests may be waiting
            todo.append(Step(f"clear {slot}", "remove-slot", "it never served", {"slot": slot}))
            continue
        if facts.history.removed:
            cause = "the app is removed"
            todo.append(Step(f"clear {slot}", "remove-slot", cause, {"slot": slot}))
            continue
        bad = facts.committed is not None and slot == facts.committed.slot
        cause = f"{slot} is being taken back" if bad else f"{slot} is not committed"
        if any(one.policy not in ("", "no") for one in mine):
            todo.append(Step(f"unpin {slot}", "policy-off", cause, {"slot": slot}))
        if any(one.running for one in mine):
            todo.append(Step(f"stop {slot}", "stop", cause, {"slot": slot, **_soon(facts)}))
    return todo


def _unsure(facts: Facts, slot: str) -> bool:
    """Whether a slot may have served: its release is kept, and the journal cannot tell."""
    return facts.release(slot) is not None and not facts.history.tells_of(slot)


def _soon(facts: Facts) -> dict[str, float]:
    """A bound for the end of a slot while requests wait: in a hold nothing new reaches one.

    A program that is just starting may not heed SIGTERM at all yet, and would be waited for.
    """
    kind, _ = links.read(facts.app, facts.link)
    return {"within": UNREACHED} if kind == "hold" else {}


def _lift_others(facts: Facts, live: Release | None) -> list[Step]:
    """A standby left behind would keep a release from writing when it is gone back to one day."""
    return [
        Step(f"lift {slot}", "standby-off", f"{slot} does not run", {"slot": slot})
        for slot in sorted(set(facts.standby) & {one.slot for one in facts.served})
        if live is None or slot != live.slot
    ]


def _edge(facts: Facts) -> list[Step]:
    """The edge belongs to all apps: whoever looks first brings it back, reached by it or not."""
    edge = facts.edge
    if edge.sites and (edge.leftover or not edge.running):
        return [Step("edge", "edge-start", "nobody is answered without the edge", {})]
    if edge.sites and not edge.configured:
        return [Step("edge", "edge-start", "its configuration is gone", {})]
    if not edge.current and any(one.step in _AT_EDGE for one in facts.history.unfinished):
        return [Step("edge", "edge-start", "a change of the edge was cut short", {})]
    return []


def _site_back(facts: Facts, live: Release) -> list[Step]:
    """People reach what serves where they did before a deploy that came to nothing."""
    now = facts.edge.sites.get(facts.app)
    return [
        Step("site", "site-back", f"{run.release} did not go live", {"run": run.id})
        for run in facts.history.unfinished[:1]
        if run.site and now and run.site != now and run.release != live.id and not run.committed
    ]


def _data_back(facts: Facts, live: Release) -> list[Step]:
    """What a run may have done to the data is undone, while nothing runs that could use it."""
    stake = facts.history.stake
    if stake is None or not stakes.due(stake, facts.app, facts.link):
        return []
    cause = f"{stake.release} had the data and did not go live"
    todo = [Step("data", "restore-stake", cause, {"set": stake.set, "release": live.id})]
    if any(one.running for one in facts.slot(live.slot)):
        args = {"slot": live.slot, **_soon(facts)}
        todo.insert(0, Step("stop", "stop", "nothing may use the data", args))
    return todo


def _found_back(facts: Facts) -> list[Step]:
    """The same after a first release that did not go live: through itself, since no other is there.

    Its slot is cleared by then, so nothing uses the data; unless people have started what was
    there before by hand, whose writes are not given up.
    """
    stake = facts.history.stake
    if stake is None or not stakes.due(stake, facts.app, facts.link):
        return []
    if facts.strangers or facts.release(stake.release) is None:
        return []
    cause = f"{stake.release} had the data and did not go live"
    return [Step("data", "restore-stake", cause, {"set": stake.set, "release": stake.release})]


def _bring_back(facts: Facts, live: Release) -> list[Step]:
    todo: list[Step] = []
    history = facts.history
    at_stake = stakes.due(history.stake, facts.app, facts.link)
    ending = not at_stake and _being_stopped(facts, live)
    down = not facts.running(live) or at_stake or ending
    if live.slot in facts.standby:
        cause = f"{live.id} is the writer"
        todo.append(Step("lift", "standby-off", cause, {"slot": live.slot}))
    if ending:
        cause = "a stop goes on in Docker when who asked for it is dead"
        todo.append(Step("stop", "stop", cause, {"slot": live.slot, **_soon(facts)}))
    if down:
        right = "is committed" if live == facts.committed else "served before"
        todo.append(steps.start(facts, live, live.moving, f"{live.id} {right}", "start"))
    kind, slot = links.read(facts.app, facts.link)
    astray = kind != "release" or slot != live.slot
    if down or astray:
        todo.append(steps.probe(live, steps.GOOD_KNOWN, "it served before"))
    cause = f"the link was {kind if kind != 'release' else 'astray'}"
    unknown = stakes.uncommitted(history.stake, facts.app, facts.link)
    if not astray and (history.committed != live.id or unknown):
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


def _being_stopped(facts: Facts, live: Release) -> bool:
    """Whether a run died while it stopped what is live, and nobody has seen the end of that.

    Docker tells of no stop that goes on: a container that does not heed SIGTERM runs until its
    grace is over, and is killed then, however well it looked when recovery was through.
    """
    if not any(one.running for one in facts.slot(live.slot)):
        return False
    goes_on = False
    for run in facts.history.runs:
        left = run.end is None and not run.committed
        if left and run.step in _STOPS and run.step not in run.done:
            goes_on = True
        elif {"stop", "start"} & set(run.done):
            # a recovery has stopped it to the end, or has found it stopped
            goes_on = False
    return goes_on


def previous(facts: Facts, release: Release) -> Release | None:
    """The release to go back to from ``release``: what its deploy found serving.

    That is not always the newest older one: whoever went back from r2 to r1 and then deployed r3
    does not want r2 again. Where it is gone or unknown, the newest older one that served well.
    """
    good = [
        one
        for one in facts.served
        if one.number < release.number and one.id not in facts.history.taken_back
    ]
    runs = facts.history.runs
    deploys = (run for run in runs if run.verb == "deploy" and run.committed == release.id)
    origin = next((run.origin for run in deploys), "")
    newest = max(good, key=lambda one: one.number, default=None)
    return next((one for one in good if one.id == origin), newest)


def way_back(facts: Facts, bad: Release, origin: str) -> Release | None:
    """What to take ``bad`` back to: what served right before it, else the one before by number.

    Nothing where that one cannot use the database as it is now: what was written since a migration
    is a person's to give up.
    """
    good = _before(facts, bad, origin)
    return good if good is not None and not schemas.fits(facts, good) else None


def data_stands_between(facts: Facts, bad: Release, origin: str) -> str:
    """Why ``bad`` is not taken back though there is a release to go back to; empty if it can be."""
    good = _before(facts, bad, origin)
    return schemas.fits(facts, good) if good is not None else ""


def _before(facts: Facts, bad: Release, origin: str) -> Release | None:
    before = facts.release(origin) if origin else None
    if before and before.id != bad.id and before.id not in facts.history.taken_back:
        return before
    return previous(facts, bad)
