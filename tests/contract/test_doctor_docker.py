"""What a check-up reads of a real Docker: logs that grow, memory, and what is left over."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from homeport.core.checkup import Docker
from homeport.host import checkup
from homeport.host.context import Context
from homeport.host.engine import Engine
from homeport.host.paths import Paths
from homeport.model import Request
from lab.images import Images
from tinyapp.driver import docker, wait

pytestmark = pytest.mark.docker
APP = f"checkup-{os.getpid()}"
LABEL = f"homeport.app={APP}"
WAITS = "import time; time.sleep(120)"
EATS = "x = [bytearray(1 << 20) for _ in range(512)]"
#: where the first process goes on the kernel's word reaches Docker: it can get lost with the cgroup
LIVES_ON = f"import subprocess, sys; subprocess.run([sys.executable, '-c', '{EATS}']); {WAITS}"


@pytest.fixture
def engine(images: Images) -> Iterator[Engine]:
    """A client of this machine's Engine; what the test made under the label is taken away."""
    one = Engine()
    yield one
    for seen in one.containers(LABEL):
        one.remove(seen["Id"])


def run(image: str, script: str, *options: str) -> str:
    """Starts a container of the app's with a script; its name."""
    name = f"{APP}-{secrets.token_hex(3)}"
    docker("run", "-d", "--name", name, "--label", LABEL, *options, image, "python3", "-c", script)
    return name


def over(engine: Engine, name: str) -> None:
    """Waits until a container has ended."""
    wait(lambda: not (engine.inspect(name) or {})["State"]["Running"], f"{name} ends", 60)


def seen(engine: Engine, root: Path) -> Docker:
    """Docker as the check-up sees it, for an app that has no release."""
    (root / APP).mkdir(exist_ok=True)
    request = Request("doctor", APP)
    return checkup.look_at(Context(Paths(APP, root), engine, request, "", lambda _: None)).docker


def test_logs_without_an_end_are_named(engine: Engine, images: Images, tmp_path: Path) -> None:
    """json-file without a size grows; with one, or with the driver local, it does not."""
    grows = run(images.python, WAITS, "--log-driver", "json-file")
    run(images.python, WAITS, "--log-driver", "json-file", "--log-opt", "max-size=1m")
    run(images.python, WAITS, "--log-driver", "local")
    ended = run(images.python, "pass", "--log-driver", "json-file")
    over(engine, ended)
    assert seen(engine, tmp_path).unbounded == (grows,)


def test_what_the_kernel_killed_is_named(engine: Engine, images: Images, tmp_path: Path) -> None:
    """A container over its limit, and not one that ended by itself."""
    run(images.python, "pass")
    eater = run(images.python, LIVES_ON, "--memory", "32m", "--memory-swap", "32m")
    wait(lambda: seen(engine, tmp_path).killed == (eater,), f"{eater} is named", 60)


def test_left_over_names_and_networks_are_named(
    engine: Engine, images: Images, tmp_path: Path
) -> None:
    """Each with the command that takes it away, and nothing of another app's."""
    tag, network = f"{APP}:r0007", f"{APP}_old"
    docker("tag", images.python, tag)
    docker("network", "create", "--label", LABEL, network)
    try:
        found = seen(engine, tmp_path)
        assert found.strays == {
            f"the image {tag}": f"docker image rm {tag}",
            f"the network {network}": f"docker network rm {network}",
        }
        for command in found.strays.values():
            docker(*command.split()[1:])
        assert seen(engine, tmp_path).strays == {}
    finally:
        assert engine.network(network) is None or docker("network", "rm", network)


def test_driver_and_cgroup_are_the_engines_own(engine: Engine, tmp_path: Path) -> None:
    """As its own client shows them."""
    form = "{{.Driver}} v{{.CgroupVersion}}"
    found = seen(engine, tmp_path)
    assert f"{found.storage} {found.cgroup}" == docker("info", "--format", form)
    assert found.fault == ""
