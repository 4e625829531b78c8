"""From the app's compose file to the Compose project of one release. Pure: tables in, tables out.

Two views of the same file come in, both as ``docker compose config --format json`` prints them:
``raw`` with its variables untouched, which is what gets written (no value of a variable is ever
stored in it), and ``resolved`` with the host's values filled in, which is what decisions are made
from. Compose's JSON drops every ``x-`` key, which is why markers are labels.
"""

from __future__ import annotations

import copy
import hashlib
import json
import re
from dataclasses import dataclass, field
from typing import Any, Mapping

from homeport.core import link as links
from homeport.errors import Problem
from homeport.model import SHARED_LABEL, Settings

Table = dict[str, Any]
#: a variable that has no default of its own: $NAME, ${NAME}, ${NAME:?...}
_VARIABLE = re.compile(r"\$(?:\$|([A-Za-z_]\w*)|\{([A-Za-z_]\w*)(?::?\?[^}]*)?\})")
_MEMORY = {"b": 1, "k": 1024, "m": 1024**2, "g": 1024**3}
DEFAULT_MONITOR = 30.0


@dataclass(frozen=True)
class Place:
    """Where a release is to live on the host: names and absolute paths, nothing read."""

    app: str
    slot: str
    release: str
    image: str
    folder: str
    env: str
    sockets: str


@dataclass(frozen=True)
class Folder:
    """A folder of declared data under the app's own: made with the uid its image runs as."""

    path: str
    service: str
    target: str
    user: str = ""


@dataclass(frozen=True)
class Rendered:
    """What a compose file becomes."""

    moving: Table = field(default_factory=dict)
    shared: Table = field(default_factory=dict)
    shared_hash: str = ""
    services: tuple[str, ...] = ()
    networks: Mapping[str, Table] = field(default_factory=dict)
    volumes: Mapping[str, Table] = field(default_factory=dict)
    folders: tuple[Folder, ...] = ()
    data: tuple[str, ...] = ()
    policies: Mapping[str, str] = field(default_factory=dict)
    network: str = ""
    monitor: float = DEFAULT_MONITOR
    memory: int = 0
    writable: tuple[str, ...] = ()
    alone: tuple[str, ...] = ()
    variables: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()


def kinds(raw: Table, web: str) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """Service names as (moving with the web service first, shared, not to be told).

    A service with a profile is none of them unless it is labelled: a plain ``docker compose up``
    would leave it out too.
    """
    services = raw.get("services", {})
    image = services.get(web, {}).get("image")
    moving, shared, unknown = [], [], []
    for name in sorted(services):
        mark = str(_as_map(services[name].get("labels")).get(SHARED_LABEL, "")).lower()
        if services[name].get("profiles") and name != web and not mark:
            continue
        if mark == "true":
            shared.append(name)
        elif mark == "false" or name == web or "build" in services[name]:
            moving.append(name)
        elif image and services[name].get("image") == image:
            moving.append(name)
        else:
            unknown.append(name)
    moving.sort(key=lambda name: (name != web, name))
    return tuple(moving), tuple(shared), tuple(unknown)


def render(raw: Table, resolved: Table, settings: Settings, place: Place) -> Rendered:
    """The Compose projects of a release and of the shared services, and all that is to be said."""
    web = settings.web.service
    moving, shared, unknown = kinds(raw, web)
    problems = _problems(resolved, settings, moving, shared, unknown)
    notices: list[str] = []
    slot: Table = {"name": f"{place.app}-{place.slot}", "services": {}}
    for name in moving:
        slot["services"][name] = _moving(raw, name, moving, settings, place, notices)
    outer: Table = {"name": place.app, "services": {}}
    for name in shared:
        outer["services"][name] = _shared(raw, name, shared, place)
    networks, volumes = _outside(resolved, "networks"), _outside(resolved, "volumes")
    for project in (slot, outer):
        _externals(project, raw, resolved)
    seen = resolved.get("services", {})
    alone = tuple(name for name in moving if name != web and _alone(seen.get(name, {})))
    text = json.dumps(outer, sort_keys=True) if shared else ""
    first = sorted(seen.get(web, {}).get("networks") or {})
    return Rendered(
        moving=slot,
        shared=outer if shared else {},
        shared_hash=hashlib.sha256(text.encode()).hexdigest()[:12] if text else "",
        services=moving,
        networks=networks,
        volumes=volumes,
        folders=_folders(seen, moving, place),
        data=_data(seen, moving),
        policies={name: str(seen.get(name, {}).get("restart") or "no") for name in moving},
        network=_name(resolved, "networks", first[0]) if first else "",
        monitor=_monitor(seen.get(web, {})),
        memory=sum(_limit(seen.get(name, {})) for name in moving),
        writable=tuple(name for name in moving if _writable(seen.get(name, {}))),
        alone=alone,
        variables=variables(raw),
        notices=tuple(notices),
        problems=problems,
    )


