"""What an app keeps on a disk: whole files, a journal that survives tearing, a lock that dies."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from homeport import wire
from homeport.errors import Busy, HostFault
from homeport.host import agent
from homeport.host.paths import Paths, point, write
from homeport.host.store import BALLAST, Lock, Store
from homeport.model import Release, Request, Settings
from tinyapp.driver import wait

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
SUDO = [] if os.getuid() == 0 else ["sudo", "-n"]


def python(code: str, *words: str) -> subprocess.Popen[str]:
    """Another process that runs the engine's own code; it says ``ready`` by a line."""
    text = f"import sys; sys.path.insert(0, {str(DEPLOY)!r})\n{code}"
    return subprocess.Popen([sys.executable, "-c", text, *words], stdout=subprocess.PIPE, text=True)


def said(child: subprocess.Popen[str]) -> str:
    """The next line a child prints."""
    assert child.stdout is not None
    return child.stdout.readline().strip()


def kill(child: subprocess.Popen[str]) -> None:
    """End a child as a power cut would."""
    child.send_signal(signal.SIGKILL)
    child.wait(10)
    assert child.stdout is not None
    child.stdout.close()


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    """The folders of an app on a host that was set up."""
    found = Paths("kept", tmp_path)
    found.folder.mkdir()
    found.sockets.mkdir(parents=True)
    return found


@pytest.fixture
def store(paths: Paths) -> Store:
    """The app's files."""
    return Store(paths)


def release(number: int) -> Release:
    """A release by number."""
    id_ = f"r{number:04d}-1a2b3c4"
    link = f"unix//run/homeport/kept/r{number:04d}/app.sock"
    return Release(
        id_, "img", "", "f" * 16, link, "overlap", "web", ("web",), 1.5, Settings("kept")
    )


# --- files ---------------------------------------------------------------------------------------
_WRITER = """
from pathlib import Path
from homeport.host.paths import write
path, n = Path(sys.argv[1]), 0
print("ready", flush=True)
while True:
    n += 1
    write(path, bytes([65 + n % 26]) * 300_000, 0o600)
"""


def test_a_killed_writer_leaves_the_file_whole(tmp_path: Path) -> None:
    """However a writer dies, its file holds one writing, whole; a later writer is not hindered."""
    path = tmp_path / "kept"
    write(path, b"@" * 300_000, 0o600)
    contents = set()
    for round_ in range(12):
        child = python(_WRITER, str(path))
        assert said(child) == "ready"
        seen = path.read_bytes()
        wait(lambda: path.read_bytes() != seen, "the writer writes")
        time.sleep(0.001 * round_)
        kill(child)
        content = path.read_bytes()
        assert len(content) == 300_000 and len(set(content)) == 1
        contents.add(content[:1])
    assert len(contents) > 1
    write(path, "afterwards")
    assert path.read_text() == "afterwards" and path.stat().st_mode & 0o777 == 0o644


def test_a_file_has_its_mode_before_it_has_its_name(tmp_path: Path) -> None:
    """A secret is 0600 whatever the umask and whatever was there before."""
    before = os.umask(0)
    try:
        write(tmp_path / "env", "old=1", 0o644)
        write(tmp_path / "env", "SECRET=1", 0o600)
    finally:
        os.umask(before)
    assert (tmp_path / "env").stat().st_mode & 0o777 == 0o600
    assert [one.name for one in tmp_path.iterdir()] == ["env"]


def test_a_symbolic_link_is_replaced_in_one_go(tmp_path: Path) -> None:
    """Pointing again moves the link, also over what a crash left of an earlier try."""
    (tmp_path / ".current.new").symlink_to("nowhere")
    point(tmp_path / "current", "releases/r0001")
    point(tmp_path / "current", "releases/r0002")
    assert os.readlink(tmp_path / "current") == "releases/r0002"


def test_the_link(store: Store) -> None:
    """A missing link and one of garbage bytes read as no link; a written one as it was written."""
    assert store.read_link() is None
    store.paths.link.write_bytes(b"\xff\xfe\x00")
    assert store.read_link() is None
    store.write_link("unix//run/homeport/kept/r0001/app.sock")
    assert store.read_link() == "unix//run/homeport/kept/r0001/app.sock"


# --- releases ------------------------------------------------------------------------------------
def test_releases_are_whole_or_not_there(store: Store) -> None:
    """A release comes back as written, in order of number; halves and garbage are passed over."""
    for number in (10, 2, 1):
        store.write_release(release(number), {"services": {}}, "A=1\n", "services: {}\n")
    (store.paths.releases / "r0003-1a2b3c4").mkdir()
    (store.paths.releases / "r0004-1a2b3c4").mkdir()
    (store.paths.releases / "r0004-1a2b3c4" / "release.json").write_text("{torn")
    (store.paths.releases / ".r0005-1a2b3c4.new").mkdir()
    assert store.releases() == (release(1), release(2), release(10))
    assert store.env_file(release(2)).stat().st_mode & 0o777 == 0o600
    kept = store.paths.releases / release(2).id / "compose.json"
    assert json.loads(kept.read_text()) == {"services": {}}


