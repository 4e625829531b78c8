"""Data that goes back: which set of copies is meant, and what stands between it and a code."""

from __future__ import annotations

from homeport.backups import Manifest
from homeport.core import schemas
from homeport.core.facts import Facts
from homeport.core.loss import Loss
from homeport.errors import Problem
from homeport.model import Release

#: names the newest set that the release can use
LATEST = "latest"
#: so many sets are named where one was not found
NAMED = 6
LIST = "homeport backup list"


def find(facts: Facts, name: str, target: Release) -> Manifest | Problem:
    """The set by its id, by the start of it, or the latest that ``target`` can use."""
    if name == LATEST:
        return latest(facts, target) or Problem(
            f"there is no set that {target.id} could use",
            "host",
            _there_are(facts.sets),
            LIST,
        )
    found = [one for one in facts.sets if one.id.startswith(name)]
    if not name or len(found) != 1:
        what = f"{name} is the start of {len(found)} sets" if found else f"there is no set {name}"
        return Problem(what, "host", _there_are(found or facts.sets), LIST)
    return found[0]


def latest(facts: Facts, target: Release) -> Manifest | None:
    """The newest set that ``target`` can use: found good, or not checked yet.

    What was saved in a hold is the newest and was not checked: it is, before it is put back.
    """
    for one in reversed(facts.sets):
        if not damaged(facts, one) and not schemas.fits(facts, target, schema_of(facts, one)):
            return one
    return None


def schema_of(facts: Facts, set_: Manifest) -> str:
    """The schema that the data of a set has; where it does not say, what its release needs."""
    made = facts.release(set_.release)
    return set_.schema or (schemas.needs(facts, made) if made else "")


def checked(facts: Facts, set_: Manifest) -> bool:
    """Whether a set was restored once, and found good."""
    found = facts.verified.get(set_.id)
    return found is not None and found.ok


def damaged(facts: Facts, set_: Manifest) -> str:
    """What was found wrong with a set when it was checked or made; empty where nothing was."""
    if set_.unread:
        return f"{', '.join(set_.unread)} could not be read, and was saved as it lay"
    found = facts.verified.get(set_.id)
    if found is None or found.ok:
        return ""
    return "; ".join(found.problems) or "it could not be restored"


def unsound(facts: Facts, set_: Manifest) -> Problem | None:
    """A set that was checked and is not good is put back only where somebody insists."""
    why = damaged(facts, set_)
    if not why:
        return None
    mend = f"another set of {LIST}; or --unverified, if there is no better one"
    return Problem(f"{set_.id} is not good", "host", why, mend)


def misfit(facts: Facts, set_: Manifest, target: Release) -> Problem | None:
    """Data that the code of ``target`` cannot use is not put under it.

    The mend names the newest release that can use it and can be gone back to.
    """
    schema = schema_of(facts, set_)
    why = schemas.fits(facts, target, schema)
    if not why:
        return None
    good = [
        one
        for one in facts.served
        if not schemas.fits(facts, one, schema) and facts.way_back(one) != "no"
    ]
    newest = max(good, key=lambda one: one.number, default=None)
    mend = f"homeport rollback {newest.id} --with-data {set_.id}" if newest else LIST
    return Problem(f"{target.id} cannot use the data of {set_.id}", "host", why, mend)


def parted(target: Release, why: str, set_: Manifest | None, lost: Loss | None) -> Problem:
    """Why the code of ``target`` cannot go back alone, and what it costs if the data goes too.

    ``why`` is what ``schemas.fits`` says, ``set_`` the set that it could go back with.
    """
    what = f"{target.id} cannot use the database as it is"
    if set_ is None:
        return Problem(what, "host", f"{why}; no set has data that it could use", LIST)
    told = "\n".join((f"{why}; going back with data is possible:", *said(set_, lost)))
    return Problem(what, "host", told, f"homeport rollback {target.id} --with-data {set_.id}")


def said(set_: Manifest, lost: Loss | None) -> tuple[str, ...]:
    """What putting a set back costs, in lines."""
    of = f"{set_.id} ({set_.why})" if set_.why else set_.id
    if lost is None:
        return (f"{of}: what it would undo is not known",)
    return (f"{of}: {lost.sentence()}", *(f"  {line}" for line in lost.lines()))


def _there_are(sets: tuple[Manifest, ...] | list[Manifest]) -> str:
    named = [f"{one.id} ({one.schema})" if one.schema else one.id for one in sets[-NAMED:]]
    more = len(sets) - len(named)
    return f"there are: {', '.join(named) or 'none'}{f' and {more} older ones' if more else ''}"
