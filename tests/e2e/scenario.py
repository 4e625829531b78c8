"""What the scenarios share: a command typed in the background, moments waited for on the host,
and where figures go.
"""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from bench import evidence
from bench.stage import Ran, Stage
from homeport.core import link as links
from lab.load import Load, Request, Result


def note(**figures: object) -> None:
    """Add figures to build/evidence/scenarios.json; same keys are replaced."""
    evidence.add("scenarios", **figures)


class Typed:
    """`homeport …` typed in a stage's folder, running while the test goes on."""

    def __init__(self, stage: Stage, *arguments: str) -> None:
        self._clock, self._began = time.monotonic(), time.time()
        self._child = subprocess.Popen(
            [sys.executable, "-m", "homeport.control.cli", *arguments],
            cwd=stage.folder,
            env=stage.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Typed:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.kill()

    def kill(self) -> None:
        """SIGKILL it; it may have ended before."""
        self._child.kill()
        self._child.wait()

    def wait(self, within: float = 120.0) -> Ran:
        """Its end; raises subprocess.TimeoutExpired after ``within`` seconds."""
        out, err = self._child.communicate(timeout=within)
        seconds = time.monotonic() - self._clock
        return Ran(self._child.returncode, out, err, seconds, self._began)


# Runs on the host itself: a moment seen from outside would be over before the test hears of it.
_AWAIT = """
import json, os, signal, subprocess, sys, time
app, point, before, names, kill = sys.argv[1:]
hold = f"unix//run/homeport/{app}/hold.sock"

def link():
    try:
        return open(f"/opt/homeport/run/{app}/live").read().strip()
    except FileNotFoundError:
        return ""

def there():
    if point == "hold":
        return link() == hold
    if point == "committed":
        return link() not in ("", hold, before)
    argv = ["docker", "ps", "--filter", f"label=homeport.app={app}", "--format", "{{.Names}}"]
    seen = subprocess.run(argv, capture_output=True, text=True).stdout.split()
    return bool(set(seen) - set(names.split()))

end = time.monotonic() + 60
while not there():
    if time.monotonic() > end:
        sys.exit(f"{point}: not within 60 s; the link says {link()!r}")
    time.sleep(0.005)
pid = 0
if kill:
    pid = json.load(open(f"/opt/{app}/lock"))["pid"]
    os.kill(pid, signal.SIGKILL)
print(json.dumps({"at": time.time(), "link": link(), "pid": pid}))
"""


@dataclass(frozen=True)
class Moment:
    """A point that a deploy had reached: wall-clock seconds, the link then, and who was killed."""

    at: float
    link: str
    pid: int


class Before:
    """A stage as it was before a deploy, and the points that the deploy gets to."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self.link, self.running = stage.link(), stage.running()

    def reaches(self, point: str, kill: bool = False) -> Moment:
        """Wait on the host until the deploy is at ``point``; SIGKILL its executor there if told so.

        ``starting``: a container of a new slot runs; ``hold``: the link holds; ``committed``: the
        link names another release than before.
        """
        words = [self._stage.app, point, self.link, " ".join(self.running), "kill" if kill else ""]
        said = self._stage.on_host("python3", "-I", "-c", _AWAIT, *words)
        return Moment(**json.loads(said))


def containers(stage: Stage) -> dict[str, dict[str, Any]]:
    """Every container of the app by name, as `docker inspect` on its host shows it."""
    label = f"label=homeport.app={stage.app}"
    names = stage.on_host("docker", "ps", "-aq", "--filter", label).split()
    seen = json.loads(stage.on_host("docker", "inspect", *names)) if names else []
    return {str(one["Name"]).lstrip("/"): one for one in seen}


def identity(stage: Stage) -> dict[str, tuple[str, str, str]]:
    """Id, start and restart policy of every container of the app, by name."""
    return {
        name: (
            str(one["Id"]),
            str(one["State"]["StartedAt"]),
            str(one["HostConfig"]["RestartPolicy"]["Name"]),
        )
        for name, one in containers(stage).items()
    }


def status(stage: Stage) -> dict[str, Any]:
    """What `homeport status --json` says."""
    return dict(stage.homeport("status", "--json").data)


def busy(stage: Stage) -> bool:
    """Whether a run goes on, or was left without an end."""
    seen = status(stage)
    return bool(seen["running"] or seen["unfinished"])


def one_serves(stage: Stage) -> None:
    """Exactly one release runs: the one the link names; no other would come back by itself."""
    kind, slot = links.read(stage.app, stage.link())
    assert kind == "release"
    seen = containers(stage)
    live = {name for name, one in seen.items() if one["Config"]["Labels"]["homeport.slot"] == slot}
    assert stage.running() == sorted(live) and live
    policies = {name: one["HostConfig"]["RestartPolicy"]["Name"] for name, one in seen.items()}
    assert policies == {name: "unless-stopped" if name in live else "no" for name in seen}
    told = status(stage)
    assert told["healthy"] and told["release"].startswith(slot)
    assert not told["unfinished"] and not told["running"]
    assert not [text for text in told["warnings"] if "does not match its link" in text]
    code, _, headers = stage.get("/load/read")
    assert (code, headers["Homeport-Release"]) == (200, told["release"])


def good_after(result: Result, moment: float) -> list[Request]:
    """Requests begun after a moment (wall-clock seconds) and answered well, by their end."""
    good = [r for r in result.requests if r.outcome == "ok" and result.wall(r.begun) >= moment]
    return sorted(good, key=lambda r: r.done)


def gap_after(result: Result, moment: float) -> float:
    """Seconds from a moment to the first good answer for somebody who asked after it.

    Answers to requests from before it do not count: what was in flight ends whether or not
    anybody is served anew.
    """
    good = good_after(result, moment)
    if not good:
        raise AssertionError("nobody who asked after that moment got a good answer")
    return result.wall(good[0].done) - moment


@contextmanager
def sending(load: Load) -> Iterator[Load]:
    """Let a load send while the block runs; `load.stop()` gives its result there or afterwards."""
    load.start()
    try:
        yield load
    finally:
        load.stop()


def under_way(load: Load, more: int = 60) -> None:
    """Wait until the load has sent ``more`` further requests, so that what follows has traffic."""
    goal, end = load.sent() + more, time.monotonic() + 60
    while load.sent() < goal:
        if time.monotonic() > end:
            raise TimeoutError(f"the load sent {load.sent()} of {goal} requests in 60 s")
        time.sleep(0.02)


def file_at_cut(stage: Stage, path: str) -> str:
    """A file of a host whose power is off, read from its disk."""
    argv = ["docker", "cp", f"{stage.host.container}:{path}", "-"]
    packed = subprocess.run(argv, capture_output=True, check=True, timeout=60).stdout
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        found = tar.extractfile(tar.getmembers()[0])
        assert found is not None
        return found.read().decode().strip()


def second_app(
    first: Stage, folder: Path, app: str, compose: str, settings: str, env: dict[str, str]
) -> Stage:
    """Another app on a stage's host, set up as README says; its folder is the test's own."""
    folder.mkdir()
    stage = Stage(first.host, folder, app, dict(first.env))
    (folder / "docker-compose.prod.yml").write_text(compose)
    head = f'app = "{app}"\n[host]\naddress = "{first.host.address}"\n'
    (folder / "homeport.toml").write_text(head + settings)
    stage.set_up()
    stage.write_env(env)
    return stage
