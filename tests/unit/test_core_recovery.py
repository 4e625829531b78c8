"""Recovery as tables of literal text: from what was seen to one whole release."""

from __future__ import annotations

from dataclasses import replace

import pytest
from builders import HOLD, facts, history, line, release, slot
from homeport.core import journal, recovery, unfinished
from homeport.core import stake as stakes
from homeport.core.facts import EdgeFacts, Facts
from homeport.core.stake import Stake
from homeport.model import Release

# --- recovery's plans, as text -------------------------------------------------------------------
OLD, NEW = release(1), release(2)
SERVED = (
    line("begin", "a", verb="deploy", release=OLD.id),
    line("done", "a", step="handover", committed=OLD.id),
    line("end", "a", outcome="deployed"),
)
INTENT = line("intent", "x", step="edge", do="edge-apply")


def moved(*lines: str, live: Release = OLD) -> Facts:
    """A deploy that changed the app's address, was committed if ``live`` says so, and died."""
    begun = line("begin", "x", verb="deploy", release=NEW.id, **{"from": OLD.id})
    told = journal.fold((*SERVED, begun, INTENT, line("site", "x", site={"port": 80}), *lines))
    return replace(
        facts(
            *((OLD,) if live == OLD else (OLD, NEW)),
            live=live,
            current=OLD.id,
            containers=(*slot(OLD, pinned=True), *slot(NEW)),
            history=told,
        ),
        edge=EdgeFacts(True, True, sites={"shop": {"port": 5000}}),
    )


STOPPING = line("intent", "x", step="retire", do="stop")


def stopped(*lines: str) -> Facts:
    """What serves looks well, and a deploy died about the step that stops it."""
    begun = line("begin", "x", verb="deploy", release=NEW.id, **{"from": OLD.id})
    told = journal.fold((*SERVED, begun, *lines))
    boxes = slot(OLD, pinned=True)
    return facts(OLD, live=OLD, current=OLD.id, link=HOLD, containers=boxes, history=told)


def taken_back() -> Facts:
    """The second release went bad, and its taking back died in the hold."""
    back = {"verb": "take-back", "release": OLD.id, "from": NEW.id}
    second = {"verb": "deploy", "release": NEW.id, "from": OLD.id}
    live = (line("begin", "b", **second), line("done", "b", step="handover", committed=NEW.id))
    told = journal.fold((*SERVED, *live, line("begin", "b-back", **back)))
    boxes = (*slot(OLD, False), *slot(NEW, pinned=True))
    return facts(OLD, NEW, live=NEW, link=HOLD, containers=boxes, history=told)