def variables(raw: Table) -> tuple[str, ...]:
    """Names of variables that the file uses without a default of its own."""
    found: set[str] = set()

    def walk(value: Any) -> None:
        if isinstance(value, dict):
            for one in value.values():
                walk(one)
        elif isinstance(value, list):
            for one in value:
                walk(one)
        elif isinstance(value, str):
            found.update(plain or braced for plain, braced in _VARIABLE.findall(value))

    walk({name: {**one, "image": ""} for name, one in raw.get("services", {}).items()})
    walk({key: raw.get(key, {}) for key in ("networks", "volumes", "secrets", "configs")})
    return tuple(sorted(found - {""}))


def _moving(
    raw: Table,
    name: str,
    moving: tuple[str, ...],
    settings: Settings,
    place: Place,
    notices: list[str],
) -> Table:
    one: Table = copy.deepcopy(raw["services"][name])
    is_web = name == settings.web.service
    for key in ("build", "profiles", "pull_policy"):
        one.pop(key, None)
    if one.pop("container_name", None):
        notices.append(f"{name}: container_name is left out: two slots cannot share a name")
    if is_web and one.pop("ports", None):
        notices.append(f"{name}: its published port is answered by the edge")
    waits = {key: rule for key, rule in (one.get("depends_on") or {}).items() if key in moving}
    one["depends_on"] = waits
    if not waits:
        del one["depends_on"]
    one["image"] = place.image.replace("$", "$$")
    one["restart"] = "no"
    one["env_file"] = _env_files(one, place.folder, place.env)
    if not one["env_file"]:
        del one["env_file"]
    one["labels"] = {
        **_as_map(one.get("labels")),
        "homeport.app": place.app,
        "homeport.release": place.release,
        "homeport.slot": place.slot,
    }
    one["environment"] = {**_as_map(one.get("environment")), "HOMEPORT_RELEASE": place.release}
    if is_web:
        _sockets(one, settings, place)
    return one


def _sockets(one: Table, settings: Settings, place: Place) -> None:
    """The web service's own folder of sockets, and what it is told about it."""
    if settings.web.port is None:
        one["environment"]["HOMEPORT_BIND"] = f"unix:{links.RUN}/{links.SOCKET}"
    if settings.web.standby:
        one["environment"]["HOMEPORT_STANDBY"] = f"{links.RUN}/{links.STANDBY}"
    mount = {"type": "bind", "source": place.sockets, "target": links.RUN}
    one["volumes"] = [*(one.get("volumes") or []), mount]


def _shared(raw: Table, name: str, shared: tuple[str, ...], place: Place) -> Table:
    one: Table = copy.deepcopy(raw["services"][name])
    one["labels"] = {**_as_map(one.get("labels")), "homeport.app": place.app}
    files = _env_files(one, place.folder, f"{place.folder}/app.env")
    if files:
        one["env_file"] = files
    waits = {key: rule for key, rule in (one.get("depends_on") or {}).items() if key in shared}
    one.pop("depends_on", None)
    if waits:
        one["depends_on"] = waits
    return one


def _env_files(one: Table, folder: str, env: str) -> list[Table]:
    """A service's env files; the app's own become those of the release."""
    files = []
    for entry in one.get("env_file") or []:
        entry = {"path": entry} if isinstance(entry, str) else dict(entry)
        if entry["path"] in (f"{folder}/app.env", f"{folder}/.env"):
            entry["path"] = env
        if entry not in files:
            files.append(entry)
    return files


def _as_map(value: Any) -> Table:
    if isinstance(value, dict):
        return dict(value)
    pairs = (str(one).partition("=") for one in value or [])
    return {name: text if sign else None for name, sign, text in pairs}


