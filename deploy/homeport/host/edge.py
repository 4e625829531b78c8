"""The edge on this host: its container, its configuration, its count of requests in flight."""

from __future__ import annotations

import fcntl
import http.client
import json
import os
import secrets
import time
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any, Callable, Iterator, Mapping

from homeport.core import caddy
from homeport.core import edge as edges
from homeport.core.facts import EdgeFacts
from homeport.core.verdicts import Count
from homeport.errors import Busy, HomeportError, HostFault, Problem
from homeport.host import edge_box as box
from homeport.host import edge_others
from homeport.host.engine import Engine
from homeport.host.paths import Paths, make, write
from homeport.host.unix import UnixConnection
from homeport.model import Settings

#: how long a change waits for another app's hold or watch, in seconds
PATIENCE = 60.0
#: and how long none of them may have been seen before it, in seconds
SETTLED = 0.3


class Edge:
    """The one proxy of a host. It belongs to all apps: changes happen under a lock of its own."""

    def __init__(self, paths: Paths, engine: Engine) -> None:
        self._paths, self._engine = paths, engine
        self._folder, self._name = paths.edge, paths.edge_name

    # --- looking
    def facts(self) -> EdgeFacts:
        """What the edge is right now, or once a change that goes on is over."""
        found = self._look()
        if found.sites and (found.leftover or not found.running):
            with self._locked():
                found = self._look()
        return found

    def _look(self) -> EdgeFacts:
        seen = self._engine.inspect(self._name)
        sites = self.sites()
        pinned = str((self._engine.image(edges.IMAGE) or {}).get("Id", ""))
        leftover = self._engine.inspect(self._paths.edge_next) is not None
        if seen is None:
            return EdgeFacts(sites=sites, pinned=pinned, leftover=leftover)
        bound = (seen["HostConfig"].get("PortBindings") or {}).keys()
        ports = tuple(sorted(int(one.split("/")[0]) for one in bound))
        networks = tuple(sorted((seen["NetworkSettings"].get("Networks") or {}).keys()))
        labels = seen["Config"].get("Labels") or {}
        return EdgeFacts(
            exists=True,
            running=self._runs(seen),
            version=str(labels.get("homeport.caddy", "")),
            ports=ports,
            networks=tuple(one for one in networks if one != self._name),
            sites=sites,
            image=str(seen["Image"]),
            pinned=pinned,
            current=self._conf().get("caddy.json") == self._made(sites)["caddy.json"],
            configured=(self._folder / "conf" / "caddy.json").exists(),
            leftover=leftover,
        )

    def _runs(self, seen: Mapping[str, Any]) -> bool:
        """Whether it runs; to Docker one that it starts over and over does so as well."""
        state = seen.get("State") or {}
        if not state.get("Running") or state.get("Restarting"):
            return False
        if not seen.get("RestartCount"):
            return True
        with suppress(HostFault):
            self._admin("GET", "/config/admin")
            return True
        return False

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

    def answers(self, site: Mapping[str, Any]) -> Count | None:
        """What the releases behind a site answered so far; None where the edge cannot be asked."""
        try:
            inner = edges.alone(self.sites(), site)
            return caddy.counted(self._ask("GET", "/metrics"), site, inner)
        except HostFault:
            return None

    def sites(self) -> dict[str, dict[str, Any]]:
        """What the edge was told of each app."""
        try:
            data = json.loads((self._folder / "sites.json").read_text())
        except (OSError, ValueError):
            return {}
        return data if isinstance(data, dict) else {}

    def site(self, settings: Settings) -> Mapping[str, Any]:
        """What the edge was told of the app, or would be by these settings."""
        return self.sites().get(settings.app) or edges.site_of(settings, "")

    # --- changing
    def apply(self, change: str, wanted: edges.Wanted, pull: Callable[[], None]) -> float:
        """Make the edge answer for the app as ``wanted.sites`` has it; the others' sites stay.

        ``pull`` fetches a missing image. Returns the seconds for which nobody was answered. Where
        it fails, the edge is as before: what was told last is what is known of it. Raises Busy
        where another app was quicker or holds or watches for too long.
        """
        if change in ("create", "recreate") and not box.here(self._engine, self._paths):
            pull()
        with self._locked():
            planned, seen, app = replace(wanted, change=change), self._look(), self._paths.app
            now = edges.anew(planned, seen, app)
            why = edges.overtaken(planned, now, seen, app)
            if why:
                what = "the edge is not as it was planned for"
                raise Busy(Problem(what, self._name, why, "again"))
            ready = self._wait_for_others if now.change in edges.FELT else _at_once
            ready()
            before = self._conf()
            try:
                self._write(self._made(now.sites))
                away = self._change(now, pull, ready)
                told = json.dumps(now.sites, indent=1, sort_keys=True)
                write(self._folder / "sites.json", told)
            except BaseException:
                self._write(before)
                with suppress(HomeportError, KeyError):
                    # the edge itself changes nothing where it was told no other
                    self._admin("POST", "/load", json.loads(before["caddy.json"]))
                raise
        return away

    def restore(self, pull: Callable[[], None]) -> None:
        """Bring the edge back as its sites have it, whatever a change that died left of it."""
        with self._locked():
            # one whose file is gone goes by it all the same: loading it would cut everybody off
            torn = (seen := self._look()).configured and not seen.current
            self._write(self._made(self.sites()))
            load = box.settle(self._engine, self._paths) or torn
            self._change(edges.restored(self._look()), pull, _at_once)
            if load:
                self._admin("POST", "/load", json.loads(self._conf()["caddy.json"]))

    def _change(
        self, wanted: edges.Wanted, pull: Callable[[], None], ready: Callable[[], None]
    ) -> float:
        engine, change = self._engine, wanted.change
        had, joins = self.sites(), edges.joins(wanted.sites)
        kept = edges.kept(had, wanted.sites)
        box.settle(engine, self._paths)
        if not wanted.ports:
            engine.remove(self._name)
        elif change in ("create", "recreate"):
            if not box.here(engine, self._paths):
                pull()
            args = (self._paths, wanted.ports, kept | joins)
            return box.replace(engine, *args, ready, self._await_admin)
        else:
            box.join(engine, self._name, joins)
            if not self._runs(engine.inspect(self._name) or {}):
                engine.stop(self._name, edges.LAST)
            engine.start(self._name)
            self._await_admin(self._name)
            if change == "load":
                ready()
                self._admin("POST", "/load", json.loads(self._conf()["caddy.json"]))
            # what it joined for a site that is gone; what a person joined it to stays
            for network in edges.joins(had).keys() - joins.keys() - kept.keys():
                engine.leave(network, self._name)
        return 0.0

    def _made(self, sites: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
        """The files of the edge's configuration for these sites, by name."""
        roots = {f"roots/{app}.pem": str(one.get("acme_root", "")) for app, one in sites.items()}
        ranges = {
            network: self._engine.ranges(network)
            for network, names in edges.joins(sites).items()
            if names
        }
        made = json.dumps(caddy.config(sites, self._secret(), ranges), indent=1)
        return {"caddy.json": made, **{name: text for name, text in roots.items() if text}}

    def _conf(self) -> dict[str, str]:
        found = {}
        for path in (self._folder / "conf").rglob("*.*"):
            if path.suffix in (".json", ".pem") and not path.name.startswith("."):
                found[str(path.relative_to(self._folder / "conf"))] = path.read_text()
        return found

    def _write(self, files: Mapping[str, str]) -> None:
        for name in ("admin", "data", "conf/roots"):
            make(self._folder / name)
        for name in ("admin", "data"):
            os.chmod(self._folder / name, 0o700)
        for name, text in files.items():
            write(self._folder / "conf" / name, text, 0o600)

    def _wait_for_others(self) -> None:
        """Wait until no other app holds or watches.

        Loading a configuration fails every held request, and an edge that is away for a moment
        could cost a good release its watch.
        """
        end, quiet = time.monotonic() + PATIENCE, 0.0
        while not quiet or time.monotonic() < quiet:
            busy = self.busy(but=self._paths.app)
            # what has just been held is on its way only after the edge's next try
            quiet = 0.0 if busy else quiet or time.monotonic() + SETTLED
            if busy and time.monotonic() >= end:
                mend = "homeport status there, then again"
                what = f"{'; '.join(busy)}: the edge cannot be changed now"
                raise Busy(Problem(what, self._name, "", mend))
            time.sleep(0.05)

    def busy(self, but: str = "") -> list[str]:
        """The apps that hold their requests or watch a release, each as a sentence."""
        return edge_others.busy(self._paths, but)

    def _await_admin(self, name: str, within: float = 15.0) -> None:
        end = time.monotonic() + within
        while True:
            try:
                self._admin("GET", "/config/admin")
                return
            except HostFault:
                seen = self._engine.inspect(name) or {}
                if time.monotonic() > end or seen.get("RestartCount"):
                    why = self._engine.logs(name, 8)
                    what, mend = "the edge does not start", f"docker logs {self._name}"
                    raise HostFault(Problem(what, self._name, why, mend)) from None
                time.sleep(0.02)

    def _admin(self, method: str, path: str, body: Any = None) -> Any:
        text = self._ask(method, path, body)
        return json.loads(text) if text.strip() else None

    def _ask(self, method: str, path: str, body: Any = None) -> str:
        connection = UnixConnection(str(self._folder / "admin" / "admin.sock"), 10.0)
        secret = self._secret()
        headers = {
            "Host": secret,
            "Origin": f"http://{secret}",
            "Content-Type": "application/json",
        }
        try:
            sent = json.dumps(body) if body is not None else None
            connection.request(method, path, sent, headers)
            answer = connection.getresponse()
            text = answer.read().decode("utf-8", "replace")
        except (OSError, http.client.HTTPException) as error:
            what, mend = "the edge's admin socket does not answer", f"docker logs {self._name}"
            raise HostFault(Problem(what, self._name, str(error), mend)) from error
        finally:
            connection.close()
        if answer.status >= 400:
            mend = f"docker logs {self._name}"
            raise HostFault(Problem(f"the edge refused {path}", self._name, text[:500], mend))
        return text

    def _secret(self) -> str:
        path = self._folder / "secret"
        try:
            return path.read_text().strip()
        except FileNotFoundError:
            make(self._folder)
            write(path, f"{secrets.token_hex(16)}.internal", 0o600)
            return path.read_text().strip()

    @contextmanager
    def _locked(self) -> Iterator[None]:
        make(self._folder)
        handle = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)


def _at_once() -> None:
    """Nobody is waited for: what is changed costs no other app anything."""