TABLE: dict[str, tuple[Facts, str]] = {
    "died in taking back": (
        taken_back(),
        """\
- unpin r0002: policy-off slot=r0002  # r0002 is being taken back
- stop r0002: stop slot=r0002 within=1s  # r0002 is being taken back
- start: start-kept release=r0001-1111111 services=web,worker  # r0001-1111111 served before
- healthy: probe good=1 release=r0001-1111111 within=60s  # it served before
* handover: link address=unix//run/homeport/shop/r0001/app.sock release=r0001-1111111
  # the link was hold
- pin: policy-on release=r0001-1111111  # the committed slot comes back by itself
- mark: mark previous= release=r0001-1111111  # the marks follow the link""",
    ),
    "all is well": (
        facts(OLD, NEW, live=NEW, containers=(*slot(OLD, False), *slot(NEW, pinned=True))),
        "",
    ),
    "nothing was ever deployed": (facts(), ""),
    "the first deploy died": (
        facts(containers=slot(OLD)),
        """\
- clear r0001: remove-slot slot=r0001  # it never served""",
    ),
    "died before the handover": (
        facts(
            OLD,
            live=OLD,
            containers=(*slot(OLD, pinned=True), *slot(NEW, only=("web",))),
            standby=("r0002",),
        ),
        """\
- clear r0002: remove-slot slot=r0002  # it never served""",
    ),
    "died in the hold": (
        facts(
            OLD,
            live=OLD,
            link=HOLD,
            containers=(*slot(OLD, False), *slot(NEW, only=("web",))),
            standby=("r0002",),
        ),
        """\
- clear r0002: remove-slot slot=r0002  # it never served
- start: start-kept release=r0001-1111111 services=web,worker  # r0001-1111111 is committed
- healthy: probe good=1 release=r0001-1111111 within=60s  # it served before
* handover: link address=unix//run/homeport/shop/r0001/app.sock release=r0001-1111111\
  # the link was hold
- pin: policy-on release=r0001-1111111  # the committed slot comes back by itself""",
    ),
    "what serves was being stopped, which goes on in Docker when the run is dead": (
        stopped(STOPPING),
        """\
- stop: stop slot=r0001 within=1s  # a stop goes on in Docker when who asked for it is dead
- start: start-kept release=r0001-1111111 services=web,worker  # r0001-1111111 is committed
- healthy: probe good=1 release=r0001-1111111 within=60s  # it served before
* handover: link address=unix//run/homeport/shop/r0001/app.sock release=r0001-1111111\
  # the link was hold
- pin: policy-on release=r0001-1111111  # the committed slot comes back by itself""",
    ),
    "it was being stopped, and a recovery that died as well has started it again": (
        stopped(
            STOPPING,
            line("begin", "y", verb="recover", release=OLD.id),
            line("intent", "y", step="stop", do="stop"),
            line("done", "y", step="stop"),
        ),
        """\
- healthy: probe good=1 release=r0001-1111111 within=60s  # it served before
* handover: link address=unix//run/homeport/shop/r0001/app.sock release=r0001-1111111\
  # the link was hold""",
    ),
    "it was stopped when a recovery looked, which has started it": (
        stopped(
            STOPPING,
            line("begin", "y", verb="deploy", release=OLD.id),
            line("done", "y", step="start"),
        ),
        """\
- healthy: probe good=1 release=r0001-1111111 within=60s  # it served before
* handover: link address=unix//run/homeport/shop/r0001/app.sock release=r0001-1111111\
  # the link was hold""",
    ),
    "a rollback died in the hold, when what it goes back to was just being started": (
        facts(
            OLD,
            NEW,
            live=NEW,
            link=HOLD,
            containers=(*slot(OLD, True), *slot(NEW, False)),
        ),
        """\
- stop r0001: stop slot=r0001 within=1s  # r0001 is not committed
- start: start-kept release=r0002-2222222 services=web,worker  # r0002-2222222 is committed
- healthy: probe good=1 release=r0002-2222222 within=60s  # it served before
* handover: link address=unix//run/homeport/shop/r0002/app.sock release=r0002-2222222\
  # the link was hold
- pin: policy-on release=r0002-2222222  # the committed slot comes back by itself""",
    ),
    "died right after the rename": (
        facts(
            OLD,
            NEW,
            live=NEW,
            current=OLD.id,
            history=history(OLD),
            containers=(*slot(OLD, False), *slot(NEW, only=("web",))),
        ),
        """\
- start: compose-up release=r0002-2222222 services=web,worker  # r0002-2222222 is committed
- healthy: probe good=1 release=r0002-2222222 within=60s  # it served before
* handover: link address=unix//run/homeport/shop/r0002/app.sock release=r0002-2222222\
  # the journal does not know of this handover
- pin: policy-on release=r0002-2222222  # the committed slot comes back by itself
- mark: mark previous=r0001-1111111 release=r0002-2222222  # the marks follow the link""",
    ),
    "overlap died after the handover": (
        facts(
            OLD,
            NEW,
            live=NEW,
            current=OLD.id,
            containers=(*slot(OLD, pinned=True), *slot(NEW)),
        ),
        """\
- unpin r0001: policy-off slot=r0001  # r0001 is not committed
- stop r0001: stop slot=r0001  # r0001 is not committed
- pin: policy-on release=r0002-2222222  # the committed slot comes back by itself
- mark: mark previous=r0001-1111111 release=r0002-2222222  # the marks follow the link""",
    ),
    "the writer still stands by": (
        facts(NEW, live=NEW, containers=slot(NEW, pinned=True), standby=("r0002",)),
        "- lift: standby-off slot=r0002  # r0002-2222222 is the writer",
    ),
    "the link is garbled": (
        facts(OLD, live=OLD, link="unix//tmp/x", containers=slot(OLD, pinned=True)),
        """\
- healthy: probe good=1 release=r0001-1111111 within=60s  # it served before
* handover: link address=unix//run/homeport/shop/r0001/app.sock release=r0001-1111111\
  # the link was garbage""",
    ),
    "the link names a release that is gone": (
        facts(OLD, live=OLD, link=NEW.link, containers=slot(OLD, pinned=True)),
        """\
- healthy: probe good=1 release=r0001-1111111 within=60s  # it served before
* handover: link address=unix//run/homeport/shop/r0001/app.sock release=r0001-1111111\
  # the link was astray""",
    ),
    "the edge is gone": (
        replace(
            facts(OLD, live=OLD, containers=slot(OLD, pinned=True)),
            edge=EdgeFacts(sites={"shop": {"port": 80}}),
        ),
        "- edge: edge-start  # nobody is answered without the edge",
    ),
    "somebody deleted the edge's configuration, by which it runs until it is started again": (
        replace(
            facts(OLD, live=OLD, containers=slot(OLD, pinned=True)),
            edge=EdgeFacts(
                True, True, sites={"shop": {"port": 80}}, current=False, configured=False
            ),
        ),
        "- edge: edge-start  # its configuration is gone",
    ),
    "a change of the edge was cut short": (
        replace(
            facts(OLD, live=OLD, containers=slot(OLD, pinned=True)),
            edge=EdgeFacts(True, True, sites={"shop": {"port": 80}}, leftover=True),
        ),
        "- edge: edge-start  # nobody is answered without the edge",
    ),
    "the edge is gone, and only others are reached by it": (
        replace(
            facts(OLD, live=OLD, containers=slot(OLD, pinned=True)),
            edge=EdgeFacts(sites={"blog": {"port": 80}}),
        ),
        "- edge: edge-start  # nobody is answered without the edge",
    ),
    "the first deploy died while it made the others' edge anew": (
        replace(facts(), edge=EdgeFacts(True, False, sites={"blog": {"port": 80}}, leftover=True)),
        "- edge: edge-start  # nobody is answered without the edge",
    ),
    "it died while the edge was told": (
        replace(
            facts(
                OLD,
                live=OLD,
                containers=slot(OLD, pinned=True),
                history=journal.fold((*SERVED, line("begin", "x", verb="edge-apply"), INTENT)),
            ),
            edge=EdgeFacts(True, True, sites={"shop": {"port": 80}}, current=False),
        ),
        "- edge: edge-start  # a change of the edge was cut short",
    ),
    "a deploy with another address died before its handover": (
        moved(),
        """\
- clear r0002: remove-slot slot=r0002  # it never served
- site: site-back run=x  # r0002-2222222 did not go live""",
    ),
    "it was moved back, or that was given up": (
        moved(line("site", "x", site={"port": 5000})),
        "- clear r0002: remove-slot slot=r0002  # it never served",
    ),
    "a deploy with another address died after its handover": (
        moved(line("done", "x", step="handover", committed=NEW.id), live=NEW),
        """\
- unpin r0001: policy-off slot=r0001  # r0001 is not committed
- stop r0001: stop slot=r0001  # r0001 is not committed
- pin: policy-on release=r0002-2222222  # the committed slot comes back by itself
- mark: mark previous=r0001-1111111 release=r0002-2222222  # the marks follow the link""",
    ),
    "it died while its address was moved back": (
        replace(
            moved(line("intent", "x", step="site")),
            edge=EdgeFacts(True, True, sites={"shop": {"port": 80}}, current=False),
        ),
        """\
- clear r0002: remove-slot slot=r0002  # it never served
- edge: edge-start  # a change of the edge was cut short""",
    ),
    "another Homeport configured the edge": (
        replace(
            facts(OLD, live=OLD, containers=slot(OLD, pinned=True)),
            edge=EdgeFacts(True, True, sites={"shop": {"port": 80}}, current=False),
        ),
        "",
    ),
    "secrets changed while it was down": (
        facts(OLD, live=OLD, containers=slot(OLD, False, True), stale=frozenset({OLD.id})),
        """\
- start: compose-up release=r0001-1111111 services=web,worker  # r0001-1111111 is committed
- healthy: probe good=1 release=r0001-1111111 within=60s  # it served before
- pin: policy-on release=r0001-1111111  # the committed slot comes back by itself""",
    ),
}


