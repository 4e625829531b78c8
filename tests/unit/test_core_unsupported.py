"""What Compose can say and a slot cannot be given: every key by name, with its mend."""

from __future__ import annotations

from typing import Any

import pytest
from homeport.core import render as renders
from homeport.core import service, unsupported
from homeport.core.needed import Needed
from homeport.core.render import Place, Rendered
from homeport.model import Settings, Web

FILE = "docker-compose.prod.yml"
PLACE = Place("shop", "r0042", "r0042-1a2b3c4", "reg/shop@sha256:1", "/opt/shop", "/e", "/s")
SHARED = {"homeport.shared": "true"}
DB = {"db": {"image": "pg", "labels": SHARED}}


def made(web: dict[str, Any], port: int | None = None, **more: dict[str, Any]) -> Rendered:
    """A file with a web service that has these keys, and other services and sections."""
    top = {key: more.pop(key) for key in ("secrets", "configs", "networks") if key in more}
    raw = {"services": {"web": {"image": "reg/shop:1", "restart": "always", **web}, **more}, **top}
    return renders.render(raw, raw, Settings("shop", web=Web(port=port)), PLACE)


OWN = {"image": "reg/shop:1", "restart": "always"}
DONE = {"worker": {"condition": "service_completed_successfully"}}
#: the file → the key that is named, and what mends it
REFUSED: dict[str, tuple[Rendered, str, str]] = {
    "the network of a container": (
        made({"network_mode": "container:vpn"}),
        "services.web.network_mode",
        "put both on one network",
    ),
    "the network of a shared service": (
        made({"network_mode": "service:db"}, **DB),
        "services.web.network_mode",
        "put both on one network",
    ),
    "a port on the host's network": (
        made({"network_mode": "host"}, port=8000),
        "services.web.network_mode",
        "remove network_mode: from web",
    ),
    "a port on a worker's network": (
        made({"network_mode": "service:worker"}, port=8000, worker=OWN),
        "services.web.network_mode",
        "remove network_mode: from web",
    ),
    "links": (made({"links": ["db"]}, **DB), "services.web.links", "remove links:"),
    "external links": (
        made({"external_links": ["db:pg"]}),
        "services.web.external_links",
        "external: true",
    ),
    "the volumes of a shared service": (
        made({"volumes_from": ["db:ro"]}, **DB),
        "services.web.volumes_from",
        "under volumes: of both",
    ),
    "the volumes of a container": (
        made({"volumes_from": ["container:x"]}),
        "services.web.volumes_from",
        "under volumes: of both",
    ),
    "the memory of a container": (made({"ipc": "container:x"}), "services.web.ipc", "remove ipc:"),
    "the processes of a container": (
        made({"pid": "container:x"}),
        "services.web.pid",
        "remove pid:",
    ),
    "a hook after the start": (
        made({"post_start": [{"command": "x"}]}),
        "services.web.post_start",
        "entrypoint",
    ),
    "a hook before the stop": (
        made({"pre_stop": [{"command": "x"}]}),
        "services.web.pre_stop",
        "SIGTERM",
    ),
    "models": (made({"models": {"llm": None}}), "services.web.models", "remove models:"),
    "a provider": (
        made({}, llm={"provider": {"type": "model"}}),
        "services.llm.provider",
        "remove it",
    ),
    "a job that is waited for": (
        made({"depends_on": DONE}, worker=OWN),
        "services.web.depends_on",
        "entrypoint",
    ),
    "two of the web service": (
        made({"scale": 2}),
        "services.web.scale",
        "use more threads or worker processes",
    ),
    "none of the web service": (
        made({"deploy": {"replicas": 0}}),
        "services.web.deploy.replicas",
        "use more threads",
    ),
    "another image that moves": (
        made({}, proxy={"image": "nginx", "labels": {"homeport.shared": "false"}}),
        "services.proxy",
        "or the image of web",
    ),
    "another build that moves": (
        made({"build": {"context": "/a"}}, worker={"build": {"context": "/b"}}),
        "services.worker",
        "or the image of web",
    ),
    "a shared service in the web's network": (
        made({}, tunnel={"image": "t", "labels": SHARED, "network_mode": "service:web"}),
        "services.tunnel.network_mode",
        "put both on one network",
    ),
    "a shared service that is built": (
        made({}, db={"image": "x", "build": {"context": "/a"}, "labels": SHARED}),
        "services.db.build",
        "name it with image:",
    ),
    "a secret of Swarm's": (
        made({"secrets": [{"source": "key"}]}, secrets={"key": {"external": True}}),
        "secrets.key",
        "file: ./key.txt",
    ),
    "a config of Swarm's": (
        made({"configs": [{"source": "conf"}]}, configs={"conf": {"external": True}}),
        "configs.conf",
        "file: ./conf.txt",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(name: str) -> None:
    """One problem, at the key, with its reason and what to write instead."""
    found, where, mend = REFUSED[name]
    (problem,) = found.problems
    assert problem.where == f"{FILE}: {where}"
    assert problem.what and problem.why and mend in problem.mend


#: what is obeyed as it stands, or by a slot that has nobody beside it
OBEYED: dict[str, Rendered] = {
    "the network of one that moves along": made({}, worker={**OWN, "network_mode": "service:web"}),
    "the host's network by a socket": made({"network_mode": "host"}),
    "the volumes of one that moves along": made({"volumes_from": ["worker:ro"]}, worker=OWN),
    "the memory of one that moves along": made({"ipc": "service:worker"}, worker=OWN),
    "waiting for one that stays": made(
        {"depends_on": {"worker": {"condition": "service_healthy"}}}, worker=OWN
    ),
    "several workers": made({}, worker={**OWN, "deploy": {"replicas": 3}}),
    "one of the web service": made({"scale": 1, "deploy": {"replicas": 4}}),
    "a secret from a variable": made(
        {"secrets": [{"source": "key"}]}, secrets={"key": {"environment": "KEY"}}
    ),
    "links of a shared service": made({}, tunnel={"image": "t", "labels": SHARED, "links": ["x"]}),
    "the same build": made(
        {"build": {"context": "/a"}}, worker={**OWN, "build": {"context": "/a"}}
    ),
    "signals, names, limits": made(
        {"hostname": "x", "stop_signal": "SIGINT", "init": True, "ulimits": {"nofile": 9}}
    ),
}


@pytest.mark.parametrize("name", OBEYED)
def test_what_is_obeyed(name: str) -> None:
    """Nothing speaks against it, and nothing is said."""
    assert (OBEYED[name].problems, OBEYED[name].notices) == ((), ())


def test_every_key_at_once() -> None:
    """A file with many of them is told all."""
    keys = {"links": ["a"], "external_links": ["b"], "post_start": [{}], "ipc": "container:x"}
    where = [one.where.rpartition(".")[2] for one in made(keys).problems]
    assert sorted(where) == sorted(keys)


NOTICES: dict[str, tuple[Rendered, str]] = {
    "a name": (
        made({"container_name": "x"}),
        "web: container_name is left out: two slots cannot share a name",
    ),
    "work on the app": (
        made({"develop": {"watch": []}}),
        "web: develop is left out: it is for work on the app",
    ),
    "everywhere, on one host": (
        made({"deploy": {"mode": "global"}}),
        "web: deploy: mode: global means nothing on one host: one container is started",
    ),
    "no restart policy": (
        made({"restart": "no"}),
        "web: it has no restart policy: after a crash it stays down (restart: unless-stopped)",
    ),
    "a port": (made({"ports": [{}]}), "web: its published port is answered by the edge"),
    "two ports": (
        made({"ports": [{}, {}]}),
        "web: its published port is answered by the edge, all but one are left out",
    ),
}


@pytest.mark.parametrize("name", NOTICES)
def test_what_is_said(name: str) -> None:
    """Obeyed or left out, with one sentence about it."""
    found, text = NOTICES[name]
    assert (found.notices, found.problems) == ((text,), ())


POLICIES = {
    "always": {"restart": "always"},
    "no": {},
    "on-failure:3": {"deploy": {"restart_policy": {"condition": "on-failure", "max_attempts": 3}}},
    "on-failure": {"deploy": {"restart_policy": {"condition": "on-failure"}}},
    "unless-stopped": {"deploy": {"restart_policy": {"condition": "unless-stopped"}}},
}


@pytest.mark.parametrize("rule", POLICIES)
def test_restart_policies(rule: str) -> None:
    """As Compose reads them: deploy.restart_policy wins over restart, and means always."""
    assert service.policy(POLICIES[rule]) == rule
    assert service.policy({"restart": "no", "deploy": {"restart_policy": {}}}) == "always"
    assert service.policy({"deploy": {"restart_policy": {"condition": "none"}}}) == "no"


def test_no_slot_restarts_by_itself_before_its_commit() -> None:
    """deploy.restart_policy would win over the slot's own restart: no."""
    found = made({"deploy": {"restart_policy": {"condition": "any"}, "replicas": 1}})
    assert found.moving["services"]["web"]["deploy"] == {"replicas": 1}
    assert found.policies == {"web": "always"}


ALONE = [
    ({"networks": {"back": {"ipv4_address": "10.0.0.9"}}}, ("web",)),
    ({"networks": {"back": {"mac_address": "02:00:00:00:00:01"}}}, ("web",)),
    ({"mac_address": "02:00:00:00:00:01"}, ("web",)),
    ({"networks": {"back": None}, "network_mode": "host", "ports": [{}]}, ()),
]


@pytest.mark.parametrize("keys,alone", ALONE)
def test_a_fixed_address_cannot_be_had_twice(keys: dict[str, Any], alone: tuple[str, ...]) -> None:
    """Such a slot stands alone; the web service's port and network do not make it so."""
    assert made(keys).alone == alone


def bind(source: str, **rest: Any) -> dict[str, Any]:
    """A mount of a file or folder of the host."""
    return {"type": "bind", "source": source, "target": "/t", **rest}


VOLUMES = f"{FILE}: services.web.volumes"
NEEDED: dict[str, tuple[Rendered, tuple[Needed, ...]]] = {
    "a folder that is written": (made({"volumes": [bind("/opt/shop/data")]}), ()),
    "a hidden folder": (made({"volumes": [bind("/opt/shop/.data")]}), ()),
    "a folder that is read": (
        made({"volumes": [bind("/opt/shop/conf/d", read_only=True)]}),
        (Needed("/opt/shop/conf/d", VOLUMES, "conf"),),
    ),
    "a file that is written": (
        made({"volumes": [bind("/opt/shop/db.sqlite3")]}),
        (Needed("/opt/shop/db.sqlite3", VOLUMES, "db.sqlite3"),),
    ),
    "a folder elsewhere": (
        made({"volumes": [bind("/srv/photos")]}),
        (Needed("/srv/photos", VOLUMES),),
    ),
    "a volume": (made({"volumes": [{"type": "volume", "source": "x", "target": "/t"}]}), ()),
    "env files": (
        made(
            {
                "env_file": [
                    {"path": "/opt/shop/app.env"},
                    {"path": "/opt/shop/.env"},
                    {"path": "/opt/shop/more.env", "required": False},
                    {"path": "/opt/shop/other.env"},
                ]
            }
        ),
        (Needed("/opt/shop/other.env", f"{FILE}: services.web.env_file", "other.env"),),
    ),
    "a shared service's file": (
        made(
            {},
            db={"image": "pg", "labels": SHARED, "volumes": [bind("/opt/shop/pg.conf")]},
        ),
        (Needed("/opt/shop/pg.conf", f"{FILE}: services.db.volumes", "pg.conf"),),
    ),
    "a secret's and a config's": (
        made(
            {"secrets": [{"source": "k"}], "configs": [{"source": "c"}]},
            secrets={"k": {"file": "/opt/shop/keys/k"}},
            configs={"c": {"content": "x"}},
        ),
        (Needed("/opt/shop/keys/k", f"{FILE}: secrets.k", "keys"),),
    ),
}


@pytest.mark.parametrize("name", NEEDED)
def test_what_must_be_on_the_host(name: str) -> None:
    """What no deploy makes, and what to bring for it."""
    found, needed = NEEDED[name]
    assert found.needed == needed


def test_a_secret_from_a_variable_needs_its_value() -> None:
    """The variable is among those that app.env must have."""
    assert service.variables({"secrets": {"a": {"environment": "KEY"}, "b": None}}) == ("KEY",)


TEXTS: dict[str, tuple[str, ...]] = {
    "services:\n  web:\n    image: x\n": (),
    "include:\n  - more.yaml\nservices: {}\n": ("include",),
    '"include":\n  - /opt/blog/compose.yaml\nservices: {}\n': ("include",),
    '{"services": {}, "include": ["https://x.org/y.git"]}': ("include",),
    "services:\n  web:\n    command: [echo, 'include: x']\n": (),
    "services:\n  web:\n    extends:\n      service: base\n": (),
    "services:\n  web:\n    extends:\n      service: a\n      file: b.yaml\n": ("extends: file",),
    "services:\n  web:\n    extends:\n      file: b.yaml\n    image: x\n": ("extends: file",),
    "services: {web: {extends: {service: a, file: b.yaml}}}": ("extends: file",),
    "services:\n  web:\n    extends:\n      service: a\n    label_file: l\n": ("label_file",),
    "services:\n  web:\n    extends:\n      service: a\n    secrets: [s]\nsecrets:\n  s:\n"
    "    file: s.txt\n": (),
    "# include: x\nservices:\n  web:\n    #extends:\n    #  file: x\n    image: y\n": (),
}


@pytest.mark.parametrize("text", TEXTS)
def test_what_other_files_hold(text: str) -> None:
    """Only the compose file itself goes to the host: what it takes from others is named."""
    found = unsupported.other_files(text, "c.yaml", "shop")
    assert tuple(one.what.split(" takes")[0] for one in found) == TEXTS[text]
    assert all("docker compose -p shop -f c.yaml config" in one.mend for one in found)
