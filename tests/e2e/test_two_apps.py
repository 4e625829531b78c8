"""Two apps behind one edge: neither notices that the other is being deployed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.stage import Stage
from lab import hosts
from lab.load import Load, Result, holds_seen
from scenario import Before, Typed, note, second_app, sending, under_way

pytestmark = pytest.mark.lab

APP, PORT = "hello", 8081
#: seconds from the new container's start until it listens: longer than the other's whole deploy
DELAY = 14
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
        theirs = Load(url, rate=50, seed=2, mix={"read": 1}, paths={"read": "/"})
        before = Before(hello)
        with sending(mine), sending(theirs):
            under_way(mine)
            under_way(theirs)
            with Typed(hello, "deploy", plain_image, "--json", "--monitor", "0s") as typed:
                before.reaches("hold")
                moved = stage.deploy(next(turns), "--monitor", "0s", "--force")
                ran = typed.wait()
            under_way(mine)
            under_way(theirs)
        seen, theirs_seen = mine.stop(), theirs.stop()
        assert (moved.data["outcome"], ran.data["outcome"]) == ("deployed", "deployed")
    finally:
        hello.homeport("remove", "--yes")
        hosts.run(stage.host, ["rm", "-rf", f"/opt/{APP}"])

    for result in (seen, theirs_seen):
        assert result.counts()["ok"] == len(result.requests) > 500, result.counts()
    began, ended = long_wait(theirs_seen)
    assert ended - began >= 5, "the other app held for too short a time to show anything"
    [hold] = holds_seen(seen)
    assert began < hold.start < hold.end < ended, "the handover was not within the other's hold"
    calm = slowest_outside(seen, hold.start, hold.end)
    theirs_calm = slowest_outside(theirs_seen, began, ended)
    note(
        two_apps={
            "requests": len(seen.requests) + len(theirs_seen.requests),
            "other_held_s": round(ended - began, 2),
            "own_hold_s": round(hold.end - hold.start, 2),
            "slowest_while_the_other_held_s": round(calm, 3),
            "other_slowest_outside_its_hold_s": round(theirs_calm, 3),
        }
    )
    assert calm < NOTICED
    assert theirs_calm < NOTICED


def long_wait(result: Result) -> tuple[float, float]:
    """The longest wait of one request, in wall-clock seconds: the hold of an app without a name.

    The app tells no release, so that `holds_seen` has nothing to go by.
    """
    longest = max(result.requests, key=lambda r: r.latency)
    return result.wall(longest.planned), result.wall(longest.done)


def slowest_outside(result: Result, start: float, end: float) -> float:
    """The largest latency, in seconds, of requests that a window did not touch."""
    return max(
        r.latency
        for r in result.requests
        if result.wall(r.done) < start or result.wall(r.planned) > end
    )