@pytest.mark.parametrize("name", TABLE)
def test_recovery_plans(name: str) -> None:
    """What recovery does is what the table says, whole."""
    seen, text = TABLE[name]
    assert recovery.plan(seen).text() == text.replace("\n  #", "  #")
    shuffled = replace(seen, containers=seen.containers[::-1], standby=seen.standby[::-1])
    assert recovery.plan(shuffled) == recovery.plan(seen)


# --- going back, and watches ---------------------------------------------------------------------
THREE = (release(1), release(2), release(3))


def watched(*lines: str, origin: str = "") -> Facts:
    """Facts with releases 1 to 3 served, 3 live, and these lines last in the journal."""
    told = [
        *(line("begin", f"d{one.number}", verb="deploy", release=one.id) for one in THREE[:2]),
        *(line("done", f"d{one.number}", step="handover", committed=one.id) for one in THREE[:2]),
        *(line("end", f"d{one.number}", outcome="deployed") for one in THREE[:2]),
        line("begin", "d3", verb="deploy", release=THREE[2].id, **{"from": origin}),
        line("done", "d3", step="handover", committed=THREE[2].id),
        *lines,
    ]
    return facts(*THREE, live=THREE[2], history=journal.fold(told))


def test_the_release_before_is_the_newest_older_one_that_served_well() -> None:
    """Neither a release that was taken back nor one that never served is gone back to."""
    taken = [line("begin", "x", release=THREE[1].id), line("end", "x", outcome="taken-back")]
    assert recovery.previous(watched(), THREE[2]) == THREE[1]
    assert recovery.previous(watched(*taken), THREE[2]) == THREE[0]
    assert recovery.previous(watched(), THREE[0]) is None
    never = facts(*THREE, live=THREE[2], history=history(THREE[0], THREE[2]))
    assert recovery.previous(never, THREE[2]) == THREE[0]


