"""What putting an older set of copies back would undo: figures by table, and the same in words.

Where nothing could be learnt of a part, that is said; it never counts as nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Iterable, Mapping, Sequence

from homeport.core import words

#: no more rows or files of a kind are counted in one place
CAP = 100_000
#: seconds that counting may take in all
WITHIN = 30.0
#: so many places are named in a refusal; the figures have all of them
NAMED = 12
KINDS = ("added", "changed", "removed")


@dataclass(frozen=True)
class Change:
    """What happened in one table, or to the files of one folder, since the set was made.

    ``least``: it was counted up to there. ``only``: the table is there ``now`` alone, or was
    ``then`` alone. ``note`` says why nothing was counted. ``stay`` are files that the set does not
    have: putting it back leaves them where they are.
    """

    source: str
    table: str = ""
    added: int = 0
    changed: int = 0
    removed: int = 0
    least: bool = False
    only: str = ""
    note: str = ""
    #: it is about the files of a folder
    files: bool = False
    stay: int = 0

    @property
    def where(self) -> str:
        """The table and its database, or the folder."""
        if self.files:
            return f"{self.source} (files)"
        return f"{self.source}, {self.table}" if self.table else self.source

    @property
    def sure(self) -> bool:
        """Whether these are all, and known."""
        return not self.least and not self.note

    def text(self) -> str:
        """The change in words."""
        if self.note:
            return f"{self.where}: {self.note}"
        whole = {"now": "is new since", "then": "was dropped since"}.get(self.only)
        counted = _counted([self])
        if self.least and not counted:
            counted = "not looked through, there was no time left"
        stay = f"{self.stay} new ones stay" if self.stay else ""
        return f"{self.where}: {', '.join(one for one in (whole, counted, stay) if one)}"


@dataclass(frozen=True)
class Loss:
    """What going back to the set ``set``, made at ``since``, would undo at the instant ``now``."""

    set: str
    since: float
    now: float
    changes: tuple[Change, ...] = ()

    @property
    def nothing(self) -> bool:
        """Whether it is certain that nothing would be undone."""
        return all(one.sure and not one.only and not _size(one) for one in self.changes)

    @property
    def minutes(self) -> int:
        """How many minutes of writes that are, begun ones too."""
        return max(0, -int(-(self.now - self.since) // 60))

    def total(self, kind: str) -> int:
        """All rows and files that were ``added``, ``changed`` or ``removed``."""
        return sum(getattr(one, kind) for one in self.changes)

    def sentence(self) -> str:
        """The loss in one sentence."""
        since = f"the last {_many(self.minutes, 'minute')}"
        if self.nothing:
            return f"nothing of {since} would be lost"
        rows = [one for one in self.changes if not one.files]
        files = [one for one in self.changes if one.files]
        parts = [
            f"{kind}: {_counted(mine) or 'nobody knows how many'}"
            for kind, mine in (("rows", rows), ("files", files))
            if any(_size(one) or not one.sure for one in mine)
        ]
        parts = parts or ["tables without rows"]
        return f"it would undo the writes of {since}: {'; '.join(parts)}"

    def lines(self) -> tuple[str, ...]:
        """A line for each place, those with the most changes first."""
        order = sorted(self.changes, key=lambda one: (-_size(one), one.where))
        said = [one.text() for one in order[:NAMED]]
        more = len(order) - len(said)
        return (*said, *((f"and {more} more",) if more > 0 else ()))

    def data(self) -> dict[str, Any]:
        """The figures, for a record and for programs."""
        return {
            "set": self.set,
            "since": self.since,
            "minutes": self.minutes,
            "sure": all(one.sure for one in self.changes),
            **{kind: self.total(kind) for kind in KINDS},
            "changes": [
                {key: value for key, value in vars(one).items() if value or key in KINDS}
                for one in self.changes
            ],
        }


def change(source: str, line: Mapping[str, Any]) -> Change:
    """A line of what counted; its words come from an app's database and are taken as foreign."""
    counts = {kind: _count(line.get(kind)) for kind in KINDS}
    files = "table" not in line
    stay = counts["added"] if files else 0
    counts["added"] -= stay
    only = str(line.get("only") or "")
    return Change(
        words.sentence(source, 120),
        words.sentence(str(line.get("table") or ""), 120),
        **counts,
        least=bool(line.get("least")),
        only=only if only in ("now", "then") else "",
        note=words.sentence(str(line.get("note") or ""), 200),
        files=files,
        stay=stay,
    )


def of(set_: str, since: float, now: float, changes: Iterable[Change]) -> Loss:
    """The loss that these changes make."""
    return Loss(set_, since, now, tuple(sorted(changes, key=lambda one: (one.source, one.table))))


def _count(value: Any) -> int:
    return max(0, value) if isinstance(value, int) and not isinstance(value, bool) else 0


def _counted(changes: Sequence[Change]) -> str:
    """``at least 12 added, 3 changed``, of all of them together; empty where nothing was."""
    counts = [(sum(getattr(one, kind) for one in changes), kind) for kind in KINDS]
    said = ", ".join(f"{count} {kind}" for count, kind in counts if count)
    return f"at least {said}" if said and not all(one.sure for one in changes) else said


def _size(one: Change) -> int:
    return sum(getattr(one, kind) for kind in KINDS)


def _many(count: int, kind: str) -> str:
    return f"{count} {kind}" if count == 1 else f"{count} {kind}s"
