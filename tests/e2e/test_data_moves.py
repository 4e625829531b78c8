"""Code and data move together: a migration goes live under traffic, on both databases.

What is counted here must not share the machine: others' writes can keep a database from its disk
for seconds, and then the app itself gives up requests.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import moving
import pytest

from bench import evidence
from bench.moves import Moves
from lab.load import Load, judge
from scenario import sending, status, under_way

pytestmark = pytest.mark.lab

#: what an exclusive hold may take beyond the two containers' own stop and start, in seconds
EXTRA = 3.0


@pytest.fixture(scope="module")
def made() -> dict[str, str]:
    """The images."""
    return moving.made()


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def moves(request: pytest.FixtureRequest, made: dict[str, str]) -> Iterator[Moves]:
    """A host where the app of today serves."""
    with moving.serving(request.param, "moves", made["now"]) as found:
        yield found


def test_what_requests_could_not_wait_for_is_a_page(moves: Moves, made: dict[str, str]) -> None:
    """Where a hold would be too long, a page says when to come back: told before, nothing lost."""
    stage, serves, link = moves.stage, status(moves.stage)["release"], moves.stage.link()
    # a change of the edge has a gap of its own, which is told of and is not what is shown here
    moves.settings(hold="6s", **moving.PATIENT)
    stage.homeport("edge", "apply", "--yes", "--json")
    with sending(Load(stage.url, rate=60)) as load:
        under_way(load)
        ran = stage.deploy(made["raises"], "--monitor", "0s", check=False)
        under_way(load)
    result = load.stop()
    moves.settings()
    stage.homeport("edge", "apply", "--yes", "--json")
    assert ran.code == moving.FAILS["raises"][1], ran
    told = ran.err.index("the maintenance page answers meanwhile")
    assert told < ran.err.index(moving.WORDS), "it was not said beforehand"
    figures = judge(result, moves.audit())
    errors = figures["errors"]
    odd = [one for one in result.requests if one.error]
    assert isinstance(errors, dict) and set(errors) == {"edge: maintenance"}, (errors, odd)
    assert figures["lost_writes"] == figures["doubled_writes"] == 0 < figures["acked_writes"]
    assert stage.get("/")[0] == 200, "the page is still up"
    moving.unchanged(moves, serves, link)


def test_a_migration_goes_live_with_its_code(moves: Moves, made: dict[str, str]) -> None:
    """Nobody's request fails, no write is lost or doubled, and the schema is the release's."""
    stage = moves.stage
    with sending(Load(stage.url, rate=60)) as load:
        under_way(load)
        ran = stage.deploy(made["good"], "--monitor", "2s")
        under_way(load)
    result = load.stop()
    total = moving.Total(f"moves_{moves.kind}")
    figures = total.counted(result, moves)
    total.tell()
    assert ran.data["outcome"] == "deployed" and "0002 -> 0003" in ran.err
    assert figures["writer_changes"] == 1
    assert moves.schema() == "0003"
    moves.sound()
    assert moves.rows("SELECT count(*) FROM purchases WHERE points IS NOT NULL")[0][0]
    took = {one["id"]: one["seconds"] for one in ran.data["figures"]["steps"]}
    held = float(ran.data["figures"]["held_s"])
    # the load's slow requests take two seconds, which the old container is given to end by itself
    extra = held - sum(took[step] for step in ("drain", "retire", "start", "healthy"))
    name = "exclusive" if moves.kind == "sqlite" else "exclusive_postgres"
    told: dict[str, Any] = {
        f"{name}_hold_ms": round(held * 1000),
        f"{name}_extra_hold_ms": round(extra * 1000),
        f"{name}_estimated_hold_ms": round(1000 * ran.data["figures"]["estimated_hold_s"]),
    }
    evidence.add("data", **told)
    assert extra <= EXTRA, took