def served_in_turn(*turns: tuple[str, int]) -> journal.History:
    """The history of runs that committed these releases, each verb by what it found serving."""
    lines, serves = [], ""
    for number, (verb, to) in enumerate(turns):
        run, name = f"run-{number}", release(to).id
        lines += [
            line("begin", run, verb=verb, release=name, **{"from": serves}),
            line("done", run, step="handover", committed=name),
            line("end", run, outcome="deployed", code=0),
        ]
        serves = name
    return journal.fold(lines)


BACK_FROM = {
    "in a row": ((("deploy", 1), ("deploy", 2), ("deploy", 3)), 3, 2),
    "what was gone back from is not wanted again": (
        (("deploy", 1), ("deploy", 2), ("rollback", 1), ("deploy", 3)),
        *(3, 1),
    ),
    "a rollback changes nothing about what a deploy found": (
        (("deploy", 1), ("deploy", 2), ("deploy", 3), ("rollback", 2)),
        *(2, 1),
    ),
    "recovery committed it for a deploy": ((("deploy", 1), ("deploy", 2), ("recover", 2)), 2, 1),
}


@pytest.mark.parametrize("name", BACK_FROM)
def test_one_goes_back_to_what_the_deploy_found(name: str) -> None:
    """With no release named, a rollback undoes the deploy of what serves."""
    turns, live, back = BACK_FROM[name]
    known = facts(*THREE, live=THREE[live - 1], history=served_in_turn(*turns))
    assert recovery.previous(known, THREE[live - 1]) == THREE[back - 1]


def test_what_a_deploy_found_may_be_gone() -> None:
    """Then it is the newest older one that is there and served well."""
    told = served_in_turn(("deploy", 1), ("deploy", 2), ("rollback", 1), ("deploy", 3))
    known = facts(*THREE[1:], live=THREE[2], history=told)
    assert recovery.previous(known, THREE[2]) == THREE[1]


