"""A bad neighbour: what an app plants in its own folder leads to nothing of the edge's."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bench import evidence
from homeport.core import link as links
from homeport.errors import HostFault
from homeport.host import ops_slot, ops_traffic
from homeport.host.context import Context
from homeport.host.engine import Engine
from homeport.host.probe import Slot
from homeport.model import Release, Request, Settings
from test_host_edge import Site

pytestmark = pytest.mark.docker
SLOT, RELEASE = "r0001", "r0001-1a2b3c4"
#: what only the edge's admin API says
ADMINS = (b"upstreams", b"homeport-admin", b"enforce_origin", b'"apps"')


@pytest.fixture
def pair(host_root: Path, edge_port: int) -> Iterator[tuple[Site, Site]]:
    """A bad app and its neighbour, behind one edge."""
    name = f"n{os.getpid()}-{secrets.token_hex(3)}"
    made = Site(host_root, name, edge_port), Site(host_root, f"{name}-b", edge_port)
    for one in made:
        one.apply()
        one.store.write_link(one.slot(SLOT))
    yield made
    for one in made:
        one.close()


Plant = Callable[[Path, Site, Site], None]


def symlink(target: Callable[[Site, Site], str]) -> Plant:
    """Plants a link to something."""
    return lambda path, bad, other: path.symlink_to(target(bad, other))


def listening(path: Path) -> None:
    """A directory in which a socket of the right name listens."""
    path.mkdir()
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(path / links.SOCKET))


PLANTS: dict[str, Plant] = {
    "the admin socket as the edge sees it": symlink(
        lambda bad, other: "/run/homeport-admin/admin.sock"
    ),
    "the admin socket as the host sees it": symlink(
        lambda bad, other: f"{bad.paths.edge}/admin/admin.sock"
    ),
    "the way up to the admin socket": symlink(
        lambda bad, other: "../../../homeport-admin/admin.sock"
    ),
    "the neighbour's socket": symlink(
        lambda bad, other: f"../../{other.name}/{SLOT}/{links.SOCKET}"
    ),
    "Docker's socket": symlink(lambda bad, other: "/var/run/docker.sock"),
    "the link": symlink(lambda bad, other: "../live"),
    "itself": symlink(lambda bad, other: links.SOCKET),
    "a pipe": lambda path, bad, other: os.mkfifo(path),
    "a device": lambda path, bad, other: os.mknod(path, 0o020666, os.makedev(1, 3)),
    "a file": lambda path, bad, other: path.write_bytes(b"x" * 1000),
    "a folder": lambda path, bad, other: listening(path),
    "nothing": lambda path, bad, other: None,
}


def context(site: Site) -> Context:
    """The hands of a run on the app."""
    return Context(site.paths, Engine(), Request("deploy", site.name), "run", lambda event: None)


def release(site: Site, address: str) -> Release:
    """The app's release in that slot."""
    said = Settings(site.name)
    moving = ("web",)
    return Release(RELEASE, "x", "", "", address, "overlap", "web", moving, 0.0, said)


@pytest.mark.parametrize("name", PLANTS)
def test_what_is_planted_reaches_no_admin(
    pair: tuple[Site, Site], name: str, request: pytest.FixtureRequest
) -> None:
    """Before the handover only a socket is linked; after it nothing but errors come of it."""
    bad, other = pair
    address = f"unix/{links.RUN}/{bad.name}/{SLOT}/{links.SOCKET}"
    path = bad.paths.slot(SLOT) / links.SOCKET
    assert bad.ask().told()["slot"] == SLOT
    path.unlink()
    PLANTS[name](path, bad, other)

    # before: neither the link nor the engine's own question follows it
    with pytest.raises(HostFault) as caught:
        ops_traffic.link(context(bad), {"address": address, "release": RELEASE})
    assert "not a socket" in caught.value.problems[0].what
    assert not Slot(bad.paths, Engine(), release(bad, address)).probe().good

    # after: the link names the slot already, and the app has put this in its socket's place
    reached = 0
    asked = (("/config/", None), ("/reverse_proxy/upstreams", None), ("/load", b"{}"), ("/", None))
    bad.apply(hold=0.5)
    for way, body in asked:
        page = bad.ask(way, body)
        told = any(word in page.body for word in ADMINS)
        reached += told or (page.status < 400 and name != "the neighbour's socket")
        assert page.status in ((200,) if name == "the neighbour's socket" else (403, 502, 503)), way
    count(request, reached)
    assert reached == 0 and other.ask().told()["slot"] == SLOT
    # its own visitors are back as soon as it is itself again
    (
        path.unlink(missing_ok=True)
        if not path.is_dir() or path.is_symlink()
        else path.rename(path.with_name("gone"))
    )


def count(request: pytest.FixtureRequest, reached: int) -> None:
    """Add up over all that was planted; the last one writes the figure down."""
    seen: dict[str, int] = request.config.__dict__.setdefault("_neighbours", {})
    seen[request.node.name] = reached
    evidence.add("trust", neighbours_planted=len(seen), neighbours_reached_admin=sum(seen.values()))


STANDBYS: dict[str, Callable[[Path, Path], Any]] = {
    "a link to a file of ours": lambda path, victim: path.symlink_to(victim),
    "a folder": lambda path, victim: (path.mkdir(), (path / "full").write_text("x")),
    "a huge file": lambda path, victim: os.truncate(
        os.open(path, os.O_CREAT | os.O_WRONLY), 10**12
    ),
    "a pipe": lambda path, victim: os.mkfifo(path),
}


@pytest.mark.parametrize("name", STANDBYS)
def test_what_is_planted_as_standby_is_taken_away(
    pair: tuple[Site, Site], name: str, tmp_path: Path
) -> None:
    """The engine follows no link, waits for no pipe, and gets rid of a folder by that name."""
    bad, victim = pair[0], tmp_path / "victim"
    victim.write_text("ours")
    path = bad.paths.slot(SLOT) / links.STANDBY
    for aside in (path, path.with_name(f".{path.name}.new")):
        STANDBYS[name](aside, victim)
    ops_slot.standby_on(context(bad), {"slot": SLOT})
    assert path.is_file() and not path.is_symlink() and path.stat().st_size == 0
    path.unlink()
    STANDBYS[name](path, victim)
    ops_slot.standby_off(context(bad), {"slot": SLOT})
    assert not os.path.lexists(path)
    assert victim.read_text() == "ours"


def test_an_exchanged_socket_is_not_followed(pair: tuple[Site, Site]) -> None:
    """A handle on the socket's name is what is dialled: a link put there later leads nowhere."""
    bad, other = pair
    path = bad.paths.slot(SLOT) / links.SOCKET
    address = f"unix/{links.RUN}/{bad.name}/{SLOT}/{links.SOCKET}"
    slot = Slot(bad.paths, Engine(), release(bad, address))
    connection = slot.connection(5.0)
    path.unlink()
    path.symlink_to(f"../../{other.name}/{SLOT}/{links.SOCKET}")
    connection.request("GET", "/")
    assert connection.getresponse().status == 200
    with pytest.raises(OSError):
        slot.connection(5.0)
