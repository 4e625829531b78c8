"""How much room a set and the check of it need. Pure; sizes in bytes."""

from __future__ import annotations

from homeport.backups import Manifest
from homeport.core.care import size
from homeport.core.facts import Facts

from homeport.errors import Problem
from homeport.planned import Plan

MIB = 1024 * 1024
#: manifests, journal lines, and what a filesystem takes for itself
SPARE = 16 * MIB


def trial(manifest: Manifest) -> int:
    """What it takes to restore a set beside it."""
    return manifest.size + SPARE


def backup(last: Manifest | None, data: int = 0) -> int:
    """What the next set and its check will take.

    Args:
        last: the set before it, where there is one.
        data: what the data takes now, where that is known.

    Returns:
        twice what is copied, with an eighth for its growth; 0 where nothing is known.
    """
    size = max(data, last.size if last else 0)
    return 2 * (size + size // 8) + SPARE if size else 0


def estimate(facts: Facts, plan: Plan) -> tuple[str, ...]:
    """What is said beforehand of the copy that a plan makes, going by the last good one."""
    last = facts.newest()
    if last is None or last.verified is None or not _saves(plan):
        return ()
    made = last.manifest
    seconds = made.ended - made.created + last.verified.seconds
    return (
        f"the data is saved and the copy tried first: about {size(made.size)} in {seconds:.0f} s",
    )


def refusals(facts: Facts, plan: Plan) -> tuple[Problem, ...]:
    """No room for the copies that a plan makes, going by the last good one."""
    last = facts.newest()
    copies = sum(step.do in ("backup", "snapshot") for step in plan.steps)
    if last is None or not copies:
        return ()
    need = backup(last.manifest) + (copies - 1) * trial(last.manifest)
    free = facts.host.disk_free
    if need <= free:
        return ()
    why = f"that needs about {need // MIB} MiB, {free // MIB} MiB are free"
    mend = "homeport backup prune; docker system prune; df -h shows what else is full"
    what = "there is no room to save the data"
    return (Problem(what, f"/opt/{facts.app}/backups", why, mend),)


def _saves(plan: Plan) -> bool:
    return any(step.do == "backup" for step in plan.steps)