def test_taking_back_goes_to_what_served_right_before() -> None:
    """The origin of the run counts, else the number; never the bad release itself."""
    taken = [line("begin", "x", release=THREE[0].id), line("end", "x", outcome="taken-back")]
    assert recovery.way_back(watched(), THREE[2], THREE[0].id) == THREE[0]
    assert recovery.way_back(watched(), THREE[2], "") == THREE[1]
    assert recovery.way_back(watched(), THREE[2], THREE[2].id) == THREE[1]
    assert recovery.way_back(watched(), THREE[2], "r0099-0000000") == THREE[1]
    assert recovery.way_back(watched(*taken), THREE[2], THREE[0].id) == THREE[1]


#: id, verb and release of a run that died with nothing committed → what is said of it
CUT_SHORT = {
    ("x", "deploy", "r2"): "deploy r2 was interrupted before its handover and taken back",
    ("x", "rollback", "r1"): "rollback r1 was interrupted before its handover and taken back",
    ("x", "restore", "r1"): "restore r1 was interrupted before its handover and taken back",
    (
        "x",
        "restore-from",
        "r1",
    ): "restore-from r1 was interrupted before its handover and taken back",
    **{
        ("x", verb, ""): f"{verb} was interrupted; homeport status tells what stands"
        for verb in (
            *("backup", "backup-verify", "backup-prune", "backup-drill", "restore-from"),
            *("data-check", "data-vacuum", "data-analyze", "data-checkpoint"),
            *("edge-apply", "edge-upgrade", "maintenance", "remove", "freeze", "unfreeze"),
            # of the shared services
            "deploy",
        )
    },
    ("x", "recover", "r1"): "recovery was interrupted; homeport status tells what stands",
    ("x-recover", "deploy", "r1"): "recovery was interrupted; homeport status tells what stands",
    ("x-back", "take-back", "r1"): "take-back was interrupted; homeport status tells what stands",
}


@pytest.mark.parametrize(("run", "verb", "release"), CUT_SHORT)
def test_what_is_said_of_a_run_that_died(run: str, verb: str, release: str) -> None:
    """Nothing is called taken back where there was nothing to take back."""
    assert unfinished.cut_short(run, verb, release) == CUT_SHORT[run, verb, release]


def test_an_interrupted_watch_is_found_until_its_run_ends() -> None:
    """It is left when the run is unfinished and unwatched, and says where it came from."""
    assert unfinished.watch_left(watched(origin=THREE[0].id)) == THREE[0].id
    assert unfinished.watch_left(watched(line("done", "d3", step="watch"))) is None
    assert unfinished.watch_left(watched(line("end", "d3", outcome="deployed"))) is None
    assert unfinished.watch_left(facts()) is None


def test_a_taking_back_that_died_says_what_is_to_serve() -> None:
    """Until it has committed or ended, and only if it is what is live that it takes back."""
    one, two, three = THREE
    back = {"verb": "take-back", "release": two.id, "from": three.id}
    begun = line("begin", "d3-back", **back)
    assert unfinished.goal(watched()) == three
    assert unfinished.goal(watched(begun)) == two
    assert unfinished.goal(watched(begun, line("end", "d3-back", outcome="failed"))) == three
    other = line("begin", "d3-back", **{**back, "from": one.id})
    assert unfinished.goal(watched(other)) == three
    gone = line("begin", "d3-back", **{**back, "release": "r0009-9999999"})
    assert unfinished.goal(watched(gone)) == three
    assert unfinished.goal(facts()) is None


def test_two_boots_without_a_finished_watch_are_too_many() -> None:
    """One boot may be the power's fault; the second takes the release back."""
    boot = line("boot", "")
    assert not unfinished.watch_failed_at_boot(watched(boot))
    assert unfinished.watch_failed_at_boot(watched(boot, boot))
    done = line("done", "d3", step="watch")
    assert not unfinished.watch_failed_at_boot(watched(boot, done, boot))
    ended = watched(boot, boot, line("end", "d3", outcome="deployed"))
    assert not unfinished.watch_failed_at_boot(ended)
    assert not unfinished.watch_failed_at_boot(facts())


