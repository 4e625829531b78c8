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
from typing import Any, Mapping

from homeport.core import link as links
from homeport.core import escape, mounts
from homeport.core import service as services
from homeport.core import unsupported
from homeport.core.escape import Reached
from homeport.core.mounts import Loose, Mount, Named
from homeport.core.needed import Needed, needed
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
    #: shared service → the image it names, its variables filled in
    shared_images: Mapping[str, str] = field(default_factory=dict)
    services: tuple[str, ...] = ()
    networks: Mapping[str, Table] = field(default_factory=dict)
    volumes: Mapping[str, Table] = field(default_factory=dict)
    folders: tuple[Folder, ...] = ()
    data: tuple[str, ...] = ()
    mounts: tuple[Mount, ...] = ()
    #: those of the shared services
    beside: tuple[Mount, ...] = ()
    #: what variables say of the app's database: where it is, and what it does without
    databases: tuple[Named, ...] = ()
    loose: tuple[Loose, ...] = ()
    needed: tuple[Needed, ...] = ()
    reached: tuple[Reached, ...] = ()
    folder: str = ""
    policies: Mapping[str, str] = field(default_factory=dict)
    network: str = ""
    #: how shared services reach the web service, by way of the edge
    inner: Mapping[str, Any] = field(default_factory=dict)
    monitor: float = DEFAULT_MONITOR
    memory: int = 0
    writable: tuple[str, ...] = ()
    alone: tuple[str, ...] = ()
    #: port of the host → the service besides the web one that publishes it
    published: Mapping[int, str] = field(default_factory=dict)
    variables: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()

    @property
    def kept(self) -> tuple[str, ...]:
        """The named volumes that moving services write to."""
        mine = [one for one in self.mounts if one.kind == "volume" and not one.read_only]
        return tuple(sorted({one.source for one in mine if one.source}))


def render(raw: Table, resolved: Table, settings: Settings, place: Place) -> Rendered:
    """The Compose projects of a release and of the shared services, and all that is to be said."""
    web = settings.web.service
    moving, shared, unknown = kinds(raw, web)
    problems = services.problems(resolved, settings, moving, shared, unknown)
    reached, more, said = escape.look(resolved, moving, shared, place.folder, settings.compose)
    problems += more
    notices = unsupported.notices(resolved.get("services", {}), moving, shared) + said
    slot: Table = {"name": f"{place.app}-{place.slot}", "services": {}}
    for name in moving:
        slot["services"][name] = _moving(raw, name, moving, settings, place, notices)
    outer: Table = {"name": place.app, "services": {}}
    for name in shared:
        outer["services"][name] = _shared(raw, name, shared, place)
    for project in (slot, outer):
        used = _externals(project, raw, resolved)
        problems += tuple(unsupported.outside(resolved, used, settings.compose))
    seen = resolved.get("services", {})
    alone = tuple(name for name in moving if services.alone(seen.get(name, {}), name == web))
    policies = {name: services.policy(seen.get(name, {})) for name in moving}
    notices += [
        f"{name}: it has no restart policy: after a crash it stays down (restart: unless-stopped)"
        for name in moving
        if policies[name] == "no"
    ]
    text = json.dumps(outer, sort_keys=True) if shared else ""
    first = sorted(seen.get(web, {}).get("networks") or {})
    inner = services.inner(raw, seen, shared, settings)
    if inner:
        inner["network"] = services.name_of(resolved, "networks", inner["network"])
        problems += services.portless(settings, inner)
    return Rendered(
        moving=slot,
        shared=outer if shared else {},
        shared_hash=hashlib.sha256(text.encode()).hexdigest()[:12] if text else "",
        shared_images={name: str(seen.get(name, {}).get("image") or "") for name in shared},
        services=moving,
        networks=_outside(resolved, "networks"),
        volumes=_outside(resolved, "volumes"),
        folders=_folders(seen, moving, place),
        data=_data(seen, moving),
        mounts=mounts.mounts(resolved, moving),
        beside=mounts.mounts(resolved, shared),
        needed=needed(resolved, (*moving, *shared), settings.compose, place.folder),
        reached=reached,
        folder=place.folder,
        policies=policies,
        network=services.name_of(resolved, "networks", first[0]) if first else "",
        inner=inner,
        monitor=services.monitor(seen.get(web, {})),
        memory=sum(services.memory_limit(seen.get(name, {})) for name in moving),
        writable=tuple(name for name in moving if services.writable(seen.get(name, {}))),
        alone=alone,
        published={
            int(port["published"]): name
            for name in (*moving, *shared)
            if name != web
            for port in seen.get(name, {}).get("ports") or []
            if str(port.get("published") or "").isdigit() and port.get("protocol") != "udp"
        },
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
    for key, why in unsupported.DROPPED.items():
        if one.pop(key, None):
            notices.append(f"{name}: {key} is left out: {why}")
    ports = one.pop("ports", None) if is_web else None
    if ports:
        more = ", all but one are left out" if len(ports) > 1 else ""
        notices.append(f"{name}: its published port is answered by the edge{more}")
    # it would win over `restart`, and only the committed slot may come back by itself
    (one.get("deploy") or {}).pop("restart_policy", None)
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


def _externals(project: Table, raw: Table, resolved: Table) -> dict[str, set[str]]:
    """Networks and volumes outlive the project: named as the app's own, made by the engine.

    Answers the names that the project uses of each kind.
    """
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
    return used


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
