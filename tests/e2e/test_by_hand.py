"""Compose commands typed in the app's folder on the host meet the live slot and change nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from bench.stage import Stage
from homeport.core import link as links
from lab import hosts
from lab.load import Load
from scenario import identity, sending, status, under_way

pytestmark = pytest.mark.lab


def typed(stage: Stage, line: str) -> str:
    """Type a line as user homeport in the app's folder; what it printed, stderr included."""
    shell = f"cd /opt/{stage.app} && {line} 2>&1"
    return hosts.run(stage.host, ["sh", "-c", shell], user="homeport").stdout.decode()


def live(stage: Stage) -> str:
    """The slot that the link names."""
    kind, slot = links.read(stage.app, stage.link())
    assert kind == "release"
    return slot


@pytest.mark.parametrize("flavour", hosts.FLAVOURS)
def test_compose_by_hand_meets_the_live_slot(stage: Stage, turns: Iterator[str]) -> None:
    """`ps` and `logs` show what serves, after a deploy that moved it too; `up -d` is a no-op."""
    with sending(Load(stage.url, rate=20)) as load:
        stage.deploy(next(turns), "--monitor", "0s", "--force")
        slot = live(stage)

        shown = typed(stage, "docker compose ps --format json").splitlines()
        rows = [json.loads(row) for row in shown]
        assert [row["Name"] for row in rows] == stage.running() == [f"{stage.app}-{slot}-web-1"]
        assert rows[0]["State"] == "running"

        code, _, headers = stage.get("/load/read")
        assert code == 200
        assert headers["X-Request-Id"] in typed(stage, "docker compose logs --no-color web")

        was = identity(stage)
        typed(stage, "docker compose up -d")
        assert identity(stage) == was
        under_way(load)
    counts = load.stop().counts()
    assert counts["ok"] == counts["requests"] > 0, counts


def test_up_after_an_edit_of_the_settings_changes_nothing(stage: Stage) -> None:
    """An edit of app.env waits for a deploy: `up -d` leaves container id and start time alone."""
    kept = hosts.run(stage.host, ["cat", f"/opt/{stage.app}/app.env"]).stdout.decode()
    values = dict(line.split("=", 1) for line in kept.splitlines())
    was = identity(stage)
    try:
        stage.write_env({**values, "SESSION_LIFETIME_MINUTES": "7", "LOG_LEVEL": "WARNING"})
        typed(stage, "docker compose up -d")
        assert identity(stage) == was
        said = [text for text in status(stage)["warnings"] if "app.env differs" in text]
        assert said and "LOG_LEVEL, SESSION_LIFETIME_MINUTES" in said[0]
    finally:
        stage.write_env(values)
    typed(stage, "docker compose up -d")
    assert identity(stage) == was
    assert status(stage)["healthy"]
