"""What a run has to do to the edge, and its whole configuration, as literals."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from builders import settings
from homeport.core import caddy, edge
from homeport.core.edge import Wanted
from homeport.core.verdicts import Count
from homeport.core.facts import EdgeFacts
from homeport.model import DeployRules, Settings, Site, Web

BARE = {"name": "", "port": 80, "hold": 30.0, "network": ""}
NAMED = {"name": "shop.lan", "port": 80, "hold": 30.0, "network": ""}
BLOG = {"name": "blog.lan", "port": 80, "hold": 5.0, "network": "blog_default"}
HIGH = {"name": "", "port": 8080, "hold": 30.0, "network": ""}
SAFE = {
    "name": "shop.lan",
    "also": ["192.168.1.5", "www.shop.lan"],
    "port": 443,
    "redirect": 80,
    "tls": "internal",
    "hold": 30.0,
    "network": "",
}
RECREATED = (
    "the edge is made anew: every app on it is away for about a second, and a request in flight"
    " has 2 s to end"
)
LOADED = (
    "the edge's configuration is loaded anew: WebSockets through it are cut, and so may be who"
    " connects in that moment"
)


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
    "a name more": (
        stands({"shop": NAMED}),
        {**NAMED, "also": ["www.shop.lan"]},
        Wanted(
            "load",
            "shop answers on shop.lan, port 80",
            (80,),
            (LOADED,),
            {"shop": {**NAMED, "also": ["www.shop.lan"]}},
        ),
    ),
    "HTTPS": (
        stands({"shop": NAMED}),
        SAFE,
        Wanted(
            "recreate",
            "port 443 is new at the edge",
            (80, 443),
            (RECREATED,),
            {"shop": SAFE},
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


#: shop's plan, made while only the blog was there
PLANNED = edge.wanted(stands({"blog": BLOG}), "shop", NAMED)
ZOO = {**NAMED, "name": "zoo.lan"}
ANEW: dict[str, tuple[Wanted, EdgeFacts, str, dict[str, Any], str]] = {
    "nobody came between": (
        PLANNED,
        stands({"blog": BLOG}),
        "load",
        {"blog": BLOG, "shop": NAMED},
        "",
    ),
    "another app came": (
        PLANNED,
        stands({"blog": BLOG, "zoo": ZOO}),
        "load",
        {"blog": BLOG, "shop": NAMED, "zoo": ZOO},
        "",
    ),
    "another app went": (PLANNED, stands({}), "recreate", {"shop": NAMED}, "made anew"),
    "another app was quicker with the place": (
        PLANNED,
        stands({"blog": BLOG, "zoo": NAMED}),
        "load",
        {"blog": BLOG, "shop": NAMED, "zoo": NAMED},
        "the app zoo answers there by now",
    ),
    "another app made the edge": (
        edge.wanted(EdgeFacts(), "shop", NAMED),
        stands({"zoo": ZOO}),
        "load",
        {"shop": NAMED, "zoo": ZOO},
        "",
    ),
    "another app made it on another port": (
        edge.wanted(EdgeFacts(), "shop", NAMED),
        stands({"high": HIGH}),
        "recreate",
        {"shop": NAMED, "high": HIGH},
        "made anew",
    ),
    "the edge went": (
        PLANNED,
        EdgeFacts(sites={"blog": BLOG}),
        "create",
        {"blog": BLOG, "shop": NAMED},
        "",
    ),
    "another app came with the new port": (
        edge.wanted(stands({"blog": BLOG}), "shop", HIGH),
        stands({"blog": BLOG, "zoo": {**ZOO, "port": 8080}}),
        "recreate",
        {"blog": BLOG, "shop": HIGH, "zoo": {**ZOO, "port": 8080}},
        "",
    ),
    "another image, and another app came": (
        replace(edge.restored(stands({"shop": NAMED})), change="recreate"),
        stands({"shop": NAMED, "zoo": ZOO}),
        "recreate",
        {"shop": NAMED, "zoo": ZOO},
        "",
    ),
    "shop goes, another came": (
        edge.wanted(stands({"blog": BLOG, "shop": NAMED}), "shop", None),
        stands({"blog": BLOG, "shop": NAMED, "zoo": ZOO}),
        "load",
        {"blog": BLOG, "zoo": ZOO},
        "",
    ),
}


@pytest.mark.parametrize("name", ANEW)
def test_what_was_planned_meets_the_edge_as_it_is_by_now(name: str) -> None:
    """Other apps' sites are theirs; what costs them more than was announced is not done."""
    planned, seen, change, sites, why = ANEW[name]
    now = edge.anew(planned, seen, "shop")
    assert (now.change, now.sites) == (change, sites)
    assert now.ports == tuple(sorted({int(one["port"]) for one in sites.values()}))
    told = edge.overtaken(planned, now, seen, "shop")
    assert why in told and bool(told) == bool(why)


