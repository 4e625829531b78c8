"""Compose files made to reach what is not their app's: each key and path, and what is answered."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeport.core import policy
from homeport.core import render as renders
from homeport.core.facts import Facts
from homeport.core.render import Place, Rendered
from homeport.model import Settings

FILE = "docker-compose.prod.yml"
PLACE = Place("shop", "r0042", "r0042-1a2b3c4", "reg/shop@sha256:1", "/opt/shop", "/e", "/s")
SHARED = {"homeport.shared": "true"}
SIDE = {"image": "side", "labels": SHARED}


def made(web: dict[str, Any] = {}, side: dict[str, Any] | None = None, **top: Any) -> Rendered:
    """A file with these keys in what moves, and in a shared service where there is one."""
    found: dict[str, Any] = {"web": {"image": "reg/shop:1", "restart": "always", **web}}
    if side is not None:
        found["side"] = {**SIDE, **side}
    raw = {"services": found, **top}
    return renders.render(raw, raw, Settings("shop"), PLACE)


def bind(source: str, **rest: Any) -> dict[str, Any]:
    """The keys of a service with one mount of the host."""
    return {"volumes": [{"type": "bind", "source": source, "target": "/t", **rest}]}


def volume(**options: str) -> dict[str, Any]:
    """A file whose web service has a volume of Docker's own driver with these options."""
    mount = {"volumes": [{"type": "volume", "source": "x", "target": "/t"}]}
    return {"web": mount, "volumes": {"x": {"name": "shop_x", "driver_opts": options}}}


OURS, ROOT = "it is Homeport's own", "root on the host"
#: what a service that moves asks of the host's disk → what it is told, and why
PATHS: dict[str, tuple[dict[str, Any], str]] = {
    "/": (bind("/", read_only=True), ROOT),
    "/opt": (bind("/opt"), ROOT),
    "/opt/homeport": (bind("/opt/homeport"), OURS),
    "/opt/homeport/edge/data": (bind("/opt/homeport/edge/data", read_only=True), OURS),
    "/opt/homeport/run/blog": (bind("/opt/homeport/run/blog"), OURS),
    "/opt/homeport/.ssh": (bind("/opt/shop/../homeport/.ssh"), OURS),
    "/opt/shop": (bind("/opt/shop"), "it holds Homeport's records"),
    "/opt/shop/releases": (bind("/opt/shop/releases", read_only=True), OURS),
    "/opt/shop/journal.jsonl": (bind("/opt/shop/journal.jsonl"), OURS),
    "/opt/shop/lock": (bind("/opt/shop/./data/../lock"), OURS),
    "/opt/shop/backups": (bind("/opt/shop/backups"), OURS),
    "/opt/shop/scripts/deploy": (bind("/opt/shop/scripts/deploy"), OURS),
    "/opt/shop/restic.env": (bind("/opt/shop/restic.env", read_only=True), OURS),
    "/opt/shop/app.env": (bind("/opt/shop/app.env"), OURS),
    "/opt/shop/logs": (bind("/opt/shop/logs"), OURS),
    "/opt/shop/logs/runs": (bind("/opt/shop/logs/runs/"), OURS),
    "/var/run/docker.sock": (bind("/var/run/docker.sock", read_only=True), ROOT),
    "/mnt/docker.sock": (bind("/mnt/docker.sock"), ROOT),
    "/var/run": (bind("/var/run", read_only=True), ROOT),
    "/run/containerd/containerd.sock": (bind("/run/containerd/containerd.sock"), ROOT),
    "/run/systemd/private": (bind("/run/systemd/private"), ROOT),
    "/etc": (bind("/etc", read_only=True), ROOT),
    "/etc/cron.d": (bind("/etc/cron.d"), ROOT),
    "/etc/shadow": (bind("/etc/shadow", read_only=True), ROOT),
    "/root/.ssh": (bind("/root/.ssh"), ROOT),
    "/proc": (bind("/proc", read_only=True), ROOT),
    "/proc/sys/kernel/core_pattern": (bind("/proc/sys/kernel/core_pattern"), ROOT),
    "/sys/fs/cgroup": (bind("/sys/fs/cgroup"), ROOT),
    "/usr/local/bin": (bind("//usr//local/bin"), ROOT),
    "/var": (bind("/var", read_only=True), ROOT),
    "/var/lib/docker/volumes/blog_data/_data": (
        bind("/var/lib/docker/volumes/blog_data/_data", read_only=True),
        ROOT,
    ),
    "/dev": (bind("/dev"), ROOT),
    "/dev/sda1": (bind("/dev/sda1", read_only=True), ROOT),
    "/home": (bind("/home"), ROOT),
}


