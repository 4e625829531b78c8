"""What the journal tells: runs, what each got to, and which release was committed last.

A record is one JSON object a line with ``v`` (format), ``k`` (kind), ``run``, ``t`` (instant):

========== =====================================================================================
``begin``  ``verb``, ``release``, ``from`` (the release before), ``cause``; where it was asked
           for, ``key`` (a second request of it joins this run) and ``freeze``: true to forbid
           deploys from this run's success on, false to lift that
``intent`` ``step``, ``do``: written and synced before the effect
``done``   ``step``, ``seconds``; the committing step carries ``committed``: the release, or
           nothing where it is the app's removal
``failed`` ``step``, ``why``
``set``    ``set``: a set of copies of the data that this run made
``stake``  ``set``: from here on the data must be put back from it, unless this run commits; or
           nothing, once that is done
``schema`` ``schema``: what the database has now, or nothing while that is not sure
``site``   ``site``: where people reached the app before this deploy moved it
``boot``   a boot hook looked in (run is empty)
``end``    the fields of the verdict
========== =====================================================================================

A torn or garbled line is skipped and counted, never guessed at. Where one was, it may be the
``begin`` of a run that later lines speak of, or the commit of a release that a later run found
live: those lines count by themselves then. Fields that came later
(``key``, ``freeze``, ``why``) may be missing: then nothing was asked, or told.

What a run asks of the freeze takes effect with its commit, by the same record, and for a run that
commits nothing with its good end. So no crash can leave one without the other.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Any, Iterable, Mapping

from homeport.core.freeze import Freeze
from homeport.core.stake import Stake

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
    #: where people reached the app before the run changed it
    site: Mapping[str, Any] | None = None
    #: the sets of copies that it made
    sets: tuple[str, ...] = ()
    #: what a taking back was begun for
    why: str = ""

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
    #: what gives the data back, while a run that did not commit may have changed it
    stake: Stake | None = None
    #: what the database has, "" where that is not known
    schema: str = ""
    #: whether it was ever told what the database has: "" is then no want of knowledge of before
    told: bool = False
    #: the verb that put the maintenance page up last, whether it is still there or not
    page: str = ""

    @property
    def unfinished(self) -> tuple[Run, ...]:
        """Runs without an end: crashed, or going on right now."""
        return tuple(run for run in self.runs if run.end is None)

    def tells_of(self, slot: str) -> bool:
        """Whether it can say of a slot that it never served: it knows its run, or lacks no line.

        A journal that was deleted has nothing to say of what was there before.
        """
        named = any(one.release.split("-")[0] == slot for one in self.runs)
        return named or bool(self.runs and not self.garbled)

    def run(self, name: str) -> Run | None:
        """The run by that id."""
        return next((run for run in self.runs if run.id == name), None)

    def blamed(self, release: str) -> str:
        """Why a release was taken back last; "" where that is not written down."""
        backs = (one for one in self.runs if (one.verb, one.origin) == ("take-back", release))
        return next((one.why for one in reversed(tuple(backs))), "")

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


def fold(lines: Iterable[str], before: History = History()) -> History:
    """The history that a journal's lines tell, in their order; ``before`` them it was that."""
    runs = {run.id: run for run in before.runs}
    history = before
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
    except (ValueError, RecursionError):
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
            why=str(record.get("why", "")),
        )
        history = _found_live(history, runs[name].origin)
        return replace(history, highest=max(history.highest, _number(release)))
    if name not in runs:
        if not history.garbled or not name:
            return history
        # what it says of data at stake must not be lost with the line that began it
        runs[name] = Run(name, "", "", "", at)
    run = runs[name]
    step = str(record.get("step", ""))
    if kind == "intent":
        runs[name] = replace(run, step=step)
        if record.get("do") == "page-up":
            return replace(history, page=run.verb)
    elif kind == "done":
        return _done(history, runs, run, step, record)
    elif kind == "site" and isinstance(record.get("site"), dict):
        runs[name] = replace(run, site=record["site"])
    elif kind == "set":
        runs[name] = replace(run, sets=(*run.sets, str(record.get("set", ""))))
    elif kind == "stake":
        return _stake(history, run, str(record.get("set", "")))
    elif kind == "schema":
        return replace(history, schema=str(record.get("schema", "")), told=True)
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


def _found_live(history: History, release: str) -> History:
    """What a run found live was committed, also where the line that said so is garbled."""
    if not history.garbled or not release or release in history.served:
        return history
    return replace(history, committed=release, served=(*history.served, release), removed=False)


def _done(
    history: History, runs: dict[str, Run], run: Run, step: str, record: Mapping[str, Any]
) -> History:
    run = replace(run, done=(*run.done, step), watched=run.watched or step == "watch")
    release, at = str(record.get("committed", "")), float(record["t"])
    if not release:
        runs[run.id] = run
        removed = "committed" in record
        if removed:
            return replace(history, committed="", removed=True, freeze=None, stake=None)
        return history
    # a run that failed and brings back what served has not done what it was for
    mine = release == run.release
    told = release if mine else ""
    runs[run.id] = replace(run, committed=told, committed_at=at, watched=False)
    if mine:
        history = _freeze(history, run, at)
    for key, dead in runs.items():
        # a recovery that finds the link written commits it for the run that died doing so
        if dead.release == release and dead.end is None and not dead.committed:
            if dead.verb == "restore" and not (history.stake and history.stake.run == key):
                # what it would commit served before it: only its stake tells that it got so far
                continue
            runs[key] = replace(dead, committed=release, committed_at=at)
            history = _freeze(history, dead, at)
    served = tuple(one for one in history.served if one != release) + (release,)
    same = release == history.committed
    return replace(
        history,
        # whoever commits has put the data in order before, or has let users at it
        stake=None,
        committed=release,
        committed_at=history.committed_at if same else at,
        removed=False,
        served=served,
        highest=max(history.highest, _number(release)),
    )


def _stake(history: History, run: Run, set_: str) -> History:
    """Data is at stake from here on; or it was put back, and has the schema that it had."""
    if set_:
        return replace(history, stake=Stake(set_, run.release, run.id, history.schema))
    if history.stake is None:
        return history
    return replace(history, stake=None, schema=history.stake.schema)


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
