"""Code and data move together or not at all: migrations under traffic, on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import conftest
from bench import evidence, images
from bench.moves import Moves
from bench.stage import Ran, until
from lab.load import Load, Result, judge
from lab.registry import ensure_registry
from scenario import sending, status, under_way

pytestmark = pytest.mark.lab

#: what each image does, the exit code of its deploy, and whether it got as far as a hold
WORDS = "the shelf of points broke"
FAILS: dict[str, tuple[dict[str, Any], int, bool]] = {
    "rehearsal": ({"migrates": "raises-on-the-copy"}, 56, False),
    "raises": ({"migrates": "raises"}, 57, True),
    "hangs": ({"migrates": "hangs"}, 57, True),
    "unhealthy": ({"ready_live": 503}, 52, True),
}
#: steps at which the executor dies: all with an effect, up to the commit
STEPS = (
    *("backup", "verify", "rehearse", "hold", "drain", "retire"),
    *("snapshot", "migrate", "start", "healthy"),
)
#: what an exclusive hold may take beyond the two containers' own stop and start, in seconds
EXTRA = 3.0
FIGURES = ("failed_edge", "answered_5xx", "lost_writes", "doubled_writes")
TOTAL: dict[str, int] = {"requests": 0, "acked_writes": 0, **dict.fromkeys(FIGURES, 0)}


@pytest.fixture(scope="module")
def bases() -> dict[str, str]:
    """The app as it ships and as a later commit would, by name."""
    made = {"now": images.production(conftest.talk), "later": images.later(conftest.talk)}
    return made


@pytest.fixture(scope="module")
def made(bases: dict[str, str]) -> dict[str, str]:
    """Images in the lab's registry: the one of today, a good later one, and those that fail."""
    registry = ensure_registry(conftest.talk)
    wanted = {"now": ("now", {}), "good": ("later", {}), "slow": ("later", {"migrates": "takes 3"})}
    wanted |= {name: ("later", {"says": WORDS, **does}) for name, (does, _, _) in FAILS.items()}
    return {
        name: images.version(bases[base], registry, f"moves-{name}", {"version": name, **does})
        for name, (base, does) in wanted.items()
    }


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def moves(request: pytest.FixtureRequest, made: dict[str, str]) -> Iterator[Moves]:
    """A host where the app of today serves, with rows in its database."""
    found = Moves.up(request.param, conftest.talk)
    try:
        found.stage.deploy(made["now"], "--monitor", "0s")
        found.fill()
        with sending(Load(found.stage.url, rate=100)) as load:
            under_way(load, 200)
        yield found
    finally:
        found.down()
        told: dict[str, Any] = {f"moves_{name}": value for name, value in TOTAL.items()}
        evidence.add("data", **told)


def counted(result: Result, moves: Moves) -> dict[str, Any]:
    """The figures of a load, added to the evidence."""
    figures = judge(result, moves.audit())
    for name in TOTAL:
        TOTAL[name] += int(str(figures[name]))
    odd = [one for one in result.requests if one.error]
    assert {name: figures[name] for name in FIGURES} == dict.fromkeys(FIGURES, 0), (
        figures["errors"],
        odd,
    )
    assert figures["acked_writes"]
    return figures


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
    moves: Moves, made: dict[str, str], name: str
) -> None:
    """In its rehearsal nobody waits; in the hold the data is put back within the hold limit."""
    _, code, held = FAILS[name]
    stage, serves, link = moves.stage, status(moves.stage)["release"], moves.stage.link()
    with sending(Load(stage.url, rate=60)) as load:
        under_way(load)
        ran = stage.deploy(made[name], "--monitor", "0s", check=False)
        under_way(load)
    result = load.stop()
    assert (ran.code, ran.data["outcome"]) == (code, "failed"), (ran.out, ran.err)
    assert WORDS in ran.out + ran.err, "it does not say why"
    figures = counted(result, moves)
    # the load's own slow requests take 2 s
    assert (figures["max_extra_wait_ms"] > 3000) == held, figures
    unchanged(moves, serves, link)


@pytest.mark.parametrize("step", STEPS)
def test_an_executor_killed_anywhere_leaves_both_as_they_were(
    moves: Moves, made: dict[str, str], step: str
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
    counted(result, moves)
    unchanged(moves, serves, link)


def killed(moves: Moves, image: str, kill: Any) -> Ran:
    """Deploy while ``kill`` waits for its moment; how the deploy ended."""
    with ThreadPoolExecutor(1) as pool:
        deploy = pool.submit(moves.stage.deploy, image, "--monitor", "0s", check=False)
        kill()
        ran = deploy.result(timeout=180)
    until(lambda: not status(moves.stage)["running"], 60, "the guardian's recovery")
    return ran


def test_what_requests_could_not_wait_for_is_a_page(moves: Moves, made: dict[str, str]) -> None:
    """Where a hold would be too long, a page says when to come back: told before, nothing lost."""
    stage, serves, link = moves.stage, status(moves.stage)["release"], moves.stage.link()
    # a change of the edge has a gap of its own, which is told of and is not what is shown here
    moves.settings(hold="6s")
    stage.homeport("edge", "apply", "--yes", "--json")
    with sending(Load(stage.url, rate=60)) as load:
        under_way(load)
        ran = stage.deploy(made["raises"], "--monitor", "0s", check=False)
        under_way(load)
    result = load.stop()
    moves.settings()
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


def test_a_migration_goes_live_with_its_code(moves: Moves, made: dict[str, str]) -> None:
    """Nobody's request fails, no write is lost or doubled, and the schema is the release's."""
    stage = moves.stage
    with sending(Load(stage.url, rate=60)) as load:
        under_way(load)
        ran = stage.deploy(made["good"], "--monitor", "2s")
        under_way(load)
    result = load.stop()
    figures = counted(result, moves)
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
