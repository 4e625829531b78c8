"""What was on the host before, and what is not there yet: the commands, word for word."""

from __future__ import annotations

from dataclasses import replace

import pytest
from builders import facts, release, slot
from homeport.core import adopt
from homeport.core.needed import Needed
from homeport.core.render import Rendered
from homeport.errors import Problem
from homeport.model import HostAddress, Settings

PI = HostAddress("pi.local")
SHOP = Settings("shop", host=PI)
OLD = replace(
    facts(),
    strangers=("shop-web-1",),
    left_behind={"/home/pi/shop/data": "/opt/shop/data", "/home/pi/shop/a b": "/opt/shop/a b"},
)

COMMANDS = [
    (PI, "ssh homeport@pi.local true", "scp -r data homeport@pi.local:/opt/shop/"),
    (
        HostAddress("fd00::7", port=2222),
        "ssh -p 2222 homeport@fd00::7 true",
        "scp -r -P 2222 data homeport@[fd00::7]:/opt/shop/",
    ),
    (HostAddress(), "ssh homeport@HOST true", "scp -r data homeport@HOST:/opt/shop/"),
    (HostAddress("local"), "sudo -u homeport true", "sudo cp -r data /opt/shop/"),
]


@pytest.mark.parametrize("host,there,copied", COMMANDS)
def test_commands(host: HostAddress, there: str, copied: str) -> None:
    """What is typed here to do something there."""
    assert adopt.on_host(host, "true") == there
    assert adopt.to_host(host, "data", "/opt/shop") == copied


def test_a_project_started_by_hand() -> None:
    """It is ended, its volumes are kept, and its folders are brought over with their owners."""
    assert adopt.strangers(SHOP, facts()) == []
    (problem,) = adopt.strangers(SHOP, OLD)
    assert problem.mend.splitlines() == [
        "ssh homeport@pi.local docker compose -p shop down   (its volumes stay; Homeport uses"
        " them from then on)",
        "        on the host: sudo cp -aT '/home/pi/shop/a b' '/opt/shop/a b'",
        "        on the host: sudo cp -aT /home/pi/shop/data /opt/shop/data",
    ]


PORTS = [
    (
        "a program of the host",
        "on the host: sudo ss -ltnp 'sport = :80' shows which; stop it, or set another [site] port",
    ),
    ("container nginx", "ssh homeport@pi.local docker stop nginx, or set another [site] port"),
    (
        "container shop-web-1 of the Compose project shop",
        "ssh homeport@pi.local docker compose -p shop down",
    ),
    (
        "container blog-web-1 of the Compose project blog",
        "ssh homeport@pi.local docker compose -p blog down, or set another [site] port; if that is"
        " this app, keep its data: its volumes are called blog_NAME, say so in the compose file"
        " (volumes: {NAME: {name: blog_NAME}})",
    ),
]


@pytest.mark.parametrize("holder,mend", PORTS)
def test_who_has_the_port(holder: str, mend: str) -> None:
    """The command that frees it, by who has it."""
    assert adopt.free(SHOP, 80, holder) == mend


TAKEN: dict[str, tuple[dict[int, str], str, list[tuple[str, str]]]] = {
    "nobody has it": ({}, "", []),
    "a program has it": (
        {5432: "a program of the host"},
        "",
        [
            (
                "port 5432 of the host is taken",
                "on the host: sudo ss -ltnp 'sport = :5432' shows which; stop it,"
                " or set another port of db",
            )
        ],
    ),
    "a slot has it already": ({2525: "container shop-r0001-worker-1"}, "", []),
    "the shared services run": ({5432: "container shop-db-1"}, "abc", []),
    "another worker's": (
        {2525: "container mail"},
        "abc",
        [
            (
                "port 2525 of the host is taken",
                "ssh homeport@pi.local docker stop mail, or set another port of worker",
            )
        ],
    ),
}


@pytest.mark.parametrize("name", TAKEN)
def test_ports_of_other_services(name: str) -> None:
    """Each is told with who has it; what the app itself has is no problem."""
    listeners, shared, told = TAKEN[name]
    one = release(1)
    rendered = Rendered(services=("web", "worker"), published={5432: "db", 2525: "worker"})
    seen = facts(one, live=one, containers=slot(one), shared_running=shared)
    seen = replace(seen, host=replace(seen.host, listeners=listeners))
    found = adopt.ports(SHOP, rendered, seen, (80, 443))
    assert [(problem.what, problem.mend) for problem in found] == told


def test_a_port_of_the_site_s_own() -> None:
    """The edge is there already."""
    (problem,) = adopt.ports(SHOP, Rendered(published={80: "nginx"}), facts(), (80,))
    assert (problem.what, problem.mend) == ("port 80 is the site's own", "set another [site] port")


def test_what_is_absent() -> None:
    """Files with the command that brings them, the rest with the one that makes it."""
    needed = (
        Needed("/opt/shop/conf/x", "c.yaml: services.web.volumes", "conf"),
        Needed("/opt/shop/more.env", "c.yaml: services.web.env_file", "more.env"),
        Needed("/srv/photos", "c.yaml: services.web.volumes"),
    )
    tables = {"out": {"external": True}, "mine": {}}
    rendered = Rendered(needed=needed, networks=tables, volumes=tables)
    seen = replace(facts(), missing=frozenset(one.path for one in needed))
    why = "Docker would make an empty folder there"
    assert adopt.absent(replace(SHOP, compose="c.yaml"), rendered, seen) == [
        Problem(
            "/opt/shop/conf/x is not on the host",
            needed[0].where,
            why,
            "scp -r conf homeport@pi.local:/opt/shop/",
        ),
        Problem(
            "/opt/shop/more.env is not on the host",
            needed[1].where,
            "the compose file is sent, and nothing that lies beside it",
            "scp -r more.env homeport@pi.local:/opt/shop/",
        ),
        Problem(
            "/srv/photos is not on the host",
            needed[2].where,
            why,
            "on the host: put the file there, or for a folder: sudo mkdir -p /srv/photos and chown"
            " it to whom the container runs as",
        ),
        Problem(
            "the network out does not exist",
            "c.yaml: networks",
            "it is external: true",
            "ssh homeport@pi.local docker network create out",
        ),
        Problem(
            "the volume out does not exist",
            "c.yaml: volumes",
            "it is external: true",
            "ssh homeport@pi.local docker volume create out",
        ),
    ]
    there = replace(
        seen, missing=frozenset(), networks=frozenset(tables), volumes=frozenset(tables)
    )
    assert adopt.absent(SHOP, rendered, there) == []
