"""A set goes off the box while the app is free: what happens meanwhile, and a death in it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from homeport import wire
from homeport.backups import Backup, Manifest, Verified
from homeport.core import journal, offsite, plan_data
from homeport.errors import Busy, HostFault
from homeport.host import detach, endings, kept, offsite_memory, ops_kept, records, sets, uploading
from homeport.host.context import Context
from homeport.host.engine import Engine
from homeport.host.paths import Paths
from homeport.host.store import Lock
from homeport.model import Request
from homeport.planned import Verdict
from lab.restic import ensure_restic

OLD, NEW = "20260101T030000-aaaa", "20260102T030000-bbbb"
RUN, LATER = "20260102T030000-0001", "20260102T030000-0002"
#: bytes of a set, and the KiB a second that the slow line takes: some seconds for each
SIZE, SLOW = 1_500_000, 400
PATIENCE = 60.0


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    """A host with a verified set and the keys of a repository that is not there yet."""
    made = Paths("food", tmp_path / "opt")
    made.backups.mkdir(parents=True)
    made.restic_env.write_text("RESTIC_PASSWORD=for-a-test\n")
    made.restic_env.chmod(0o600)
    save(made, OLD)
    return made


@pytest.fixture
def rules(tmp_path: Path) -> Backup:
    """What sends each set to that repository."""
    return Backup(offsite=str(tmp_path / "repo"))


def save(paths: Paths, name: str) -> None:
    """A set that counts."""
    folder = paths.backups / name
    folder.mkdir()
    (folder / "0.sqlite").write_bytes(os.urandom(SIZE))
    (folder / "manifest.json").write_bytes(wire.encode(Manifest(name, "food", "r0001-abc", 1.0)))
    (folder / "verified.json").write_bytes(wire.encode(Verified(name, 2.0, True)))


def context(paths: Paths, run: str = RUN) -> tuple[Context, list[dict[str, object]]]:
    """A run's hands, and what it tells."""
    told: list[dict[str, object]] = []
    tell = lambda event: told.append(dict(event))  # noqa: E731 - a line is all it is
    return Context(paths, Engine(), Request("backup", "food"), run, tell), told


def saved(ctx: Context) -> Verdict:
    """A run that has made a set and ended."""
    records.begin(ctx, "", "")
    verdict = Verdict("backed-up", 0, "it is saved and verified", "", ctx.run)
    return records.end(ctx, verdict)


#: one whole upload by a process of its own, as an executor makes it after it let the app go
SENDER = """
import sys
from pathlib import Path
sys.path[:0] = sys.argv[4:]
import test_offsite_aside as here
from homeport.backups import Backup
from homeport.core import plan_data
from homeport.host import uploading
from homeport.host.paths import Paths
ctx, _ = here.context(Paths("food", Path(sys.argv[1])), sys.argv[3])
verdict = uploading.carry(ctx, plan_data.away(Backup(offsite=sys.argv[2])), here.saved(ctx))
print(verdict.code, verdict.sentence)
"""
Sender = Callable[[], "subprocess.Popen[str]"]


@pytest.fixture
def sender(paths: Paths, rules: Backup, tmp_path: Path) -> Iterator[Sender]:
    """Starts an upload over a slow line, and comes back once it is on its way."""
    program = ensure_restic(print)
    slow = tmp_path / "bin"
    slow.mkdir()
    (slow / "restic").write_text(f'#!/bin/sh\nexec {program} --limit-upload {SLOW} "$@"\n')
    (slow / "restic").chmod(0o755)
    env = {**os.environ, "PATH": f"{slow}:{os.environ['PATH']}"}
    folders = [str(Path(__file__).parent), *(one for one in sys.path if one)]
    words = [sys.executable, "-c", SENDER, str(paths.root), rules.offsite, RUN, *folders]
    made: list[subprocess.Popen[str]] = []

    def begin() -> subprocess.Popen[str]:
        child = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=env)
        made.append(child)
        until(lambda: any(tmp_path.glob("repo/locks/*")), child)
        return child

    yield begin
    for child in made:
        child.kill()
        child.communicate()


def until(condition: Callable[[], bool], child: subprocess.Popen[str]) -> None:
    """Wait for a condition while a process lives."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert child.poll() is None and time.monotonic() < end
        time.sleep(0.02)


def standing(paths: Paths, rules: Backup) -> str:
    """What status says of it."""
    known = offsite_memory.known(paths)
    return offsite.sentence(known, rules, time.time(), kept.newest(paths))


def history(paths: Paths) -> journal.History:
    """What the app's journal tells."""
    return journal.fold(paths.journal.read_text().split("\n"))


