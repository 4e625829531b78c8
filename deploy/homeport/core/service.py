"""What a compose file says of a service, as Compose's JSON has it. Pure."""

from __future__ import annotations

import re
from typing import Any

from homeport.errors import Problem
from homeport.model import SHARED_LABEL, Settings

Table = dict[str, Any]
#: a variable that has no default of its own: $NAME, ${NAME}, ${NAME:?...}
_VARIABLE = re.compile(r"\$(?:\$|([A-Za-z_]\w*)|\{([A-Za-z_]\w*)(?::?\?[^}]*)?\})")
_MEMORY = {"b": 1, "k": 1024, "m": 1024**2, "g": 1024**3}
DEFAULT_MONITOR = 30.0


def kinds(raw: Table, web: str) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """Service names as (moving with the web service first, shared, not to be told).

    A service with a profile is none of them unless it is labelled: a plain ``docker compose up``
    would leave it out too.
    """
    services = raw.get("services", {})
    image = services.get(web, {}).get("image")
    moving, shared, unknown = [], [], []
    for name in sorted(services):
        mark = str(as_map(services[name].get("labels")).get(SHARED_LABEL, "")).lower()
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


def as_map(value: Any) -> Table:
    """Labels or environment as a mapping, however they were written."""
    if isinstance(value, dict):
        return dict(value)
    pairs = (str(one).partition("=") for one in value or [])
    return {name: text if sign else None for name, sign, text in pairs}


def name_of(resolved: Table, key: str, name: str) -> str:
    """The real name of a network or volume."""
    return str(((resolved.get(key) or {}).get(name) or {}).get("name") or name)


def mounts(one: Table) -> list[Table]:
    """The mounts of a service."""
    return [mount for mount in one.get("volumes") or [] if isinstance(mount, dict)]


def writable(one: Table) -> bool:
    """Whether a service can write to something that outlives it."""
    kinds_ = ("bind", "volume")
    return any(mount.get("type") in kinds_ and not mount.get("read_only") for mount in mounts(one))


def alone(one: Table) -> bool:
    """Whether a service takes a port or the network of the host, which only one slot can."""
    return bool(one.get("ports")) or one.get("network_mode") == "host"


def monitor(one: Table) -> float:
    """``deploy.update_config.monitor`` in seconds, or the default."""
    text = str(((one.get("deploy") or {}).get("update_config") or {}).get("monitor") or "")
    units = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|h|m|s)", text)
    return sum(float(value) * units[unit] for value, unit in parts) if parts else DEFAULT_MONITOR


def memory_limit(one: Table) -> int:
    """The memory limit in bytes; 0 without one."""
    limits = ((one.get("deploy") or {}).get("resources") or {}).get("limits") or {}
    text = str(limits.get("memory") or one.get("mem_limit") or 0).lower()
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([bkmg]?)b?", text)
    return int(float(found.group(1)) * _MEMORY[found.group(2) or "b"]) if found else 0


def problems(
    resolved: Table,
    settings: Settings,
    moving: tuple[str, ...],
    shared: tuple[str, ...],
    unknown: tuple[str, ...],
) -> tuple[Problem, ...]:
    """What cannot be rendered, each with the edit that mends it."""
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
