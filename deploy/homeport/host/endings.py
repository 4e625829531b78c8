"""How runs ended: what they told themselves, and what the journal knows where they could not."""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from typing import Any, Iterator, Mapping, cast

from homeport.core import journal
from homeport.errors import HomeportError
from homeport.host import telling
from homeport.host.paths import Paths
from homeport.host.store import Lock, Store
from homeport.planned import Outcome, Verdict

#: what a run's id and those of its recoveries and ways back begin with, in characters
STEM = 20
_LEAST = {"outcome": "failed", "code": HomeportError.code, "sentence": ""}


def told(paths: Paths, run: str) -> Iterator[dict[str, object]]:
    """What a run has told so far."""
    try:
        lines = (paths.runs / f"{run}.jsonl").read_bytes().splitlines()
    except OSError:
        return
    for line in lines:
        try:
            yield json.loads(line)
        except ValueError:
            continue


def is_told(paths: Paths, run: str) -> bool:
    """Whether a run has told its verdict."""
    return any(event.get("e") == "verdict" for event in told(paths, run))


def ended(paths: Paths, run: str) -> Verdict | None:
    """The verdict of a run; None while it goes on, and for one that nobody knows.

    Where the end of what it told is lost, it is what the journal has.
    """
    names = [one.name for one in fields(Verdict)]
    for event in told(paths, run):
        if event.get("e") == "verdict":
            said = {name: event[name] for name in names if name in event}
            return Verdict(**cast(Any, {**_LEAST, **said}))
    if run in holders(paths):
        return None
    known = Store(paths).history().run(run)
    return of(known) if known and known.end is not None else None


def of(run: journal.Run) -> Verdict:
    """The verdict that the journal keeps of a run: of its problems, what was wrong."""
    end: Mapping[str, Any] = run.end or {}
    figures, problems = end.get("figures"), end.get("problems")
    whats = problems if isinstance(problems, list) else []
    none = {"where": "", "why": "", "mend": ""}
    return Verdict(
        cast(Outcome, str(end.get("outcome", "failed"))),
        int(end.get("code", HomeportError.code)),
        str(end.get("sentence", "")),
        run.release,
        run.id,
        tuple({"what": str(one), **none} for one in whats),
        figures if isinstance(figures, dict) else {},
    )


def never_began(paths: Paths, run: str, verb: str) -> None:
    """Tell the verdict of a run whose executor died before it wrote anything into the journal."""
    if is_told(paths, run):
        return
    from homeport.core import unfinished  # the agent's door is not to wait for it

    verdict = Verdict("failed", HomeportError.code, unfinished.cut_short(run, verb, ""), "", run)
    telling.tell_run(paths, run, {"e": "verdict", **asdict(verdict)})


def holders(paths: Paths) -> tuple[str, ...]:
    """The runs that go on: the one that holds the app, then the one that sends a set off the box.

    A recovery counts as the run that it is for.
    """
    held = (Lock(paths.lock).held(), Lock(paths.away_lock).held())
    names = (str(one.get("run", ""))[:STEM] for one in held)
    # one that had no room to say who it is names none
    return tuple(name for name in names if len(name) == STEM)


def latest(paths: Paths) -> str:
    """The run that goes on; else the one that was begun last; nothing where there was none."""
    names = sorted(one.stem for one in paths.runs.glob("*.jsonl") if one.stem.count("-") == 1)
    # one that was refused meanwhile is newer, and not what anybody asks about; and a clock that
    # was set back names a new run like an old one
    return next(iter(holders(paths)), names[-1] if names else "")
