"""restic on this host: one call at a time, its keys by environment only, its complaints named.

What restic itself keeps (an index of the repository, packs on their way) lies in
``/opt/homeport/cache/APP``: neither in a home that may be read-only, nor in a /tmp that may be
memory.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import threading
import time
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Mapping

from homeport.core import restic
from homeport.errors import HostFault, Problem
from homeport.host.compose import die_with_parent
from homeport.host.paths import Paths
from homeport.host.store import faulty

#: a question that reads a little and answers
PATIENCE = 90.0
#: what moves data may take as long as somebody's line does
LONGEST = 6 * 3600.0
#: what tells how far it is and gets no further for so long never will, in seconds
STALLED = 900.0
#: restic's own program; a host with 1 GB shares it with two releases
_BOUNDS = {"GOGC": "20", "GOMEMLIMIT": "160MiB", "RESTIC_PROGRESS_FPS": "1"}
#: how a person sees whether a repository answers, by the way to it
_LOOK: Mapping[restic.Kind, str] = {
    "local": "on the host: sudo -u homeport ls {}   (it must be the user homeport's)",
    "other": "curl or ping its server from the host; or correct restic.env",
}
Told = Callable[[Mapping[str, Any]], None]


class Absent(HostFault):
    """There is no repository at that place."""

    retry = False


class WrongKey(HostFault):
    """The repository has another password."""

    retry = False


class Unreachable(HostFault):
    """Nobody answers there, or nobody lets us in."""


class Locked(HostFault):
    """Somebody else works in the repository."""


class Unreadable(HostFault):
    """Part of what is in the repository cannot be read."""

    retry = False


@dataclass(frozen=True)
class Answer:
    """How a call ended."""

    code: int
    out: str
    err: str


#: a block that ends what is waited for in it, by what it is given
Breaks = Callable[[Callable[[], None]], AbstractContextManager[None]]


class Restic:
    """The way to one repository. ``keys`` is the text of restic.env; it shows in no repr."""

    def __init__(
        self,
        paths: Paths,
        repository: str,
        keys: str,
        masked: Callable[[str], str],
        breaks: Breaks = lambda end: nullcontext(),
    ) -> None:
        """``breaks`` is the block that a call is waited for in, as ``Stop.breaks`` makes it."""
        self.shown = restic.shown(repository)
        self.repository = repository
        self._masked, self._breaks = masked, breaks
        self._paths = paths
        self._env = restic.environment(keys, repository)
        self._password = restic.opens(keys)

    def ready(self) -> None:
        """Raises HostFault where restic is missing or too old, or nothing opens a repository."""
        found = version()
        if found < restic.LEAST:
            have = ".".join(map(str, found))
            what = "restic 0.12 or newer is needed" if found else "restic is not installed"
            why = f"it is {have}" if found else "it carries backups off the box"
            raise HostFault(Problem(what, "host", why, f"on the host: {restic.INSTALL}"))
        if not self._password:
            where = self._paths.folder / "restic.env"
            what, why = f"{restic.PASSWORD} has no value", "the repository is encrypted with it"
            mend = f"add a line {restic.PASSWORD}=… to {where} on the host (chmod 600)"
            raise HostFault(Problem(what, str(where), why, mend))

    def run(
        self,
        *arguments: str,
        within: float = PATIENCE,
        folder: Path = Path("/"),
        told: Told | None = None,
    ) -> str:
        """What restic prints; ``told`` gets each line of ``--json`` as it comes.

        Raises one of the errors above, else HostFault with restic's own words.
        """
        answer = self.call(*arguments, within=within, folder=folder, told=told)
        if answer.code != 0:
            raise self.wrong(answer, arguments[0])
        return answer.out

    def call(
        self,
        *arguments: str,
        within: float = PATIENCE,
        folder: Path = Path("/"),
        told: Told | None = None,
    ) -> Answer:
        """The same, whatever it ends with; a call that takes too long ends with code -1."""
        cache, temp = self._folders()
        env = {key: os.environ[key] for key in ("PATH", "HOME") if key in os.environ}
        env.setdefault("PATH", "/usr/local/bin:/usr/bin:/bin")
        env |= {**_BOUNDS, **self._env, "TMPDIR": str(temp), "RESTIC_CACHE_DIR": str(cache)}
        argv = ["restic", *restic.options(self.repository), "--cleanup-cache", *arguments]
        with faulty("the disk takes no more writes", temp), tempfile.TemporaryFile() as errors:
            child = subprocess.Popen(
                argv,
                cwd=folder,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                # no terminal: an ssh that wants to ask fails at once
                start_new_session=True,
                preexec_fn=die_with_parent,
            )
            with self._breaks(child.kill):
                out, over = _listen(child, within, told)
            errors.seek(0)
            err = errors.read()[-20000:].decode("utf-8", "replace")
        return Answer(-1 if over else child.returncode, out, f"{err}\n{over}" if over else err)

    def wrong(self, answer: Answer, what: str) -> HostFault:
        """The error that a call's bad end means."""
        why = self._masked(restic.complaint(answer.err)) or f"restic ended with {answer.code}"
        fault = "unreachable" if answer.code == -1 else restic.fault(answer.code, answer.err)
        if fault == "wrong-key":
            mend = f"put its password into {self._paths.folder}/restic.env on the host"
            said = "the repository has another password"
            return WrongKey(Problem(said, self.shown, why, mend))
        if fault == "absent":
            mend = "is its disk mounted? df -h on the host; or correct [backup] offsite"
            return Absent(Problem("there is no repository", self.shown, why, mend))
        if fault == "locked":
            mend = "the same again when that has ended; a lock that nobody renews lasts 30 minutes"
            said = "somebody else works in the repository"
            return Locked(Problem(said, self.shown, why, mend))
        if fault == "unreachable":
            way = restic.kind(self.repository)
            mend = f"on the host: {restic.login(self.repository)}   (it must let that key in)"
            if way != "sftp":
                mend = _LOOK[way].format(self.shown)
            said = "the repository cannot be reached"
            return Unreachable(Problem(said, self.shown, why, mend))
        if self._opens(what):
            mend = f"on the host: {self.by_hand('check --read-data')}"
            said = "part of the repository cannot be read"
            return Unreadable(Problem(said, self.shown, why, mend))
        mend = f"on the host: {self.by_hand('snapshots')}"
        return HostFault(Problem(f"restic {what} failed", self.shown, why, mend))

    def _opens(self, what: str) -> bool:
        """Whether the repository opens: then what failed in reading it is in what lies there."""
        reads = what in ("restore", "check", "dump", "stats", "snapshots")
        return reads and self.call("cat", "config", "--no-lock").code == 0

    def by_hand(self, words: str) -> str:
        """What a person types on the host to ask restic the same."""
        env = f"{self._paths.folder}/restic.env"
        return f"sudo sh -c 'set -a; . {env}; restic -r {self.shown} {words}'"

    def _folders(self) -> tuple[Path, Path]:
        base = self._paths.home / "cache" / self._paths.app
        cache, temp = base / "restic", base / "tmp"
        with faulty("the disk takes no more writes", base):
            cache.mkdir(parents=True, exist_ok=True)
            # a call that was killed leaves its packs behind; calls are made under one lock
            shutil.rmtree(temp, ignore_errors=True)
            temp.mkdir(exist_ok=True)
        return cache, temp


