"""What a backup costs beside a plain copy of the file, and what the agent takes meanwhile."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench import evidence
from saved import MakeSaved, Saved

pytestmark = pytest.mark.docker
DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
SIZE, ROWS = 200 * 1024 * 1024, 200_000
TIMES = 5
#: the promise: a backup in so many times of a plain copy, by an agent of so many bytes
MOST, RSS = 3.0, 50 * 1024 * 1024
AGENT = """
import json, os, re, sys, time
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from homeport.host import sets
from homeport.host.context import Context
from homeport.host.engine import Engine
from homeport.host.oneshot import Bind, OneShot
from homeport.host.paths import Paths
from homeport.model import Request
paths = Paths(sys.argv[2], Path(sys.argv[3]))
ctx = Context(paths, Engine(), Request("backup", paths.app), "r", lambda event: None)
release = ctx.release("r0001-1a2b3c4")
begun, made = time.monotonic(), None
if sys.argv[4] == "set":
    made = sets.take(ctx, release, "its cost").id
else:
    folder = paths.folder / "copies"
    folder.mkdir(exist_ok=True)
    os.chmod(folder, 0o2770)
    copy = "cp /app/data/food.bin /copies/x && sync /copies/x"
    binds = {"/copies": Bind(str(folder), True)}
    done = OneShot(ctx, release).run(["sh", "-c", copy], within=60, binds=binds, network="")
    assert done.code == 0, done.err
took = time.monotonic() - begun
# not ru_maxrss: Linux hands that of whoever forked this process on through its exec
peak = re.search(r"VmHWM:\\s*(\\d+) kB", Path("/proc/self/status").read_text())
rss = int(peak[1]) * 1024
print(json.dumps({"set": made, "seconds": took, "rss": rss}))
"""


def large(app: Saved) -> Path:
    """A database of 200 MB, with nothing in its log."""
    path = app.data / "food.bin"
    opened = sqlite3.connect(path)
    opened.execute("PRAGMA journal_mode = WAL")
    opened.execute("CREATE TABLE food (id INTEGER PRIMARY KEY, name TEXT, pad BLOB)")
    pad = SIZE // ROWS - 30
    rows = ((f"food {n}", os.urandom(pad)) for n in range(ROWS))
    opened.executemany("INSERT INTO food (name, pad) VALUES (?, ?)", rows)
    opened.commit()
    opened.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    opened.close()
    app.owned()
    assert path.stat().st_size > 0.95 * SIZE
    return path


def bare_copy(path: Path, to: Path) -> float:
    """Seconds that root's ``cp`` on the host takes, until ``sync`` says that it is on the disk."""
    begun = time.monotonic()
    subprocess.run(["cp", str(path), str(to)], check=True)
    subprocess.run(["sync", str(to)], check=True)
    took = time.monotonic() - begun
    to.unlink()
    return took


def agent(app: Saved, what: str) -> dict[str, float]:
    """A set taken, or the file copied, by an agent of its own as on a host."""
    words = [sys.executable, "-I", "-c", AGENT, str(DEPLOY), app.name, str(app.root), what]
    done = subprocess.run(words, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    found = dict(json.loads(done.stdout.splitlines()[-1]))
    made = app.paths.backups / str(found["set"]) if found["set"] else app.paths.folder / "copies"
    assert sum(one.stat().st_size for one in made.iterdir()) > 0.95 * SIZE
    shutil.rmtree(made)
    return found


def test_a_backup_costs_little_more_than_a_copy(make_saved: MakeSaved) -> None:
    """At most three times a plain copy's time, in turns with it; the agent stays small.

    The agent may not read an app's files: a plain copy of one is ``cp`` in a one-shot container,
    as the app's user. What root's ``cp`` takes on the host is kept beside it. The least of each is
    what it takes; the rest is what else the machine did.
    """
    app = make_saved()
    path = large(app)
    app.up()
    agent(app, "copy")
    bare, copies, backups = [], [], []
    for _ in range(TIMES):
        bare.append(bare_copy(path, app.paths.folder / "copy"))
        copies.append(agent(app, "copy")["seconds"])
        backups.append(agent(app, "set"))
    backup = min(one["seconds"] for one in backups)
    rss = max(one["rss"] for one in backups)
    evidence.add(
        "data",
        backup_s=round(backup, 3),
        backup_copy_s=round(min(copies), 3),
        backup_bare_copy_s=round(min(bare), 3),
        backup_cost_ratio=round(backup / min(copies), 2),
        backup_bare_cost_ratio=round(backup / min(bare), 2),
        agent_rss_mb=round(rss / 1024 / 1024, 1),
    )
    assert rss <= RSS and backup <= MOST * min(copies), (bare, copies, backups)