CLASHES = [
    ({"blog": BARE}, BARE, "blog"),
    ({"blog": BLOG}, BARE, ""),
    ({"blog": {**BLOG, "name": "shop.lan"}}, NAMED, "blog"),
    ({"blog": HIGH}, BARE, ""),
    ({"shop": BARE}, BARE, ""),
    ({"zoo": BARE, "blog": BARE}, BARE, "blog"),
    ({"blog": {**BLOG, "also": ["shop.lan"]}}, NAMED, "blog"),
    ({"blog": BLOG}, SAFE, ""),
    ({"blog": {**BLOG, "name": "www.shop.lan"}}, SAFE, "blog"),
    ({"blog": BARE}, SAFE, ""),
    ({"blog": {**BLOG, "port": 443}}, SAFE, "blog"),
    ({"blog": {**SAFE, "also": [], "name": "blog.lan"}}, SAFE, ""),
]


@pytest.mark.parametrize("sites,site,other", CLASHES)
def test_clash(sites: dict[str, Any], site: dict[str, Any], other: str) -> None:
    """Two apps may share a port by name; one place has one app."""
    assert edge.clash(EdgeFacts(sites=sites), "shop", site) == other


def test_what_serves_is_reached_on_its_network_up_to_its_handover() -> None:
    """An app that changes its network keeps the old one; one that goes does not."""
    sites = {"blog": BLOG, "shop": {**NAMED, "network": "shop_default"}}
    now = {"shop": {**NAMED, "network": "other"}}
    assert edge.kept(sites, now) == {"shop_default": []}


BY_ADDRESS = {**SAFE, "name": "10.0.0.7", "also": []}


@pytest.mark.parametrize(
    ("theirs", "mine", "other"),
    [
        (SAFE, BY_ADDRESS, "blog"),
        ({**SAFE, "also": []}, BY_ADDRESS, ""),
        (SAFE, {**SAFE, "name": "b.lan", "also": []}, ""),
        (SAFE, {**BY_ADDRESS, "port": 8443}, ""),
        (SAFE, {**NAMED, "name": "10.0.0.7"}, ""),
        ({**NAMED, "name": "10.0.0.8"}, BY_ADDRESS, ""),
    ],
)
def test_one_address_a_port(theirs: dict[str, Any], mine: dict[str, Any], other: str) -> None:
    """Two addresses on one port with HTTPS would get one certificate; an app's own may change."""
    assert edge.addressed(EdgeFacts(sites={"blog": theirs}), "shop", mine) == other
    assert edge.addressed(EdgeFacts(sites={"shop": theirs}), "shop", mine) == ""


SITES: list[tuple[Settings, dict[str, Any]]] = [
    (settings(), BARE),
    (Settings("shop", site=Site("shop.lan")), NAMED),
    (Settings("shop", site=Site(port=8080), deploy=DeployRules(hold=5)), {**HIGH, "hold": 5}),
    (Settings("shop", web=Web(port=8000)), {**BARE, "network": "shop_default"}),
    (
        Settings(
            "shop", site=Site("shop.lan", also=("192.168.1.5", "www.shop.lan"), tls="internal")
        ),
        SAFE,
    ),
    (
        Settings("shop", site=Site("shop.lan", 8443, tls="internal")),
        {**NAMED, "port": 8443, "tls": "internal"},
    ),
    (
        Settings("shop", site=Site("a.org", tls="acme", email="a@b.c")),
        {**NAMED, "name": "a.org", "port": 443, "redirect": 80, "tls": "acme", "email": "a@b.c"},
    ),
]


@pytest.mark.parametrize("said,site", SITES)
def test_site_of(said: Settings, site: dict[str, Any]) -> None:
    """Port 80 unless another is named; a network only where slots answer by name."""
    assert edge.site_of(said, "shop_default") == site


