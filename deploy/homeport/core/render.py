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
from dataclasses import dataclass, field
from typing import Mapping

from homeport.core import link as links
from homeport.core import service as services
from homeport.core.service import DEFAULT_MONITOR, Table, kinds, variables
from homeport.errors import Problem
from homeport.model import Settings


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


def render(raw: Table, resolved: Table, settings: Settings, place: Place) -> Rendered:
    """The Compose projects of a release and of the shared services, and all that is to be said."""
    web = settings.web.service
    moving, shared, unknown = kinds(raw, web)
    problems = services.problems(resolved, settings, moving, shared, unknown)
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
    alone = tuple(name for name in moving if name != web and services.alone(seen.get(name, {})))
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
        network=services.name_of(resolved, "networks", first[0]) if first else "",
        monitor=services.monitor(seen.get(web, {})),
        memory=sum(services.memory_limit(seen.get(name, {})) for name in moving),
        writable=tuple(name for name in moving if services.writable(seen.get(name, {}))),
        alone=alone,
        variables=variables(raw),
        notices=tuple(notices),
        problems=problems,
    )


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
        **services.as_map(one.get("labels")),
        "homeport.app": place.app,
        "homeport.release": place.release,
        "homeport.slot": place.slot,
    }
    one["environment"] = {
        **services.as_map(one.get("environment")),
        "HOMEPORT_RELEASE": place.release,
    }
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
    one["labels"] = {**services.as_map(one.get("labels")), "homeport.app": place.app}
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
                name: {"name": services.name_of(resolved, key, name), "external": True}
                for name in sorted(used[key])
            }
    for key in ("secrets", "configs"):
        if used[key]:
            project[key] = {name: raw[key][name] for name in sorted(used[key])}


def _outside(resolved: Table, key: str) -> dict[str, Table]:
    return {
        str((one or {}).get("name") or name): dict(one or {})
        for name, one in sorted((resolved.get(key) or {}).items())
    }


def _folders(
    seen: Mapping[str, Table], moving: tuple[str, ...], place: Place
) -> tuple[Folder, ...]:
    found: dict[str, Folder] = {}
    for name in moving:
        for mount in services.mounts(seen.get(name, {})):
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
        for mount in services.mounts(seen.get(name, {}))
        if mount.get("type") == "bind" and not mount.get("read_only")
    }
    return tuple(sorted(paths))