def test_a_release_can_be_written_again_and_dropped_twice(store: Store) -> None:
    """Writing over a half and dropping what is gone are nothing special."""
    half = store.paths.releases / f".{release(1).id}.new"
    half.mkdir(parents=True)
    (half / "left").write_text("by a crash")
    store.write_release(release(1), {}, "A=1\n", "services: {}\n")
    store.write_release(release(1), {}, "A=2\n", "services: {}\n")
    assert store.env_file(release(1)).read_text() == "A=2\n"
    store.drop_release(release(1).id)
    store.drop_release(release(1).id)
    assert store.releases() == () and list(store.paths.releases.iterdir()) == []


def test_current_is_derived_and_may_be_missing(store: Store) -> None:
    """``current`` names a release, or nothing."""
    assert store.current() == ""
    store.set_current(release(7))
    assert store.current() == "r0007-1a2b3c4"


# --- the journal ---------------------------------------------------------------------------------
def test_a_torn_line_swallows_nothing(store: Store) -> None:
    """What a power cut tore is counted; the record after it is read."""
    assert store.history().runs == ()
    store.append({"k": "begin", "run": "one", "verb": "deploy", "release": "r0001-1a2b3c4"})
    with open(store.paths.journal, "ab") as journal:
        journal.write(b'{"v":1,"t":12,"k":"inte')
    store.append({"k": "begin", "run": "two", "verb": "deploy", "release": "r0002-1a2b3c4"})
    found = store.history()
    assert [one.id for one in found.runs] == ["one", "two"]
    assert (found.garbled, found.highest) == (1, 2)


_APPENDER = """
from pathlib import Path
from homeport.host.paths import Paths
from homeport.host.store import Store
store = Store(Paths("kept", Path(sys.argv[1])))
n = 0
while True:
    n += 1
    store.append({"k": "begin", "run": f"{sys.argv[2]}-{n}", "verb": "deploy"})
    print(n, flush=True)
"""


def test_what_append_returned_from_is_kept(store: Store) -> None:
    """Every record whose writing returned is read back, though its writer was killed."""
    told = {}
    for round_ in range(4):
        child = python(_APPENDER, str(store.paths.root), str(round_))
        for _ in range(20):
            told[round_] = int(said(child))
        kill(child)
    runs = {one.id for one in store.history().runs}
    for round_, last in told.items():
        assert {f"{round_}-{n}" for n in range(1, last + 1)} <= runs


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Store]:
    """An app on a small disk of its own."""
    disk = tmp_path / "disk"
    disk.mkdir()
    options = f"size=4m,uid={os.getuid()}"
    subprocess.run([*SUDO, "mount", "-t", "tmpfs", "-o", options, "tmpfs", str(disk)], check=True)
    try:
        paths = Paths("kept", disk)
        paths.folder.mkdir()
        yield Store(paths)
    finally:
        subprocess.run([*SUDO, "umount", str(disk)], check=True)


def fill(folder: Path) -> int:
    """Write until the disk is full; the bytes that went in."""
    written = 0
    with open(folder / "filler", "ab", buffering=0) as filler:
        while True:
            try:
                written += filler.write(b"\0" * 4096)
            except OSError:
                return written


def test_a_full_disk_frees_the_ballast(full_disk: Store) -> None:
    """On a full disk the ballast makes room for the journal; with none left it is a fault said."""
    full_disk.append({"k": "begin", "run": "one", "verb": "deploy"})
    full_disk.keep_ballast()
    full_disk.keep_ballast()
    assert full_disk.paths.ballast.stat().st_size == BALLAST
    assert fill(full_disk.paths.folder) > BALLAST
    before = full_disk.paths.journal.stat().st_size
    room = 4096 - before % 4096
    full_disk.append({"k": "end", "run": "one", "sentence": "x" * (room + 4096)})
    assert not full_disk.paths.ballast.exists()
    assert full_disk.history().run("one").end is not None  # type: ignore[union-attr]
    fill(full_disk.paths.folder)
    full_disk.keep_ballast()
    assert not full_disk.paths.ballast.exists()
    with pytest.raises(HostFault) as caught:
        full_disk.append({"k": "begin", "run": "two", "why": "y" * 8192})
    assert "No space left" in caught.value.problems[0].why
    (full_disk.paths.folder / "filler").unlink()
    full_disk.append({"k": "begin", "run": "three", "verb": "deploy"})
    assert [one.id for one in full_disk.history().runs] == ["one", "three"]


