"""What a one-shot container takes from its service's container, and what it must not take."""

from __future__ import annotations

from typing import Any

import pytest

from homeport.core.oneshot import Bind, Wanted, body, reduced

SEEN: dict[str, Any] = {
    "Image": "sha256:1a2b3c4",
    "Config": {
        "Image": "food@sha256:9",
        "User": "10001:10001",
        "WorkingDir": "/app",
        "Env": ["A=1", "B=two=2", "HOMEPORT_RELEASE=r0007-1a2b3c4"],
        "Entrypoint": ["/init"],
        "Cmd": ["python", "-m", "gunicorn"],
        "ExposedPorts": {"8000/tcp": {}},
        "Healthcheck": {"Test": ["CMD", "true"]},
        "Labels": {"homeport.slot": "r0007", "com.docker.compose.project": "food-r0007"},
    },
    "HostConfig": {
        "Binds": ["/opt/food/data:/app/data:rw", "food_keep:/app/keep"],
        "Mounts": [
            {"Type": "bind", "Source": "/opt/homeport/run/food/r0007", "Target": "/run/homeport"},
            {"Type": "bind", "Source": "/etc/own", "Target": "/etc/own/", "ReadOnly": True},
        ],
        "NetworkMode": "food_default",
        "Tmpfs": {"/tmp": "size=32m"},
        "ReadonlyRootfs": True,
        "CapDrop": ["ALL"],
        "SecurityOpt": ["no-new-privileges:true"],
        "Memory": 268435456,
        "GroupAdd": ["44"],
        "RestartPolicy": {"Name": "unless-stopped", "MaximumRetryCount": 0},
        "PortBindings": {"8000/tcp": [{"HostPort": "8000"}]},
        "LogConfig": {"Type": "local", "Config": {"max-size": "10m"}},
    },
    "NetworkSettings": {
        "Networks": {"food_default": {"Aliases": ["web"], "IPAddress": "172.18.0.2"}, "back": {}}
    },
}


def make(**wanted: Any) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The body for what is wanted, by run 7 of an agent of the group 990."""
    return body(SEEN, Wanted(**wanted), "food", "run-7", 990)


def test_it_is_the_service_in_everything_that_its_data_and_its_bounds_are() -> None:
    """Image, user, variables, folder, mounts, root, capabilities and limits are the service's."""
    made, more = make(command=("python3", "-c", "pass"))
    assert made["Image"] == "sha256:1a2b3c4" and made["User"] == "10001:10001"
    assert made["Env"] == SEEN["Config"]["Env"] and made["WorkingDir"] == "/app"
    assert (made["Entrypoint"], made["Cmd"]) == (["python3"], ["-c", "pass"])
    host = made["HostConfig"]
    for key in ("Binds", "Tmpfs", "ReadonlyRootfs", "CapDrop", "SecurityOpt", "Memory"):
        assert host[key] == SEEN["HostConfig"][key]
    assert [one["Target"] for one in host["Mounts"]] == ["/etc/own/"]
    assert host["GroupAdd"] == ["44", "990"]
    assert more == ("back",)
    assert made["NetworkingConfig"] == {"EndpointsConfig": {"food_default": {}}}


def test_nobody_can_take_it_for_the_service() -> None:
    """No label but Homeport's own, no port, no alias, no health check, no policy, no log."""
    made, _ = make(command=("true",))
    assert made["Labels"] == {"homeport.app": "food", "homeport.oneshot": "run-7"}
    assert made["Healthcheck"] == {"Test": ["NONE"]} and "ExposedPorts" not in made
    host = made["HostConfig"]
    assert host["RestartPolicy"] == {"Name": "no"} and host["PortBindings"] == {}
    assert host["LogConfig"]["Type"] == "none" and host["PublishAllPorts"] is False
    assert "web" not in str(made["NetworkingConfig"])


def test_what_it_was_made_from_stays_as_it_is() -> None:
    """The same container may be looked at for the next one."""
    before = repr(SEEN)
    make(command=("true",), replace={"/app/data": "/copy"}, env={"A": "2"})
    assert repr(SEEN) == before


def test_without_a_command_it_runs_the_services_own() -> None:
    """So that a release can be booted on a copy of its data."""
    made, _ = make()
    assert (made["Entrypoint"], made["Cmd"]) == (["/init"], ["python", "-m", "gunicorn"])


REPLACED = [
    ("/app/data", ["food_keep:/app/keep"]),
    ("/app/data/", ["food_keep:/app/keep"]),
    ("/app/keep", ["/opt/food/data:/app/data:rw"]),
    ("/app", ["/opt/food/data:/app/data:rw", "food_keep:/app/keep"]),
]


@pytest.mark.parametrize("path,kept", REPLACED)
def test_a_copy_stands_in_for_the_data(path: str, kept: list[str]) -> None:
    """A replaced mount is gone, whoever names its path with a slash at the end, and no other."""
    made, _ = make(command=("true",), replace={path: "/opt/food/backups/.scratch/0"})
    assert made["HostConfig"]["Binds"] == kept
    assert made["HostConfig"]["Mounts"][-1] == {
        "Type": "bind",
        "Source": "/opt/food/backups/.scratch/0",
        "Target": path,
        "ReadOnly": False,
    }


