"""From a compose file to a release's project: real shapes of Compose 2.40 as literal tables.

``render/compose.yaml`` is the file; ``raw.json`` and ``resolved.json`` are what ``docker compose
config`` makes of it; ``moving.json`` and ``shared.json`` are what they must become, whole.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from homeport.core import render as renders
from homeport.core.mounts import Mount
from homeport.core.needed import Needed
from homeport.core.render import Folder, Place, Rendered
from homeport.errors import Problem
from homeport.model import Settings, Web

FILE = "docker-compose.prod.yml"
SETTINGS = Settings("shop", web=Web(standby=True))
PLACE = Place(
    app="shop",
    slot="r0042",
    release="r0042-1a2b3c4",
    image="reg/shop@sha256:1a2b3c4",
    folder="/opt/shop",
    env="/opt/shop/releases/r0042-1a2b3c4/env",
    sockets="/opt/homeport/run/shop/r0042",
)
SOCKETS = {"type": "bind", "source": PLACE.sockets, "target": "/run/homeport"}


def table(name: str) -> Any:
    """One of the literal tables."""
    return json.loads((Path(__file__).parent / "render" / f"{name}.json").read_text())


def small(settings: Settings = SETTINGS, more: Any = None, **web: Any) -> Rendered:
    """A file with a web service of these keys, and ``more`` services."""
    raw = {"services": {"web": {"image": "reg/shop:1", **web}, **(more or {})}}
    return renders.render(raw, raw, settings, PLACE)


FRONT = {"image": "nginx:1", "depends_on": {"web": {}}, "labels": {"homeport.shared": "true"}}
BACK = {"networks": {"back": None}}


@pytest.mark.parametrize(
    ("web", "front", "port", "inner"),
    [
        ({**BACK, "expose": ["8000"]}, {**FRONT, **BACK}, None, 8000),
        ({**BACK, "ports": [{"target": 5000, "published": "80"}]}, {**FRONT, **BACK}, None, 5000),
        ({**BACK, "expose": ["8000"]}, {**FRONT, **BACK}, 9000, 9000),
        ({**BACK, "expose": ["8000-8010", "8001"]}, {**FRONT, **BACK}, None, 8001),
        ({**BACK}, {**FRONT, **BACK}, None, 0),
        ({**BACK, "expose": ["8000"]}, {**FRONT, "depends_on": {}, **BACK}, None, None),
        ({**BACK, "expose": ["8000"]}, {**FRONT, "networks": {"front": None}}, None, None),
    ],
)
def test_who_depends_on_the_web_service_finds_the_edge(
    web: Any, front: Any, port: int | None, inner: int | None
) -> None:
    """By name and port, on a network they have in common; a port that is not named is asked for."""
    found = small(replace(SETTINGS, web=Web(port=port)), {"front": front}, **web)
    wanted = {} if inner is None else {"network": "back", "name": "web", "port": inner}
    assert found.inner == wanted
    asked = [one.what for one in found.problems]
    assert asked == (["a shared service depends on web, which names no port"] if inner == 0 else [])


#: service, path of the host, whether it can only be read
REACHED = [
    ("web", "/opt/shop/conf", True),
    ("web", "/opt/shop/data", False),
    ("worker", "/opt/shop/data", False),
    ("web", "/opt/shop/key", True),
    ("web", "/opt/shop/static", True),
]


def test_a_whole_file() -> None:
    """Both projects are what the tables say, and so is all that is decided from the file."""
    found = renders.render(table("raw"), table("resolved"), SETTINGS, PLACE)
    assert found.moving == table("moving")
    assert found.shared == table("shared")
    assert [(one.service, one.path, one.fixed) for one in found.reached] == REACHED
    assert replace(found, moving={}, shared={}) == Rendered(
        shared_hash="ce5a427014fb",
        shared_images={"cache": "redis:7", "db": "postgres:16"},
        services=("web", "worker"),
        networks={
            "shop_back": {"internal": True, "ipam": {}, "name": "shop_back"},
            "shop_front": {"ipam": {}, "name": "shop_front"},
        },
        volumes={
            "shop_data": {"name": "shop_data"},
            "old_pg": {"external": True, "name": "old_pg"},
        },
        folders=(Folder("/opt/shop/data", "web", "/srv/data", "1000:1000"),),
        data=("/opt/shop/data",),
        policies={"web": "unless-stopped", "worker": "on-failure:3"},
        network="shop_back",
        monitor=90.0,
        memory=(128 + 64) * 1024 * 1024,
        writable=("web", "worker"),
        needed=(
            Needed("/opt/shop/conf", f"{FILE}: configs.conf", "conf"),
            Needed("/opt/shop/key", f"{FILE}: secrets.key", "key"),
            Needed("/opt/shop/static", f"{FILE}: services.web.volumes", "static"),
        ),
        reached=found.reached,
        folder="/opt/shop",
        mounts=(
            Mount("web", "volume", "shop_data", "/data"),
            Mount("web", "bind", "/opt/shop/data", "/srv/data"),
            Mount("web", "bind", "/opt/shop/static", "/srv/static", True),
            Mount("web", "tmpfs", "", "/tmp"),
            Mount("worker", "bind", "/opt/shop/data", "/srv/data"),
        ),
        beside=(Mount("db", "volume", "old_pg", "/var/lib/postgresql/data"),),
        variables=("DB_PASSWORD", "TOKEN"),
        notices=(
            "web: container_name is left out: two slots cannot share a name",
            "web: its published port is answered by the edge",
        ),
    )


def test_nothing_of_the_input_is_changed() -> None:
    """Rendering twice gives the same, and no value of a variable is in what is written."""
    raw, resolved = table("raw"), table("resolved")
    first = renders.render(raw, resolved, SETTINGS, PLACE)
    assert (raw, resolved) == (table("raw"), table("resolved"))
    assert renders.render(raw, resolved, SETTINGS, PLACE) == first
    assert "s3cret" not in json.dumps([first.moving, first.shared])


KINDS: dict[str, tuple[dict[str, Any], tuple[tuple[str, ...], ...]]] = {
    "labels as a mapping": (
        {"db": {"image": "pg", "labels": {"homeport.shared": "true"}}},
        (("web",), ("db",), ()),
    ),
    "labels as a list": (
        {"db": {"image": "pg", "labels": ["x", "homeport.shared=true"]}},
        (("web",), ("db",), ()),
    ),
    "labelled false": (
        {"proxy": {"image": "nginx", "labels": {"homeport.shared": "False"}}},
        (("web", "proxy"), (), ()),
    ),
    "the web service's image": ({"job": {"image": "reg/shop:1"}}, (("web", "job"), (), ())),
    "built here": ({"a": {"build": {"context": "/x"}}}, (("web", "a"), (), ())),
    "neither": ({"db": {"image": "pg"}, "c": {"image": "r"}}, (("web",), (), ("c", "db"))),
    "another word in the label": (
        {"db": {"image": "pg", "labels": {"homeport.shared": "maybe"}}},
        (("web",), (), ("db",)),
    ),
    "a profile leaves it out": (
        {"adminer": {"image": "adminer", "profiles": ["debug"]}},
        (("web",), (), ()),
    ),
    "a profile on one of ours too": (
        {"job": {"image": "reg/shop:1", "profiles": ["debug"]}},
        (("web",), (), ()),
    ),
    "a labelled one stays": (
        {"db": {"image": "pg", "profiles": ["x"], "labels": {"homeport.shared": "true"}}},
        (("web",), ("db",), ()),
    ),
}


@pytest.mark.parametrize("name", KINDS)
def test_kinds(name: str) -> None:
    """What moves (web first), what is shared, and what must be asked about."""
    services, kinds = KINDS[name]
    raw = {"services": {**services, "web": {"image": "reg/shop:1"}}}
    assert renders.kinds(raw, "web") == kinds


def test_a_web_service_by_another_name() -> None:
    """Without an image of its own nothing is alike by image."""
    assert renders.kinds({"services": {"app": {"build": {}}, "b": {}}}, "app") == (
        ("app",),
        (),
        ("b",),
    )
    assert renders.kinds({}, "web") == ((), (), ())


#: what the web service says → what its slot's service says of the same keys
BECOMES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "restart": ({"restart": "always"}, {"restart": "no"}),
    "profiles": ({"profiles": ["prod"]}, {"profiles": None}),
    "build and pull": (
        {"build": {"context": "."}, "pull_policy": "always"},
        {"build": None, "pull_policy": None},
    ),
    "container name": ({"container_name": "x"}, {"container_name": None}),
    "a published port": ({"ports": [{"target": 80, "published": "80"}]}, {"ports": None}),
    "labels as a list": (
        {"labels": ["a=b=c", "d"]},
        {
            "labels": {
                "a": "b=c",
                "d": None,
                "homeport.app": "shop",
                "homeport.release": "r0042-1a2b3c4",
                "homeport.slot": "r0042",
            }
        },
    ),
    "environment as a list": (
        {"environment": ["A=$$x", "B"]},
        {
            "environment": {
                "A": "$$x",
                "B": None,
                "HOMEPORT_RELEASE": "r0042-1a2b3c4",
                "HOMEPORT_BIND": "unix:/run/homeport/app.sock",
                "HOMEPORT_STANDBY": "/run/homeport/standby",
            }
        },
    ),
    "env files": (
        {"env_file": ["/opt/shop/.env", {"path": "/opt/shop/app.env"}, "/etc/x"]},
        {"env_file": [{"path": PLACE.env}, {"path": "/etc/x"}]},
    ),
    "no env file": ({}, {"env_file": None, "volumes": [SOCKETS]}),
    "depends on nothing of ours": ({"depends_on": {"db": {}}}, {"depends_on": None}),
    "commands": ({"command": ["echo", "$$HOME"]}, {"command": ["echo", "$$HOME"]}),
}


@pytest.mark.parametrize("name", BECOMES)
def test_a_service_of_a_slot(name: str) -> None:
    """Each key becomes what the table says; None means that it is gone."""
    keys, expected = BECOMES[name]
    made = small(**keys).moving["services"]["web"]
    assert {key: made.get(key) for key in expected} == expected


def test_an_image_with_a_dollar_is_escaped() -> None:
    """Compose would read a variable."""
    raw = {"services": {"web": {"image": "x"}}}
    made = renders.render(raw, raw, SETTINGS, replace(PLACE, image="reg/$a:1"))
    assert made.moving["services"]["web"]["image"] == "reg/$$a:1"


def test_a_web_service_with_a_port_is_told_no_socket() -> None:
    """It speaks TCP, and only an app that stands by is told of the file."""
    made = small(Settings("shop", web=Web(port=8000)))
    assert made.moving["services"]["web"]["environment"] == {"HOMEPORT_RELEASE": "r0042-1a2b3c4"}


ALONE = {
    "a worker's port": ({"ports": [{"published": "25"}]}, ("worker",)),
    "a worker on the host's network": ({"network_mode": "host"}, ("worker",)),
    "a worker on no network": ({"network_mode": "none"}, ()),
    "a plain worker": ({}, ()),
}


@pytest.mark.parametrize("name", ALONE)
def test_what_cannot_run_twice(name: str) -> None:
    """A moving service besides the web one that holds something of the host; its port stays."""
    keys, alone = ALONE[name]
    made = small(more={"worker": {"image": "reg/shop:1", **keys}})
    assert made.alone == alone
    assert made.moving["services"]["worker"].get("ports") == keys.get("ports")


MONITORS = {
    "": 30.0,
    "0s": 0.0,
    "5s": 5.0,
    "1m30s": 90.0,
    "1h0m1.5s": 3601.5,
    "500ms": 0.5,
    "soon": 30.0,
}


@pytest.mark.parametrize("text", MONITORS)
def test_monitor(text: str) -> None:
    """Compose's own durations, in seconds; 30 where nothing is said."""
    deploy = {"update_config": {"monitor": text}} if text else {}
    assert small(deploy=deploy).monitor == MONITORS[text]


