"""The power goes, and with it whatever nobody had synced: one whole release serves after the boot.

The host's /opt and its Docker's data lie on a disk of which a cut drops what was not synced. The
moment of a cut is a point of a plan, at which the run is told to wait, or an instant by chance.
It is `make test-power`, not a part of `make test`; POWER=part draws a few of the points by a seed.
"""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Iterator
from typing import Any

import pytest

import conftest
from bench import booting, evidence, images
from bench.booting import boot
from bench.images import MARK
from bench.stage import Stage, until
from homeport.core import link as links
from lab import hosts
from lab.load import Load, Result, judge
from lab.registry import ensure_registry
from bench.moves import Moves
from scenario import Before, Typed, busy, one_serves, sending, under_way

pytestmark = pytest.mark.lab
SLOW = {"read": 50, "write": 40, "slow": 10}
#: a release goes live or back to waiting people so many milliseconds after Docker answers, besides
#: the time that its own container takes to start
RECOVERED_WITHIN = 2000
SEED, ALL = 6, os.environ.get("HOMEPORT_POWER") == "all"
#: a step is half over after half of so many seconds: in a pull, and while Compose makes containers
MIDDLE = 0.4
#: plan, step, when
POINTS = [
    ("deploy", "pull", "middle"),
    ("deploy", "pull", "after"),
    ("deploy", "start", "middle"),
    ("deploy", "start", "after"),
    ("deploy", "hold", "after"),
    ("deploy", "retire", "after"),
    ("deploy", "handover", "before"),
    ("deploy", "handover", "after"),
    ("deploy", "mark", "after"),
    ("rollback", "retire", "after"),
    ("rollback", "handover", "after"),
]
#: the same of a deploy that migrates
MIGRATING = [
    ("deploy", "snapshot", "after"),
    ("deploy", "migrate", "after"),
    ("deploy", "start", "after"),
    ("deploy", "handover", "after"),
]


def part(points: list[tuple[str, str, str]], count: int) -> list[Any]:
    """So many of the points, in their order, or all; named by themselves."""
    every = range(len(points))
    drawn = every if ALL else sorted(random.Random(SEED).sample(every, count))
    return [pytest.param(*points[at], id="-".join(points[at])) for at in drawn]


_SOUND = (
    "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]);"
    " print(c.execute('PRAGMA integrity_check').fetchone()[0])"
)


@pytest.fixture(scope="module")
def power(versions: dict[str, str]) -> Iterator[Stage]:
    """A host with a disk, where MyFoodBudget is live in its second release."""
    made = conftest.patient(Stage.up(f"e2e-{MARK}-power", "systemd", conftest.talk, disk=True))
    try:
        for name in ("v1", "v2"):
            made.deploy(versions[name], "--monitor", "0s")
        yield made
    finally:
        hosts.boot(made.host)
        made.down()


@pytest.fixture(scope="module")
def own_start(power: Stage) -> float:
    """Seconds that the app's own container takes from its start to an answer."""
    return booting.own_start(power)


