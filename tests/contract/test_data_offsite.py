"""Sets in a real restic repository on a local path: there and back, and all that can be wrong."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bench import evidence
from homeport.core import restic
from homeport.errors import HostFault
from homeport.host import offsite, offsite_memory
from homeport.host.paths import Paths
from homeport.host.restic import Absent, Locked, Restic, Unreachable, Unreadable, WrongKey
from lab.restic import ensure_restic

KEY = "RESTIC_PASSWORD='a long enough password'\n"
OLD, NEW = "20260101T030000-aaaa", "20260102T030000-bbbb"


@pytest.fixture(autouse=True, scope="module")
def _restic() -> None:
    ensure_restic(print)


def prepared(folder: Path) -> Paths:
    """A host's folders with two sets, the second a little different from the first."""
    made = Paths("food", folder / "opt")
    rows = os.urandom(3_000_000)
    for name, more in ((OLD, b""), (NEW, os.urandom(20_000))):
        folder = made.folder / "backups" / name
        folder.mkdir(parents=True)
        (folder / "0.sqlite").write_bytes(rows)
        # a file of its own: where restic cuts a large one is drawn anew for each repository
        (folder / "1.sqlite").write_bytes(more)
        (folder / "manifest.json").write_text(json.dumps({"id": name}))
    return made


@pytest.fixture
def fresh(tmp_path: Path) -> Paths:
    """A host that has sent nothing yet."""
    return prepared(tmp_path)


@pytest.fixture(scope="module")
def templates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Hosts that have sent both their sets, or the newer alone, to a repository beside them."""
    made = {}
    for name, sets in (("both", (OLD, NEW)), ("one", (NEW,))):
        made[name] = tmp_path_factory.mktemp(name)
        sent(prepared(made[name]), made[name] / "repo", *sets)
    return made


@pytest.fixture
def which() -> str:
    """The host that a test spoils; parametrize it for the other."""
    return "both"


@pytest.fixture
def paths(templates: dict[str, Path], which: str, tmp_path: Path) -> Paths:
    """That host's folders, to spoil; its repository is ``tmp_path / "repo"``."""
    shutil.copytree(templates[which], tmp_path, dirs_exist_ok=True)
    made = Paths("food", tmp_path / "opt")
    before = offsite_memory.known(made)
    assert before is not None
    offsite_memory.remember(made, str(tmp_path / "repo"), id=before.id, set=NEW, at=1.0)
    return made


def vault(paths: Paths, repository: Path | str, keys: str = KEY) -> offsite.Vault:
    """The way to a repository."""
    return offsite.Vault(paths, Restic(paths, str(repository), keys, lambda text: text))


def nothing(done: int, total: int) -> None:
    """Progress that nobody looks at."""


def sent(paths: Paths, repository: Path, *names: str) -> offsite.Vault:
    """A repository with these sets."""
    way = vault(paths, repository)
    mark = way.open(make=True)
    for name in names or (OLD, NEW):
        way.send(name, paths.folder / "backups" / name, nothing)
        offsite_memory.remember(paths, way.shown, id=mark, set=name, at=1.0)
    return way


def content(folder: Path) -> dict[str, bytes]:
    """What is in a folder."""
    return {one.name: one.read_bytes() for one in folder.iterdir()}


def test_a_set_comes_back_as_it_was_on_a_host_that_knows_only_repository_and_password(
    fresh: Paths, tmp_path: Path
) -> None:
    """The first use makes the repository; what differs little adds little; each byte comes back."""
    told: list[tuple[int, int]] = []
    way = sent(fresh, tmp_path / "repo", OLD)
    second = way.send(NEW, fresh.folder / "backups" / NEW, lambda *one: told.append(one))
    assert second.size > 3_000_000 > 1_500_000 > second.added > 0
    assert told
    other = Paths("food", tmp_path / "other")
    there = vault(other, tmp_path / "repo")
    there.open()
    copies = there.copies()
    assert [one.set for one in copies] == [OLD, NEW]
    for copy in copies:
        back = there.fetch(copy, other.folder / "scratch", nothing)
        assert content(back) == content(fresh.folder / "backups" / copy.set)


