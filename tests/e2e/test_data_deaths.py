"""Code and data move together or not at all: migrations that fail or die under traffic."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import moving
import pytest

from bench.moves import Moves
from bench.stage import Ran, until
from lab.load import Load
from moving import FAILS, PATIENT, WAITED, WORDS, Total, unchanged
from scenario import sending, status, under_way

pytestmark = pytest.mark.lab

#: steps at which the executor dies: all with an effect, up to the commit
STEPS = (
    *("backup", "verify", "rehearse", "hold", "drain", "retire"),
    *("snapshot", "migrate", "start", "healthy", "schema"),
)


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
        found.settings(**PATIENT)
        yield found


@pytest.mark.parametrize("name", FAILS)
def test_a_migration_that_fails_leaves_both_as_they_were(
    moves: Moves, made: dict[str, str], total: Total, name: str
) -> None:
    """In its rehearsal nobody waits; in the hold the data is put back within the hold limit."""
    _, code, held = FAILS[name]
    moves.settings(**{key: most for key, most in PATIENT.items() if key != WAITED.get(name)})
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
    moves.settings(**PATIENT)
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
