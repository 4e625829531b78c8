"""The rig: a lab host with an app that serves, people who use it, and a plug to pull."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bench import images
from bench.faults import look
from bench.moves import DATABASE, Moves
from bench.stage import Ran, Stage
from lab import hosts
from lab.load import Load, Result, judge
from lab.registry import ensure_registry

Talk = Callable[[str], None]
#: how long somebody waits for an answer who asks whether there is one, in seconds
PATIENCE = 45.0
#: requests a second while runs die; no slow ones, which a drain would wait for at every point
RATE = 6.0
MIX: Mapping[str, int] = {"read": 62, "write": 36, "big": 2}
WORKER = """
  worker:
    image: ${FOODBUDGET_IMAGE:-ghcr.io/owner/myfoodbudget:main}
    command: [python, -S, -c, "import signal; signal.pause()"]
    env_file: [{path: app.env, required: false}]
    user: "10001:10001"
    read_only: true
    restart: unless-stopped
    stop_grace_period: 5s
"""
SETTINGS = """app = "myfoodbudget"
[host]
address = "{address}"
[web]
ready = "/health/ready"
standby = true
[site]
port = 80
[deploy]
handover = "{mode}"
hold = "{hold}"
drain = "5s"
start = "{start}"
keep = 6
[[smoke]]
path = "/health"
[backup]
keep = 1
{postgres}check = {check}
[migrate]
command = ["python", "-m", "foodbudget", "migrate"]
schema = ["python", "-m", "foodbudget", "schema"]
within = "30s"
compatible = {compatible}
"""
#: the app's own check of a backup, and one that starts in a tenth of the time
CHECK = ["python", "-m", "foodbudget", "check"]
QUICK = [
    "python",
    "-S",
    "-c",
    """
import sqlite3
opened = sqlite3.connect("file:/app/data/myfoodbudget.db?mode=ro", uri=True)
print(opened.execute("SELECT count(*), sum(price) FROM purchases").fetchone())
""",
]
#: what each image of the rig's does
BEHAVES: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "one": ("now", {}),
    "two": ("now", {"accent": "#8a3ffc"}),
    "turns": ("now", {"fails_after_requests": 15}),
    "later": ("later", {}),
    "compatible": ("later", {"migrates": "compatible"}),
    "ill": ("later", {"ready_live": 503}),
}
# Lets a first deploy be one: nothing of the app is left but its folder and its journal.
FORGET = """
import shutil, subprocess, sys
app, image = sys.argv[1:]
run = lambda *argv: subprocess.run(argv, capture_output=True, text=True).stdout.split()
for name in ("data", "backups"):
    shutil.rmtree(f"/opt/{app}/{name}", ignore_errors=True)
for kind in ("network", "volume"):
    for one in run("docker", kind, "ls", "-q", "--filter", f"name=^{app}_"):
        run("docker", kind, "rm", one)
