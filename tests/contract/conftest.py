"""What the contract suites share: a real Engine, images, a root folder of a host, apps."""

from __future__ import annotations

import itertools
import os
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from homeport.core.edge import IMAGE as EDGE_IMAGE
from homeport.host.engine import Engine
from homeport.host.paths import ROOT_VARIABLE
from lab.docker import ensure_engine
from lab.images import Images, ensure_images
from saved import Saved
from tinyapp.driver import Tiny, docker, the_edge

HERE = Path(__file__).resolve().parent


@pytest.fixture(scope="session")
def images() -> Images:
    """A Docker Engine that answers, and the lab's images on it."""
    ensure_engine(print)
    made = ensure_images(print)
    if Engine().image(EDGE_IMAGE) is None:
        docker("tag", made.edge, EDGE_IMAGE)
    # `edge upgrade` removes the image that it replaced if that has one name only, and the lab may
    # have made its own anew meanwhile: with a second name all that come later find it
    docker("tag", EDGE_IMAGE, "homeport-test/edge:kept")
    return made


@pytest.fixture(scope="session")
def tiny_image(images: Images) -> Callable[..., str]:
    """Builds a version of the tiny app with a fault, once; answers its reference."""
    known: dict[tuple[str, str], str] = {}

    def build(version: str = "v1", fault: str = "") -> str:
        key = (version, fault)
        if key not in known:
            ref = f"homeport-test/tiny:{version}{'-' * bool(fault)}{fault}"
            given = (f"BASE={images.python}", f"VERSION={version}", f"FAULT={fault}")
            words = [word for one in given for word in ("--build-arg", one)]
            docker("build", "-q", "-t", ref, *words, str(HERE / "tinyapp"))
            known[key] = ref
        return known[key]

    return build


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _remove_our_edge() -> None:
    """Remove an edge that a test left, and its network."""
    Engine().remove(the_edge())
    subprocess.run(["docker", "network", "rm", the_edge()], capture_output=True, timeout=30)


@pytest.fixture(scope="session")
def host_root(images: Images, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The root folder of a host that was set up, with an edge of its own or none yet."""
    root = tmp_path_factory.mktemp("host")
    (root / "homeport").mkdir()
    before = os.environ.get(ROOT_VARIABLE)
    os.environ[ROOT_VARIABLE] = str(root)
    _remove_our_edge()
    yield root
    _remove_our_edge()
    os.environ.pop(ROOT_VARIABLE)
    if before is not None:
        os.environ[ROOT_VARIABLE] = before


@pytest.fixture(scope="session")
def edge_port(host_root: Path) -> int:
    """The port on which the edge tells apps apart by name."""
    return _free_port()


@pytest.fixture
def free_port() -> int:
    """A TCP port nobody listens on."""
    return _free_port()


_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def make_app(
    host_root: Path, edge_port: int, tiny_image: Callable[..., str]
) -> Iterator[Callable[..., Tiny]]:
    """Makes apps that nobody else uses, and takes them from the Engine at the module's end."""
    made: list[Tiny] = []

    def make(about: str, **settings: object) -> Tiny:
        name = f"t{os.getpid()}-{next(_numbers)}-{about}"[:32]
        app = Tiny(name, host_root, edge_port, tiny_image, **settings)  # type: ignore[arg-type]
        made.append(app)
        return app

    yield make
    for app in made:
        app.clear()


@pytest.fixture
def make_saved(tmp_path: Path, tiny_image: Callable[..., str]) -> Iterator[Callable[..., Saved]]:
    """Makes apps with data and without an edge, and takes them away again."""
    made: list[Saved] = []

    def one(**more: object) -> Saved:
        name = f"s{os.getpid()}-{next(_numbers)}"
        made.append(Saved(name, tmp_path, tiny_image(), **more))  # type: ignore[arg-type]
        return made[-1]

    yield one
    for app in made:
        app.clear()
