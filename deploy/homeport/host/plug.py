"""The plug that tests of recovery pull: a run that is told to die at one point of a plan.

``plug.json`` in the app's folder, the agent's own file and nobody else's to read, says where::

    {"plan": "deploy", "step": "handover", "when": "middle", "do": "kill"}

``plan`` is the verb of a plan, ``step`` the id of one of its steps (without the slot that it may
name), ``when`` is ``before`` (its intent is journalled, its effect not begun), ``middle`` or
``after`` (its effect is done, and not journalled). The run that finds the file removes it first,
so that what recovers it does not die of it. A list has one entry for each run to come.

``do``:

* ``kill``: SIGKILL to the run itself. ``guardian``: to its guardian as well, and first.
* ``pause``: the run writes ``plug.here`` and goes on when somebody has removed that.
* ``count``: it goes on, and ``plug.seen`` gets a line for each step: its effects and seconds.

What becomes of the middle, an undisturbed run has told: ``effects`` and ``seconds`` of the step as
``count`` gave them. It comes when half of the effects are done and the next begins. One that goes
on elsewhere, in a child or the Engine, gets half of the step's seconds first; so does a step that
only looks. A step that is over sooner has its middle at its end. ``plug.died`` says what was done.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from dataclasses import dataclass, field
from typing import Any, Mapping

from homeport.host.paths import Paths

HERE, SEEN, DIED = "plug.here", "plug.seen", "plug.died"
#: effects by the name that Python audits them under; ``open`` counts where it is for writing
EFFECTS = frozenset(
    ("os.chmod", "os.link", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.symlink")
    + ("os.truncate", "shutil.chown")
)
#: effects that go on elsewhere when they were begun
BEGUN = frozenset(("http.client.send", "subprocess.Popen"))
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
#: an effect that is the only one of its step goes on for so long, in seconds
SOON = 0.01
#: how long a run may be kept waiting, in seconds
PATIENCE = 120.0


def take(paths: Paths) -> Plug | None:
    """The plug that this run is to heed, taken out of the file; None where none is for it.

    A file that somebody else could have written, or that says something else, is passed over.
    """
    path = paths.plug
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    with open(handle, "rb") as stream:
        facts, text = os.fstat(handle), stream.read()
    if facts.st_uid != os.geteuid() or facts.st_mode & 0o077:
        return None
    path.unlink()
    told = json.loads(text)
    mine, *rest = told if isinstance(told, list) else [told]
    if rest:
        beside = path.with_name(f".{path.name}.new")
        with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as stream:
            json.dump(rest, stream)
        os.replace(beside, path)
    return Plug(paths, mine) if mine else None


@dataclass
class Plug:
    """What happens to a run, and where. The executor calls it at every point it comes to."""

    paths: Paths
    what: Mapping[str, Any]
    #: the effects of the step that goes on, while they are counted
    seen: list[str] = field(default_factory=list)
    #: when that step began; 0 where nothing is counted
    began: float = 0.0

    def __post_init__(self) -> None:
        sys.addaudithook(self._audit)

    def __call__(self, plan: str, step: str, when: str) -> None:
        """The run is before or after a step of a plan."""
        if self.what["do"] == "count":
            self._count(plan, step, when)
            return
        mine = (self.what["plan"], self.what["step"]) == (plan, step.split()[0])
        if not mine:
            return
        middle = self.what["when"] == "middle"
        if when == self.what["when"] or (middle and when == "after" and self.began):
            self._pull(when)
        elif middle and when == "before":
            self.seen, self.began = [], time.monotonic()
            if not self.what["effects"]:
                self._later(float(self.what["seconds"]) / 2)

    def _audit(self, event: str, args: tuple[Any, ...]) -> None:
        if not self.began or not self._counts(event, args):
            return
        self.seen.append(event)
        if self.what["do"] == "count" or len(self.seen) != int(self.what["effects"]) // 2 + 1:
            return
        if event in BEGUN:
            self._later(float(self.what["seconds"]) / 2)
        elif int(self.what["effects"]) > 1:
            self._pull("middle")
        else:
            self._later()

    def _counts(self, event: str, args: tuple[Any, ...]) -> bool:
        if event == "open":
            path, _, flags = args
            # what a run tells is no effect on the host
            told = str(path).startswith((str(self.paths.runs), "/dev/"))
            return bool(int(flags or 0) & WRITING) and not told
        if event == "http.client.send":
            data = args[1]
            return isinstance(data, bytes) and not data.startswith((b"GET ", b"HEAD "))
        return event in EFFECTS or event in BEGUN

    def _later(self, seconds: float = 0.0) -> None:
        timer = threading.Timer(seconds or SOON, self._pull, ("middle",))
        timer.daemon = True
        timer.start()

    def _count(self, plan: str, step: str, when: str) -> None:
        if when == "before":
            self.seen, self.began = [], time.monotonic()
            return
        seconds, self.began = round(time.monotonic() - self.began, 4), 0.0
        told = {"plan": plan, "step": step, "seconds": seconds, "effects": self.seen}
        self._write(SEEN, told, os.O_APPEND)

    def _pull(self, when: str) -> None:
        if when == "middle" and not self.began:
            return  # the step was over when the timer came
        begun, self.began = self.began, 0.0
        seconds = round(time.monotonic() - begun, 4) if begun else 0.0
        point = {key: self.what[key] for key in ("plan", "step", "when", "do")}
        told = {**point, "at": when, "t": time.time(), "effects": self.seen, "seconds": seconds}
        if self.what["do"] == "pause":
            self._write(HERE, told, os.O_TRUNC)
            self._wait()
            return
        self._write(DIED, told, os.O_TRUNC)
        if self.what["do"] == "guardian" and os.getppid() > 1:
            os.kill(os.getppid(), signal.SIGKILL)
        os.kill(os.getpid(), signal.SIGKILL)

    def _wait(self) -> None:
        end = time.monotonic() + PATIENCE
        while (self.paths.folder / HERE).exists() and time.monotonic() < end:
            time.sleep(0.005)

    def _write(self, name: str, told: Mapping[str, Any], how: int) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | how
        handle = os.open(self.paths.folder / name, flags, 0o600)
        os.write(handle, json.dumps(told).encode() + b"\n")
        os.close(handle)
