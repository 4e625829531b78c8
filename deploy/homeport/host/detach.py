"""Runs that outlive their connection: how one is started, guarded, and followed.

``front`` (a child of sshd) starts the guardian and follows what the run tells. The guardian, in a
transient systemd unit where there is one, else in a session of its own, starts the executor and
waits: an executor that dies without a verdict is followed by recovery. Where the guardian has died
as well, whoever follows the run starts an heir in its place.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from homeport import wire
from homeport.errors import HomeportError, HostFault, LeftBad
from homeport.host import endings, joining
from homeport.host.paths import Paths
from homeport.host.store import Lock, Store

#: how often a follower looks for news, in seconds
LOOK = 0.03
#: recoveries the guardian starts before it leaves the rest to the boot hook and the next run
TRIES = 5
#: how long the guardian waits for a Docker that is away before each of them, in seconds
PATIENCE = 60.0
#: silence of a run that nobody carries out any more, before its follower does something, in seconds
LONELY = 2.0
#: how long its follower waits for what comes of that, in seconds
LOST = 60.0
#: codes of a run that met a fault of the host: what it left may be mended once that is over
_ILL = (HostFault.code, LeftBad.code)


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


def start(paths: Paths, run: str, request: bytes, role: str = "guardian") -> None:
    """Start the guardian of a run, detached, and hand it the request through a pipe.

    ``role``: "heir" for one that takes a dead guardian's place.

    Raises HostFault where the disk has no room for a run to write down what it does.
    """
    Store(paths).room()
    paths.runs.mkdir(parents=True, exist_ok=True)
    guarded = command(role, paths.app, run)
    env = dict(os.environ)
    if _user_systemd():
        env.setdefault("XDG_RUNTIME_DIR", f"/run/user/{os.getuid()}")
        unit = f"homeport-{paths.app}-{run}" + ("" if role == "guardian" else f"-{role}")
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
    # it is seen by it that this run goes on
    with joining.claimed(paths, run, request):
        (paths.runs / f"{run}.jsonl").touch()
        code = _forked(app, run, request)
        return 0 if code == 0 else _recovered(paths, run, request, code)


def heir(app: str, run: str) -> int:
    """Recover a run whose executor and guardian are both dead; another heir waits for this one."""
    from homeport.host.paths import from_environment

    paths = from_environment(app)
    request = wire.read_frame(sys.stdin.buffer)
    with joining.claimed(paths, run, request):
        return _recovered(paths, run, request, HomeportError.code)


def _recovered(paths: Paths, run: str, request: bytes, code: int) -> int:
    """Start recoveries until a run that ended with ``code`` has its end, and has told it."""
    from homeport.core import stake as stakes
    from homeport.host import boot, offsite_memory, telling

    app = paths.app
    for attempt in range(TRIES):
        store = Store(paths)
        history = store.history()
        unpaid = stakes.due(history.stake, app, store.read_link())
        mine = history.run(run)
        if mine and mine.end and not endings.is_told(paths, run):
            # it died after its end: what it did then needs no recovery, but whoever follows a word
            telling.tell_ended(paths, run, mine.end, offsite_memory.sending(paths))
        if attempt and mine is None:
            endings.never_began(paths, run, str(json.loads(request).get("verb", "")))
        # a run whose Docker went away under it has told its end and left all as it lay
        ill = code in _ILL
        if not unpaid and not ill and not history.unfinished and endings.is_told(paths, run):
            return 0
        # what keeps data from being put back may be gone a little later
        time.sleep((3.0 if unpaid else 0.2) * attempt)
        boot.docker(PATIENCE)
        recover = wire.encode({"verb": "recover", "app": app, "cause": {"who": "guardian"}})
        code = _forked(app, f"{run}-guard{attempt}", recover)
    return 1


def _forked(app: str, run: str, request: bytes) -> int:
    """Carry out the request in a child and wait for its end; its exit code."""
    _, status = os.waitpid(_child(app, run, request), 0)
    return os.waitstatus_to_exitcode(status)


def _child(app: str, run: str, request: bytes) -> int:
    """Start a child that carries out the request, with everything imported already; its id."""
    from homeport.host.verbs import carry_out

    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = carry_out(app, run, request)
        finally:
            os._exit(min(code, 255))
    return child


# --- following -----------------------------------------------------------------------------------
def follow(paths: Paths, run: str, out: BinaryIO, since: int = 0) -> int:
    """Copy what a run tells to ``out`` until its verdict; the verdict's exit code.

    ``since`` is where in the run's file to begin, in bytes. Silence is broken by an ``alive``
    every 15 seconds. A run that nobody carries out any more gets an heir; where that brings no end
    within a minute, the run is lost: 70.
    """
    lonely, rest, spoke = _Lonely(paths, run), b"", time.monotonic()
    with open(paths.runs / f"{run}.jsonl", "rb") as stream:
        stream.seek(since)
        while True:
            rest += stream.read()
            *lines, rest = rest.split(b"\n")
            for line in lines:
                out.write(line + b"\n")
                spoke = time.monotonic()
                lonely.heard()
                code = _verdict_code(line)
                if code is not None:
                    out.flush()
                    return code
            if lines:
                out.flush()
            if time.monotonic() - spoke > wire.SILENCE:
                spoke = time.monotonic()
                out.write(wire.encode({"e": "alive"}))
                out.flush()
            if lonely.lost():
                return 70
            time.sleep(LOOK)


class _Lonely:
    """Looks whether anybody carries a run out still, and starts an heir where nobody does."""

    def __init__(self, paths: Paths, run: str) -> None:
        self._paths, self._run = paths, run
        self._locks = Lock(paths.lock), Lock(paths.away_lock)
        self._looked, self._since, self._started = time.monotonic(), 0.0, False

    def heard(self) -> None:
        """Somebody told something."""
        self._looked, self._since = time.monotonic(), 0.0

    def lost(self) -> bool:
        """Whether nothing has come of the heir either."""
        now = time.monotonic()
        if now - self._looked <= LONELY:
            return False
        # believed when seen twice: an end may have been told between two looks
        again, self._looked = self._since > 0, now
        if joining.carried(self._paths, self._run) or any(one.held() for one in self._locks):
            self._since = 0.0
            return False
        self._since = self._since or now
        if again and not self._started:
            self._started = True
            with suppress(HomeportError):
                request = wire.encode({"verb": "", "app": self._paths.app})
                start(self._paths, self._run, request, "heir")
        return now - self._since > LOST


def _verdict_code(line: bytes) -> int | None:
    if b'"verdict"' not in line:
        return None
    event = json.loads(line)
    return int(event.get("code", 1)) if event.get("e") == "verdict" else None