def test_a_removed_app_stays_removed() -> None:
    """Recovery and the boot hook must not bring back what a person removed."""
    told = [
        line("begin", "a", verb="deploy", release=OLD.id),
        line("done", "a", step="handover", committed=OLD.id),
        line("end", "a", outcome="deployed"),
        line("begin", "b", verb="remove"),
        line("end", "b", outcome="removed"),
    ]
    gone = facts(OLD, live=None, current=OLD.id, history=journal.fold(told))
    assert gone.committed is None
    assert recovery.plan(gone).steps == ()


def test_a_recovery_gives_the_dead_run_its_commit() -> None:
    """Killed between the rename and its line, a deploy still counts as one that was committed."""
    told = [
        line("begin", "a", verb="deploy", release=OLD.id),
        line("intent", "a", step="handover"),
        line("begin", "b", verb="recover", release=OLD.id),
        line("done", "b", step="handover", committed=OLD.id),
        line("end", "b", outcome="recovered"),
    ]
    dead = journal.fold(told).run("a")
    assert dead is not None and dead.committed == OLD.id and dead.end is None


# --- data that stands between --------------------------------------------------------------------
BEFORE, ADDED = release(1, schema="s1"), release(2, schema="s2")
PARTED = [
    ("the same schema", "s1", False, True),
    ("a change that only adds", "s2", True, True),
    ("a change that the one before cannot use", "s2", False, False),
    ("nobody knows", "", False, False),
]


@pytest.mark.parametrize(("name", "has", "compatible", "back"), PARTED)
def test_only_code_that_fits_the_data_is_gone_back_to(
    name: str, has: str, compatible: bool, back: bool
) -> None:
    """After a migration that was not declared compatible nothing is taken back by itself."""
    bad = replace(ADDED, came_from="s1", schema=has, compatible=compatible)
    seen = facts(BEFORE, bad, live=bad)
    seen = replace(seen, history=replace(seen.history, schema=has))
    found = recovery.way_back(seen, bad, BEFORE.id)
    why = recovery.data_stands_between(seen, bad, BEFORE.id)
    assert (found == BEFORE) == back and bool(why) != back
    assert recovery.way_back(facts(bad, live=bad), bad, "") is None
    assert recovery.data_stands_between(facts(bad, live=bad), bad, "") == ""


# --- data at stake -------------------------------------------------------------------------------
STAKE = Stake("20260101T000000-abcd", NEW.id, "x")
DUE = [
    (None, HOLD, False),
    (STAKE, HOLD, True),
    (STAKE, None, True),
    (STAKE, "neither this nor that", True),
    (STAKE, NEW.link, False),
    # whichever release has the traffic, users may have written
    (STAKE, OLD.link, False),
]


@pytest.mark.parametrize(("stake", "link", "due"), DUE)
def test_data_goes_back_only_while_nobody_has_the_traffic(
    stake: Stake | None, link: str | None, due: bool
) -> None:
    """Whatever a link names, what users were told is saved is not given up by itself."""
    assert stakes.due(stake, "shop", link) == due


@pytest.mark.parametrize("ends", ["commit", "removal"])
def test_a_stake_ends_with_any_commit_and_with_the_app(ends: str) -> None:
    """A release that came later is never stopped to put older data under its users' writes."""
    begun = line("begin", "y", verb="deploy", release=NEW.id)
    staked = (*SERVED, begun, line("stake", "y", set=STAKE.set), line("end", "y", outcome="failed"))
    assert journal.fold(staked).stake == replace(STAKE, run="y")
    later = {
        "commit": line("done", "z", step="handover", committed=THREE[2].id),
        "removal": line("done", "z", step="link", committed=""),
    }[ends]
    told = journal.fold((*staked, line("begin", "z", verb="deploy"), later))
    assert told.stake is None
    seen = facts(*THREE, live=THREE[2], containers=slot(THREE[2], pinned=True), history=told)
    assert all(one.do != "restore-stake" for one in recovery.plan(seen).steps)
