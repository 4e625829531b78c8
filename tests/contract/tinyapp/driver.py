"""An app of its own for one test: its settings, its runs in this very process, and what is seen."""

from __future__ import annotations

import http.client
import json
import shutil
import subprocess
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Callable, Iterable, Mapping

from homeport.backups import Backup, Migrate
from homeport.core import edge as edges
from homeport.core.link import hold
from homeport.host import telling
from homeport.host.context import Context
from homeport.host.detach import new_run
from homeport.host.edge import Edge
from homeport.host.engine import Engine
from homeport.host.paths import Paths, from_environment
from homeport.host.run import run
from homeport.host.store import Store
from homeport.model import Cause, DeployRules, Image, Request, Settings, Site, Smoke, Web
from homeport.planned import Verdict

WEB = """\
services:
  web:
    image: ${IMAGE:-tiny}
    read_only: true
    tmpfs: [/tmp]
    env_file: [{path: app.env, required: false}]
    volumes: ["./data:/app/data", "keep:/app/keep"]
    restart: unless-stopped
    stop_grace_period: 5s
    healthcheck: {test: ["CMD", "python3", "-c", "pass"], interval: 30s}
"""
WORKER = """\
  worker:
    image: ${IMAGE:-tiny}
    command: [python3, /app.py, worker]
    volumes: ["./data:/app/data"]
    restart: on-failure:3
    stop_grace_period: 5s
"""
VOLUMES = "volumes: {keep: {}}\n"


@dataclass(frozen=True)
class Page:
    """An answer as a client got it through the edge."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    seconds: float

    def told(self) -> dict[str, Any]:
        """What the app says of itself."""
        return dict(json.loads(self.body))


def ask(
    port: int, host: str, path: str = "/", body: bytes | None = None, timeout: float = 20.0
) -> Page:
    """One request through the edge on a connection of its own."""
    begun = time.monotonic()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request("GET" if body is None else "POST", path, body, {"Host": host})
        answer = connection.getresponse()
        text = answer.read()
        headers = {key.lower(): value for key, value in answer.getheaders()}
        return Page(answer.status, headers, text, time.monotonic() - begun)
    finally:
        connection.close()


def wait(condition: Callable[[], Any], what: str, within: float = 10.0) -> Any:
    """The first true answer of a condition; fails naming ``what`` when the time is over."""
    end = time.monotonic() + within
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < end, f"not within {within:g} s: {what}"
        time.sleep(0.02)


def docker(*words: str, cwd: Path | None = None) -> str:
    """What a ``docker`` command prints, as a person would type it."""
    done = subprocess.run(["docker", *words], cwd=cwd, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, f"docker {' '.join(words)}: {done.stderr}"
    return done.stdout.strip()


def the_edge() -> str:
    """What the edge of the tests' own root is called."""
    return from_environment("any").edge_name


