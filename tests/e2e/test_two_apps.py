"""Two apps behind one edge: neither notices that the other is being deployed."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.stage import Stage
from lab import hosts
from lab.load import Load, Result, holds_seen, judge
from scenario import Before, Typed, note, second_app, sending, under_way

pytestmark = pytest.mark.lab

APP, PORT = "hello", 8081
#: seconds from the new container's start until it listens: so long, at least, its app holds
DELAY = 9
COMPOSE = """\
services:
  web:
    image: ${HELLO_IMAGE:-hello}
    env_file: app.env
    restart: unless-stopped
"""
SETTINGS = f"""\
[web]
service = "web"
port = 8000
ready = "/"
[site]
port = {PORT}
[deploy]
handover = "recreate"
"""
NOTICED = 1.0


def test_neither_app_notices_the_other_s_deploy(
    stage: Stage, turns: Iterator[str], plain_image: str, tmp_path: Path
) -> None:
    """One hands over while the other holds for seconds; each waits in its own hold only."""
    hello = second_app(stage, tmp_path / APP, APP, COMPOSE, SETTINGS, {"START_DELAY": "0"})
    try:
        hello.deploy(plain_image, "--monitor", "0s")
        hello.write_env({"START_DELAY": str(DELAY)})
        url = f"http://{stage.host.address}:{PORT}"
        mine = Load(stage.url, rate=50, seed=1, mix={"read": 1})
        theirs = Load(url, rate=25, seed=2, mix={"read": 1}, paths={"read": "/"})
        before_theirs = Before(hello)
        with sending(mine), sending(theirs):
            under_way(mine)
            under_way(theirs, 150)
            moving = ("deploy", next(turns), "--json", "--monitor", "0s", "--force")
            with Typed(hello, "deploy", plain_image, "--json", "--monitor", "0s") as other:
                before_theirs.reaches("hold")
                # its hold lasts longer than all of this one takes, however busy the machine is
                with Typed(stage, *moving) as typed:
                    ran, other_ran = typed.wait(), other.wait()
            under_way(mine)
            under_way(theirs)
        seen, theirs_seen = mine.stop(), theirs.stop()
        assert (ran.code, other_ran.code) == (0, 0), (ran, other_ran)
    finally:
        hello.homeport("remove", "--yes")
        hosts.run(stage.host, ["rm", "-rf", f"/opt/{APP}"])

    for result in (seen, theirs_seen):
        counts = result.counts()
        assert counts["ok"] == counts["requests"] > 500, judge(result, [])
    began, ended = long_wait(theirs_seen)
    assert ended - began >= DELAY, "the other app held for too short a time to show anything"
    [hold] = holds_seen(seen)
    assert began < hold.end and hold.start < ended, "the two never held at the same time"
    calm = slowest(seen, until=hold.start, since=hold.end)
    # after its hold the other one answers hundreds of held requests, one connection at a time
    theirs_calm = slowest(theirs_seen, until=began)
    note(
        two_apps={
            "requests": len(seen.requests) + len(theirs_seen.requests),
            "other_held_s": round(ended - began, 2),
            "own_hold_s": round(hold.end - hold.start, 2),
            "slowest_outside_own_hold_s": round(calm, 3),
            "other_slowest_before_its_hold_s": round(theirs_calm, 3),
        }
    )
    assert max(calm, theirs_calm) < NOTICED, (calm, theirs_calm)


def long_wait(result: Result) -> tuple[float, float]:
    """The longest wait of one request, in wall-clock seconds: the hold of an app without a name.

    The app tells no release, so that `holds_seen` has nothing to go by.
    """
    longest = max(result.requests, key=lambda r: r.latency)
    return result.wall(longest.planned), result.wall(longest.done)


def slowest(result: Result, until: float, since: float = math.inf) -> float:
    """The largest latency in seconds: of requests over by ``until``, or planned after ``since``."""
    return max(
        r.latency
        for r in result.requests
        if result.wall(r.done) < until or result.wall(r.planned) > since
    )