def test_an_entry_from_before_there_was_https_is_still_what_is_wanted() -> None:
    """sites.json of an older Homeport compares equal: no load that cuts WebSockets for nothing."""
    older = json.loads('{"hold": 30.0, "name": "shop.lan", "network": "", "port": 80}')
    said = Settings("shop", site=Site("shop.lan"))
    assert edge.wanted(stands({"shop": older}), "shop", edge.site_of(said, "")).change == ""
    assert caddy.config({"shop": older}, "") == caddy.config({"shop": NAMED}, "")


def test_going_back_moves_no_name() -> None:
    """A rollback keeps the site that the edge has now, and takes the release's own network."""
    older = edge.site_of(Settings("shop", web=Web(port=8000)), "shop_default")
    kept = edge.stays(stands({"shop": SAFE}), "shop", older)
    assert kept == {**SAFE, "network": "shop_default"}
    assert edge.stays(EdgeFacts(), "shop", older) == older


STALE = replace(stands({"shop": NAMED}), current=False)


@pytest.mark.parametrize(
    ("seen", "site", "change", "cause"),
    [
        (stands({"shop": NAMED}), NAMED, "", ""),
        (STALE, NAMED, "load", "this Homeport configures the edge differently"),
        (STALE, SAFE, "recreate", "port 443 is new at the edge"),
        (EdgeFacts(current=False), NAMED, "create", "no edge runs yet; shop is to answer on"),
    ],
)
def test_applied(seen: EdgeFacts, site: dict[str, Any], change: str, cause: str) -> None:
    """`edge apply` also makes anew what another Homeport configured; a deploy does not."""
    found = edge.applied(seen, "shop", site)
    assert (found.change, found.cause[: len(cause)]) == (change, cause)
    assert edge.wanted(STALE, "shop", NAMED).change == ""


@pytest.mark.parametrize(
    ("seen", "change"),
    [
        (EdgeFacts(pinned="new"), ""),
        (replace(STALE, image="new", pinned="new"), ""),
        (replace(STALE, image="old", pinned="new"), "recreate"),
    ],
)
def test_upgraded(seen: EdgeFacts, change: str) -> None:
    """The edge is made anew from another image, and from nothing else."""
    found = edge.upgraded(seen)
    assert found.change == change and found.sites == seen.sites
    assert found.notices == ((RECREATED,) if change else ())


def test_restored() -> None:
    """What went away comes back for every site it had, whoever asks."""
    gone = EdgeFacts(sites={"blog": BLOG, "shop": SAFE})
    there = stands({"blog": BLOG, "shop": SAFE}, running=False)
    for seen, change in ((gone, "create"), (there, "start")):
        found = edge.restored(seen)
        assert (found.change, found.ports) == (change, (80, 443))
        assert found.sites == seen.sites and found.networks == ("blog_default",)
    # a change died once the edge was on its new port
    astray = replace(there, ports=(8080,))
    assert edge.restored(astray).change == "recreate"


def test_the_whole_configuration() -> None:
    """Names before the bare one, one server a port, the admin behind its secret.

    HTTPS has its certificates and its port, and HTTP leads there.
    """
    table = json.loads(Path(__file__).with_suffix(".json").read_text())
    wool = {"name": "wool.lan", "port": 443, "redirect": 80, "hold": 30.0, "network": ""}
    wool |= {"tls": "acme", "acme_ca": "https://ca.lan/dir", "acme_root": "PEM", "email": "a@b.c"}
    sites = {"shop": NAMED, "blog": BLOG, "high": HIGH, "safe": {**SAFE, "name": "safe.lan"}}
    sites["wool"] = wool
    assert caddy.config(sites, "s3cret") == table
    assert caddy.config(dict(reversed(sites.items())), "s3cret") == table


INNER = {**NAMED, "inner": {"network": "shop_back", "name": "web", "port": 8000}}


