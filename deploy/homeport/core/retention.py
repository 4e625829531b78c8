"""Which sets of copies may go: by count and age, and never what a way back needs.

Kept are the newest ``keep``, and of those before them the newest of each day (in UTC) that is no
older than ``days``. So an hourly schedule, or a day of many deploys, does not fill a small disk.
Whatever the numbers say, these stay:

* the newest verified set;
* the newest verified set of each schema that a kept release has, and a newer one that nobody has
  verified, as a migration leaves it behind: going back over that migration needs it;
* the set that an unfinished run would have to restore;
* what somebody gave up who went back, until it is older than ``days``: verified or not, since
  damaged data is saved as it lies, and nobody else has what was written last;
* a set that failed, or that nobody verified, for as long as there is no newer verified one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Collection, Iterable, Sequence

from homeport.core.kept import Kept

DAY = 86400.0


@dataclass(frozen=True)
class Gone:
    """A set that goes, and why."""

    set: str
    why: str


def gone(
    sets: Iterable[Kept],
    keep: int,
    days: int,
    now: float,
    schemas: Collection[str] = (),
    stake: str = "",
    given_up: Collection[str] = (),
) -> tuple[Gone, ...]:
    """The sets to let go, the oldest first; ``schemas`` are those of the releases that are kept.

    ``given_up`` are the ids of sets with what was there before other data was put back.
    """
    newest = sorted(sets, key=lambda one: one.manifest.id, reverse=True)
    needed = _needed(newest, schemas, stake)
    found: list[Gone] = []
    counted = 0
    taken: set[float] = set()
    good_above = False
    for one in newest:
        name, day = one.manifest.id, one.manifest.created // DAY
        age = (now - one.manifest.created) / DAY
        why = ""
        if one.state != "verified":
            why = _PASSED[one.state] if good_above else ""
        else:
            good_above = True
            if counted >= keep:
                why = f"older than {days} days" if age > days else ""
                why = why or (f"not the last of its day, and not of the newest {keep}")
                why = "" if age <= days and day not in taken else why
            counted += 1
            taken.add(day)
        if name in given_up and age <= days:
            why = ""
        if why and name not in needed:
            found.append(Gone(name, why))
    return tuple(reversed(found))


_PASSED = {
    "failed": "it failed its check, and a newer one is good",
    "unverified": "nobody verified it, and a newer one is good",
}


def _needed(newest: Sequence[Kept], schemas: Collection[str], stake: str) -> set[str]:
    """The ids of what stays whatever its age; ``newest`` has the newest first."""
    found = {stake} - {""}
    groups = [newest]
    groups += [[one for one in newest if one.manifest.schema == schema] for schema in schemas]
    for group in groups:
        good = next((one.manifest.id for one in group if one.state == "verified"), "")
        found |= {good} - {""}
    for group in groups[1:]:
        good = next((one.manifest.id for one in group if one.state == "verified"), "")
        later = next((one.manifest.id for one in group if one.state == "unverified"), "")
        found |= {later} - {""} if later > good else set()
    return found
