"""The stages that scenarios play on: a host of each flavour, brought up when first asked for."""

from __future__ import annotations

import itertools
import os
import shutil
import sys
from collections.abc import Callable, Iterator

import pytest

from bench import images
from bench.images import MARK, TOP
from bench.stage import Stage
from lab import hosts
from lab.images import ensure_images
from lab.registry import ensure_registry
from scenario import status

#: `make test-power`: it takes minutes, and everything else besides it is tested without
collect_ignore = [] if os.environ.get("HOMEPORT_POWER") else ["test_power.py"]
KEEP = os.environ.get("HOMEPORT_KEEP_LAB", "") == "1"


def talk(line: str) -> None:
    """Say what is being done; pytest shows it where something fails, or with -s."""
    print(line, file=sys.stderr, flush=True)


def patient(stage: Stage) -> Stage:
    """Give new releases as long to start as Homeport does by itself: no promise is about that."""
    file = stage.folder / "homeport.toml"
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join(line for line in lines if not line.startswith("start = ")))
    return stage


@pytest.fixture(scope="session")
def versions() -> dict[str, str]:
    """MyFoodBudget's versions in the lab's registry: v1 and v2 serve, v3 never gets ready."""
    return images.versions(talk)


@pytest.fixture(scope="session")
def ships(versions: dict[str, str]) -> str:
    """MyFoodBudget's image as it ships, on this machine, for broken versions on top of it."""
    return images.production(talk)


@pytest.fixture(scope="session")
def plain_image() -> str:
    """The stranger's app in the lab's registry."""
    ref = f"{ensure_registry(talk)}/plain:latest"
    source = TOP / "tests" / "e2e" / "plain_app"
    base = ensure_images(talk).python
    images.docker("build", "-q", "-t", ref, "--build-arg", f"BASE={base}", str(source))
    images.push(ref)
    return ref


@pytest.fixture(scope="session")
def stages() -> Iterator[Callable[[str], Stage]]:
    """Flavour → its stage. All are taken down at the end, unless HOMEPORT_KEEP_LAB=1.

    Each process has hosts of its own: what one test plants there must not meet another's.
    """
    made: dict[str, Stage] = {}
    worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0")

    def stage(flavour: str) -> Stage:
        if flavour not in made:
            made[flavour] = patient(Stage.up(f"e2e-{MARK}-{worker}-{flavour}", flavour, talk))
        return made[flavour]

    yield stage
    for one in made.values():
        if KEEP:
            shutil.rmtree(one.folder, ignore_errors=True)
        else:
            one.down()


@pytest.fixture(scope="session")
def turns(versions: dict[str, str]) -> Iterator[str]:
    """Images to deploy one after the other: never the same twice in a row."""
    return itertools.cycle((versions["v2"], versions["v1"]))


@pytest.fixture
def flavour() -> str:
    """The flavour of host a test asks for; parametrize it for another."""
    return "systemd"


@pytest.fixture
def stage(stages: Callable[[str], Stage], flavour: str, turns: Iterator[str]) -> Iterator[Stage]:
    """A host with MyFoodBudget live and healthy, however the test before it ended."""
    found = stages(flavour)
    seen = status(found)
    if seen["unfinished"]:
        found.homeport("recover")
    if not seen["healthy"]:
        found.deploy(next(turns), "--monitor", "0s", "--force")
    yield found
    hosts.boot(found.host)
    hosts.mend_network(found.host)