def _externals(project: Table, raw: Table, resolved: Table) -> None:
    """Networks and volumes outlive the project: named as the app's own, made by the engine."""
    used: dict[str, set[str]] = {
        "networks": set(),
        "volumes": set(),
        "secrets": set(),
        "configs": set(),
    }
    for one in project["services"].values():
        used["networks"].update(one.get("networks") or ())
        for mount in one.get("volumes") or []:
            if mount.get("type") == "volume" and mount.get("source"):
                used["volumes"].add(mount["source"])
        for key in ("secrets", "configs"):
            used[key].update(entry["source"] for entry in one.get(key) or [])
    for key in ("networks", "volumes"):
        if used[key]:
            project[key] = {
                name: {"name": _name(resolved, key, name), "external": True}
                for name in sorted(used[key])
            }
    for key in ("secrets", "configs"):
        if used[key]:
            project[key] = {name: raw[key][name] for name in sorted(used[key])}


def _name(resolved: Table, key: str, name: str) -> str:
    return str(((resolved.get(key) or {}).get(name) or {}).get("name") or name)


def _outside(resolved: Table, key: str) -> dict[str, Table]:
    return {
        str((one or {}).get("name") or name): dict(one or {})
        for name, one in sorted((resolved.get(key) or {}).items())
    }


def _mounts(one: Table) -> list[Table]:
    return [mount for mount in one.get("volumes") or [] if isinstance(mount, dict)]


def _writable(one: Table) -> bool:
    kinds_ = ("bind", "volume")
    return any(mount.get("type") in kinds_ and not mount.get("read_only") for mount in _mounts(one))


def _folders(
    seen: Mapping[str, Table], moving: tuple[str, ...], place: Place
) -> tuple[Folder, ...]:
    found: dict[str, Folder] = {}
    for name in moving:
        for mount in _mounts(seen.get(name, {})):
            path = str(mount.get("source", ""))
            inside = path.startswith(place.folder + "/")
            if mount.get("type") == "bind" and inside and not mount.get("read_only"):
                user = str(seen[name].get("user") or "")
                found.setdefault(path, Folder(path, name, str(mount["target"]), user))
    return tuple(found[path] for path in sorted(found))


def _data(seen: Mapping[str, Table], moving: tuple[str, ...]) -> tuple[str, ...]:
    paths = {
        str(mount["source"])
        for name in moving
        for mount in _mounts(seen.get(name, {}))
        if mount.get("type") == "bind" and not mount.get("read_only")
    }
    return tuple(sorted(paths))


def _alone(one: Table) -> bool:
    return bool(one.get("ports")) or one.get("network_mode") == "host"


def _monitor(one: Table) -> float:
    text = str(((one.get("deploy") or {}).get("update_config") or {}).get("monitor") or "")
    units = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|h|m|s)", text)
    return sum(float(value) * units[unit] for value, unit in parts) if parts else DEFAULT_MONITOR


def _limit(one: Table) -> int:
    limits = ((one.get("deploy") or {}).get("resources") or {}).get("limits") or {}
    text = str(limits.get("memory") or one.get("mem_limit") or 0).lower()
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([bkmg]?)b?", text)
    return int(float(found.group(1)) * _MEMORY[found.group(2) or "b"]) if found else 0


def _problems(
    resolved: Table,
    settings: Settings,
    moving: tuple[str, ...],
    shared: tuple[str, ...],
    unknown: tuple[str, ...],
) -> tuple[Problem, ...]:
    found = []
    services = resolved.get("services", {})
    web = settings.web.service
    if web not in services:
        names = ", ".join(sorted(services)) or "none"
        found.append(
            Problem(
                f"there is no service {web!r}",
                settings.compose,
                f"the file has: {names}",
                "set [web] service in homeport.toml",
            )
        )
    if web in shared:
        found.append(
            Problem(
                f"{web} is the web service and cannot be shared",
                settings.compose,
                f"it is labelled {SHARED_LABEL}",
                f"remove the label from {web}",
            )
        )
    for name in unknown:
        found.append(
            Problem(
                f"it cannot be told whether {name} moves with a release or outlives it",
                f"{settings.compose}: services.{name}",
                f"its image {services[name].get('image')!r} is not the app's own",
                f'add to it:  labels: {{{SHARED_LABEL}: "true"}}  (a database), or "false"',
            )
        )
    for name in moving:
        replicas = ((services.get(name) or {}).get("deploy") or {}).get("replicas") or 1
        if name == web and int(replicas) > 1:
            found.append(
                Problem(
                    f"{name} asks for {replicas} replicas",
                    f"{settings.compose}: services.{name}.deploy.replicas",
                    "a slot answers through one container",
                    "use more threads or worker processes in one container",
                )
            )
    return tuple(found)