run("docker", "image", "rm", "-f", *run("docker", "image", "ls", "-q", image.rpartition(":")[0]))
"""


def made(talk: Talk, names: tuple[str, ...] = tuple(BEHAVES)) -> dict[str, str]:
    """The rig's images in the lab's registry, by name."""
    registry, bases, found = ensure_registry(talk), {}, {}
    for name in names:
        base, does = BEHAVES[name]
        if base not in bases:
            bases[base] = images.production(talk) if base == "now" else images.later(talk)
        behaviour = {"version": name, **does}
        found[name] = images.version(bases[base], registry, f"fault-{name}", behaviour)
    return found


@dataclass
class Rig:
    """A host of ``kind`` ("sqlite" or "postgres"). Nothing of it is the engine's own word."""

    moves: Moves
    images: Mapping[str, str]
    #: settings that a way changed, by their names in SETTINGS
    changed: dict[str, str] = field(default_factory=dict)
    load: Load | None = None
    #: whether people write
    writing: bool = False

    @classmethod
    def up(cls, kind: str, images_: Mapping[str, str], talk: Talk, name: str = "faults") -> Rig:
        """Bring a host up on which one release serves and another served before."""
        rig = cls(Moves.up(kind, talk, name), images_)
        file = rig.stage.folder / "docker-compose.prod.yml"
        text = file.read_text()
        at = text.index(DATABASE.split("\n")[1]) if kind == "postgres" else len(text)
        file.write_text(text[:at].rstrip() + WORKER + text[at:])
        rig.settings()
        for one in ("one", "two"):
            rig.stage.deploy(images_[one], "--monitor", "0s")
        return rig

    def down(self) -> None:
        """Remove the host."""
        if self.load is not None:
            self.load.stop()
        self.moves.down()

    @property
    def stage(self) -> Stage:
        """The host's stage."""
        return self.moves.stage

    @property
    def kind(self) -> str:
        """Its database."""
        return self.moves.kind

    def settings(self, **changed: str) -> None:
        """Write homeport.toml, with some settings other than before."""
        self.changed.update(changed)
        values = {"mode": "single-writer", "hold": "45s", "start": "30s", "compatible": "false"}
        server = self.kind == "postgres"
        values["postgres"] = 'postgres = "DATABASE_URL"\n' if server else ""
        values["check"] = json.dumps(CHECK if server else QUICK)
        values |= {"address": self.stage.host.address, **self.changed}
        (self.stage.folder / "homeport.toml").write_text(SETTINGS.format(**values))

    def as_usual(self) -> None:
        """Write homeport.toml as it is where no way wants it otherwise."""
        self.changed.clear()
        self.settings()

    # --- the plug
    def arm(self, *plugs: Mapping[str, Any] | None) -> None:
        """Tell the runs to come where to die, one entry each."""
        path = f"/opt/{self.stage.app}/plug.json"
        argv = ["sh", "-c", f"umask 077; cat > {path}"]
        text = json.dumps(list(plugs)).encode()
        hosts.run(self.stage.host, argv, user="homeport", stdin=text)

    def type(self, *words: str) -> Ran:
        """Type `homeport …`; whatever its exit code."""
        return self.stage.homeport(*words, "--yes", check=False)

    def typing(self, words: Sequence[str]) -> subprocess.Popen[str]:
        """Begin to type `homeport …`; what it says goes to the file ``typed`` in the folder."""
        argv = [sys.executable, "-m", "homeport.control.cli", *words]
        with open(self.stage.folder / "typed", "w", encoding="utf-8") as said:
            return subprocess.Popen(
                argv,
                cwd=self.stage.folder,
                env={**os.environ, **self.stage.env},
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                text=True,
            )

    # --- the looks
    def look(self, again: bool = True) -> dict[str, Any]:
        """What is seen on the host, before and after another recovery."""
        words = [self.stage.app, "again" if again else "once", self.kind]
        seen: dict[str, Any] = json.loads(
            self.stage.on_host("python3", "-I", "-c", look.SCRIPT, *words)
        )
        return seen

    def whole(
        self, serves: tuple[str, ...], seen: Mapping[str, Any] | None = None, page: bool = False
    ) -> list[str]:
        """Every rule that always holds and is broken; empty where one of ``serves`` serves whole.

        ``seen``: what ``look`` gave, where somebody has looked already.
        """
        seen = self.look() if seen is None else seen
        found = look.wrong(seen, serves, page, self.changed.get("compatible") == "true")
        first = seen["first"]
        if found or page or first["kind"] != "release":
            return found
        try:
            code, _, headers = self.stage.get("/load/read", timeout=PATIENCE)
        except OSError as error:
            return [f"nobody answers: {error}"]
        said = headers.get("Homeport-Release", headers.get("Homeport-Edge", "nobody"))
        return [] if (code, said) == (200, first["current"]) else [f"{code} by {said} is answered"]

    # --- the people
    def people(self, writes: bool = True) -> None:
        """Let people come, until ``gone``."""
        mix, self.writing = MIX if writes else {"read": 1}, writes
        self.load = Load(self.stage.url, rate=RATE, mix=mix)
        self.load.start()

    def gone(self) -> tuple[Result, dict[str, Any]] | None:
        """Let nobody come any more; what they saw, and the figures."""
        if self.load is None:
            return None
        load, self.load = self.load, None
        result = load.stop()
        return result, judge(result, self.moves.audit() if self.writing else [])