@pytest.mark.parametrize("path", PATHS)
def test_a_mount_that_is_refused(path: str) -> None:
    """By its plain path, at the service that asks for it, with why and what mends it."""
    keys, why = PATHS[path]
    (problem,) = made(keys).problems
    assert problem.what == f"web may not have {path}"
    assert problem.where == f"{FILE}: services.web.volumes"
    assert why in problem.why and problem.mend.startswith("take it away, or ")


#: other ways to a path → the path, and where the problem is
WAYS: dict[str, tuple[Rendered, str, str]] = {
    "a volume that is a bind": (
        made(**volume(type="none", o="bind", device="/opt/homeport/edge")),
        "/opt/homeport/edge",
        "services.web.volumes",
    ),
    "a volume that is a disk": (
        made(**volume(type="ext4", device="/dev/nvme0n1p2")),
        "/dev/nvme0n1p2",
        "services.web.volumes",
    ),
    "a volume that lies over a folder": (
        made(**volume(type="overlay", device="overlay", o="lowerdir=/srv:/etc,upperdir=/a")),
        "/etc",
        "services.web.volumes",
    ),
    "a file of variables": (
        made({"env_file": [{"path": "/opt/homeport/run/x.env"}]}),
        "/opt/homeport/run/x.env",
        "services.web.env_file",
    ),
    "an optional file of variables": (
        made({"env_file": [{"path": "/opt/shop/releases/r0001-1a2b3c4/env", "required": False}]}),
        "/opt/shop/releases/r0001-1a2b3c4/env",
        "services.web.env_file",
    ),
    "a secret": (
        made({"secrets": [{"source": "s"}]}, secrets={"s": {"file": "/etc/shadow"}}),
        "/etc/shadow",
        "secrets.s",
    ),
    "a config": (
        made({"configs": [{"source": "c"}]}, configs={"c": {"file": "/opt/shop/restic.env"}}),
        "/opt/shop/restic.env",
        "configs.c",
    ),
}


@pytest.mark.parametrize("name", WAYS)
def test_a_path_by_another_way(name: str) -> None:
    """Volumes with options of their own, files of variables, secrets and configs are paths too."""
    found, path, where = WAYS[name]
    (problem,) = found.problems
    assert (problem.what, problem.where) == (f"web may not have {path}", f"{FILE}: {where}")


#: what an app may have of its host
FINE: dict[str, Rendered] = {
    "its own data": made(bind("/opt/shop/data")),
    "a file of its own": made(bind("/opt/shop/nginx.conf", read_only=True)),
    "its settings, to read": made(bind("/opt/shop/.env", read_only=True)),
    "a folder of its logs": made(bind("/opt/shop/logs/web")),
    "what its logs say": made(bind("/opt/shop/logs", read_only=True)),
    "a folder of somebody's": made(bind("/home/pi/photos")),
    "a disk that is mounted": made(bind("/mnt/usb/media")),
    "what only begins like ours": made(bind("/opt/homeport-photos")),
    "the time zone": made(bind("/etc/localtime", read_only=True)),
    "certificates": made(bind("/etc/letsencrypt/live/x", read_only=True)),
    "a sensor": made(bind("/sys/class/thermal", read_only=True)),
    "pins": made(bind("/sys/class/gpio")),
    "a serial line": made(bind("/dev/ttyUSB0")),
    "shared memory": made(bind("/dev/shm")),
    "a socket of another's": made(bind("/run/postgresql")),
    "a share": made(**volume(type="nfs", o="addr=nas,rw", device=":/export/photos")),
    "a share of Windows": made(**volume(type="cifs", o="username=x", device="//nas/etc")),
    "memory": made(**volume(type="tmpfs", device="tmpfs", o="size=64m")),
    "a camera": made({"devices": [{"source": "/dev/video0", "target": "/dev/video0"}]}),
    "a serial line as a device": made({"devices": ["/dev/ttyACM0:/dev/ttyACM0:rw"]}),
    "a rule for one kind of device": made({"device_cgroup_rules": ["c 188:* rwm"]}),
    "small capabilities": made({"cap_drop": ["ALL"], "cap_add": ["NET_BIND_SERVICE", "CHOWN"]}),
    "no new privileges": made({"security_opt": ["no-new-privileges:true"]}),
    "a user": made({"user": "root"}),
    "an alias": made({"networks": {"default": {"aliases": ["shop"]}}, "hostname": "shop"}),
    "its own labels": made({"labels": {"org.example.x": "1", "homeport.shared": "false"}}),
    "its own file of variables": made({"env_file": [{"path": "/opt/shop/app.env"}]}),
}


@pytest.mark.parametrize("name", FINE)
def test_what_an_app_may_have(name: str) -> None:
    """Nothing speaks against what small apps on small boards are made of."""
    assert (FINE[name].problems, FINE[name].notices) == ((), ())


