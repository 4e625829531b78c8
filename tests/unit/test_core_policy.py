"""Choices and refusals, as tables: every reason once, with what mends it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from builders import facts, release, settings, slot
from homeport.core import policy
from homeport.core.facts import EdgeFacts, Facts, HostFacts
from homeport.core.policy import MIB, Choice
from homeport.core.render import Rendered
from homeport.errors import Problem
from homeport.model import Image, Mode, Settings, Site

ONE = release(1)
GOOD_HOST = HostFacts(
    docker="29.1.3",
    compose="2.40.3",
    arch="x86_64",
    mem_available=1024 * MIB,
    disk_free=10_000 * MIB,
    docker_free=10_000 * MIB,
    boot_hook="systemd",
)
GOOD = facts(ONE, live=ONE, host=GOOD_HOST)
FIRST = facts(host=GOOD_HOST)
ALONE_1 = release(1, moving=("web",))
LONE = facts(ALONE_1, live=ALONE_1, containers=slot(ALONE_1), host=GOOD_HOST)
IMAGE = Image("reg/shop:1", "sha256:1", ("linux/amd64", "linux/arm64"), 100 * MIB)
READS = Rendered(services=("web",))
WRITES = Rendered(services=("web",), writable=("web",))
ALONE = Rendered(services=("web", "mail"), alone=("mail",))


def host(**rest: Any) -> Facts:
    """A good host but for these."""
    return replace(GOOD, host=replace(GOOD_HOST, **rest))


def asked(mode: Mode, standby: bool = False) -> Settings:
    """Settings that name a handover."""
    return settings(standby=standby, handover=mode)


NO_STANDBY = settings(standby=False)
SMALL = "recreate: two slots side by side need 144 MiB, 100 MiB are free"
PORT = (
    "recreate: mail has a port, a fixed address or the network of the host, which two slots"
    " cannot share"
)

CHOICES: dict[str, tuple[Settings, Rendered, Facts, Choice]] = {
    "nothing is written": (NO_STANDBY, READS, GOOD, Choice("overlap")),
    "it writes and stands by": (settings(), WRITES, GOOD, Choice("single-writer")),
    "it writes and cannot stand by": (NO_STANDBY, WRITES, GOOD, Choice("recreate")),
    "asked for": (asked("recreate"), READS, GOOD, Choice("recreate")),
    "asked for overlap though it writes": (asked("overlap"), WRITES, GOOD, Choice("overlap")),
    "a port of the host": (NO_STANDBY, ALONE, GOOD, Choice("recreate", (PORT,))),
    "a port of the host, recreate anyway": (asked("recreate"), ALONE, GOOD, Choice("recreate")),
    "little memory": (
        settings(),
        WRITES,
        host(mem_available=100 * MIB),
        Choice("recreate", (SMALL,)),
    ),
    "little memory, recreate anyway": (
        NO_STANDBY,
        WRITES,
        host(mem_available=100 * MIB),
        Choice("recreate"),
    ),
    "little memory, first release": (
        settings(),
        WRITES,
        replace(FIRST, host=replace(GOOD_HOST, mem_available=100 * MIB)),
        Choice("single-writer"),
    ),
    "memory is just enough": (
        settings(),
        WRITES,
        host(mem_available=144 * MIB),
        Choice("single-writer"),
    ),
    "memory is not known": (settings(), WRITES, host(mem_available=0), Choice("single-writer")),
    "the limits count where there are any": (
        settings(),
        replace(WRITES, memory=20 * MIB),
        host(mem_available=100 * MIB),
        Choice("single-writer"),
    ),
}


@pytest.mark.parametrize("name", CHOICES)
def test_the_handover_of_a_deploy(name: str) -> None:
    """The mode, and what is said about it."""
    said, rendered, seen, choice = CHOICES[name]
    assert policy.choose(said, rendered, seen) == choice


BACK: list[tuple[Mode, int, Mode]] = [
    ("overlap", 1000, "overlap"),
    ("single-writer", 1000, "single-writer"),
    ("recreate", 1000, "recreate"),
    ("single-writer", 100, "recreate"),
    ("overlap", 100, "recreate"),
    ("overlap", 0, "overlap"),
]


@pytest.mark.parametrize("old,free,mode", BACK)
def test_the_handover_of_a_rollback(old: Mode, free: int, mode: Mode) -> None:
    """The one its release was made for, if memory allows."""
    assert policy.back_mode(old, settings(), host(mem_available=free * MIB)) == mode


#: what differs from a deploy that nothing speaks against → what is refused
Case = tuple[dict[str, Any], tuple[Problem, ...]]
OLD_COMPOSE = Problem(
    "Docker Compose 2.35 or newer is needed",
    "host",
    "it has 2.26.1-4",
    "on the host: curl -fsSL https://get.docker.com | sudo sh   (Docker restarts)",
)
NO_DOCKER = Problem(
    "Docker Engine 20.10 or newer is needed",
    "host",
    "it has none",
    "on the host: curl -fsSL https://get.docker.com | sudo sh   (Docker restarts)",
)
REFUSALS: dict[str, Case] = {
    "nothing": ({}, ()),
    "what the file is refused for": (
        {"rendered": replace(READS, problems=(Problem("bad"),))},
        (Problem("bad"),),
    ),
    "Compose is old": ({"seen": host(compose="2.26.1-4")}, (OLD_COMPOSE,)),
    "Docker is missing": ({"seen": host(docker="")}, (NO_DOCKER,)),
    "Compose is just new enough": ({"seen": host(compose="v2.35.0")}, ()),
    "the edge is old": (
        {"seen": replace(GOOD, edge=EdgeFacts(True, True, "v2.11.3"))},
        (
            Problem(
                "the edge is Caddy v2.11.3; 2.11.4 is needed",
                "host",
                "older ones lose the body of a request that was held",
                "homeport edge upgrade",
            ),
        ),
    ),
    "the edge is good": ({"seen": replace(GOOD, edge=EdgeFacts(True, True, "v2.11.4"))}, ()),
    "the edge does not run": ({"seen": replace(GOOD, edge=EdgeFacts(True, False, "2.1"))}, ()),
    "another machine": (
        {"seen": host(arch="armv7l")},
        (
            Problem(
                "the image is not built for this host's arm",
                "reg/shop:1",
                "it is built for amd64, arm64",
                "docker buildx build --platform linux/arm …",
            ),
        ),
    ),
    "an arm64 host": ({"seen": host(arch="aarch64")}, ()),
    "a machine we do not know": (
        {"seen": host(arch="riscv64"), "image": replace(IMAGE, platforms=("linux/riscv64",))},
        (),
    ),
    "platforms unknown": ({"image": replace(IMAGE, platforms=())}, ()),
    "no disk for the image": (
        {"seen": host(docker_free=313 * MIB)},
        (
            Problem(
                "314 MiB of disk are needed",
                "host: /var/lib/docker",
                "313 MiB are free",
                "docker image prune -a; delete what is not needed",
            ),
        ),
    ),
    "no disk for the app": (
        {"seen": host(disk_free=63 * MIB)},
        (
            Problem(
                "64 MiB of disk are needed",
                "host: /opt/shop",
                "63 MiB are free",
                "df -h shows what is full; delete what is not needed",
            ),
        ),
    ),
    "just enough disk": ({"seen": host(docker_free=314 * MIB, disk_free=64 * MIB)}, ()),
    "the image is there already": (
        {"seen": replace(host(docker_free=0), images=frozenset({IMAGE.pinned}))},
        (),
    ),
    "no memory for one slot": (
        {"seen": host(mem_available=143 * MIB)},
        (
            Problem(
                "about 144 MiB of memory are needed",
                "host",
                "about 143 MiB are free",
                "stop what else runs there (docker stats; ps aux --sort=-rss), or add memory or"
                " swap",
            ),
        ),
    ),
    "just enough memory": ({"seen": host(mem_available=144 * MIB)}, ()),
    "memory once the old one has gone": (
        {"seen": replace(host(mem_available=48 * MIB), containers=slot(ONE, only=ONE.moving))},
        (),
    ),
    "not even then": (
        {"seen": replace(LONE, host=replace(GOOD_HOST, mem_available=47 * MIB))},
        (
            Problem(
                "about 144 MiB of memory are needed",
                "host",
                "about 143 MiB are free once the old release has stopped",
                "stop what else runs there (docker stats; ps aux --sort=-rss), or add memory or"
                " swap",
            ),
        ),
    ),
    "variables without a value": (
        {
            "rendered": replace(READS, variables=("A", "B", "C")),
            "said": replace(NO_STANDBY, secrets=("C", "D")),
            "env": {"A": "A=1"},
        },
        tuple(
            Problem(
                f"{name} has no value",
                "/opt/shop/app.env",
                "the compose file or [secrets] names it",
                f"add a line {name}=… there",
            )
            for name in "BCD"
        ),
    ),
    "an empty value is one": (
        {"rendered": replace(READS, variables=("A",)), "env": {"A": "A="}},
        (),
    ),
    "single-writer without standby": (
        {"said": asked("single-writer")},
        (
            Problem(
                "single-writer needs an app that can stand by",
                "homeport.toml: [deploy] handover",
                "the new release must be able to start without writing",
                "set [web] standby = true if the app heeds HOMEPORT_STANDBY,"
                ' else handover = "recreate"',
            ),
        ),
    ),
    "overlap with a port of the host": (
        {"said": asked("overlap"), "rendered": ALONE},
        (
            Problem(
                "overlap is not possible",
                "homeport.toml: [deploy] handover",
                "mail has a port, a fixed address or the host's network",
                'set handover = "recreate"',
            ),
        ),
    ),
    "a port of the host and no wish": ({"rendered": ALONE}, ()),
    "another app answers there": (
        {
            "seen": replace(
                host(listeners={80: "container homeport-edge"}),
                edge=EdgeFacts(sites={"blog": {"name": "", "port": 80}}),
            )
        },
        (
            Problem(
                "port 80 is taken",
                "homeport.toml: [site]",
                "the app blog answers there already",
                "give this app another name or port",
            ),
        ),
    ),
    "another app by another address, both with HTTPS": (
        {
            "said": replace(NO_STANDBY, site=Site("10.0.0.7", tls="internal")),
            "seen": replace(
                GOOD,
                edge=EdgeFacts(
                    sites={"blog": {"name": "10.0.0.8", "port": 443, "tls": "internal"}}
                ),
            ),
        },
        (
            Problem(
                "port 443 has a certificate for one IP address only",
                "homeport.toml: [site]",
                "the app blog answers by its address there",
                "name this app without an address, or another port",
            ),
        ),
    ),
    "another app by another name": (
        {"seen": replace(GOOD, edge=EdgeFacts(sites={"blog": {"name": "b.lan", "port": 80}}))},
        (),
    ),
    "a container on the port": (
        {"seen": host(listeners={80: "container nginx"})},
        (
            Problem(
                "port 80 of the host is taken",
                "homeport.toml: [site]",
                "by container nginx",
                "ssh homeport@HOST docker stop nginx, or set another [site] port",
            ),
        ),
    ),
    "a program on the port": (
        {
            "seen": host(listeners={8080: "a program of the host"}),
            "said": replace(NO_STANDBY, site=Site(port=8080)),
        },
        (
            Problem(
                "port 8080 of the host is taken",
                "homeport.toml: [site]",
                "by a program of the host",
                "on the host: sudo ss -ltnp 'sport = :8080' shows which; stop it, or set another"
                " [site] port",
            ),
        ),
    ),
    "the edge on the port": (
        {
            "seen": replace(
                host(listeners={80: "a program of the host"}), edge=EdgeFacts(ports=(80,))
            )
        },
        (),
    ),
    "a Compose project of the same name": (
        {"seen": replace(GOOD, strangers=("shop-db-1", "shop-web-1"))},
        (
            Problem(
                "a Compose project 'shop' runs already",
                "host",
                "containers: shop-db-1, shop-web-1",
                "ssh homeport@HOST docker compose -p shop down   (its volumes stay; Homeport uses"
                " them from then on)",
            ),
        ),
    ),
    "data on a share": (
        {
            "rendered": replace(READS, data=("/mnt/a", "/srv/b", "/srv/c")),
            "seen": replace(GOOD, filesystems={"/mnt/a": "nfs4", "/srv/b": "ext4"}),
        },
        (
            Problem(
                "/mnt/a lies on nfs4",
                "host",
                "a SQLite database there would be damaged",
                "move the app's data to a local disk; if its database is PostgreSQL, say so:"
                ' [backup] postgres = "DATABASE_URL"',
            ),
        ),
    ),
    "two things at once": (
        {"seen": host(docker="", compose="2.26.1-4")},
        (NO_DOCKER, OLD_COMPOSE),
    ),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_refusals(name: str) -> None:
    """Every problem at once, whole; and nothing where nothing is wrong."""
    differs, problems = REFUSALS[name]
    case = {"said": NO_STANDBY, "rendered": READS, "seen": GOOD, "image": IMAGE, "env": {}}
    case.update(differs)
    found = policy.refusals(
        case["said"], case["rendered"], case["seen"], case["image"], case["env"]
    )
    assert found == problems


VERSIONS = {
    "2.40.3": (2, 40, 3),
    "v2.40.3-1": (2, 40, 3),
    "5.5.0+deb": (5, 5, 0),
    "29.1.3": (29, 1, 3),
    "2.35": (2, 35),
    "2.x": (2,),
    "": (),
    "dev": (),
}


@pytest.mark.parametrize("text", VERSIONS)
def test_version(text: str) -> None:
    """The numbers a version begins with."""
    assert policy.version(text) == VERSIONS[text]
