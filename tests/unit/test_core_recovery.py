"""Recovery as tables of literal text: from what was seen to one whole release."""

from __future__ import annotations

from dataclasses import replace

import pytest
from builders import HOLD, facts, history, line, release, slot
from homeport.core import journal, recovery
from homeport.core.facts import Facts

# --- recovery's plans, as text -------------------------------------------------------------------
OLD, NEW = release(1), release(2)
TABLE: dict[str, tuple[Facts, str]] = {
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


def watched(*lines: str) -> Facts:
    """Facts with releases 1 to 3 served, 3 live, and these lines last in the journal."""
    told = [
        *(line("begin", f"d{one.number}", verb="deploy", release=one.id) for one in THREE[:2]),
        *(line("done", f"d{one.number}", step="handover", committed=one.id) for one in THREE[:2]),
        *(line("end", f"d{one.number}", outcome="deployed") for one in THREE[:2]),
        line("begin", "d3", verb="deploy", release=THREE[2].id, **{"from": THREE[0].id}),
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


def test_taking_back_goes_to_what_served_right_before() -> None:
    """The origin of the run counts, else the number; never the bad release itself."""
    taken = [line("begin", "x", release=THREE[0].id), line("end", "x", outcome="taken-back")]
    assert recovery.way_back(watched(), THREE[2], THREE[0].id) == THREE[0]
    assert recovery.way_back(watched(), THREE[2], "") == THREE[1]
    assert recovery.way_back(watched(), THREE[2], THREE[2].id) == THREE[1]
    assert recovery.way_back(watched(), THREE[2], "r0099-0000000") == THREE[1]
    assert recovery.way_back(watched(*taken), THREE[2], THREE[0].id) == THREE[1]


def test_an_interrupted_watch_is_found_until_its_run_ends() -> None:
    """It is left when the run is unfinished and unwatched, and says where it came from."""
    assert recovery.watch_left(watched()) == THREE[0].id
    assert recovery.watch_left(watched(line("done", "d3", step="watch"))) is None
    assert recovery.watch_left(watched(line("end", "d3", outcome="deployed"))) is None
    assert recovery.watch_left(facts()) is None


def test_two_boots_without_a_finished_watch_are_too_many() -> None:
    """One boot may be the power's fault; the second takes the release back."""
    boot = line("boot", "")
    assert not recovery.watch_failed_at_boot(watched(boot))
    assert recovery.watch_failed_at_boot(watched(boot, boot))
    assert not recovery.watch_failed_at_boot(watched(boot, line("done", "d3", step="watch"), boot))
    ended = watched(boot, boot, line("end", "d3", outcome="deployed"))
    assert not recovery.watch_failed_at_boot(ended)
    assert not recovery.watch_failed_at_boot(facts())


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