# --- the lock ------------------------------------------------------------------------------------
_HOLDER = """
import subprocess, time
from pathlib import Path
from homeport.host.store import Lock
lock = Lock(Path(sys.argv[1]))
lock.take({"run": "r1", "verb": "deploy", "who": "anna"})
child = subprocess.Popen(["sleep", "60"], stdout=subprocess.DEVNULL)
print(child.pid, flush=True)
time.sleep(60)
"""


def test_the_lock_dies_with_its_holder(paths: Paths) -> None:
    """Held, it says by whom; killed, its holder lets go at once, though a child of it lives on."""
    holder = python(_HOLDER, str(paths.lock))
    child = int(said(holder))
    lock = Lock(paths.lock)
    assert lock.held()["who"] == "anna"
    begun = time.monotonic()
    with pytest.raises(Busy) as caught:
        lock.take({"run": "r2"}, within=0.3)
    assert time.monotonic() - begun >= 0.3
    assert caught.value.code == 31 and caught.value.retry
    problem = caught.value.problems[0]
    assert "deploy r1 by anna holds the app" in problem.what and "attach" in problem.mend
    kill(holder)
    os.kill(child, 0)
    try:
        assert lock.held() == {}
        lock.take({"run": "r2"})
    finally:
        os.kill(child, signal.SIGKILL)
    lock.release()
    lock.release()


def test_a_lock_that_is_let_go_can_be_waited_for(paths: Paths) -> None:
    """Who waits gets the lock as soon as it is free, and the file says so."""
    first, second = Lock(paths.lock), Lock(paths.lock)
    assert first.held() == {} and first.holder() == {}
    first.take({"run": "a"})
    with pytest.raises(Busy):
        second.take({"run": "b"})
    first.release()
    second.take({"run": "b"}, within=1.0)
    assert first.held()["run"] == "b" and first.held()["pid"] == os.getpid()
    second.release()


def test_a_lock_file_of_garbage_still_locks(paths: Paths) -> None:
    """What the file says is for people; the lock itself is the kernel's."""
    lock, other = Lock(paths.lock), Lock(paths.lock)
    lock.take({"run": "a"})
    for garbage in ("", "[1]"):
        paths.lock.write_text(garbage)
        assert other.held() == {"run": "?"}
        with pytest.raises(Busy):
            other.take({"run": "b"})
    lock.release()
    other.take({"run": "b"})
    other.release()


# --- a disk that can only be read ----------------------------------------------------------------
def answered(verb: str) -> list[dict[str, Any]]:
    """What the agent's door says to a verb."""
    out = io.BytesIO()
    agent.main(wire.encode(Request(verb, "kept")), io.BytesIO(), out)
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_a_disk_that_can_only_be_read_is_called_so(
    full_disk: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What changes is refused as a fault of the host, not of its setup; what reads goes on."""
    root = full_disk.paths.root
    monkeypatch.setenv("HOMEPORT_ROOT", str(root))
    full_disk.paths.sockets.mkdir(parents=True)
    full_disk.append({"k": "begin", "run": "one", "verb": "freeze"})
    subprocess.run([*SUDO, "mount", "-o", "remount,ro", str(root)], check=True)
    verdict = answered("recover")[-1]
    assert (verdict["code"], verdict["problems"][0]["mend"][:15]) == (60, "homeport doctor")
    assert "can only be read" in verdict["sentence"]
    data, verdict = answered("history")
    assert [one["run"] for one in data["data"]] == ["one"] and verdict["code"] == 0


def test_what_dead_runs_left_half_made_goes(store: Store, paths: Paths) -> None:
    """And nothing else: neither what is whole, nor what an upload writes meanwhile."""
    for folder in (paths.releases, paths.backups, paths.sockets, paths.slot("r0001")):
        folder.mkdir(parents=True, exist_ok=True)
    store.write_release(release(1), {}, "", "")
    kept = paths.backups / ".sent.new", paths.backups / "20260101T000000-abcd"
    left = (
        *(paths.releases / f".{release(2).id}.{end}" for end in ("new", "gone")),
        paths.backups / ".20260102T000000-abcd.new",
        paths.backups / ".scratch-20260102T000000-abcd",
    )
    for one in (*left, kept[1]):
        (one / "deep").mkdir(parents=True)
    torn = paths.sockets / ".live.new", paths.folder / ".current.new", paths.folder / "..env.new"
    for path in (*torn[::2], kept[0], paths.slot("r0001") / "app.sock"):
        path.write_text("half")
    torn[1].symlink_to("releases/nowhere")
    store.sweep()
    assert not [one for one in (*left, *torn) if one.exists() or one.is_symlink()]
    assert all(one.exists() for one in (*kept, paths.slot("r0001") / "app.sock"))
    assert [one.id for one in store.releases()] == [release(1).id]
    store.sweep()
