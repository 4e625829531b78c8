"""What was told and what people saw, against what is so."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bench.stage import Ran
from lab.load import Request, Result

#: how long a request may be held at a point, in seconds: the hold limit, beyond which the edge
#: gives it up
HELD = 45.0


def told(ran: Ran, found: Mapping[str, Any]) -> Iterator[str]:
    """Whether what was told and what the journal says are the same, and true."""
    try:
        said = ran.data
    except ValueError:
        yield f"nothing was told: {ran.err[-300:]}"
        return
    ends = {one["id"]: one["end"] for one in found["first"]["runs"] if one["end"]}
    end = ends.get(said.get("run", ""))
    if end is None:
        yield f"the journal has no end of {said.get('run')}: {said.get('sentence')}"
    elif (end["outcome"], end["code"]) != (said["outcome"], said["code"]):
        yield f"it was told {said['outcome']} {said['code']}, and the journal has {end}"
    good = said["outcome"] in ("deployed", "rolled-back")
    if good and said.get("release") != found["first"]["current"]:
        yield f"{said['release']} was told to be live"


def unmeant(step: str, ran: Ran, found: Mapping[str, Any]) -> list[str]:
    """Whether the journal does not know what the run was about to do when it died there."""
    try:
        name = ran.data.get("run")
    except ValueError:
        return []  # which is told of already
    known = [one for one in found["first"]["runs"] if one["id"] == name]
    if known and step in known[0]["intents"]:
        return []
    return [f"the journal knows of no intent of {step}"]


def missed(result: Result, errors: Sequence[str]) -> Iterator[Request]:
    """The requests that nobody was to lose, and those that were held for too long."""
    for request in result.requests:
        if request.outcome == "ok":
            if request.latency > HELD:
                yield request
        elif request.outcome not in errors:
            yield request


def again(result: Result, died: float, ended: float) -> list[int]:
    """Milliseconds from a death until somebody who asked after it was answered well."""
    good = [
        result.wall(one.done)
        for one in result.requests
        if one.outcome == "ok" and died <= result.wall(one.begun) <= ended
    ]
    return [round(1000 * (min(good) - died))] if good and died else []
