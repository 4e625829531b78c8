"""The edge on this host: its container, its configuration, its count of requests in flight."""

from __future__ import annotations

import fcntl
import http.client
import json
import os
import secrets
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Callable, Iterator

from homeport.core import edge as edges
from homeport.core.facts import EdgeFacts
from homeport.core.link import RUN
from homeport.errors import HostFault, Problem
from homeport.host.engine import Engine
from homeport.host.paths import Paths, write
from homeport.host.unix import UnixConnection

NAME = "homeport-edge"
NETWORK = "homeport-edge"
_LABEL = "homeport.edge"


class Edge:
    """The one proxy of a host. It belongs to all apps: changes happen under a lock of its own."""

    def __init__(self, paths: Paths, engine: Engine) -> None:
        self._paths, self._engine = paths, engine
        self._folder = paths.edge

    # --- looking
    def facts(self) -> EdgeFacts:
        """What the edge is right now."""
        seen = self._engine.inspect(NAME)
        sites = self._sites()
        if seen is None:
            return EdgeFacts(sites=sites)
        bound = (seen["HostConfig"].get("PortBindings") or {}).keys()
        ports = tuple(sorted(int(one.split("/")[0]) for one in bound))
        networks = tuple(sorted((seen["NetworkSettings"].get("Networks") or {}).keys()))
        labels = seen["Config"].get("Labels") or {}
        return EdgeFacts(
            exists=True,
            running=bool(seen["State"]["Running"]),
            version=str(labels.get("homeport.caddy", "")),
            ports=ports,
            networks=tuple(one for one in networks if one != NETWORK),
            sites=sites,
        )

    def in_flight(self, address: str) -> int | None:
        """Requests on their way to an address right now; None where the edge cannot be asked."""
        try:
            upstreams = self._admin("GET", "/reverse_proxy/upstreams")
        except HostFault:
            return None
        plain = address.removeprefix("unix/")
        return sum(
            int(one.get("num_requests", 0))
            for one in upstreams
            if str(one.get("address", "")).removeprefix("unix/") in (plain, address)
        )

    def _sites(self) -> dict[str, dict[str, Any]]:
        try:
            data = json.loads((self._folder / "sites.json").read_text())
        except (OSError, ValueError):
            return {}
        return data if isinstance(data, dict) else {}

    # --- changing
    def apply(self, change: str, wanted: edges.Wanted, pull: Callable[[], None]) -> None:
        """Make the edge answer for ``wanted.sites``; ``pull`` fetches a missing image."""
        with self._locked():
            self._no_hold_elsewhere()
            (self._folder / "admin").mkdir(parents=True, exist_ok=True)
            (self._folder / "data").mkdir(exist_ok=True)
            (self._folder / "conf").mkdir(exist_ok=True)
            os.chmod(self._folder / "admin", 0o700)
            conf = edges.config(dict(wanted.sites), self._secret())
            write(self._folder / "conf" / "caddy.json", json.dumps(conf, indent=1), 0o600)
            write(self._folder / "sites.json", json.dumps(wanted.sites, indent=1, sort_keys=True))
            if change in ("create", "recreate"):
                if self._engine.image(edges.IMAGE) is None:
                    pull()
                self._engine.remove(NAME)
                if wanted.ports:
                    self._create(wanted.ports)
            if wanted.ports:
                for network in wanted.networks:
                    if self._engine.network(network):
                        self._engine.connect(network, NAME)
                self._engine.start(NAME)
                self._await_admin()
            if change == "load":
                self._admin("POST", "/load", conf)

    def _no_hold_elsewhere(self, within: float = 60.0) -> None:
        """Wait until no other app holds: loading a configuration fails every held request."""
        end = time.monotonic() + within
        while True:
            links = sorted((self._paths.home / "run").glob("*/live"))
            others = [one for one in links if one.parent.name != self._paths.app]
            held = [one.parent.name for one in others if _holds(one)]
            if not held:
                return
            if time.monotonic() >= end:
                what = f"{', '.join(held)} holds its requests; the edge cannot be changed now"
                raise HostFault(Problem(what, NAME, "", "homeport status there, then again"))
            time.sleep(0.1)

    def _create(self, ports: tuple[int, ...]) -> None:
        if self._engine.network(NETWORK) is None:
            body = {"Name": NETWORK, "Driver": "bridge", "Labels": {_LABEL: "1"}}
            self._engine.call("POST", "/networks/create", body)
        user = f"{os.getuid()}:{os.getgid()}"
        body = {
            "Image": edges.IMAGE,
            "User": user,
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
                    f"{self._paths.home}/run:{RUN}:ro",
                    f"{self._folder}/conf:/etc/homeport:ro",
                    f"{self._folder}/admin:/run/homeport-admin",
                    f"{self._folder}/data:/data",
                ],
                "PortBindings": {f"{port}/tcp": [{"HostPort": str(port)}] for port in ports},
                "RestartPolicy": {"Name": "always"},
                "NetworkMode": NETWORK,
                "ReadonlyRootfs": True,
                "CapDrop": ["ALL"],
                # the official image's binary carries this capability and cannot start without it
                "CapAdd": ["NET_BIND_SERVICE"],
                "LogConfig": {"Type": "local", "Config": {"max-size": "5m", "max-file": "2"}},
            },
        }
        self._engine.create(NAME, body)

    def _await_admin(self, within: float = 15.0) -> None:
        end = time.monotonic() + within
        while True:
            try:
                self._admin("GET", "/config/admin")
                return
            except HostFault:
                if time.monotonic() > end:
                    why = self._engine.logs(NAME, 8)
                    mend = f"docker logs {NAME}"
                    raise HostFault(Problem("the edge does not start", NAME, why, mend)) from None
                time.sleep(0.05)

    def _admin(self, method: str, path: str, body: Any = None) -> Any:
        connection = UnixConnection(str(self._folder / "admin" / "admin.sock"), 10.0)
        secret = self._secret()
        headers = {
            "Host": secret,
            "Origin": f"http://{secret}",
            "Content-Type": "application/json",
        }
        try:
            connection.request(
                method, path, json.dumps(body) if body is not None else None, headers
            )
            answer = connection.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise HostFault(
                Problem(
                    "the edge's admin socket does not answer",
                    NAME,
                    str(error),
                    f"docker logs {NAME}",
                )
            ) from error
        finally:
            connection.close()
        if answer.status >= 400:
            why = text.decode("utf-8", "replace")[:500]
            raise HostFault(Problem(f"the edge refused {path}", NAME, why, f"docker logs {NAME}"))
        return json.loads(text) if text.strip() else None

    def _secret(self) -> str:
        path = self._folder / "secret"
        try:
            return path.read_text().strip()
        except FileNotFoundError:
            self._folder.mkdir(parents=True, exist_ok=True)
            write(path, f"{secrets.token_hex(16)}.internal", 0o600)
            return path.read_text().strip()

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self._folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)


def _holds(link: Path) -> bool:
    """Whether a link says hold; one that is gone by now or garbage says nothing."""
    try:
        return link.read_text("utf-8", "replace").endswith("/hold.sock")
    except OSError:
        return False