def test_the_app_is_free_while_a_set_is_on_its_way(
    paths: Paths, rules: Backup, sender: Sender
) -> None:
    """Nobody waits for the line, nothing takes the set away, and what is newer goes after it."""
    child = sender()
    lock = Lock(paths.lock)
    lock.take({"verb": "deploy"})
    # the run has ended for everybody who reads the journal: nothing is there to recover
    run = history(paths).run(RUN)
    assert run and run.good and history(paths).unfinished == ()
    assert f"{OLD} is on its way" in standing(paths, rules)
    save(paths, NEW)
    sets.sweep(paths)
    ctx, _ = context(paths, LATER)
    said = ops_kept.prune_sets(ctx, {"sets": [OLD]})
    assert said.startswith(f"0 sets let go; {OLD} is on its way")
    # a second one leaves its set to the first
    verdict = uploading.carry(ctx, plan_data.away(rules), saved(ctx))
    assert verdict.code == 0 and f"run {RUN} is sending, and sends it next" in verdict.sentence
    assert child.poll() is None, "the line is too fast for this test to say anything"
    with pytest.raises(Busy, match="holds the way off the box"):
        with uploading.alone(ctx, "backup-drill"):
            pass
    out, _ = child.communicate(timeout=PATIENCE)
    assert out.split(" ", 1) == ["0", f"it is saved and verified; {NEW} is off the box\n"]
    assert "on its way" not in standing(paths, rules) and NEW in standing(paths, rules)
    assert ops_kept.prune_sets(ctx, {"sets": [OLD]}) == "1 sets let go"
    assert not (paths.backups / OLD).exists()
    lock.release()


def test_an_upload_that_is_killed_is_made_up(paths: Paths, rules: Backup, sender: Sender) -> None:
    """Status says so at once, nothing is to be recovered, and the next backup sends it."""
    child = sender()
    child.send_signal(signal.SIGKILL)
    child.wait(PATIENCE)
    assert history(paths).unfinished == ()
    worry, _ = offsite.cautions(offsite_memory.known(paths), rules, time.time())
    assert worry.what.startswith(f"the upload of {OLD} was cut short")
    assert f"{OLD} is on this host only" in standing(paths, rules)
    ctx, told = context(paths, LATER)
    verdict = uploading.carry(ctx, plan_data.away(rules), saved(ctx))
    assert verdict.code == 0, told
    assert offsite_memory.newest(paths) == OLD
    assert offsite.cautions(offsite_memory.known(paths), rules, time.time()) == []


def test_whoever_follows_is_told_of_a_death_by_the_guardian(
    paths: Paths, rules: Backup, sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The executor died in the upload: the verdict tells what is safe, and that it is not away."""

    def died(app: str, run: str, request: bytes) -> int:
        child = sender()
        child.kill()
        child.wait(PATIENCE)
        return 137

    monkeypatch.setenv("HOMEPORT_ROOT", str(paths.root))
    monkeypatch.setattr(detach, "_forked", died)
    paths.runs.mkdir(parents=True)
    reading, writing = os.pipe()
    os.write(writing, wire.frame(wire.encode({"verb": "backup", "app": "food"})))
    os.close(writing)
    with os.fdopen(reading) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        assert detach.guardian("food", RUN) == 0
    (verdict,) = [one for one in endings.told(paths, RUN) if one.get("e") == "verdict"]
    assert (verdict["outcome"], verdict["code"]) == ("failed", 1)
    said = f"it is saved and verified; the upload of {OLD} was cut short"
    assert verdict["sentence"] == said


def test_a_line_that_is_down_leaves_a_set_that_counts(paths: Paths, rules: Backup) -> None:
    """Verdict and journal say both; status goes on saying it until the next one got there."""
    ensure_restic(print)
    down = Backup(offsite="rest:http://127.0.0.1:9/nobody/")
    ctx, _ = context(paths)
    verdict = uploading.carry(ctx, plan_data.away(down), saved(ctx))
    assert (verdict.outcome, verdict.code) == ("failed", HostFault.code)
    assert verdict.sentence.startswith("it is saved and verified; it is not off the box: ")
    run = history(paths).run(RUN)
    assert run and run.end and run.end["sentence"] == verdict.sentence
    worry = offsite.cautions(offsite_memory.known(paths), down, time.time())[0]
    assert (worry.what, worry.why) == (
        "the last upload came to nothing",
        "the repository cannot be reached",
    )
    ctx, _ = context(paths, LATER)
    assert uploading.carry(ctx, plan_data.away(rules), saved(ctx)).code == 0
    assert offsite.cautions(offsite_memory.known(paths), rules, time.time()) == []
