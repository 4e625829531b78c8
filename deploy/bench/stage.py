"""A stage: a lab host that was set up, a project's folder, and `homeport` typed there."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.images import TOP
from lab import hosts
from lab.load import AuditRow, read_audit

Talk = Callable[[str], None]
APP = "myfoodbudget"
PASSWORD = "raspberry"  # of every lab host's user pi, as docs/lab.md says


@dataclass(frozen=True)
class Ran:
    """A command that was typed: exit code, what it printed, and the seconds it took."""

    code: int
    out: str
    err: str
    seconds: float
    began: float

    @property
    def data(self) -> Any:
        """What it printed on stdout, as JSON."""
        return json.loads(self.out)


def silent(_: str) -> None:
    """Say nothing."""


@dataclass
class Stage:
    """One app on one lab host. ``folder`` is where a person would type."""

    host: hosts.LabHost
    folder: Path
    app: str = APP
    env: dict[str, str] = field(default_factory=dict)
    #: how long anything that is typed may take, in seconds
    patience: float = 300.0

    @classmethod
    def up(
        cls,
        name: str,
        flavour: str = "systemd",
        talk: Talk = silent,
        app: str = APP,
        disk: bool = False,
    ) -> Stage:
        """Bring a lab host up and set it up for MyFoodBudget, as README says."""
        host = hosts.up(name, flavour, talk, disk)
        folder = Path(tempfile.mkdtemp(prefix=f"homeport-{name}-"))
        stage = cls(host, folder, app)
        stage.env = {
            **os.environ,
            "PYTHONPATH": str(TOP / "deploy"),
            "XDG_CONFIG_HOME": str(folder / "config"),
            "HOMEPORT_SSH_KEY": str(host.key),
            "HOMEPORT_SUDO_PASSWORD": PASSWORD,
            "NO_COLOR": "1",
        }
        for name_ in ("HOMEPORT_HOST_KEY", "GITHUB_ACTIONS"):
            stage.env.pop(name_, None)
        shutil.copy(TOP / "docker-compose.prod.yml", folder)
        stage.settings()
        talk(f"setting {host.name} up for {app}")
        stage.set_up()
        stage.write_env({"SECRET_KEY": secrets.token_urlsafe(48), "SIGNUP": "open"})
        return stage

    def set_up(self) -> Ran:
        """The one root step."""
        target = ("--host", f"pi@{self.host.address}")
        return self.homeport("setup", *target, "--yes", "--host-key", self.host.host_key)

    def settings(self, port: int | None = None, mode: str = "", extra: str = "") -> None:
        """Write homeport.toml: over the socket, or over TCP where a port is given."""
        lines = [
            f'app = "{self.app}"',
            "[host]",
            f'address = "{self.host.address}"',
            "[web]",
            'service = "web"',
            *([f"port = {port}"] if port else []),
            'ready = "/health/ready"',
            "standby = true",
            "[site]",
            "port = 80",
            "[deploy]",
            *([f'handover = "{mode}"'] if mode else []),
            'start = "15s"',
        ]
        (self.folder / "homeport.toml").write_text("\n".join(lines) + "\n" + extra)

    def write_env(self, values: dict[str, str]) -> None:
        """Write the app's settings on the host, as its owner would with an editor."""
        text = "".join(f"{key}={value}\n" for key, value in values.items())
        path = f"/opt/{self.app}/app.env"
        argv = ["sh", "-c", f"umask 077; cat > {path}"]
        hosts.run(self.host, argv, user="homeport", stdin=text.encode())

    def homeport(self, *arguments: str, check: bool = True) -> Ran:
        """Type `homeport …` in the project's folder; raises RuntimeError if it fails."""
        began, clock = time.time(), time.monotonic()
        argv = [sys.executable, "-m", "homeport.control.cli", *arguments]
        done = subprocess.run(
            argv,
            cwd=self.folder,
            env=self.env,
            capture_output=True,
            text=True,
            timeout=self.patience,
        )
        ran = Ran(done.returncode, done.stdout, done.stderr, time.monotonic() - clock, began)
        if check and ran.code != 0:
            raise RuntimeError(f"homeport {' '.join(arguments)}: {ran.code}\n{ran.out}\n{ran.err}")
        return ran

    def deploy(self, image: str, *more: str, check: bool = True) -> Ran:
        """Type `homeport deploy IMAGE --json`."""
        return self.homeport("deploy", image, "--json", *more, check=check)

    def rollback(self, *more: str, check: bool = True) -> Ran:
        """Type `homeport rollback --json`."""
        return self.homeport("rollback", "--json", *more, check=check)

    # --- looking past the engine, at the host itself
    @property
    def url(self) -> str:
        """Where people reach the app."""
        return f"http://{self.host.address}"

    def on_host(self, *argv: str, check: bool = True) -> str:
        """Run a program on the host as root; its stdout."""
        done = hosts.run(self.host, list(argv), check=check)
        return bytes(done.stdout).decode()

    def get(self, path: str = "/", timeout: float = 10.0) -> tuple[int, str, dict[str, str]]:
        """One GET through the edge: status, body, headers."""
        request = urllib.request.Request(self.url + path)
        try:
            with urllib.request.urlopen(request, timeout=timeout) as answer:
                return answer.status, answer.read().decode(), dict(answer.headers)
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode(), dict(error.headers)

    def audit(self) -> list[AuditRow]:
        """The audit rows in the app's database, from a copy by SQLite's own backup."""
        copy = (
            "import sqlite3; a = sqlite3.connect('file:/opt/{0}/data/{0}.db?mode=ro', uri=True);"
            " b = sqlite3.connect('/tmp/audit.db'); a.backup(b); b.close()"
        ).format(self.app)
        self.on_host("rm", "-f", "/tmp/audit.db")
        self.on_host("python3", "-c", copy)
        local = self.folder / "audit.db"
        local.write_bytes(hosts.run(self.host, ["cat", "/tmp/audit.db"]).stdout)
        return read_audit(local)

    def running(self) -> list[str]:
        """Names of the app's running containers, as Docker on the host tells."""
        text = self.on_host(
            "docker", "ps", "--filter", f"label=homeport.app={self.app}", "--format", "{{.Names}}"
        )
        return sorted(text.split())

    def link(self) -> str:
        """What the link says."""
        path = f"/opt/homeport/run/{self.app}/live"
        return self.on_host("cat", path, check=False).strip()

    def down(self) -> None:
        """Remove the host and the folder."""
        hosts.down(self.host.name)
        shutil.rmtree(self.folder, ignore_errors=True)


def until(condition: Callable[[], Any], within: float, what: str, pause: float = 0.05) -> Any:
    """Wait until ``condition`` answers something true; that, or TimeoutError naming ``what``."""
    end = time.monotonic() + within
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() >= end:
            raise TimeoutError(f"{what}: not within {within:g} s")
        time.sleep(pause)
