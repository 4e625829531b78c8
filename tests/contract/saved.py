"""An app with data on this machine's Engine, without an edge: one release, made by Compose."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Callable, Iterator

from homeport.backups import Backup
from homeport.host import compose
from homeport.host.context import Context
from homeport.host.detach import new_run
from homeport.host.engine import Engine
from homeport.host.paths import Paths
from homeport.host.store import Store
from homeport.model import Release, Request, Settings, Web
from tinyapp.driver import docker

UID = 10001
IDLE = ["python3", "-c", "import signal; signal.pause()"]


@dataclass
class Saved:
    """One app: its folder ``data`` and its volume ``keep`` are what it may write."""

    name: str
    root: Path
    image: str
    command: list[str] = field(default_factory=lambda: list(IDLE))
    backup: Backup = Backup()
    services: tuple[str, ...] = ("web",)
    mounts: dict[str, list[str]] = field(default_factory=dict)
    told: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.paths = Paths(self.name, self.root)
        self.data = self.paths.folder / "data"
        self.data.mkdir(parents=True)
        os.chown(self.data, UID, UID)
        (self.paths.folder / "app.env").write_text("SECRET=very\n")
        self.paths.sockets.mkdir(parents=True)
        docker("volume", "create", "--label", f"homeport.app={self.name}", f"{self.name}_keep")
        self.release = self._release()
        self._write()

    def _release(self) -> Release:
        settings = Settings(self.name, web=Web(), backup=self.backup)
        link = f"unix//run/homeport/{self.name}/r0001/app.sock"
        return Release(
            id="r0001-1a2b3c4",
            image=self.image,
            digest="",
            fingerprint="f" * 16,
            link=link,
            mode="recreate",
            web="web",
            moving=self.services,
            created=1.5,
            settings=settings,
            schema="7",
        )

    def own(self, service: str, volumes: list[str]) -> None:
        """Give a service other mounts than the usual ones."""
        self.mounts[service] = volumes
        self._write()

    def _write(self) -> None:
        one = {
            "image": self.image,
            "command": self.command,
            "read_only": True,
            "restart": "no",
            "stop_grace_period": "1s",
            "labels": {"homeport.app": self.name, "homeport.slot": "r0001"},
        }
        sockets = f"{self.paths.slot('r0001')}:/run/homeport"
        usual = [f"{self.data}:/app/data", "keep:/app/keep"]
        volumes = {"keep": {"name": f"{self.name}_keep", "external": True}}
        each = {
            name: {**one, "volumes": [*self.mounts.get(name, usual), sockets]}
            for name in self.services
        }
        project = {"services": each, "volumes": volumes}
        Store(self.paths).write_release(self.release, project, "", "services: {}\n")

    def saving(self, **rules: Any) -> None:
        """Change what is to be saved."""
        self.release = replace(self.release, settings=replace(self.release.settings, **rules))
        self._write()

    def up(self) -> None:
        """Start the release."""
        self.paths.slot("r0001").mkdir(exist_ok=True)
        assert compose.up(self.paths, self.release, self.services) == ""

    def down(self) -> None:
        """Stop it; its containers stay."""
        for one in self.context().containers("r0001"):
            Engine().stop(one["Id"], 1)

    def context(self, run: str = "") -> Context:
        """The hands of a run."""
        request = Request("backup", self.name)
        made = Context(self.paths, Engine(), request, run or new_run(), self._tell)
        made.store.append(made.record("begin", verb="backup", release="", cause={}))
        return made

    def _tell(self, event: Any) -> None:
        self.told.append(dict(event))

    def notices(self) -> str:
        """What people were told."""
        return "\n".join(one["text"] for one in self.told if one["e"] == "notice")

    @contextmanager
    def database(self, name: str = "food.bin") -> Iterator[sqlite3.Connection]:
        """The live database, in WAL mode, as this test's own process opens it."""
        path = self.data / name
        opened = sqlite3.connect(path, isolation_level=None)
        opened.execute("PRAGMA journal_mode = WAL")
        opened.execute("PRAGMA wal_autocheckpoint = 0")
        try:
            yield opened
        finally:
            self.owned()
            opened.close()

    def owned(self) -> None:
        """Give whatever is in the data folder to the app's uid."""
        for path in [self.data, *self.data.rglob("*")]:
            os.chown(path, UID, UID, follow_symlinks=False)

    def oneshots(self) -> list[str]:
        """One-shot containers of the app that are still there."""
        found = Engine().containers(f"homeport.app={self.name}", "homeport.oneshot")
        return [one["Names"][0] for one in found]

    def set(self, name: str) -> dict[str, Any]:
        """A set's manifest as it lies there."""
        text = (self.paths.backups / name / "manifest.json").read_text()
        return dict(json.loads(text))

    def clear(self) -> None:
        """Take everything of the app from the Engine, and its files."""
        engine = Engine()
        for one in engine.containers(f"homeport.app={self.name}"):
            engine.remove(one["Id"])
        docker("volume", "rm", f"{self.name}_keep")
        docker("network", "rm", f"{self.name}-r0001_default")
        shutil.rmtree(self.paths.folder)


MakeSaved = Callable[..., Saved]
