"""The edge's container: made beside the one that serves, and put in its place.

The old one is removed only when the new one answers, so that there is always one to go back to.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Callable, Mapping, Sequence

from homeport.core import edge as edges
from homeport.core.link import RUN
from homeport.errors import HomeportError
from homeport.host import lasting
from homeport.host.engine import Engine
from homeport.host.paths import Paths

_LABEL = "homeport.edge"
#: Caddy listens anew before it stops to (SO_REUSEPORT) when its settings change. The kernel resets
#: connections that the old listener had not taken yet; with this it hands them to the new one
#: (Linux 5.14, ip-sysctl). Each network that a container has of its own knows it.
_MIGRATE = "net.ipv4.tcp_migrate_req"


def here(engine: Engine, paths: Paths) -> bool:
    """Whether the edge's image is on the host, whole as far as can be known."""
    return lasting.there(engine, paths.edge, edges.IMAGE)


def settle(engine: Engine, paths: Paths) -> bool:
    """End what a change that died left: a container beside the edge takes its place or goes.

    True if it took the place: it may have been told of sites that nothing else knows of.
    """
    if engine.inspect(paths.edge_next) is None:
        return False
    if engine.inspect(paths.edge_name) is None:
        engine.rename(paths.edge_next, paths.edge_name)
        return True
    engine.remove(paths.edge_next)
    return False


def replace(
    engine: Engine,
    paths: Paths,
    ports: Sequence[int],
    networks: Mapping[str, Sequence[str]],
    ready: Callable[[], None],
    answers: Callable[[str], None],
) -> float:
    """Make the edge anew; the seconds for which nobody answered.

    ``ready`` waits until the old one may be stopped, ``answers`` until one answers; both may
    raise. Whatever fails, the old one is back. All that takes time is done before it is stopped.
    """
    body, name, beside = _body(paths, ports), paths.edge_name, paths.edge_next
    if engine.network(name) is None:
        engine.call(
            "POST",
            "/networks/create",
            {"Name": name, "Driver": "bridge", "Labels": {_LABEL: "1"}},
        )
    engine.create(beside, body)
    named = {network: names for network, names in networks.items() if names}
    old = engine.inspect(name)
    try:
        join(engine, beside, {network: names for network, names in networks.items() if not names})
        # the old one goes only when the new one could be started again
        lasting.flush(engine, paths.edge)
        ready()
        gone = time.monotonic()
        if old is not None:
            engine.stop(name, edges.LAST)
        # who has looked up a name of the edge's keeps its address: the one free again is taken
        for network in named:
            engine.leave(network, name)
        join(engine, beside, named)
        engine.start(beside)
        answers(beside)
    except BaseException:
        with suppress(HomeportError):  # why it had to come to this is what counts
            engine.remove(beside)
            if old is not None:
                engine.start(name)
                join(engine, name, named)
                answers(name)
        raise
    away = time.monotonic() - gone
    engine.remove(name)
    engine.rename(beside, name)
    return away if old is not None else 0.0


def join(engine: Engine, name: str, networks: Mapping[str, Sequence[str]]) -> None:
    """Join networks, each under these names, as far as they are there."""
    seen = ((engine.inspect(name) or {}).get("NetworkSettings") or {}).get("Networks") or {}
    for network, names in networks.items():
        if network in seen and not set(names) <= set(seen[network].get("Aliases") or ()):
            engine.leave(network, name)
        if engine.network(network):
            engine.connect(network, name, names)


def _body(paths: Paths, ports: Sequence[int]) -> dict[str, Any]:
    return {
        "Image": edges.IMAGE,
        "User": f"{os.getuid()}:{os.getgid()}",
        "Cmd": ["caddy", "run", "--config", "/etc/homeport/caddy.json"],
        "Env": [
            "GOMEMLIMIT=24MiB",
            "GOGC=50",
            "XDG_DATA_HOME=/data",
            "XDG_CONFIG_HOME=/data",
            "HOME=/data",
        ],
        "Labels": {_LABEL: "1", "homeport.caddy": ".".join(map(str, edges.LEAST))},
        "ExposedPorts": {f"{port}/tcp": {} for port in ports},
        "HostConfig": {
            "Binds": [
                f"{paths.home}/run:{RUN}:ro",
                f"{paths.edge}/conf:/etc/homeport:ro",
                f"{paths.edge}/admin:/run/homeport-admin",
                f"{paths.edge}/data:/data",
            ],
            "PortBindings": {f"{port}/tcp": [{"HostPort": str(port)}] for port in ports},
            "RestartPolicy": {"Name": "always"},
            "NetworkMode": paths.edge_name,
            "ReadonlyRootfs": True,
            "CapDrop": ["ALL"],
            # the official image's binary carries this capability and cannot start without it
            "CapAdd": ["NET_BIND_SERVICE"],
            "LogConfig": {"Type": "local", "Config": {"max-size": "5m", "max-file": "2"}},
            "Sysctls": {_MIGRATE: "1"} if _known(_MIGRATE) else {},
        },
    }


def _known(name: str, root: Path = Path("/")) -> bool:
    """Whether the kernel has a setting: a container that asks for another one does not start."""
    return (root / "proc/sys" / name.replace(".", "/")).exists()
