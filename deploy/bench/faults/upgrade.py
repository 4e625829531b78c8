"""An agent upgrade: another agent is sent to the host, and dies while it is taken in.

It has no plan and no journal: the first lines of Python that run on a host take it in. They are
sent as source, so a line before them says at which of their effects they die.
"""

from __future__ import annotations

import json
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path

from bench.faults.ready import Ready
from bench.faults.rig import Rig
from bench.images import TOP

#: put before what runs first on a host: dies when an audited event came for the nth time
HOOK = """
def _hook(event, args, seen=[0]):
    import os
    if event == {event!r} and str(args[0]).endswith({path!r}):
        seen[0] += 1
        if seen[0] == {nth}:
            os.kill(os.getpid(), 9)


__import__("sys").addaudithook(_hook)
"""


@dataclass(frozen=True)
class Death:
    """A point of an upgrade, and the event at which it is: its name, its path's end, which one."""

    step: str
    when: str
    event: str
    path: str
    nth: int = 1

    def __str__(self) -> str:
        return f"agent upgrade/{self.step}/{self.when}"

    def source(self, text: str) -> str:
        """What runs first on a host, dying there. Its docstring and imports stay where they are."""
        hook = HOOK.format(event=self.event, path=self.path, nth=self.nth)
        head, mark, rest = text.partition("NEEDED = ")
        return head + hook + "\n\n" + mark + rest


#: folders are made in the order of the archive: its own, the package's, core, and then host
DEATHS = (
    Death("take-in", "before", "tempfile.mkdtemp", ""),
    Death("take-in", "middle", "os.mkdir", "/host"),
    Death("take-in", "after", "open", "homeport/agent", 2),
    Death("point", "before", "os.symlink", ""),
    Death("point", "middle", "os.rename", "", 2),
    Death("point", "after", "open", "homeport/agent", 3),
)


def another(folder: Path, turn: str, death: Death | None = None) -> str:
    """Make a copy of the code whose agent is another one; its path for PYTHONPATH.

    With ``death`` it dies while it is taken in.
    """
    copy = folder / f"agent-{turn}"
    if not copy.exists():
        skip = shutil.ignore_patterns("__pycache__")
        for part in ("homeport", "lab", "bench"):
            shutil.copytree(TOP / "deploy" / part, copy / part, ignore=skip)
        with open(copy / "homeport" / "wire.py", "a", encoding="utf-8") as stream:
            stream.write(f"# {turn}\n")
    source = (TOP / "deploy/homeport/control/bootstrap.py").read_text("utf-8")
    told = death.source(source) if death else source
    (copy / "homeport" / "control" / "bootstrap.py").write_text(told, "utf-8")
    return str(copy)


def tried(rig: Rig, ready: Ready, step: str, when: str) -> list[str]:
    """Send another agent, which dies there; then once more, with no human step between.

    Returns what was broken, each in a sentence.
    """
    death = next(one for one in DEATHS if (one.step, one.when) == (step, when))
    turn, before = secrets.token_hex(4), ready.live
    rig.stage.env["PYTHONPATH"] = another(rig.stage.folder, turn, death)
    died = rig.type("deploy", ready.image(), "--json", "--monitor", "0s", "--force")
    found = [] if died.code else ["it did not die there"]
    seen = rig.look()
    ready.learn(seen)
    found += rig.whole((before,), seen)
    another(rig.stage.folder, turn)
    again = rig.type("deploy", ready.image(), "--json", "--monitor", "0s", "--force")
    if again.code:
        return [*found, f"the same again ends with {again.code}: {again.err[-400:]}"]
    seen = rig.look()
    ready.learn(seen)
    found += rig.whole((str(again.data["release"]),), seen)
    names = json.loads(rig.stage.on_host("python3", "-I", "-c", _NAMES))
    return found + [f"{name} is left" for name in names]


_NAMES = """
import json, os
names = os.listdir("/opt/homeport/agent")
print(json.dumps([one for one in names if one.startswith((".", "current."))]))
"""
