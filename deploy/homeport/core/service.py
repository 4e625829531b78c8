"""What a compose file says of a service, as Compose's JSON has it. Pure."""

from __future__ import annotations

import re
from typing import Any

from homeport.core import unsupported
from homeport.errors import Problem
from homeport.model import SHARED_LABEL, Settings

Table = dict[str, Any]
#: a variable that has no default of its own: $NAME, ${NAME}, ${NAME:?...}
_VARIABLE = re.compile(r"\$(?:\$|([A-Za-z_]\w*)|\{([A-Za-z_]\w*)(?::?\?[^}]*)?\})")
_MEMORY = {"b": 1, "k": 1024, "m": 1024**2, "g": 1024**3}
_ADDRESSES = ("ipv4_address", "ipv6_address", "mac_address")
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
    for key in ("secrets", "configs"):
        found.update(
            str((one or {}).get("environment") or "") for one in (raw.get(key) or {}).values()
        )
    return tuple(sorted(found - {""}))


def inner(raw: Table, seen: Table, shared: tuple[str, ...], settings: Settings) -> Table:
    """How shared services reach the web service: on which network, by which name and port.

    One that `depends_on` the web service is one that does, such as an nginx in front of it. Empty
    where there is none. Port 0: the web service names none.
    """
    web = settings.web.service
    services = raw.get("services", {})
    asking = [name for name in shared if web in (services[name].get("depends_on") or {})]
    if not asking:
        return {}
    common = set((seen.get(web) or {}).get("networks") or {})
    common &= {one for name in asking for one in (seen.get(name) or {}).get("networks") or {}}
    named = [*((seen.get(web) or {}).get("expose") or ())]
    named += [port.get("target") for port in (seen.get(web) or {}).get("ports") or ()]
    ports = [int(str(one)) for one in named if str(one).isdigit()]
    port = settings.web.port or (ports[0] if ports else 0)
    return {"network": min(common), "name": web, "port": port} if common else {}


def portless(settings: Settings, inner: Table) -> tuple[Problem, ...]:
    """A web service that a shared one depends on has to say on which port it is reached."""
    if inner["port"]:
        return ()
    web = settings.web.service
    what = f"a shared service depends on {web}, which names no port"
    mend = f'add to {web}:  expose: ["8000"], the port that the other one asks it on'
    return (Problem(what, f"{settings.compose}: services.{web}", "", mend),)


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


def alone(one: Table, web: bool = False) -> bool:
    """Whether a service takes what only one slot can have: a port, an address, the host's network.

    The web service's ports are the edge's, and on the host's network it listens on its own socket.
    """
    rows = [one, *(row for row in (one.get("networks") or {}).values() if row)]
    fixed = any(row.get(key) for row in rows for key in _ADDRESSES)
    return fixed or not web and (bool(one.get("ports")) or one.get("network_mode") == "host")


def policy(one: Table) -> str:
    """The restart policy that Compose gives a service's container."""
    rule = (one.get("deploy") or {}).get("restart_policy")
    if not isinstance(rule, dict):
        return str(one.get("restart") or "no")
    word = str(rule.get("condition") or "any")
    word = {"any": "always", "none": "no"}.get(word, word)
    count = rule.get("max_attempts")
    return f"{word}:{count}" if word == "on-failure" and count else word


def replicas(one: Table) -> int:
    """How many containers it asks for."""
    asked = one.get("scale")
    if asked is None:
        asked = (one.get("deploy") or {}).get("replicas")
    return 1 if asked is None else int(asked)


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
        if services[name].get("provider"):
            continue
        found.append(
            Problem(
                f"it cannot be told whether {name} moves with a release or outlives it",
                f"{settings.compose}: services.{name}",
                f"its image {services[name].get('image')!r} is not the app's own",
                f'if it outlives it (a database), add to it:  labels: {{{SHARED_LABEL}: "true"}}',
            )
        )
    found += [problem for name in moving for problem in _moving(services, name, settings)]
    return (*found, *unsupported.problems(services, (*moving, *unknown), shared, settings.compose))


def _moving(services: Table, name: str, settings: Settings) -> list[Problem]:
    """What speaks against one service of a slot by its image, its number or its network."""
    one, web = services.get(name) or {}, services.get(settings.web.service) or {}
    where, found = f"{settings.compose}: services.{name}", []
    if name == settings.web.service and web:
        if replicas(one) != 1:
            what, why = f"{name} asks for {replicas(one)} replicas", "a slot answers through one"
            mend = "use more threads or worker processes in one container"
            key = "scale" if "scale" in one else "deploy.replicas"
            found.append(Problem(what, f"{where}.{key}", why, mend))
        if settings.web.port is not None and one.get("network_mode"):
            what = f"{name}: network_mode leaves it without a name in a network"
            why = "the edge reaches its port by name"
            mend = f"remove network_mode: from {name}"
            found.append(Problem(what, f"{where}.network_mode", why, mend))
    elif web and not any(key in one and one[key] == web.get(key) for key in ("build", "image")):
        what = f"{name} has an image of its own"
        why = f"what moves runs the release's image, and {web.get('image') or 'its build'} is that"
        mend = f'labels: {{{SHARED_LABEL}: "true"}} if it outlives releases, or the image of web'
        found.append(
            Problem(what, where, why, mend.replace("of web", f"of {settings.web.service}"))
        )
    return found
