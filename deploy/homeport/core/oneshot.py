"""What a one-shot container is made of: a container of a service as Docker tells of it, edited.

It has the service's image, user, variables, mounts, networks and bounds, and nothing by which
anybody could take it for the service: no labels of Compose's or of a slot's, no alias, no port, no
folder of sockets, no health check and no restart policy. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Collection, Mapping, Sequence

from homeport.core import link as links

#: whose one-shot container it is: the run that made it
LABEL = "homeport.oneshot"
APP = "homeport.app"
#: modes of a network that are not a network's name
#: where what a container writes goes: nowhere, or to a file that goes with the container
SILENT: Mapping[str, Any] = {"Type": "none", "Config": {}}
LOGGED: Mapping[str, Any] = {"Type": "local", "Config": {"max-size": "1m", "compress": "false"}}
_PLAIN = ("host", "none", "bridge", "default")


@dataclass(frozen=True)
class Bind:
    """Something of the host's in a one-shot container: an absolute path, or a volume's name."""

    source: str
    writable: bool = False


@dataclass(frozen=True)
class Wanted:
    """What is asked of a one-shot container beyond what its service has.

    ``binds`` are mounts to add and ``replace`` folders of the host's that stand in for a mount of
    the service, both by the container's path. Without a ``command`` it runs the service's own.
    ``logged`` keeps what it writes as long as it is there, for who wants to see it afterwards.
    ``apart``: what it could write to and is not replaced is empty and its own, so that whatever
    it does reaches nobody else's data.
    """

    command: Sequence[str] = ()
    binds: Mapping[str, Bind] = field(default_factory=dict)
    replace: Mapping[str, str] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    user: str | None = None
    network: str | None = None
    logged: bool = False
    apart: bool = False


def body(
    seen: Mapping[str, Any], wanted: Wanted, app: str, run: str, gid: int
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """What to create, and the networks to join after that.

    Args:
        seen: the container that it is to be like, as ``GET /containers/ID/json`` tells.
        wanted: what is asked beyond that.
        app: the app's name.
        run: the run's id.
        gid: the agent's group, so that both can reach what lies in a folder of that group.

    Returns:
        the body of ``POST /containers/create``; names of networks beyond the first, since older
        Engines take only one at first.
    """
    config, host = seen.get("Config") or {}, dict(seen.get("HostConfig") or {})
    made: dict[str, Any] = {
        "Image": seen.get("Image") or config.get("Image"),
        "User": config.get("User") or "" if wanted.user is None else wanted.user,
        "WorkingDir": config.get("WorkingDir") or "",
        "Env": _env(config.get("Env") or [], wanted.env),
        "Labels": {APP: app, LABEL: run},
        "Healthcheck": {"Test": ["NONE"]},
        "Entrypoint": config.get("Entrypoint"),
        "Cmd": config.get("Cmd"),
    }
    if wanted.command:
        made["Entrypoint"], made["Cmd"] = [wanted.command[0]], list(wanted.command[1:])
    gone = {links.RUN, *map(_plain, wanted.replace), *map(_plain, wanted.binds)}
    host["Binds"] = [one for one in host.get("Binds") or [] if _target(one) not in gone]
    host["Mounts"] = [one for one in host.get("Mounts") or [] if _plain(one["Target"]) not in gone]
    if wanted.apart:
        _part(host)
    added = {path: Bind(source, True) for path, source in wanted.replace.items()} | {**wanted.binds}
    host["Mounts"] += [_mount(path, added[path]) for path in sorted(added)]
    host["GroupAdd"] = [*(host.get("GroupAdd") or []), str(gid)]
    host.update(RestartPolicy={"Name": "no"}, PortBindings={}, PublishAllPorts=False)
    # what it says is read as it comes; what it prints of data must not stay in a log on the disk
    host.update(LogConfig=LOGGED if wanted.logged else SILENT, AutoRemove=False, ContainerIDFile="")
    more = _networks(seen, host, wanted.network)
    if host["NetworkMode"] not in _PLAIN and ":" not in host["NetworkMode"]:
        made["NetworkingConfig"] = {"EndpointsConfig": {host["NetworkMode"]: {}}}
    made["HostConfig"] = host
    return made, more


def _part(host: dict[str, Any]) -> None:
    """Put an empty place where a mount could be written to."""
    loose = [_target(one) for one in host["Binds"] if not _read_only(one)]
    host["Binds"] = [one for one in host["Binds"] if _read_only(one)]
    mounts = host["Mounts"]
    kinds = ("bind", "volume")
    open_ = [one for one in mounts if one["Type"] in kinds and not one.get("ReadOnly")]
    loose += [_plain(one["Target"]) for one in open_]
    empty = {"Type": "tmpfs", "TmpfsOptions": {"Mode": 0o1777}}
    host["Mounts"] = [one for one in mounts if one not in open_]
    host["Mounts"] += [{**empty, "Target": path} for path in sorted(set(loose))]


def _read_only(bind: str) -> bool:
    return "ro" in ",".join(bind.split(":")[2:]).split(",")


def _env(had: Sequence[str], wanted: Mapping[str, str]) -> list[str]:
    kept = [one for one in had if one.partition("=")[0] not in wanted]
    return [*kept, *(f"{name}={value}" for name, value in sorted(wanted.items()))]


def _plain(path: str) -> str:
    return str(path).rstrip("/") or "/"


def _target(bind: str) -> str:
    """The container's path of a bind as Docker writes it: ``SOURCE:TARGET:MODE``."""
    words = bind.split(":")
    return _plain(words[1] if len(words) > 1 else words[0])


