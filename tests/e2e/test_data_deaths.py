"""Code and data move together or not at all: migrations that fail or die under traffic."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import moving
import pytest

from bench.moves import Moves
from bench.stage import Ran, until
from lab.load import Load, judge
from moving import FAILS, WORDS, Total
from scenario import sending, status, under_way

pytestmark = pytest.mark.lab

#: steps at which the executor dies: all with an effect, up to the commit
STEPS = (
    *("backup", "verify", "rehearse", "hold", "drain", "retire"),
    *("snapshot", "migrate", "start", "healthy", "schema"),
)
#: seconds that a migration may take where none is to hang: a busy machine is no hanging one
PATIENT = 30


@pytest.fixture(scope="module")
def made() -> dict[str, str]:
    """The images."""
    return moving.made()


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def kind(request: pytest.FixtureRequest) -> str:
    """The kind of database."""
    return str(request.param)


@pytest.fixture(scope="module")
def total(kind: str) -> Iterator[Total]:
    """What is counted."""
    found = Total(f"deaths_{kind}")
    yield found
    found.tell()


@pytest.fixture(scope="module")
def moves(kind: str, made: dict[str, str]) -> Iterator[Moves]:
    """A host where the app of today serves."""
    with moving.serving(kind, "deaths", made["now"]) as found:
        found.settings(within=PATIENT)
        yield found


def unchanged(moves: Moves, serves: str, link: str) -> None:
    """What served serves, on its own schema and whole data, and nothing is left to do."""
    seen = status(moves.stage)
    assert (seen["release"], seen["healthy"], seen["unfinished"]) == (serves, True, [])
    assert moves.stage.link() == link and moves.schema() == "0002"
    moves.sound()
    assert moves.stage.homeport("recover", "--json").data["outcome"] == "nothing-to-do"
    left = moves.stage.on_host("docker", "ps", "-aq", "--filter", "label=homeport.oneshot")
    assert left == "", "a one-shot container is left"


@pytest.mark.parametrize("name", FAILS)
def test_a_migration_that_fails_leaves_both_as_they_were(
    moves: Moves, made: dict[str, str], total: Total, name: str
) -> None:
    """In its rehearsal nobody waits; in the hold the data is put back within the hold limit."""
    _, code, held = FAILS[name]
    if name == "hangs":
        moves.settings()
    stage, serves, link = moves.stage, status(moves.stage)["release"], moves.stage.link()
    with sending(Load(stage.url, rate=60)) as load:
        under_way(load)
        ran = stage.deploy(made[name], "--monitor", "0s", check=False)
        under_way(load)
    result = load.stop()
    assert (ran.code, ran.data["outcome"]) == (code, "failed"), (ran.out, ran.err)
    assert WORDS in ran.out + ran.err, "it does not say why"
    figures = total.counted(result, moves)
    # the load's own slow requests take 2 s
    assert (figures["max_extra_wait_ms"] > 3000) == held, figures
    moves.settings(within=PATIENT)
    unchanged(moves, serves, link)


@pytest.mark.parametrize("step", STEPS)
def test_an_executor_killed_anywhere_leaves_both_as_they_were(
    moves: Moves, made: dict[str, str], total: Total, step: str
) -> None:
    """SIGKILL at each step up to the commit: the guardian puts the data back and starts the old."""
    stage, serves, link = moves.stage, status(moves.stage)["release"], moves.stage.link()
    kill = moves.kills(step)
    with sending(Load(stage.url, rate=60)) as load:
        under_way(load)
        ran = killed(moves, made["good"], kill)
        under_way(load)
    result = load.stop()
    assert ran.code != 0, ran
    total.counted(result, moves)
    unchanged(moves, serves, link)


def killed(moves: Moves, image: str, kill: Any) -> Ran:
    """Deploy while ``kill`` waits for its moment; how the deploy ended."""
    with ThreadPoolExecutor(1) as pool:
        deploy = pool.submit(moves.stage.deploy, image, "--monitor", "0s", check=False)
        kill()
        ran = deploy.result(timeout=180)
    until(lambda: not status(moves.stage)["running"], 60, "the guardian's recovery", 0.5)
    return ran


def test_what_requests_could_not_wait_for_is_a_page(moves: Moves, made: dict[str, str]) -> None:
    """Where a hold would be too long, a page says when to come back: told before, nothing lost."""
    stage, serves, link = moves.stage, status(moves.stage)["release"], moves.stage.link()
    # a change of the edge has a gap of its own, which is told of and is not what is shown here
    moves.settings(hold="6s", within=PATIENT)
    stage.homeport("edge", "apply", "--yes", "--json")
    with sending(Load(stage.url, rate=60)) as load:
        under_way(load)
        ran = stage.deploy(made["raises"], "--monitor", "0s", check=False)
        under_way(load)
    result = load.stop()
    moves.settings(within=PATIENT)
    stage.homeport("edge", "apply", "--yes", "--json")
    assert ran.code == FAILS["raises"][1], ran
    told = ran.err.index("the maintenance page answers meanwhile")
    assert told < ran.err.index(WORDS), "it was not said beforehand"
    figures = judge(result, moves.audit())
    errors = figures["errors"]
    odd = [one for one in result.requests if one.error]
    assert isinstance(errors, dict) and set(errors) == {"edge: maintenance"}, (errors, odd)
    assert figures["lost_writes"] == figures["doubled_writes"] == 0 < figures["acked_writes"]
    assert stage.get("/")[0] == 200, "the page is still up"
    unchanged(moves, serves, link)