MIB = 1024 * 1024
MEMORY: list[tuple[dict[str, Any], int]] = [
    ({}, 0),
    ({"mem_limit": "67108864"}, 64 * MIB),
    ({"mem_limit": 67108864}, 64 * MIB),
    ({"mem_limit": "64m"}, 64 * MIB),
    ({"mem_limit": "1.5GB"}, 1536 * MIB),
    ({"mem_limit": "512kb"}, MIB // 2),
    ({"mem_limit": "100b"}, 100),
    ({"mem_limit": "much"}, 0),
    ({"mem_limit": "1m", "deploy": {"resources": {"limits": {"memory": "2M"}}}}, 2 * MIB),
]


@pytest.mark.parametrize("keys,size", MEMORY)
def test_memory(keys: dict[str, Any], size: int) -> None:
    """What the slot may take, in bytes; nothing where it is not limited."""
    assert small(**keys).memory == size


BIND, VOLUME = {"type": "bind", "target": "/t"}, {"type": "volume", "target": "/t"}
MOUNTS: dict[str, tuple[list[Any], bool, tuple[str, ...], tuple[str, ...]]] = {
    "a folder of the app": (
        [{**BIND, "source": "/opt/shop/data"}],
        True,
        ("/opt/shop/data",),
        ("/opt/shop/data",),
    ),
    "read only": ([{**BIND, "source": "/opt/shop/data", "read_only": True}], False, (), ()),
    "elsewhere": ([{**BIND, "source": "/srv/x"}], True, (), ("/srv/x",)),
    "a neighbour's": ([{**BIND, "source": "/opt/shop2/x"}], True, (), ("/opt/shop2/x",)),
    "a named volume": ([{**VOLUME, "source": "data"}], True, (), ()),
    "a nameless volume": ([VOLUME], True, (), ()),
    "a volume read only": ([{**VOLUME, "source": "data", "read_only": True}], False, (), ()),
    "memory": ([{"type": "tmpfs", "target": "/tmp"}], False, (), ()),
    "twice the same": (
        [{**BIND, "source": "/opt/shop/d"}, {**BIND, "source": "/opt/shop/d", "target": "/u"}],
        True,
        ("/opt/shop/d",),
        ("/opt/shop/d",),
    ),
}


@pytest.mark.parametrize("name", MOUNTS)
def test_mounts(name: str) -> None:
    """What may be written, which folders are made, and where data lies."""
    mounts, writable, folders, data = MOUNTS[name]
    made = small(volumes=mounts)
    assert made.writable == (("web",) if writable else ())
    assert tuple(one.path for one in made.folders) == folders
    assert made.data == data


VARIABLES = {
    "$A ${B} $$C $${D} ${E:-x} ${F-x} ${G:?x} ${H?x} ${I:+x} $1": ("A", "B", "G", "H"),
    "plain": (),
}


@pytest.mark.parametrize("text", VARIABLES)
def test_variables(text: str) -> None:
    """Names without a default of their own, wherever they are, but for the image's."""
    raw = {"services": {"web": {"image": "$IMG", "x": [{"y": text}]}}, "volumes": {"v": text}}
    assert renders.variables(raw) == VARIABLES[text]


def test_no_shared_services_no_project_of_theirs() -> None:
    """Nothing is hashed, nothing is written."""
    made = small()
    assert (made.shared, made.shared_hash, made.network, made.networks) == ({}, "", "", {})


PROBLEMS: dict[str, tuple[Rendered, tuple[Problem, ...]]] = {
    "all is well": (small(more={"w": {"image": "reg/shop:1", "deploy": {"replicas": 3}}}), ()),
    "no such service": (
        small(Settings("shop", web=Web("app"))),
        (
            Problem(
                "there is no service 'app'",
                "docker-compose.prod.yml",
                "the file has: web",
                "set [web] service in homeport.toml",
            ),
            Problem(
                "it cannot be told whether web moves with a release or outlives it",
                "docker-compose.prod.yml: services.web",
                "its image 'reg/shop:1' is not the app's own",
                'if it outlives it (a database), add to it:  labels: {homeport.shared: "true"}',
            ),
        ),
    ),
    "a shared web service": (
        small(labels=["homeport.shared=true"]),
        (
            Problem(
                "web is the web service and cannot be shared",
                "docker-compose.prod.yml",
                "it is labelled homeport.shared",
                "remove the label from web",
            ),
        ),
    ),
    "one that must be asked about, and replicas": (
        small(more={"db": {"image": "pg"}}, deploy={"replicas": 2}),
        (
            Problem(
                "it cannot be told whether db moves with a release or outlives it",
                "docker-compose.prod.yml: services.db",
                "its image 'pg' is not the app's own",
                'if it outlives it (a database), add to it:  labels: {homeport.shared: "true"}',
            ),
            Problem(
                "web asks for 2 replicas",
                "docker-compose.prod.yml: services.web.deploy.replicas",
                "a slot answers through one",
                "use more threads or worker processes in one container",
            ),
        ),
    ),
}


@pytest.mark.parametrize("name", PROBLEMS)
def test_problems(name: str) -> None:
    """All at once, each with what mends it."""
    made, problems = PROBLEMS[name]
    assert made.problems == problems


def test_an_empty_file() -> None:
    """Even then there is an answer, and it names what is missing."""
    made = renders.render({}, {}, SETTINGS, PLACE)
    assert [one.what for one in made.problems] == ["there is no service 'web'"]
    assert made.problems[0].why == "the file has: none"