@pytest.fixture(scope="module")
def recovered(own_start: float) -> Iterator[list[float]]:
    """Seconds from Docker's first answer to the app's, a cut each; the median must be in time."""
    seen: list[float] = []
    yield seen
    took = sorted(round(max(0.0, one - own_start) * 1000) for one in seen)
    found = {"recover_ms": took[len(took) // 2], "recover_ms_max": took[-1], "cuts": len(took)}
    evidence.add("faults", **{f"power_{name}": value for name, value in found.items()})
    assert took[len(took) // 2] <= RECOVERED_WITHIN, took


def plug(stage: Stage, plan: str, step: str, when: str) -> None:
    """Have the next run wait at a point of its plan."""
    told: dict[str, Any] = {"plan": plan, "step": step, "when": when, "do": "pause", "effects": 0}
    told["seconds"] = MIDDLE if when == "middle" else 0.0
    argv = ["sh", "-c", f"umask 077; cat > /opt/{stage.app}/plug.json"]
    hosts.run(stage.host, argv, user="homeport", stdin=json.dumps(told).encode())


def there(stage: Stage) -> bool:
    """Whether the run has come to that point."""
    argv = ["test", "-e", f"/opt/{stage.app}/plug.here"]
    return hosts.run(stage.host, argv, check=False).returncode == 0


def unplug(stage: Stage) -> None:
    """Take away what a cut left of it."""
    folder = f"/opt/{stage.app}"
    stage.on_host("rm", "-f", f"{folder}/plug.json", f"{folder}/plug.here")


def after_boot(stage: Stage, load: Load, recovered: list[float]) -> Result:
    """Switch the power on and wait until people are served and the boot hook is through."""
    recovered.append(boot(stage))
    until(lambda: not busy(stage), 60, "the boot hook's end")
    under_way(load)
    return load.stop()


def whole(stage: Stage, result: Result) -> dict[str, Any]:
    """Nothing acknowledged is lost, the database is sound, and one release serves."""
    figures = judge(result, stage.audit())
    assert figures["lost_writes"] == figures["doubled_writes"] == 0, figures
    assert figures["damaged_writes"] == 0 and figures["acked_writes"]
    path = f"/opt/{stage.app}/data/{stage.app}.db"
    assert stage.on_host("python3", "-I", "-c", _SOUND, path).strip() == "ok"
    one_serves(stage)
    assert stage.homeport("recover", "--json").data["outcome"] == "nothing-to-do"
    return dict(figures)


@pytest.mark.parametrize("plan,step,when", part(POINTS, 3))
def test_a_power_cut_at_a_step_leaves_one_whole_release(
    power: Stage, recovered: list[float], plan: str, step: str, when: str, versions: dict[str, str]
) -> None:
    """What the link said is what serves; the same deploy goes through afterwards."""
    before = Before(power)
    image = versions["v1"] if plan == "deploy" else ""
    if step == "pull":
        power.on_host("docker", "image", "rm", "-f", *_pulled(power, image))
    typing = ("deploy", image, "--json", "--force") if image else ("rollback", "--json")
    plug(power, plan, step, when)
    with sending(Load(power.url, rate=25, mix=SLOW, timeout=10)) as load:
        under_way(load)
        with Typed(power, *typing, "--monitor", "2s"):
            until(lambda: there(power), 60, f"{plan} at {step}")
            link = power.link()
            hosts.power_cut(power.host)
        result = after_boot(power, load, recovered)
    unplug(power)
    kind, _ = links.read(power.app, link)
    assert power.link() == (before.link if kind == "hold" else link)
    assert (power.link() != before.link) == (
        step == "mark" or (step, when) == ("handover", "after")
    )
    whole(power, result)

    # what was torn in its pull is wanted once more
    wanted = versions["v1" if step == "pull" else "v2"]
    again = power.deploy(wanted, "--monitor", "0s", "--force")
    assert again.data["outcome"] == "deployed"
    one_serves(power)


def test_an_image_that_a_cut_tore_is_fetched_anew(power: Stage, ships: str) -> None:
    """Docker fetches nothing of it again and cannot run it; the next deploy of it works."""
    image = images.version(ships, ensure_registry(conftest.talk), "torn", {"version": "torn"})
    show = ["image", "inspect", "--format", "{{json .RepoDigests}}", image]
    repository = image.rpartition(":")[0]
    (pinned,) = (one for one in json.loads(images.docker(*show)) if one.startswith(repository))
    # as a run leaves it that dies between the end of a pull and the disk's
    mark = ["sh", "-c", f"cat > /opt/{power.app}/pulling; sync -f /opt"]
    hosts.run(power.host, mark, user="homeport", stdin=pinned.encode())
    power.on_host("docker", "pull", "-q", pinned)
    hosts.power_cut(power.host)
    boot(power)
    until(lambda: not busy(power), 60, "the boot hook's end")
    # whether or not Docker knows the image, it has the layers by name and fetches none of them;
    # the file is of the one layer that no other image on the host has
    assert "Pull complete" not in power.on_host("docker", "pull", pinned)
    cat = ["docker", "run", "--rm", "--entrypoint", "cat", pinned, "/app/behaviour.json"]
    assert power.on_host(*cat) == "", "the cut tore nothing"
    told = power.deploy(image, "--monitor", "0s")
    assert told.data["outcome"] == "deployed"
    one_serves(power)


def _pulled(stage: Stage, image: str) -> list[str]:
    """The names that an image has on the host: all, so that it has to be pulled."""
    repository = image.rpartition(":")[0]
    ask = ["docker", "image", "ls", "-q", "--no-trunc", "--filter", f"reference={repository}"]
    mine = stage.on_host("docker", "inspect", "--format", "{{.Image}}", *stage.running())
    return sorted(set(stage.on_host(*ask).split()) - set(mine.split()))


@pytest.mark.parametrize("turn", range(5 if ALL else 1))
def test_a_power_cut_at_any_instant_leaves_one_whole_release(
    power: Stage, recovered: list[float], turn: int, turns: Iterator[str]
) -> None:
    """Whenever it comes, also right after a deploy has said that it is done."""
    instant = random.Random(SEED + turn).uniform(0.3, 6.0)
    with sending(Load(power.url, rate=25, mix=SLOW, timeout=10)) as load:
        under_way(load)
        typing = ("deploy", next(turns), "--json", "--force", "--monitor", "0s")
        with Typed(power, *typing):
            time.sleep(instant)
            hosts.power_cut(power.host)
        result = after_boot(power, load, recovered)
    whole(power, result)


def test_what_a_deploy_called_done_is_there_after_a_cut_at_once(
    power: Stage, recovered: list[float], turns: Iterator[str]
) -> None:
    """Image and container are on the disk when people reach them, not half a minute later."""
    with sending(Load(power.url, rate=25, mix=SLOW, timeout=10)) as load:
        under_way(load)
        told = power.deploy(next(turns), "--force", "--monitor", "0s")
        hosts.power_cut(power.host)
        result = after_boot(power, load, recovered)
    assert links.read(power.app, power.link()) == ("release", told.data["release"].split("-")[0])
    whole(power, result)


@pytest.fixture(scope="module")
def migrating() -> Iterator[tuple[Moves, str]]:
    """A host with a disk, where the app of today serves, and the image of one that migrates."""
    registry = ensure_registry(conftest.talk)
    names = {"now": images.production(conftest.talk), "later": images.later(conftest.talk)}
    made = {
        name: images.version(base, registry, f"power-{name}", {"version": name})
        for name, base in names.items()
    }
    moves = Moves.up("sqlite", conftest.talk, "power", disk=True)
    try:
        moves.stage.deploy(made["now"], "--monitor", "0s")
        yield moves, made["later"]
    finally:
        moves.down()


@pytest.mark.parametrize("plan,step,when", part(MIGRATING, 2))
def test_a_power_cut_in_a_migration_leaves_code_and_data_together(
    migrating: tuple[Moves, str], plan: str, step: str, when: str
) -> None:
    """Before the link is written both are as they were; after it both have moved."""
    moves, later = migrating
    stage, before = moves.stage, Before(moves.stage)
    plug(stage, plan, step, when)
    with sending(Load(stage.url, rate=25, mix=SLOW, timeout=10)) as load:
        under_way(load)
        with Typed(stage, "deploy", later, "--json", "--force", "--monitor", "2s"):
            until(lambda: there(stage), 120, f"{plan} at {step}")
            hosts.power_cut(stage.host)
        boot(stage)
        until(lambda: not busy(stage), 90, "the boot hook's end")
        under_way(load)
        result = load.stop()
    unplug(stage)
    committed = (step, when) == ("handover", "after")
    assert (stage.link() != before.link) == committed
    assert moves.schema() == ("0003" if committed else "0002")
    moves.sound()
    whole(stage, result)