def _mount(path: str, bind: Bind) -> dict[str, Any]:
    kind = "bind" if bind.source.startswith("/") else "volume"
    return {"Type": kind, "Source": bind.source, "Target": path, "ReadOnly": not bind.writable}


def _networks(seen: Mapping[str, Any], host: dict[str, Any], wanted: str | None) -> tuple[str, ...]:
    """Set the first network; the others."""
    if wanted is not None:
        host["NetworkMode"] = wanted or "none"
        return ()
    mode = str(host.get("NetworkMode") or "default")
    joined = sorted((seen.get("NetworkSettings") or {}).get("Networks") or {})
    if mode in _PLAIN or ":" in mode:
        host["NetworkMode"] = mode
        return ()
    host["NetworkMode"] = mode if mode in joined or not joined else joined[0]
    return tuple(one for one in joined if one != host["NetworkMode"])


def reduced(
    project: Mapping[str, Any], service: str, lost: Collection[str], labels: Mapping[str, str]
) -> dict[str, Any]:
    """A release's project with one service, and without what is not on the host yet.

    Args:
        project: as it would be written.
        service: the service to keep.
        lost: names of networks and volumes, and paths of folders, that are not there. Compose
            would fail for want of the first, and make the last as root's.
        labels: in the place of its own, so that nobody takes it for a slot.
    """
    table = {key: one for key, one in project["services"][service].items() if key != "depends_on"}
    table["labels"] = dict(labels)
    gone = {
        key: {short for short, spec in (project.get(key) or {}).items() if spec["name"] in lost}
        for key in ("networks", "volumes")
    }
    table["volumes"] = [
        one
        for one in table.get("volumes") or []
        if not {one.get("source"), one["target"]} & {*gone["volumes"], *lost, links.RUN}
    ]
    joined = table.get("networks") or {}
    kept = {short: one for short, one in joined.items() if short not in gone["networks"]}
    if joined:
        table["networks"] = kept
        if not kept:
            del table["networks"]
            table["network_mode"] = "none"
    outside = {
        key: {short: one for short, one in project[key].items() if short not in gone[key]}
        for key in gone
        if project.get(key)
    }
    return {**project, "services": {service: table}, **outside}
