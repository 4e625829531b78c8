"""Wrong inputs as cases: what is typed with which files, and what must come of it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.stage import Ran, Stage

#: a good pair of files, for an app that listens on port 8000
TOML = """\
app = "blog"
[host]
address = "{address}"
[web]
port = 8000
[site]
port = 80
"""
COMPOSE = """\
services:
  web:
    image: {image}
    env_file: app.env
    restart: unless-stopped
"""


@dataclass(frozen=True)
class Case:
    """One wrong input. ``says`` must all stand in what is printed, ``{…}`` filled in."""

    name: str
    typed: str
    code: int
    says: tuple[str, ...]
    toml: str | bytes | None = TOML
    compose: str | bytes | None = COMPOSE
    env: Mapping[str, str] = field(default_factory=dict)
    #: typed on the host as root, before and after
    before: str = ""
    after: str = ""
    #: seconds that it may take
    within: float = 40.0
    #: the records of the journal that a refusal may add
    journal: tuple[str, ...] = ("begin", "end")

    def __str__(self) -> str:
        return self.name


#: case → what was missed in it, empty where all was as it must be
RESULTS: dict[str, str] = {}


@contextmanager
def counted(name: str) -> Iterator[None]:
    """Whatever is found wrong in the block is counted as missed in that case."""
    RESULTS[name] = "not finished"
    try:
        yield
        RESULTS[name] = ""
    except BaseException as error:
        RESULTS[name] = str(error) or type(error).__name__
        raise


class Typed:
    """A case's command, typed in a folder of its own with the case's files."""

    def __init__(
        self, case: Case, folder: Path, env: Mapping[str, str], known: Mapping[str, str]
    ) -> None:
        self._case, self._known = case, known
        folder.mkdir(parents=True)
        for name, text in (("homeport.toml", case.toml), ("docker-compose.prod.yml", case.compose)):
            if text is not None:
                data = text if isinstance(text, bytes) else self._fill(text).encode()
                (folder / name).write_bytes(data)
        words = [self._fill(word) for word in case.typed.split()]
        own = {name: self._fill(value) for name, value in case.env.items()}
        self._began, self._clock = time.time(), time.monotonic()
        self._child = subprocess.Popen(
            [sys.executable, "-m", "homeport.control.cli", *words],
            cwd=folder,
            env={**env, **own},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def _fill(self, text: str) -> str:
        for name, value in self._known.items():
            text = text.replace(f"{{{name}}}", value)
        return text

    def end(self) -> Ran:
        """How it ended."""
        try:
            out, err = self._child.communicate(timeout=self._case.within)
        finally:
            self._child.kill()
        return Ran(self._child.returncode, out, err, time.monotonic() - self._clock, self._began)

    def check(self, ran: Ran) -> None:
        """Exit code, every expected word, a mend for every problem, and no traceback."""
        said = ran.out + ran.err
        assert ran.code == self._case.code, f"exit code {ran.code}\n{said}"
        for words in self._case.says:
            assert self._fill(words) in said, f"{self._fill(words)!r} is missing\n{said}"
        assert "Traceback" not in said, said
        told = ran.err[ran.err.rindex("✗ ") :] if "✗ " in ran.err else ""
        lines = [line for line in told.splitlines() if line.startswith("  ")]
        heads = [line for line in lines if not line.startswith("   ")]
        mends = [line for line in lines if line.startswith("    mend: ")]
        assert heads and len(mends) == len(heads), f"{len(heads)} problems, not all mended\n{said}"


_LOOK = """
import hashlib, json, os, subprocess
def docker(*words):
    return sorted(subprocess.run(["docker", *words], capture_output=True, text=True, check=True)
                  .stdout.splitlines())
files = {}
for top, folders, names in os.walk("/opt"):
    for name in folders + names:
        path = os.path.join(top, name)
        about = os.lstat(path)
        text = [about.st_mode, about.st_uid, about.st_gid]
        if os.path.islink(path):
            text.append(os.readlink(path))
        elif os.path.isfile(path):
            text.append(hashlib.sha256(open(path, "rb").read()).hexdigest())
        files[path] = text
print(json.dumps({
    "containers": docker("ps", "-a", "--no-trunc", "--format", "{{.ID}} {{.Names}} {{.State}}"),
    "images": docker("images", "--no-trunc", "--format", "{{.ID}} {{.Repository}}:{{.Tag}}"),
    # Docker makes its own bridge anew whenever it starts
    "networks": [one for one in docker("network", "ls", "--format", "{{.ID}} {{.Name}}")
                 if not one.endswith(" bridge")],
    "volumes": docker("volume", "ls", "-q"),
    "files": files,
    "journal": open("/opt/blog/journal.jsonl").read().splitlines(),
}))
"""
#: what a run that is refused writes besides its records: its events, who held the lock, and which
#: version the Compose that it found is of; and what the schedule writes, whose quarter of an hour
#: may be over at any moment
_OWN = (
    "/opt/blog/logs/",
    "/opt/blog/lock",
    "/opt/blog/journal.jsonl",
    "/opt/homeport/compose-version",
    "/opt/homeport/schedule.lock",
    "/opt/homeport/scheduled",
)


def fingerprint(stage: Stage) -> dict[str, Any]:
    """All of a host that a refusal must leave alone, and the journal."""
    found: dict[str, Any] = json.loads(stage.on_host("python3", "-I", "-c", _LOOK))
    found["files"] = {
        path: about
        for path, about in found["files"].items()
        if not path.startswith(_OWN) and "/__pycache__/" not in path
    }
    return found


def unchanged(before: dict[str, Any], after: dict[str, Any], journal: tuple[str, ...]) -> None:
    """Nothing differs but records of these kinds at the journal's end."""
    for key in ("containers", "images", "networks", "volumes"):
        assert before[key] == after[key], f"{key} changed: {before[key]} → {after[key]}"
    paths = before["files"].keys() | after["files"].keys()
    differ = [path for path in paths if before["files"].get(path) != after["files"].get(path)]
    assert not differ, f"files changed: {sorted(differ)}"
    kept, told = before["journal"], after["journal"]
    assert told[: len(kept)] == kept, "the journal was rewritten"
    kinds = [json.loads(line)["k"] for line in told[len(kept) :]]
    assert set(kinds) <= set(journal), f"the journal has new records: {kinds}"