#: what makes a container as good as root → what it is told
MIGHTY: dict[str, dict[str, Any]] = {
    "privileged": {"privileged": True},
    "use_api_socket": {"use_api_socket": True},
    "pid": {"pid": "host"},
    "ipc": {"ipc": "host"},
    "userns_mode": {"userns_mode": "host"},
    "cap_add": {"cap_add": ["CHOWN", "cap_sys_admin"]},
    "devices": {"devices": [{"source": "/dev/mmcblk0", "target": "/x", "permissions": "r"}]},
    "device_cgroup_rules": {"device_cgroup_rules": ["c 1:3 r", "a *:* rwm"]},
}


@pytest.mark.parametrize("key", MIGHTY)
def test_what_makes_root(key: str) -> None:
    """It is refused to what moves, and said of what a person changes by a plan of its own."""
    (problem,) = made(MIGHTY[key]).problems
    assert problem.what == f"web: {key} cannot be had here"
    assert problem.where == f"{FILE}: services.web.{key}" and problem.why
    assert 'homeport.shared: "true"' in problem.mend
    found = made(side=MIGHTY[key])
    assert found.problems == ()
    assert found.notices == (f"side: {key}: {problem.why}",)


MORE: dict[str, dict[str, Any]] = {
    "every capability": {"cap_add": ["ALL"]},
    "all devices": {"devices": ["/dev:/dev"]},
    "the first disk": {"devices": ["/dev/sda:/dev/sda"]},
    "a disk by its name": {"devices": ["/dev/disk/by-label/root:/x"]},
    "memory": {"devices": ["/dev/mem"]},
    "every disk": {"device_cgroup_rules": ["b 8:0 rwm"]},
    "every character device": {"device_cgroup_rules": ["c *:* rwm"]},
}


@pytest.mark.parametrize("name", MORE)
def test_what_makes_root_as_well(name: str) -> None:
    """Other ways to write the same."""
    (key,) = MORE[name]
    (problem,) = made(MORE[name]).problems
    assert problem.where == f"{FILE}: services.web.{key}"


def test_loose_bounds_are_said() -> None:
    """What is no way out by itself, and still good to know."""
    keys = {"security_opt": ["seccomp=unconfined"], "cgroup_parent": "/"}
    found = made(keys)
    assert found.problems == ()
    assert [one.split(":")[1].strip() for one in found.notices] == ["security_opt", "cgroup_parent"]


@pytest.mark.parametrize("path", [one for one in PATHS if OURS in PATHS[one][1]])
def test_nobody_has_what_is_homeports(path: str) -> None:
    """No shared service either."""
    (problem,) = made(side=PATHS[path][0]).problems
    assert problem.what == f"side may not have {path}" and problem.why == OURS


def test_a_shared_service_may_look_at_the_host() -> None:
    """What watches a machine, or manages its containers, works; the plan says what that means."""
    found = made(side=bind("/", read_only=True))
    assert found.problems == ()
    assert found.notices == (
        "side: /: it is so much of the host that whoever breaks into it is root on the host",
    )
    (notice,) = made(side=bind("/var/run/docker.sock")).notices
    assert notice.startswith("side: /var/run/docker.sock: who may ask the host's own programs")


WHY = "by such names the edge finds slots, and requests of another app could come here"
#: names and labels by which something would be taken for another → the problem's what and where
NAMES: dict[str, tuple[Rendered, str, str]] = {
    "a slot's name as an alias": (
        made({"networks": {"default": {"aliases": ["blog-r0007-web-1"]}}}),
        "blog-r0007-web-1 is a name of Homeport's",
        "services.web.networks.default.aliases",
    ),
    "in capitals": (
        made({"hostname": "BLOG-R0007-web-1"}),
        "BLOG-R0007-web-1 is a name of Homeport's",
        "services.web.hostname",
    ),
    "as a container's name": (
        made(side={"container_name": "blog-r0007-web-1"}),
        "blog-r0007-web-1 is a name of Homeport's",
        "services.side.container_name",
    ),
    "the edge's name": (
        made(side={"container_name": "homeport-edge"}),
        "homeport-edge is a name of Homeport's",
        "services.side.container_name",
    ),
    "another app by a label": (
        made({"labels": {"homeport.app": "blog"}}),
        "the label homeport.app is not for a compose file",
        "services.web.labels",
    ),
    "a slot by a label": (
        made(side={"labels": {**SHARED, "homeport.slot": "r0001"}}),
        "the label homeport.slot is not for a compose file",
        "services.side.labels",
    ),
    "a one-shot container by a label": (
        made({"labels": ["homeport.oneshot=x"]}),
        "the label homeport.oneshot is not for a compose file",
        "services.web.labels",
    ),
    "another project by a label": (
        made({"labels": {"com.docker.compose.project": "blog"}}),
        "the label com.docker.compose.project is not for a compose file",
        "services.web.labels",
    ),
    "the edge's network": (
        made(networks={"e": {"name": "homeport-edge", "external": True}}),
        "homeport-edge is the edge's own",
        "",
    ),
}


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_is_anothers(name: str) -> None:
    """Neither the edge's resolver nor Homeport's own look can be led to another container."""
    found, what, where = NAMES[name]
    (problem,) = found.problems
    assert problem.what == what and problem.why and problem.mend
    assert problem.where == (f"{FILE}: {where}" if where else FILE)