def test_more_is_mounted_by_path_or_by_volume() -> None:
    """What is added is read-only unless it is said to be writable."""
    made, _ = make(
        command=("true",), binds={"/set": Bind("/opt/food/backups/x", True), "/old": Bind("vol")}
    )
    seen = [(one["Type"], one["Target"], one["ReadOnly"]) for one in made["HostConfig"]["Mounts"]]
    assert seen == [("bind", "/etc/own/", True), ("volume", "/old", True), ("bind", "/set", False)]


NETWORKS = [(None, "food_default", ("back",)), ("", "none", ()), ("other", "other", ())]


@pytest.mark.parametrize("asked,mode,more", NETWORKS)
def test_networks(asked: str | None, mode: str, more: tuple[str, ...]) -> None:
    """The service's networks, none at all, or the one that is named."""
    made, found = make(command=("true",), network=asked)
    assert (made["HostConfig"]["NetworkMode"], found) == (mode, more)
    assert ("NetworkingConfig" in made) == (mode != "none")


def test_a_variable_is_replaced_and_another_user_taken() -> None:
    """Variables keep their order; a name that is another's beginning is left alone."""
    made, _ = make(command=("true",), env={"B": "3", "C": ""}, user="0")
    assert made["Env"] == ["A=1", "HOMEPORT_RELEASE=r0007-1a2b3c4", "B=3", "C="]
    assert made["User"] == "0"


def test_what_it_writes_is_kept_when_asked_for() -> None:
    """For as long as it is there, whatever the service's own log goes to."""
    made, _ = make(logged=True)
    assert made["HostConfig"]["LogConfig"]["Type"] == "local"


PROJECT: dict[str, Any] = {
    "name": "food-r0007",
    "services": {
        "web": {
            "image": "food@sha256:9",
            "depends_on": {"worker": {}},
            "networks": {"default": None, "back": {"aliases": ["x"]}},
            "volumes": [
                {"type": "volume", "source": "keep", "target": "/app/keep"},
                {"type": "bind", "source": "/opt/food/data", "target": "/app/data"},
                {"type": "tmpfs", "target": "/scratch"},
                {"type": "bind", "source": "/opt/run/food/r0007", "target": "/run/homeport"},
            ],
            "labels": {"homeport.slot": "r0007"},
        },
        "worker": {"image": "food@sha256:9"},
    },
    "networks": {
        "default": {"name": "food_default", "external": True},
        "back": {"name": "back", "external": True},
    },
    "volumes": {"keep": {"name": "food_keep", "external": True}},
}


@pytest.mark.parametrize(
    ("lost", "mounts", "networks", "mode"),
    [
        (set(), ["/app/keep", "/app/data", "/scratch"], ["default", "back"], None),
        ({"food_keep"}, ["/app/data", "/scratch"], ["default", "back"], None),
        ({"/opt/food/data"}, ["/app/keep", "/scratch"], ["default", "back"], None),
        ({"food_default"}, ["/app/keep", "/app/data", "/scratch"], ["back"], None),
        # without any network Compose would make one
        ({"food_default", "back"}, ["/app/keep", "/app/data", "/scratch"], [], "none"),
    ],
)
def test_a_project_of_what_is_there(
    lost: set[str], mounts: list[str], networks: list[str], mode: str | None
) -> None:
    """One service, on what the host has: nothing is made that only a deploy may make."""
    made = reduced(PROJECT, "web", lost, {"homeport.oneshot": "7"})
    assert list(made["services"]) == ["web"]
    web = made["services"]["web"]
    assert [one["target"] for one in web["volumes"]] == mounts
    assert list(web.get("networks") or {}) == networks == list(made["networks"])
    assert list(made["volumes"]) == ([] if "food_keep" in lost else ["keep"])
    assert web.get("network_mode") == mode and "depends_on" not in web
    assert web["labels"] == {"homeport.oneshot": "7"}
    assert PROJECT["services"]["web"]["depends_on"]


def test_a_project_without_any() -> None:
    plain = {"name": "x", "services": {"web": {"image": "i", "network_mode": "host"}}}
    assert reduced(plain, "web", {"food_keep"}, {})["services"]["web"]["network_mode"] == "host"


def test_what_runs_on_a_copy_writes_nowhere_else() -> None:
    """A mount that it could write to and that is no copy is an empty place of its own."""
    made, _ = make(apart=True, replace={"/app/data": "/opt/food/backups/.scratch/0"})
    host = made["HostConfig"]
    assert host["Binds"] == []
    mounts = {one["Target"]: one for one in host["Mounts"]}
    assert mounts["/app/data"]["Source"] == "/opt/food/backups/.scratch/0"
    assert mounts["/app/keep"] == {
        "Type": "tmpfs",
        "Target": "/app/keep",
        "TmpfsOptions": {"Mode": 0o1777},
    }
    assert mounts["/etc/own/"]["Source"] == "/etc/own"
    for bind, read_only in (("a:/b:ro", True), ("a:/b:z,ro", True), ("a:/b:rw,z", False)):
        seen = {"HostConfig": {"Binds": [bind], "NetworkMode": "none"}}
        host = body(seen, Wanted(apart=True), "food", "run-7", 990)[0]["HostConfig"]
        assert host["Binds"] == ([bind] if read_only else [])
