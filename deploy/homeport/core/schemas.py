"""Whether a release's code can use the database as it is.

Code and data go together where a migration parted them. Code alone may go back where the database
has the schema that the code was made for, or where the one change between the two was declared
compatible: two of those in a row say nothing of the first code and the last schema.
"""

from __future__ import annotations

from homeport.core.facts import Facts
from homeport.model import Release


def fits(facts: Facts, target: Release, schema: str | None = None) -> str:
    """Why the code of ``target`` cannot be let at the database; empty where it can.

    ``schema`` is what the database has: by default what the journal says that it has now. Nothing
    is said against a release of which nobody ever told which schema it needs.
    """
    has = facts.history.schema if schema is None else schema
    wants = needs(facts, target)
    if not wants or wants == has:
        return ""
    made = f"{target.id} is made for schema {wants}"
    if not has:
        return f"{made}, and which one the database has is not known"
    change = _change(facts, wants, has)
    if change is None:
        return f"{made}, and the database has {has}"
    if change.compatible:
        return ""
    return f"{made}, and {change.id} changed it to {has}, not declared compatible"


def needs(facts: Facts, release: Release) -> str:
    """The schema that a release's code was made for; empty where nobody knows.

    A release from before there was a [migrate] says nothing itself: then it is what the next one
    that says something found there.
    """
    if release.schema:
        return release.schema
    later = [one for one in facts.releases if one.number > release.number and one.came_from]
    return min(later, key=lambda one: one.number).came_from if later else ""


def _change(facts: Facts, before: str, after: str) -> Release | None:
    """The release that made the one schema of the other in one go; the newest, were there two."""
    found = [one for one in facts.releases if (one.came_from, one.schema) == (before, after)]
    return max(found, key=lambda one: one.number, default=None)