def test_shared_services_find_their_app_at_the_edge() -> None:
    """A port of its own inside, for who is on the app's network, if that is there."""
    said = Settings("shop", site=Site("shop.lan"))
    assert edge.site_of(said, "", INNER["inner"]) == INNER
    assert edge.joins({"shop": INNER, "blog": BLOG}) == {"blog_default": [], "shop_back": ["web"]}
    found = edge.wanted(stands({"shop": NAMED}, networks=()), "shop", INNER)
    assert (found.change, found.ports, found.networks) == ("load", (80,), ("shop_back",))
    ranges = {"shop_back": (["172.20.0.0/16"], ["172.20.0.1"])}
    servers = caddy.config({"shop": INNER}, "", ranges)["apps"]["http"]["servers"]
    page, release, nobody = servers["port-8000"]["routes"]
    outside = {"not": [{"remote_ip": {"ranges": ["172.20.0.1"]}}]}
    assert release["match"] == [{"remote_ip": {"ranges": ["172.20.0.0/16"]}, **outside}]
    assert page["match"][0].items() >= release["match"][0].items()
    proxy = release["handle"][0]
    assert proxy.pop("trusted_proxies") == ["172.20.0.0/16"]
    assert proxy == servers["port-80"]["routes"][1]["handle"][0]
    assert nobody["handle"][0]["status_code"] == 404
    plain = caddy.config({"shop": NAMED}, "")["apps"]["http"]["servers"]
    assert servers["port-80"] == plain["port-80"]
    assert caddy.config({"shop": INNER}, "")["apps"]["http"]["servers"] == plain
    # where people ask on the same port, who is inside comes first
    both = caddy.config({"shop": INNER, "blog": {**BARE, "port": 8000}}, "", ranges)
    routes = both["apps"]["http"]["servers"]["port-8000"]["routes"]
    assert routes[:2] == [
        page,
        {**release, "handle": [{**proxy, "trusted_proxies": ["172.20.0.0/16"]}]},
    ]


@pytest.mark.parametrize(
    ("others", "port"),
    [
        ({}, 8000),
        ({"blog": BLOG}, 8000),
        ({"blog": {**BARE, "port": 8000}}, 0),
        ({"blog": {**BLOG, "inner": {"network": "b", "name": "web", "port": 8000}}}, 0),
    ],
)
def test_whose_port_it_is_inside(others: dict[str, Any], port: int) -> None:
    """What is asked on it counts for the app only where it is the app's alone."""
    assert edge.alone({"shop": INNER, **others}, INNER) == port
    assert edge.alone({"shop": NAMED, **others}, NAMED) == 0


def test_a_change_of_one_app_changes_no_other() -> None:
    """Whatever one app asks for, the others' routes are the same."""
    mine = caddy.config({"blog": BLOG}, "")["apps"]["http"]["servers"]["port-80"]["routes"][:2]
    for other in (NAMED, BARE, SAFE, {**SAFE, "tls": "acme"}, {**BLOG, "name": "b.lan"}):
        made = caddy.config({"blog": BLOG, "shop": other}, "")["apps"]["http"]["servers"]
        assert [one for one in made["port-80"]["routes"] if one in mine] == mine


def test_a_bare_app_takes_what_no_name_asks_for() -> None:
    """After the named ones, and then nothing is left for "no such site"."""
    made = caddy.config({"any": BARE, "zoo": NAMED}, "")["apps"]["http"]["servers"]["port-80"]
    routes = [one for one in made["routes"] if one.get("terminal")]
    dials = [one["handle"][0]["upstreams"][0]["dial"] for one in routes]
    assert dials == ["{file./run/homeport/zoo/live}", "{file./run/homeport/any/live}"]
    assert [one.get("match") for one in routes] == [[{"host": ["shop.lan"]}], None]


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

    walk(caddy.config({"shop": SAFE}, ""))
    reasons = sorted(one["headers"]["Homeport-Edge"][0] for one in answers)
    both = ["no-release", "no-such-site", "proxy-error"]
    assert reasons == sorted([*both, *both, "maintenance", "to-https"])


#: what the edge says of itself, in part
METRICS = Path(__file__).with_suffix(".metrics").read_text()
COUNTED = [
    ("Shop.example", 80, Count(54, 3, 8)),
    ("", 80, Count(5, 5)),
    ("", 8080, Count(1200000, 0)),
    ("blog.example", 80, Count()),
    ("shop.example", 8080, Count()),
]


@pytest.mark.parametrize("name,port,count", COUNTED)
def test_answers_are_counted_by_site(name: str, port: int, count: Count) -> None:
    """What releases answered behind this site; never what the edge answered itself."""
    site = {"name": name, "port": port}
    assert caddy.counted(METRICS, site) == count
    inside = caddy.counted(METRICS, {"name": "inner.example", "port": 1}, port)
    assert inside.asked >= count.asked and inside.failed >= count.failed
