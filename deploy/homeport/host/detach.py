"""Runs that outlive their connection: how one is started, guarded, and followed.

``front`` (a child of sshd) starts the guardian and follows what the run tells. The guardian, in a
transient systemd unit where there is one, else in a session of its own, starts the executor and
waits: an executor that dies without a verdict is followed by recovery.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import BinaryIO, Iterator

from homeport import wire
from homeport.host import joining
from homeport.host.paths import Paths
from homeport.host.store import Lock, Store

#: how often a follower looks for news, in seconds
LOOK = 0.03
#: recoveries the guardian starts before it leaves the rest to the boot hook and the next run
TRIES = 5


def new_run() -> str:
    """A run's id: when, and four digits against two in the same second."""
    return time.strftime("%Y%m%dT%H%M%S", time.gmtime()) + "-" + os.urandom(2).hex()


def command(role: str, app: str, run: str) -> list[str]:
    """The command line that starts a part of the agent from the folder this one runs from."""
    folder = str(Path(__file__).resolve().parents[2])
    code = (
        f"import sys; sys.path.insert(0, {folder!r}); from homeport.host.detach import {role};"
        f" sys.exit({role}({app!r}, {run!r}))"
    )
    return [sys.executable or "python3", "-I", "-c", code]


def start(paths: Paths, run: str, request: bytes) -> None:
    """Start the guardian of a run, detached, and hand it the request through a pipe."""
    paths.runs.mkdir(parents=True, exist_ok=True)
    guarded = command("guardian", paths.app, run)
    env = dict(os.environ)
    if _user_systemd():
        env.setdefault("XDG_RUNTIME_DIR", f"/run/user/{os.getuid()}")
        unit = f"homeport-{paths.app}-{run}"
        keep = [f"--setenv={key}={env[key]}" for key in ("HOMEPORT_ROOT", "PATH") if key in env]
        wrapped = [
            "systemd-run",
            "--user",
            "--quiet",
            "--collect",
            "--pipe",
            f"--unit={unit}",
            *keep,
        ]
        if _spawn([*wrapped, *guarded], paths, run, request, env):
            return
    _spawn(guarded, paths, run, request, env)


def _spawn(argv: list[str], paths: Paths, run: str, request: bytes, env: dict[str, str]) -> bool:
    """Start ``argv`` in a session of its own; False if it ended before the run said anything."""
    log = open(paths.runs / f"{run}.err", "ab")
    with log:
        child = subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env=env,
            cwd="/",
        )
    assert child.stdin is not None
    try:
        child.stdin.write(wire.frame(request))
        child.stdin.close()
    except BrokenPipeError:
        child.wait()
        return False
    events = paths.runs / f"{run}.jsonl"
    end = time.monotonic() + 20.0
    while not events.exists():
        if child.poll() is not None or time.monotonic() > end:
            return events.exists()
        time.sleep(0.01)
    return True


def _user_systemd() -> bool:
    bus = Path(f"/run/user/{os.getuid()}/bus")
    return bus.exists() and shutil.which("systemd-run") is not None


# --- the guardian --------------------------------------------------------------------------------
def guardian(app: str, run: str) -> int:
    """Start the executor of a run; if it dies without a verdict, start recovery."""
    from homeport.host.paths import from_environment

    paths = from_environment(app)
    request = wire.read_frame(sys.stdin.buffer)
    # kept open to the end: a second request of the same key sees by it that this run goes on
    joining.claim(paths, run, request)
    (paths.runs / f"{run}.jsonl").touch()
    if _forked(app, run, request) == 0:
        return 0
    for attempt in range(TRIES):
        if not Store(paths).history().unfinished and _told(paths, run):
            return 0
        time.sleep(0.2 * attempt)
        recover = wire.encode({"verb": "recover", "app": app, "cause": {"who": "guardian"}})
        _forked(app, f"{run}-guard{attempt}", recover)
    return 1


def _forked(app: str, run: str, request: bytes) -> int:
    """Carry out the request in a child that has everything imported already; its exit code."""
    from homeport.host.verbs import carry_out

    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = carry_out(app, run, request)
        finally:
            os._exit(min(code, 255))
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


def _told(paths: Paths, run: str) -> bool:
    return any(event.get("e") == "verdict" for event in told(paths, run))


# --- following -----------------------------------------------------------------------------------
def told(paths: Paths, run: str) -> Iterator[dict[str, object]]:
    """What a run has told so far."""
    try:
        lines = (paths.runs / f"{run}.jsonl").read_bytes().splitlines()
    except OSError:
        return
    for line in lines:
        try:
            yield json.loads(line)
        except ValueError:
            continue


def follow(paths: Paths, run: str, out: BinaryIO) -> int:
    """Copy what a run tells to ``out`` until its verdict; the verdict's exit code.

    Silence is broken by an ``alive`` every 15 seconds. A run whose executor is gone and that
    nobody recovers within a minute is lost: 70.
    """
    path = paths.runs / f"{run}.jsonl"
    lock = Lock(paths.lock)
    rest, spoke, orphaned = b"", time.monotonic(), 0.0
    with open(path, "rb") as stream:
        while True:
            rest += stream.read()
            *lines, rest = rest.split(b"\n")
            for line in lines:
                out.write(line + b"\n")
                spoke, orphaned = time.monotonic(), 0.0
                code = _verdict_code(line)
                if code is not None:
                    out.flush()
                    return code
            if lines:
                out.flush()
            now = time.monotonic()
            if now - spoke > wire.SILENCE:
                spoke = now
                out.write(wire.encode({"e": "alive"}))
                out.flush()
                orphaned = 0.0 if lock.held() else orphaned or now
                if orphaned and now - orphaned > 60:
                    return 70
            time.sleep(LOOK)


def _verdict_code(line: bytes) -> int | None:
    if b'"verdict"' not in line:
        return None
    event = json.loads(line)
    return int(event.get("code", 1)) if event.get("e") == "verdict" else None
