"""Releases that are broken, each in its own way, and how such a deploy must end."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import planted
from bench import evidence, images
from bench.images import TOP
from bench.stage import Ran, Stage
from lab.registry import ensure_registry

#: a worker beside the web service, so that it can die while the web service is fine
WORKER = """
  worker:
    image: ${FOODBUDGET_IMAGE:-ghcr.io/owner/myfoodbudget:main}
    command: [python, /app/loadlayer.py]
    env_file: [{path: app.env, required: false}]
    user: "10001:10001"
    read_only: true
    restart: unless-stopped
    stop_grace_period: 5s
"""
LIMIT = "memory: 256M"
PYTHON = "        - python\n"


@dataclass(frozen=True)
class Broken:
    """One broken release: what it does, how its deploy ends, and which words must tell why.

    ``says`` is planted in the app itself, so only an engine that passes an app's words on can know
    it; where the app never gets to speak, it is what the engine must name.
    """

    name: str
    code: int
    says: str
    does: Mapping[str, Any] = field(default_factory=dict)
    mode: str = "single-writer"
    extra: str = ""
    compose: Mapping[str, str] = field(default_factory=dict)
    #: seconds that it gets to start in
    start: float = 15.0

    @property
    def behaviour(self) -> dict[str, Any]:
        """The behaviour.json of its image."""
        says = self.says.replace("•••", "{SECRET_KEY}")
        return {"version": self.name, "says": says, **self.does}


LONG = "-" * 145 + " the key {SECRET_KEY} does not fit " + "-" * 400
SMOKE = '[[smoke]]\npath = "/load/read"\n'
#: refused or failed before the handover: users see nothing of it
BEFORE = (
    Broken("exits", 51, "the cellar key is lost", {"exits": True}),
    Broken("needs", 51, "CELLAR_KEY is not set", {"needs": "CELLAR_KEY"}, "overlap"),
    # the engine must tell the words and keep the key to itself
    Broken("blabs", 51, "the key ••• does not fit the cellar", {"exits": True}),
    Broken("answers", 52, "the key ••• is no answer", {"ready": 503}, start=5),
    # cut in the middle of its key, if it were cut before it is masked
    Broken("blabs-long", 51, "----- the key •••", {"exits": True, "says": LONG}),
    Broken("never-ready", 52, "the cellar is flooded", {"ready": 503}, start=5),
    Broken("hangs", 52, "waiting for a cellar that never answers", {"hangs": True}, start=5),
    Broken("deaf-and-ill", 52, "the cellar is deaf", {"ready": 500, "deaf": True}, start=5),
    Broken("fails-smoke", 53, "no such table: cellar", {"broken": "/load/read"}, "recreate", SMOKE),
    Broken(
        "starves",
        51,
        "at its limit of 160 MiB",
        {"leaks_after": 0.1, "ready": 503},
        "overlap",
        compose={LIMIT: "memory: 160M"},
    ),
    Broken(
        "worker-dies-early",
        51,
        "no cellar to work in",
        {"worker_dies_after": 0.1},
        "overlap",
        # so slow a check that the worker is gone before it ends, however busy the machine is
        compose={PYTHON: f"{PYTHON}        - -c\n        - import time; time.sleep(5)\n"},
    ),
    Broken(
        "variable",
        30,
        "CELLAR_CODE has no value",
        compose={"user: ": "environment: {CELLAR: '${CELLAR_CODE:?where}'}\n    user: "},
    ),
)
#: good at first, bad once people use it: taken back
AFTER = (
    Broken("fails-later", 54, "the cellar caught fire", {"fails_after": 1.0}),
    # the old one stands beside it until the watch is over
    Broken("fails-beside", 54, "the cellar burns", {"fails_after_requests": 40}, "overlap"),
    Broken("fails-deaf", 54, "the cellar hears nothing", {"fails_after": 1.0, "deaf": True}),
    Broken("crashes", 54, "the cellar fell in", {"crashes_after": 1.5}),
    Broken("worker-dies", 54, "the cellar has no work", {"worker_dies_after": 1.0}),
    Broken(
        "leaks",
        54,
        "ran out of memory at its limit of 160 MiB",
        {"leaks_after": 1.0},
        compose={LIMIT: "memory: 160M"},
    ),
)


def image(ships: str, registry: str, broken: Broken) -> str:
    """Build and push its image; the reference."""
    return images.version(ships, registry, f"broken-{broken.name}", broken.behaviour)


def built(registry: str, name: str, dockerfile: str, platform: str, **files: bytes) -> str:
    """Build and push an image from a Dockerfile and files beside it; the reference."""
    ref = f"{registry}/foodbudget-{images.MARK}:broken-{name}"
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "Dockerfile").write_text(dockerfile)
        for file, data in files.items():
            Path(folder, file).write_bytes(data)
        images.docker("build", "-q", "--platform", platform, "-t", ref, folder)
    images.push(ref)
    return ref


def configure(stage: Stage, broken: Broken, hold: str = "") -> None:
    """Write homeport.toml and the compose file that this deploy is typed with.

    Another ``hold`` than before changes the edge's settings, which has a moment of its own.
    """
    stage.settings(mode=broken.mode, extra=broken.extra)
    file = stage.folder / "homeport.toml"
    lines = f'start = "{broken.start:g}s"' + (f'\nhold = "{hold}"' if hold else "")
    file.write_text(file.read_text().replace('start = "15s"', lines))
    text = (TOP / "docker-compose.prod.yml").read_text()
    for old, new in broken.compose.items():
        assert old in text, f"the compose file has no {old!r}"
        text = text.replace(old, new, 1)
    (stage.folder / "docker-compose.prod.yml").write_text(text + WORKER)


# What Docker and the disk hold, as far as a deploy may touch it: not the journal and its runs,
# which tell of it, and not what the app itself writes.
_LOOK = """
app=$1
docker ps -a --no-trunc --format '{{.ID}} {{.Names}} {{.Image}}' | sort
docker ps --format '{{.Names}} runs' | sort
docker images --no-trunc --digests --format '{{.Repository}} {{.Tag}} {{.Digest}} {{.ID}}' | sort
docker volume ls -q | sort; docker network ls --format '{{.Name}} {{.ID}}' | sort
ls -l --time-style=+ /opt/$app/current | sed 's/.* current/current/'
find /opt/$app /opt/homeport/run /opt/homeport/edge \\
  \\( -path /opt/$app/data -o -path /opt/$app/logs -o -name journal.jsonl -o -name lock \\) \\
  -prune \\
  -o -type f -printf '%p %m %u ' -exec sha256sum {} \\; -o -printf '%p %y %m %u\\n' \\
  | sed 's, /opt.*$,,' | sort