def test_a_service_that_is_called_like_a_slot() -> None:
    """Compose makes an alias of a service's name."""
    raw = {"services": {"web": {"image": "x"}, "blog-r0007-web-1": {"image": "x"}}}
    found = renders.render(raw, raw, Settings("shop"), PLACE).problems
    assert [one.what for one in found] == ["blog-r0007-web-1 is a name of Homeport's"]


def test_a_service_called_container() -> None:
    """`container:NAME` is a container of anybody's, whatever services there are."""
    raw = {"services": {"web": {"image": "x", "volumes_from": ["container:blog-db-1"]}}}
    raw["services"]["container"] = {"image": "x"}
    found = renders.render(raw, raw, Settings("shop"), PLACE).problems
    assert [one.where for one in found] == [f"{FILE}: services.web.volumes_from"]


# --- what only the host can tell -----------------------------------------------------------------
SEEN = Facts("shop", neighbours=frozenset({"blog"}))


def told(rendered: Rendered, **facts: Any) -> list[tuple[str, str]]:
    """What the host adds: the problems' what and why."""
    found = policy.escaping(Settings("shop"), rendered, replace(SEEN, **facts))
    return [(one.what, one.why) for one in found]


def test_another_apps_folder() -> None:
    """Refused to every service, to read as well; a folder that is no app's is not."""
    its = [("web may not have /opt/blog/app.env", "it is the app blog's")]
    assert told(made({"env_file": [{"path": "/opt/blog/app.env"}]})) == its
    assert told(made(bind("/opt/shop/../blog/app.env", read_only=True))) == its
    side = made(side=bind("/opt/blog", read_only=True))
    assert told(side) == [("side may not have /opt/blog", "it is the app blog's")]
    assert told(made(bind("/opt/photos"))) == told(made(bind("/opt/blog-photos"))) == []


def test_links_are_followed() -> None:
    """A path in the app's folder is what it leads to."""
    data = made(bind("/opt/shop/data"))
    for to, why in (
        ("/opt/homeport/run", "it is Homeport's own"),
        ("/opt/blog/data", "it is the app blog's"),
        ("/opt/shop/releases", "it is Homeport's own"),
        ("/etc", "it is so much of the host that whoever breaks into it is root on the host"),
    ):
        what = f"web may not have {to}, where /opt/shop/data leads"
        assert told(data, leads={"/opt/shop/data": to}) == [(what, why)]
    assert told(data, leads={"/opt/shop/data": "/mnt/usb/shop"}) == []


def test_a_network_and_a_volume_of_another() -> None:
    """By their labels on the host, whatever they are called."""
    others = {"blog_default": "the app blog's", "proxy": "the edge's own"}
    assert [what for what, _ in told(made(), others=others)] == [
        "blog_default is the app blog's",
        "proxy is the edge's own",
    ]


def test_nothing_is_told_twice() -> None:
    """What the file alone tells is not told again by the host."""
    found = made(bind("/opt/homeport"))
    assert len(found.problems) == 1 and told(found) == []


PARTS = st.sampled_from(
    [
        *(
            "..",
            ".",
            "",
            "opt",
            "homeport",
            "shop",
            "blog",
            "data",
            "etc",
            "run",
            "var",
            "docker.sock",
        )
    ]
)


@given(st.lists(PARTS, min_size=1, max_size=8), st.booleans())
def test_every_way_to_write_a_path(parts: list[str], fixed: bool) -> None:
    """However it is written, nothing of Homeport's, of another app's or the system's is given."""
    at: list[str] = []
    for part in parts:
        at = at[:-1] if part == ".." else at if part in ("", ".") else [*at, part]
    plain = "/" + "/".join(at)
    bad = plain == "/opt/shop" or plain in ("/", "/opt", "/etc", "/run", "/var", "/var/run")
    bad |= at[:2] in (["opt", "homeport"], ["opt", "blog"]) or at[-1:] == ["docker.sock"]
    bad |= at[:2] == ["run", "docker.sock"] or at[:3] == ["var", "run", "docker.sock"]
    bad |= at[:1] == ["etc"] and not fixed
    found = made(bind("/" + "/".join(parts), read_only=fixed))
    said = [*found.problems, *policy.escaping(Settings("shop"), found, SEEN)]
    assert bool(said) == bad, plain