def _listen(child: subprocess.Popen[bytes], within: float, told: Told | None) -> tuple[str, str]:
    """Read a call to its end: what it printed, and why it was ended where it took too long."""
    lines: list[str] = []
    seen = {"at": time.monotonic(), "done": -1.0}

    def read() -> None:
        assert child.stdout is not None
        for raw in child.stdout:
            line = raw.decode("utf-8", "replace")
            event = restic.said(line)
            if told is None or event.get("message_type") != "status":
                lines.append(line)
            done = float(event.get("bytes_done") or event.get("bytes_restored") or 0)
            if done != seen["done"]:
                seen.update(at=time.monotonic(), done=done)
            if told is not None and event:
                told(event)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    end, over = time.monotonic() + within, ""
    while reader.is_alive() or child.poll() is None:
        reader.join(0.1)
        with suppress(subprocess.TimeoutExpired):
            child.wait(0.01)
        now = time.monotonic()
        if now >= end:
            over = f"no answer within {within:.0f} s"
        elif told is not None and now - seen["at"] > STALLED:
            over = f"it got no further for {STALLED:.0f} s"
        if over:
            child.kill()
            child.wait()
            reader.join(5.0)
            break
    return "".join(lines), over


def version() -> tuple[int, ...]:
    """The version of this host's restic; empty where there is none."""
    path = f"{os.environ.get('PATH', '')}:/usr/local/bin:/usr/bin:/bin"
    program = shutil.which("restic", path=path)
    if program is None:
        return ()
    try:
        done = subprocess.run([program, "version"], capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return ()
    return restic.version(done.stdout)