@dataclass
class Tiny:
    """One app on this machine's Engine, driven as the agent would drive it."""

    name: str
    root: Path
    port: int
    image: Callable[..., str]
    compose: str = WEB + VOLUMES
    web: Web = Web(ready="/ready", standby=True)
    rules: DeployRules = DeployRules(start=5.0, drain=5.0)
    smoke: tuple[Smoke, ...] = ()
    secrets: tuple[str, ...] = ()
    backup: Backup | None = None
    migrate: Migrate | None = None
    events: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.paths = Paths(self.name, self.root)
        self.paths.folder.mkdir(parents=True, exist_ok=True)
        self.host = f"{self.name}.test"

    # --- asking for runs
    def settings(self) -> Settings:
        """The app's ``homeport.toml`` as the wire carries it."""
        site = Site(self.host, self.port)
        return Settings(
            self.name,
            web=self.web,
            site=site,
            deploy=self.rules,
            smoke=self.smoke,
            secrets=self.secrets,
            backup=self.backup,
            migrate=self.migrate,
        )

    def request(self, verb: str, version: str = "v1", fault: str = "", **more: Any) -> Request:
        """A request of a verb for a version of the app."""
        asked = Request(
            verb,
            self.name,
            self.settings(),
            self.compose,
            Image(self.image(version, fault)),
            monitor=0.5,
            cause=Cause("a test"),
        )
        return replace(asked, **more)

    def context(self, verb: str, version: str = "v1", fault: str = "", **more: Any) -> Context:
        """The hands of one run of this app."""
        run_ = new_run()
        self.events = []

        def tell(event: Mapping[str, Any]) -> None:
            self.events.append(dict(event))
            if verb not in ("status", "history", "plan", "logs"):
                telling.tell_run(self.paths, run_, event)

        return Context(self.paths, Engine(), self.request(verb, version, fault, **more), run_, tell)

    def run(self, verb: str, version: str = "v1", fault: str = "", **more: Any) -> Verdict:
        """Carry out a verb in this process; its verdict."""
        return run(self.context(verb, version, fault, **more))

    def deploy(self, version: str = "v1", fault: str = "", **more: Any) -> Verdict:
        """A deploy that is expected to go well."""
        verdict = self.run("deploy", version, fault, **more)
        assert verdict.outcome == "deployed", (verdict.sentence, verdict.problems)
        return verdict

    def mode(self, mode: Any) -> None:
        """Ask for a handover in the deploys that follow."""
        self.rules = replace(self.rules, handover=mode)

    # --- seeing
    def ask(self, path: str = "/", body: bytes | None = None, timeout: float = 20.0) -> Page:
        """One request to the app through the edge."""
        return ask(self.port, self.host, path, body, timeout)

    def serves(self) -> str:
        """The release that answers right now."""
        page = self.ask()
        assert page.status == 200, (page.status, page.body[:200])
        return str(page.told()["release"])

    def steps(self) -> list[str]:
        """The steps of the last run that were carried out, in their order."""
        return [one["id"] for one in self.events if one["e"] == "step" and one["state"] == "done"]

    def notices(self) -> str:
        """What the last run told people."""
        return "\n".join(one["text"] for one in self.events if one["e"] == "notice")

    def containers(self, slot: str = "") -> dict[str, dict[str, Any]]:
        """Name → inspection of the app's containers, those of a slot where one is named."""
        labels = [f"homeport.app={self.name}", *([f"homeport.slot={slot}"] * bool(slot))]
        engine = Engine()
        found = [engine.inspect(one["Id"]) for one in engine.containers(*labels)]
        return {one["Name"].lstrip("/"): one for one in found if one is not None}

    def running(self) -> list[str]:
        """The names of the app's containers that run, sorted."""
        return sorted(name for name, one in self.containers().items() if one["State"]["Running"])

    def policy(self, container: str) -> str:
        """A container's restart policy."""
        return str(self.containers()[container]["HostConfig"]["RestartPolicy"]["Name"])

    def store_current(self) -> str:
        """The release that ``current`` points to."""
        return Store(self.paths).current()

    def web_of(self, release: str) -> str:
        """The name of a release's web container."""
        return f"{self.name}-{release.split('-')[0]}-web-1"

    def link(self) -> str:
        """What the link says."""
        return self.paths.link.read_text()

    @property
    def hold(self) -> str:
        """What the link says in a hold."""
        return hold(self.name)

    def tree(self, below: Iterable[Path] = ()) -> dict[str, tuple[int, int, bytes]]:
        """Every file of the app: mode, owner, content; what must not change can be compared."""
        found = {}
        for folder in (self.paths.folder, self.paths.sockets, *below):
            for path in sorted(folder.rglob("*")):
                seen = path.lstat()
                content = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
                found[str(path)] = (seen.st_mode, seen.st_uid, content)
        return found

    # --- cleaning up
    def clear(self) -> None:
        """Take everything of this app from the Engine, and its files, so that no boot finds it."""
        engine = Engine()
        edge = Edge(self.paths, engine)
        # a site whose network is gone would give every later deploy an edge step
        wanted = edges.wanted(edge.facts(), self.name, None)
        if wanted.change:
            edge.apply(wanted.change, wanted, lambda: None)
        for name in self.containers():
            engine.remove(name)
        label = f"label=homeport.app={self.name}"
        for network in docker("network", "ls", "-q", "--filter", label).split():
            if (engine.network(network) or {}).get("Containers"):
                docker("network", "disconnect", "-f", network, self.paths.edge_name)
            docker("network", "rm", network)
        for volume in docker("volume", "ls", "-q", "--filter", label).split():
            docker("volume", "rm", volume)
        for name in docker("images", self.name, "--format", "{{.Repository}}:{{.Tag}}").split():
            engine.untag(name)
        shutil.rmtree(self.paths.folder)
        shutil.rmtree(self.paths.sockets, ignore_errors=True)
