"""Sets carried off the box by a run that has ended: under a lock of the repository's own.

A slow line takes hours, and no deploy is to wait for it. So the set is finished and verified, the
run's end journalled and the app's lock let go, before the first byte goes. Nothing that happens
here, a death least of all, changes the app: the next backup makes up for what did not get there.
"""

from __future__ import annotations

import traceback
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import Iterator

from homeport.core import offsite
from homeport.errors import Busy, Cancelled, HomeportError, Internal, Problem
from homeport.host import kept, offsite_memory, records
from homeport.host.context import Context
from homeport.host.execute import execute
from homeport.host.store import Lock
from homeport.planned import Outcome, Plan, Verdict

#: how long somebody waits for whoever is just ending in the repository, in seconds
GRACE = 5.0


@contextmanager
def alone(ctx: Context, verb: str) -> Iterator[None]:
    """Work in the repository, where nobody else of this app does; raises Busy."""
    lock = Lock(ctx.paths.away_lock, away=True)
    lock.take({"run": ctx.run, "verb": verb, "who": ctx.request.cause.who}, GRACE)
    try:
        yield
    finally:
        lock.release()


def carry(ctx: Context, plan: Plan, verdict: Verdict) -> Verdict:
    """Carry the newest set off the box; the run's verdict with what became of that."""
    try:
        with alone(ctx, offsite.UPLOAD):
            _send(ctx, plan)
    except Busy as busy:
        holder = Lock(ctx.paths.away_lock).held()
        if holder.get("verb") != offsite.UPLOAD:
            return records.again(ctx, _failed(verdict, busy))
        # it looks once more for a newer set before it lets go
        sentence = f"{verdict.sentence}; not off the box yet: run {holder.get('run')} is sending"
        return records.again(ctx, replace(verdict, sentence=f"{sentence}, and sends it next"))
    except HomeportError as error:
        return records.again(ctx, _failed(verdict, error))
    except Exception as error:  # a mistake of ours is told as one; the set is safe all the same
        ctx.tell({"e": "trace", "text": traceback.format_exc()})
        what = f"{type(error).__name__}: {error}"
        fault = Internal(Problem(what, "homeport", "", "report it, please"))
        return records.again(ctx, _failed(verdict, fault))
    told = replace(verdict, figures={**verdict.figures, **records.figures(ctx)})
    sentence = f"{verdict.sentence}; {offsite_memory.newest(ctx.paths)} is off the box"
    return records.again(ctx, replace(told, sentence=sentence))


def _send(ctx: Context, plan: Plan) -> None:
    """Walk the plan, again for as long as a set that is newer than the one sent was made."""
    records.announce(ctx, plan)
    while True:
        before = offsite_memory.newest(ctx.paths)
        execute(ctx, plan)
        there = offsite_memory.newest(ctx.paths)
        if there == before or kept.newest(ctx.paths) <= there:
            return


def _failed(verdict: Verdict, error: HomeportError) -> Verdict:
    """What is said where the set is safe here, and nowhere else."""
    problems = tuple(asdict(one) for one in error.problems)
    sentence = f"{verdict.sentence}; it is not off the box: {error}"
    outcome: Outcome = "cancelled" if isinstance(error, Cancelled) else "failed"
    return replace(verdict, outcome=outcome, code=error.code, sentence=sentence, problems=problems)