"""


def fingerprint(stage: Stage) -> list[str]:
    """The host as it is, a line a thing."""
    return stage.on_host("sh", "-c", _LOOK, "sh", stage.app).splitlines()


def crashes(stage: Stage, since: float, until: float) -> list[tuple[float, float]]:
    """Windows of wall-clock seconds in which containers of the app died, as Docker tells.

    Each begins before Docker's own stamp: gunicorn's worker, which has the requests, dies first,
    and its master, which is the container, sees to its end before it ends too.
    """
    text = stage.on_host(
        *("docker", "events", "--since", f"{since:.3f}", "--until", f"{until:.3f}"),
        *("--filter", "event=die", "--filter", f"label=homeport.app={stage.app}"),
        *("--filter", "event=oom", "--format", "{{.TimeNano}}"),
    )
    return [(int(line) / 1e9 - 2.0, int(line) / 1e9 + 0.5) for line in text.split()]


@dataclass
class Told:
    """What the scenarios add up to."""

    part: str
    hidden: list[str] = field(default_factory=list)
    scenarios: int = 0

    def check(self, ran: Ran, broken: Broken) -> None:
        """Whether the output has the planted cause, the exit code is right and nothing else is."""
        self.scenarios += 1
        text = ran.out + ran.err
        if broken.says not in text:
            self.hidden.append(broken.name)
        mine = {"scenarios": self.scenarios, "causes_hidden": len(self.hidden)}
        path = evidence.add("trust", **{f"broken_{self.part}": mine})
        known = json.loads(path.read_text())
        parts = [known[one] for one in ("broken_before", "broken_after") if one in known]
        evidence.add("trust", causes_hidden=sum(one["causes_hidden"] for one in parts))
        assert ran.code == broken.code, text
        assert broken.says in text
        assert "Traceback (most recent call last)" not in ran.err
        # not even a part of it
        assert planted.APP_KEY[:14] not in text


def release(stage: Stage) -> str:
    """What serves, asked as a user would."""
    status_, _, headers = stage.get("/load/read")
    assert status_ == 200
    return headers["Homeport-Release"]


@contextmanager
def serving(part: str, image_: str, hold: str = "") -> Iterator[Stage]:
    """A host of its own on which a good release serves, with a worker and secrets."""
    stage = Stage.up(f"e2e-{images.MARK}-{part}", "systemd")
    try:
        planted.plant(stage, ensure_registry(lambda line: None))
        configure(stage, Broken("good", 0, ""), hold)
        stage.deploy(image_, "--monitor", "0s")
        yield stage
    finally:
        stage.down()


AMPLE = 16 * 1024**3


def limit_memory(stage: Stage, limit: int) -> None:
    """Give the lab host so many bytes of memory; `AMPLE` is as good as no limit."""
    words = ["update", "--memory", str(limit), "--memory-swap", str(limit), stage.host.container]
    subprocess.run(["docker", *words], check=True, capture_output=True, timeout=30)


def leave_memory(stage: Stage, free: int, within: int) -> None:
    """Limit the host's memory so that it has so many bytes free, give or take `within`."""
    used = stage.on_host("cat", "/sys/fs/cgroup/memory/memory.usage_in_bytes")
    limit = int(used) + free
    for _ in range(10):
        limit_memory(stage, limit)
        seen = int(stage.homeport("status", "--json").data["host"]["mem_available"])
        if abs(seen - free) <= within:
            return
        limit += free - seen
    raise AssertionError(f"the host's free memory will not settle: {seen} instead of {free}")
