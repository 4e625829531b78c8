"""What a run has to do to the edge, and its whole configuration, as literals."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from builders import settings
from homeport.core import edge
from homeport.core.edge import Wanted
from homeport.core.facts import EdgeFacts
from homeport.model import DeployRules, Settings, Site, Web

BARE = {"name": "", "port": 80, "hold": 30.0, "network": ""}
NAMED = {"name": "shop.lan", "port": 80, "hold": 30.0, "network": ""}
BLOG = {"name": "blog.lan", "port": 80, "hold": 5.0, "network": "blog_default"}
HIGH = {"name": "", "port": 8080, "hold": 30.0, "network": ""}
RECREATED = "the edge is recreated for its new ports: every app on it is away for about a second"
LOADED = "the edge's configuration is loaded anew: WebSockets through it are cut"


def stands(
    sites: dict[str, Any], running: bool = True, networks: tuple[str, ...] = ("blog_default",)
) -> EdgeFacts:
    """An edge that was told these sites."""
    ports = tuple(sorted({int(one["port"]) for one in sites.values()}))
    return EdgeFacts(True, running, "2.11.4", ports, networks, sites)


WANTED: dict[str, tuple[EdgeFacts, Any, Wanted]] = {
    "nothing changes": (
        stands({"shop": BARE}),
        BARE,
        Wanted("", "", (80,), (), {"shop": BARE}, ()),
    ),
    "no edge yet": (
        EdgeFacts(),
        BARE,
        Wanted(
            "create",
            "no edge runs yet; shop is to answer on port 80",
            (80,),
            (),
            {"shop": BARE},
        ),
    ),
    "no edge, nothing to remove": (EdgeFacts(), None, Wanted()),
    "a new app": (
        stands({"blog": BLOG}),
        NAMED,
        Wanted(
            "load",
            "shop answers on shop.lan, port 80",
            (80,),
            (LOADED,),
            {"blog": BLOG, "shop": NAMED},
            ("blog_default",),
        ),
    ),
    "another hold": (
        stands({"shop": {**BARE, "hold": 9.0}}),
        BARE,
        Wanted("load", "shop answers on port 80", (80,), (LOADED,), {"shop": BARE}),
    ),
    "a new port": (
        stands({"shop": BARE}),
        HIGH,
        Wanted("recreate", "port 8080 is new at the edge", (8080,), (RECREATED,), {"shop": HIGH}),
    ),
    "one more port": (
        stands({"blog": BLOG}),
        HIGH,
        Wanted(
            "recreate",
            "port 8080 is new at the edge",
            (80, 8080),
            (RECREATED,),
            {"blog": BLOG, "shop": HIGH},
            ("blog_default",),
        ),
    ),
    "a port is given up": (
        stands({"blog": BLOG, "shop": HIGH}),
        None,
        Wanted(
            "recreate",
            "a port is no longer used",
            (80,),
            (RECREATED,),
            {"blog": BLOG},
            ("blog_default",),
        ),
    ),
    "an app goes": (
        stands({"blog": BLOG, "shop": NAMED}),
        None,
        Wanted(
            "load",
            "shop is removed",
            (80,),
            (LOADED,),
            {"blog": BLOG},
            ("blog_default",),
        ),
    ),
    "it is stopped": (
        stands({"shop": BARE}, running=False),
        BARE,
        Wanted("start", "the edge is not as it was left", (80,), (), {"shop": BARE}),
    ),
    "a network was left": (
        stands({"blog": BLOG, "shop": BARE}, networks=()),
        BARE,
        Wanted(
            "start",
            "the edge is not as it was left",
            (80,),
            (),
            {"blog": BLOG, "shop": BARE},
            ("blog_default",),
        ),
    ),
    "it stands on more networks than it needs": (
        stands({"shop": BARE}, networks=("a", "b")),
        BARE,
        Wanted("", "", (80,), (), {"shop": BARE}),
    ),
}


@pytest.mark.parametrize("name", WANTED)
def test_wanted(name: str) -> None:
    """What changes, why, and what it costs the others."""
    seen, site, expected = WANTED[name]
    assert edge.wanted(seen, "shop", site) == expected


CLASHES = [
    ({"blog": BARE}, BARE, "blog"),
    ({"blog": BLOG}, BARE, ""),
    ({"blog": {**BLOG, "name": "shop.lan"}}, NAMED, "blog"),
    ({"blog": HIGH}, BARE, ""),
    ({"shop": BARE}, BARE, ""),
    ({"zoo": BARE, "blog": BARE}, BARE, "blog"),
]


@pytest.mark.parametrize("sites,site,other", CLASHES)
def test_clash(sites: dict[str, Any], site: dict[str, Any], other: str) -> None:
    """Two apps may share a port by name; one place has one app."""
    assert edge.clash(EdgeFacts(sites=sites), "shop", site) == other


SITES: list[tuple[Settings, dict[str, Any]]] = [
    (settings(), BARE),
    (Settings("shop", site=Site("shop.lan")), NAMED),
    (Settings("shop", site=Site(port=8080), deploy=DeployRules(hold=5)), {**HIGH, "hold": 5}),
    (Settings("shop", web=Web(port=8000)), {**BARE, "network": "shop_default"}),
]


@pytest.mark.parametrize("said,site", SITES)
def test_site_of(said: Settings, site: dict[str, Any]) -> None:
    """Port 80 unless another is named; a network only where slots answer by name."""
    assert edge.site_of(said, "shop_default") == site


def test_the_whole_configuration() -> None:
    """Names before the bare one, one server a port, the admin behind its secret."""
    table = json.loads(Path(__file__).with_suffix(".json").read_text())
    sites = {"shop": NAMED, "blog": BLOG, "high": HIGH}
    assert edge.config(sites, "s3cret") == table
    assert edge.config(dict(reversed(sites.items())), "s3cret") == table


def test_a_bare_app_takes_what_no_name_asks_for() -> None:
    """After the named ones, and then nothing is left for "no such site"."""
    made = edge.config({"any": BARE, "zoo": NAMED}, "")["apps"]["http"]["servers"]["port-80"]
    dials = [one["handle"][0]["upstreams"][0]["dial"] for one in made["routes"]]
    assert dials == ["{file./run/homeport/zoo/live}", "{file./run/homeport/any/live}"]
    assert [one.get("match") for one in made["routes"]] == [[{"host": ["shop.lan"]}], None]


def test_every_answer_of_the_edge_says_so() -> None:
    """Whatever is not an app's answer carries the header."""
    answers: list[dict[str, Any]] = []

    def walk(value: Any) -> None:
        if isinstance(value, dict):
            if value.get("handler") == "static_response":
                answers.append(value)
            for one in value.values():
                walk(one)
        elif isinstance(value, list):
            for one in value:
                walk(one)

    walk(edge.config({"shop": NAMED, "high": HIGH}, ""))
    reasons = sorted(one["headers"]["Homeport-Edge"][0] for one in answers)
    assert reasons == ["no-release", "no-release", "no-such-site", "proxy-error", "proxy-error"]