def test_the_password_is_on_no_command_line_and_in_no_file(
    fresh: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A restic that writes down how it was called was told the password by environment only."""
    spy, log = tmp_path / "bin" / "restic", tmp_path / "log"
    spy.parent.mkdir()
    real = shutil.which("restic")
    spy.write_text(
        f'#!/bin/sh\ntr "\\0" " " < /proc/$$/cmdline >> {log}.argv\n'
        f'env >> {log}.env\nexec {real} "$@"\n'
    )
    spy.chmod(0o755)
    monkeypatch.setenv("PATH", f"{spy.parent}:{os.environ['PATH']}")
    way = sent(fresh, tmp_path / "repo")
    way.prune(1, 1, 1)
    way.check()
    way.fetch(way.copies()[-1], tmp_path / "back", nothing)
    assert "snapshots" in Path(f"{log}.argv").read_text()
    assert "long enough" not in Path(f"{log}.argv").read_text()
    assert "a long enough password" in Path(f"{log}.env").read_text()
    found = subprocess.run(
        ["grep", "-rlF", "a long enough password", str(fresh.root), str(tmp_path / "repo")],
        capture_output=True,
        text=True,
    )
    assert found.stdout == ""


# --- what can be wrong ---------------------------------------------------------------------------
def packs(repository: Path) -> list[Path]:
    """The repository's packs, the largest first: those hold data."""
    found = [one for one in (repository / "data").rglob("*") if one.is_file()]
    return sorted(found, key=lambda one: -one.stat().st_size)


def flip(path: Path) -> None:
    """Turn a byte in the middle over."""
    path.chmod(0o600)
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 0xFF
    path.write_bytes(raw)


def cut(path: Path) -> None:
    """Take the second half away."""
    path.chmod(0o600)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _all(act: Callable[[Path], None], found: list[Path]) -> None:
    for one in found:
        act(one)


DAMAGE: dict[str, tuple[Callable[[Path], None], type[HostFault]]] = {
    "a byte of the data turned over": (lambda at: _all(flip, packs(at)[:1]), Unreadable),
    "a pack cut short": (lambda at: _all(cut, packs(at)[:1]), Unreadable),
    "a pack gone": (lambda at: packs(at)[0].unlink(), Unreadable),
    "all that says what is where gone": (
        lambda at: _all(Path.unlink, list((at / "index").iterdir())),
        Unreadable,
    ),
    "what says what is where turned over": (
        lambda at: _all(flip, list((at / "index").iterdir())),
        Unreadable,
    ),
    "a snapshot turned over": (
        lambda at: _all(flip, list((at / "snapshots").iterdir())),
        HostFault,
    ),
    "the repository's own record gone": (lambda at: (at / "config").unlink(), Absent),
    "the repository's own record turned over": (lambda at: flip(at / "config"), HostFault),
    "the key gone": (lambda at: _all(Path.unlink, list((at / "keys").iterdir())), WrongKey),
    "everything gone": (lambda at: shutil.rmtree(at), Absent),
}


FOUND: dict[str, int] = {"tried": 0, "missed": 0}


@pytest.fixture(scope="module")
def tally() -> Iterator[dict[str, int]]:
    """Counts what was tried, and notes it at the end."""
    FOUND.update(tried=0, missed=0)
    yield FOUND
    told = {"damaged_repositories": FOUND["tried"], "damaged_repositories_missed": FOUND["missed"]}
    evidence.add("data", **told)


# of two sets, what is spoilt could be the older one's alone
@pytest.mark.parametrize("which", ["one"])
@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_repository_is_found_and_named(
    name: str, paths: Paths, tmp_path: Path, tally: dict[str, int]
) -> None:
    """Whatever lies there damaged: no set comes back from it as if it were well."""
    spoil, kind = DAMAGE[name]
    repository = tmp_path / "repo"
    spoil(repository)
    shutil.rmtree(paths.home / "cache")
    way = vault(paths, repository)
    tally["tried"] += 1
    tally["missed"] += 1
    with pytest.raises(kind) as seen:
        way.open()
        way.check()
        way.fetch(way.copies()[-1], tmp_path / "back", nothing)
    tally["missed"] -= 1
    (problem,) = seen.value.problems
    assert str(repository) in problem.where and problem.mend and problem.why


@pytest.mark.parametrize("which", ["one"])
def test_a_byte_that_turned_over_is_found_by_bringing_the_set_back_alone(
    paths: Paths, tmp_path: Path
) -> None:
    """A check of what is there does not read the data: only a set that came back is proof."""
    way = vault(paths, tmp_path / "repo")
    flip(packs(tmp_path / "repo")[0])
    way.check()
    with pytest.raises(Unreadable):
        way.fetch(way.copies()[-1], tmp_path / "back", nothing)


def test_a_set_that_would_lead_out_of_its_folder_is_not_taken(paths: Paths, tmp_path: Path) -> None:
    """Whoever has the password may send what is no set: a link in it is not followed."""
    name = "20260103T030000-cccc"
    folder = paths.backups / name
    folder.mkdir()
    (folder / "manifest.json").write_text("{}")
    (folder / "0.sqlite").symlink_to("/etc/shadow")
    way = vault(paths, tmp_path / "repo")
    way.send(name, folder, nothing)
    with pytest.raises(Unreadable) as seen:
        way.fetch(way.copies()[-1], tmp_path / "back", nothing)
    assert seen.value.problems[0].what.startswith("0.sqlite of the set")


WRONG = {
    "another password": ("RESTIC_PASSWORD=another\n", WrongKey, "another password"),
    "no password": ("# nothing yet\n", HostFault, "RESTIC_PASSWORD has no value"),
    "no file": ("", HostFault, "RESTIC_PASSWORD has no value"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_key_that_does_not_open_is_named(name: str, paths: Paths, tmp_path: Path) -> None:
    """A wrong key is no reason to make a repository, and is told apart from all else."""
    keys, kind, words = WRONG[name]
    with pytest.raises(kind) as seen:
        vault(paths, tmp_path / "repo", keys).open(make=True)
    assert words in seen.value.problems[0].what and "restic.env" in seen.value.problems[0].mend


UNREACHED = {
    "a REST server that is off": ("rest:http://127.0.0.1:9/", "127.0.0.1:9"),
    "a server of files that is off": ("sftp:nobody@127.0.0.1:/no", "127.0.0.1"),
    "a store of objects that is off": ("s3:http://127.0.0.1:9/bucket", "127.0.0.1:9"),
}


@pytest.mark.parametrize("name", UNREACHED)
def test_a_repository_that_does_not_answer_is_named(name: str, fresh: Paths) -> None:
    """Nobody there is not the same as nothing there: no repository is made."""
    repository, words = UNREACHED[name]
    keys = KEY + "AWS_ACCESS_KEY_ID=a\nAWS_SECRET_ACCESS_KEY=b\n"
    with pytest.raises(Unreachable) as seen:
        vault(fresh, repository, keys).open(make=True)
    assert words in seen.value.problems[0].where


def test_a_host_without_restic_says_how_to_get_it(
    paths: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is missing is a package, and the line that brings it is told."""
    monkeypatch.setattr("homeport.host.restic.shutil.which", lambda name, path: None)
    with pytest.raises(HostFault) as seen:
        vault(paths, tmp_path / "repo").open(make=True)
    assert seen.value.problems[0].what == "restic is not installed"
    assert "apt-get install -y restic" in seen.value.problems[0].mend


def test_a_disk_that_is_not_mounted_is_not_taken_for_a_first_use(
    paths: Paths, tmp_path: Path
) -> None:
    """Where this host has sent sets before, no empty repository is made in their place."""
    repository = tmp_path / "repo"
    repository.rename(tmp_path / "unmounted")
    with pytest.raises(Absent):
        vault(paths, repository).open(make=True)
    assert not repository.exists()
    vault(Paths("other", paths.root), repository).open(make=True)
    with pytest.raises(HostFault) as seen:
        vault(paths, repository).open(make=True)
    assert seen.value.problems[0].what == "another repository lies there"


# --- locks ---------------------------------------------------------------------------------------
@pytest.fixture
def holding(paths: Paths) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Starts a restic that holds a lock until it is killed: it waits for its input."""
    running: list[subprocess.Popen[bytes]] = []

    def start(repository: Path, *before: str) -> subprocess.Popen[bytes]:
        env = {**os.environ, **restic.environment(KEY, str(repository))}
        argv = [*before, "restic", "--no-cache", "backup", "--stdin"]
        one = subprocess.Popen(
            argv, env=env, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True
        )
        running.append(one)
        end = time.monotonic() + 30
        while not list((repository / "locks").iterdir()):
            assert one.poll() is None and time.monotonic() < end, "it holds no lock"
            time.sleep(0.05)
        return one

    yield start
    for one in running:
        if one.poll() is None:
            os.killpg(one.pid, signal.SIGKILL)
        one.wait()


def test_the_lock_of_a_dead_run_is_taken_away_and_that_of_a_living_one_is_not(
    paths: Paths, tmp_path: Path, holding: Callable[..., subprocess.Popen[bytes]]
) -> None:
    """Old sets go once nobody works in the repository; until then it says who does."""
    repository = tmp_path / "repo"
    way = vault(paths, repository)
    alive = holding(repository)
    with pytest.raises(Locked) as seen:
        way.prune(1, 0, 0)
    assert str(alive.pid) in seen.value.problems[0].why
    assert list((repository / "locks").iterdir()) and len(way.copies()) == 2
    # reading does not wait for anybody
    way.fetch(way.copies()[-1], tmp_path / "back", nothing)
    os.killpg(alive.pid, signal.SIGKILL)
    alive.wait()
    assert list((repository / "locks").iterdir()), "it took its lock along"
    way.prune(1, 0, 0)
    assert not list((repository / "locks").iterdir())


# --- letting go ----------------------------------------------------------------------------------
def test_only_the_apps_own_old_sets_go_and_never_the_newest(paths: Paths, tmp_path: Path) -> None:
    """Two apps share a repository with somebody's own snapshots: each lets go only its own."""
    repository = tmp_path / "repo"
    way = vault(paths, repository)
    other = Paths("other", paths.root)
    theirs = vault(other, repository)
    for name in (OLD, NEW):
        theirs.send(name, paths.folder / "backups" / name, nothing)
    env = {**os.environ, **restic.environment(KEY, str(repository))}
    subprocess.run(["restic", "-q", "backup", str(tmp_path / "opt")], env=env, check=True)
    way.prune(0, 0, 0)
    assert [one.set for one in way.copies()] == [NEW]
    assert [one.set for one in theirs.copies()] == [OLD, NEW]
    listed = subprocess.run(
        ["restic", "snapshots", "--json"], env=env, check=True, capture_output=True
    )
    assert len(json.loads(listed.stdout)) == 4
    way.fetch(way.copies()[-1], tmp_path / "back", nothing)
