"""What the journal tells: runs, what each got to, and which release was committed last.

A record is one JSON object a line with ``v`` (format), ``k`` (kind), ``run``, ``t`` (instant):

========== =====================================================================================
``begin``  ``verb``, ``release``, ``from`` (the release before), ``cause``; where it was asked
           for, ``key`` (a second request of it joins this run) and ``freeze``: true to forbid
           deploys from this run's success on, false to lift that
``intent`` ``step``, ``do``: written and synced before the effect
``done``   ``step``, ``seconds``; the committing step carries ``committed``: the release
``failed`` ``step``, ``why``
``boot``   a boot hook looked in (run is empty)
``end``    the fields of the verdict
========== =====================================================================================

A torn or garbled line is skipped and counted, never guessed at. Fields that came later
(``key``, ``freeze``) may be missing: then nothing was asked.

What a run asks of the freeze takes effect with its commit, by the same record, and for a run that
commits nothing with its good end. So no crash can leave one without the other.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Any, Iterable, Mapping

from homeport.core.freeze import Freeze

FORMAT = 1


@dataclass(frozen=True)
class Run:
    """One run as far as the journal knows it. ``step`` is the last one begun."""

    id: str
    verb: str
    release: str
    origin: str
    began: float
    cause: Mapping[str, Any] = field(default_factory=dict)
    step: str = ""
    done: tuple[str, ...] = ()
    committed: str = ""
    committed_at: float = 0.0
    watched: bool = False
    boots_since_commit: int = 0
    end: Mapping[str, Any] | None = None
    ended_at: float = 0.0
    key: str = ""
    freeze: bool | None = None

    @property
    def good(self) -> bool:
        """Whether it ended with code 0."""
        return self.end is not None and self.end.get("code") == 0


@dataclass(frozen=True)
class History:
    """The journal, folded. ``runs`` oldest first; ``served`` are releases that were committed."""

    runs: tuple[Run, ...] = ()
    committed: str = ""
    committed_at: float = 0.0
    served: tuple[str, ...] = ()
    taken_back: tuple[str, ...] = ()
    highest: int = 0
    garbled: int = 0
    #: the app was removed and nothing was committed since
    removed: bool = False
    #: why no deploy may begin, until it is lifted
    freeze: Freeze | None = None

    @property
    def unfinished(self) -> tuple[Run, ...]:
        """Runs without an end: crashed, or going on right now."""
        return tuple(run for run in self.runs if run.end is None)

    def run(self, name: str) -> Run | None:
        """The run by that id."""
        return next((run for run in self.runs if run.id == name), None)

    def answered(self, key: str) -> Run | None:
        """The run that did what ``key`` asks, if what it did still stands.

        That is the newest run of that key, if it ended well and no other release was committed
        after it.
        """
        mine = [at for at, run in enumerate(self.runs) if key and run.key == key]
        if not mine:
            return None
        run = self.runs[mine[-1]]
        later = {one.committed for one in self.runs[mine[-1] + 1 :]} - {"", run.release}
        return run if run.good and not later else None


def fold(lines: Iterable[str]) -> History:
    """The history that a journal's lines tell, in their order."""
    runs: dict[str, Run] = {}
    history = History()
    for line in lines:
        if not line.strip():
            continue
        record = _parse(line)
        if record is None:
            history = replace(history, garbled=history.garbled + 1)
            continue
        history = _take(history, runs, record)
    return replace(history, runs=tuple(runs.values()))


def _parse(line: str) -> Mapping[str, Any] | None:
    try:
        record = json.loads(line)
    except ValueError:
        return None
    if not isinstance(record, dict) or not isinstance(record.get("k"), str):
        return None
    if not isinstance(record.get("t"), (int, float)):
        return None
    return record


def _take(history: History, runs: dict[str, Run], record: Mapping[str, Any]) -> History:
    kind, name, at = record["k"], str(record.get("run", "")), float(record["t"])
    if kind == "boot":
        for key, run in runs.items():
            if run.end is None and run.committed:
                runs[key] = replace(run, boots_since_commit=run.boots_since_commit + 1)
        return history
    if kind == "begin":
        release = str(record.get("release", ""))
        cause, freeze = record.get("cause"), record.get("freeze")
        runs[name] = Run(
            name,
            str(record.get("verb", "")),
            release,
            str(record.get("from", "")),
            at,
            cause if isinstance(cause, dict) else {},
            key=str(record.get("key", "")),
            freeze=freeze if isinstance(freeze, bool) else None,
        )
        return replace(history, highest=max(history.highest, _number(release)))
    if name not in runs:
        return history
    run = runs[name]
    step = str(record.get("step", ""))
    if kind == "intent":
        runs[name] = replace(run, step=step)
    elif kind == "done":
        return _done(history, runs, run, step, record)
    elif kind == "end":
        run = runs[name] = replace(run, end=dict(record), ended_at=at)
        if run.good and not run.committed:
            history = _freeze(history, run, at)
        if record.get("outcome") == "removed":
            return replace(history, committed="", removed=True, freeze=None)
        if record.get("outcome") == "taken-back":
            gone = (*history.taken_back, run.release)
            return replace(history, taken_back=tuple(dict.fromkeys(gone)))
    return history


def _done(
    history: History, runs: dict[str, Run], run: Run, step: str, record: Mapping[str, Any]
) -> History:
    run = replace(run, done=(*run.done, step), watched=run.watched or step == "watch")
    release, at = str(record.get("committed", "")), float(record["t"])
    if not release:
        runs[run.id] = run
        return history
    runs[run.id] = replace(run, committed=release, committed_at=at, watched=False)
    if release == run.release:
        history = _freeze(history, run, at)
    for key, dead in runs.items():
        # a recovery that finds the link written commits it for the run that died doing so
        if dead.release == release and dead.end is None and not dead.committed:
            runs[key] = replace(dead, committed=release, committed_at=at)
            history = _freeze(history, dead, at)
    served = tuple(one for one in history.served if one != release) + (release,)
    same = release == history.committed
    return replace(
        history,
        committed=release,
        committed_at=history.committed_at if same else at,
        removed=False,
        served=served,
        highest=max(history.highest, _number(release)),
    )


def _freeze(history: History, run: Run, at: float) -> History:
    """What a run that succeeded makes of the freeze."""
    if run.freeze is None:
        return history
    if not run.freeze:
        return replace(history, freeze=None)
    who, why, url = (str(run.cause.get(name, "")) for name in ("who", "why", "url"))
    return replace(history, freeze=Freeze(who, why, url, at))


def _number(release: str) -> int:
    digits = release[1:].split("-")[0]
    return int(digits) if release[:1] == "r" and digits.isdecimal() else 0
