"""The room that copies of data need: told beforehand, and refused where it is not there."""

from __future__ import annotations

import pytest
from builders import facts, release
from homeport.backups import Item, Manifest, Verified
from homeport.core import room
from homeport.core.facts import Facts, HostFacts
from homeport.planned import Plan, Step

MIB = room.MIB
ONE = release(1)
SET = "20260101T000000-abcd"
SAVES = (Step("backup", "backup", ""), Step("verify", "verify", ""))
HOLDS = (*SAVES, Step("snapshot", "snapshot", ""))


def seen(free: int, size: int = 80 * MIB, ok: bool = True) -> Facts:
    """A host with so much room, and a set of that size that was checked."""
    item = Item("sqlite", "data/food.db", "0.sqlite", size, "")
    made = Manifest(SET, "shop", ONE.id, 100.0, ended=103.0, items=(item,))
    return facts(
        ONE,
        live=ONE,
        sets=(made,),
        verified={SET: Verified(SET, 110.0, ok, (), 4.0)},
        host=HostFacts(disk_free=free),
    )


#: bytes free, steps, whether the last set was good → what is missing, in MiB; 0 where it fits
ROOM = [
    # two copies of 90 MiB and the spare: 196
    (196 * MIB, SAVES, True, 0),
    (195 * MIB, SAVES, True, 196),
    # a third, of 80 MiB and its spare, is made in the hold
    (292 * MIB, HOLDS, True, 0),
    (291 * MIB, HOLDS, True, 292),
    # a plan that saves nothing, and a host that has no good set to go by
    (0, (), True, 0),
    (0, SAVES, False, 0),
]


@pytest.mark.parametrize(("free", "steps", "ok", "need"), ROOM)
def test_no_room_for_a_copy_is_refused(
    free: int, steps: tuple[Step, ...], ok: bool, need: int
) -> None:
    """By the last good set, before anything is changed, with what makes room."""
    found = room.refusals(seen(free, ok=ok), Plan("deploy", steps=steps))
    assert len(found) == bool(need)
    for one in found:
        assert one.why == f"that needs about {need} MiB, {free // MIB} MiB are free"
        assert one.where == "/opt/shop/backups" and "homeport backup prune" in one.mend


def test_a_copy_is_told_beforehand() -> None:
    """Its size and how long the last one took; nothing where nobody knows or nothing is made."""
    told = room.estimate(seen(0, 12_345_678), Plan("deploy", steps=SAVES))
    assert told == ("the data is saved and the copy tried first: about 12.3 MB in 7 s",)
    assert room.estimate(seen(0), Plan("deploy")) == ()
    assert room.estimate(seen(0, ok=False), Plan("deploy", steps=SAVES)) == ()
