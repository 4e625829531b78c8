"""Sets of copies on the real Engine: taken under a steady writer, checked, put back."""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from bench import evidence
from homeport import wire
from homeport.backups import Backup, Manifest
from homeport.core import room
from homeport.errors import HostFault, Internal, Unverified
from homeport.host import sets
from homeport.host.context import Context
from homeport.host.ops import OPS
from saved import UID, MakeSaved, Saved
from tinyapp.driver import docker, wait

pytestmark = pytest.mark.docker


def fill(app: Saved, rows: int = 3) -> None:
    """A database with some rows, of which the last are in its log alone, and some files."""
    with app.database() as database:
        database.execute("CREATE TABLE food (id INTEGER PRIMARY KEY, name TEXT)")
        database.execute("CREATE TABLE meal (id INTEGER PRIMARY KEY, food REFERENCES food(id))")
        for number in range(rows):
            database.execute("INSERT INTO food (name) VALUES (?)", (f"food {number}",))
        (app.data / "photos").mkdir()
        (app.data / "photos" / "one.jpg").write_bytes(b"jpg" * 1000)
        (app.data / "photos" / "link").symlink_to("one.jpg")
        os.chmod(app.data / "photos" / "one.jpg", 0o600)


def names(app: Saved) -> list[str]:
    """What the live database has."""
    with sqlite3.connect(app.data / "food.bin") as database:
        found = [row[0] for row in database.execute("SELECT name FROM food ORDER BY id")]
    database.close()
    app.owned()
    return found


def test_a_set_is_taken_checked_and_put_back(make_saved: MakeSaved) -> None:
    """The database with what is in its log alone, files with their modes, links, the settings."""
    app = make_saved()
    fill(app)
    app.up()
    ctx = app.context()
    manifest = sets.take(ctx, app.release, "a test")
    found = {one.source: one for one in manifest.items}
    assert sorted(found) == ["app.env", "data", "data/food.bin", "keep"]
    assert found["data/food.bin"].tables == {"food": 3, "meal": 0}
    assert found["data/food.bin"].version and found["data"].files == 2
    assert sets.known(app.paths) == (manifest,) and manifest.schema == "7"
    folder = app.paths.backups / manifest.id
    assert sorted(one.name for one in folder.iterdir()) == sorted(
        [*(one.file for one in manifest.items), "manifest.json", "manifest.sha256", "release.json"]
        + ["source.yaml"]
    )
    assert (folder / "app.env").stat().st_mode & 0o777 == 0o600
    assert app.paths.backups.stat().st_mode & 0o777 == 0o700
    checked = sets.verify(ctx, manifest.id)
    assert (
        checked.ok and checked.problems == () and sets.verified(app.paths, manifest.id) == checked
    )

    with app.database() as database:
        database.execute("UPDATE food SET name = 'spoilt'")
    (app.data / "photos" / "one.jpg").write_bytes(b"other")
    (app.data / "photos" / "link").unlink()
    (app.data / "new.txt").write_text("of today")
    app.down()
    sets.restore(ctx, manifest.id, app.release)
    assert names(app) == ["food 0", "food 1", "food 2"]
    assert (app.data / "photos" / "one.jpg").read_bytes() == b"jpg" * 1000
    seen = (app.data / "photos" / "one.jpg").stat()
    assert (seen.st_mode & 0o777, seen.st_uid) == (0o600, UID)
    assert os.readlink(app.data / "photos" / "link") == "one.jpg"
    assert (app.data / "new.txt").read_text() == "of today"
    assert app.oneshots() == [] and not list(app.paths.backups.glob(".*"))


# --- an instant ----------------------------------------------------------------------------------
WRITER = """
import sqlite3, time
d = sqlite3.connect("/app/data/food.bin", isolation_level=None, timeout=60)
d.execute("PRAGMA journal_mode = WAL")
d.execute("CREATE TABLE IF NOT EXISTS a (n INTEGER PRIMARY KEY, pad TEXT)")
d.execute("CREATE TABLE IF NOT EXISTS b (n INTEGER PRIMARY KEY)")
n = 0
while True:
    n += 1
    begun = time.time()
    d.execute("BEGIN IMMEDIATE")
    d.execute("INSERT INTO a VALUES (?, ?)", (n, "x" * 2000))
    d.execute("INSERT INTO b VALUES (?)", (n,))
    d.execute("COMMIT")
    print(n, begun, time.time(), flush=True)
    time.sleep(0.002)
"""
TIMES = 20


def acknowledged(app: Saved) -> list[tuple[int, float, float]]:
    """Every transaction the writer was told is saved: number, begin, end."""
    (one,) = app.context().containers("r0001")
    lines = docker("logs", one["Id"]).splitlines()
    return [(int(n), float(begun), float(end)) for n, begun, end in map(str.split, lines)]


def test_a_snapshot_is_one_instant_under_a_steady_writer(make_saved: MakeSaved) -> None:
    """All that was acknowledged before it began, nothing begun after it ended, no half of two."""
    app = make_saved(command=["python3", "-c", WRITER])
    app.up()
    wait(lambda: len(acknowledged(app)) > 50, "the writer")
    taken, inconsistent = [], []
    for _ in range(TIMES):
        before = time.time()
        manifest = sets.take(app.context(), app.release, "under way", check=True)
        taken.append((manifest, before, time.time()))
    wait(lambda: acknowledged(app)[-1][1] > taken[-1][2], "a write after the last one")
    known = acknowledged(app)
    for manifest, before, after in taken:
        item = next(one for one in manifest.items if one.kind == "sqlite")
        path = app.paths.backups / manifest.id / item.file
        opened = sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)
        first, second = ([n for (n,) in opened.execute(f"SELECT n FROM {t}")] for t in "ab")
        assert opened.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        opened.close()
        must = {n for n, _, end in known if end < before}
        never = {n for n, begun, _ in known if begun > after}
        good = first == second == list(range(1, len(first) + 1)) and must <= set(first)
        good = good and not never & set(first) and item.tables == {"a": len(first), "b": len(first)}
        inconsistent += [] if good else [manifest.id]
        assert must and never
    evidence.add("data", snapshots=len(taken), inconsistent_snapshots=len(inconsistent))
    assert inconsistent == []
    during = [sum(1 for _, begun, end in known if a < begun and end < b) for _, a, b in taken]
    # else nothing was shown: nobody wrote while they were taken
    assert min(during) > 0, during
    checked = sets.verify(app.context(), taken[-1][0].id)
    assert checked.ok, checked.problems


# --- damage --------------------------------------------------------------------------------------
def sign(app: Saved, manifest: Manifest, file: str) -> None:
    """Write the manifest anew with what the file is now, as if it had been copied like that."""
    folder = app.paths.backups / manifest.id
    data = (folder / file).read_bytes()
    digest = hashlib.blake2b(data).hexdigest()
    items = tuple(
        replace(one, size=len(data), blake2b=digest) if one.file == file else one
        for one in manifest.items
    )
    text = wire.encode(replace(manifest, items=items))
    (folder / "manifest.json").write_bytes(text)
    (folder / "manifest.sha256").write_text(hashlib.sha256(text).hexdigest() + "\n")


def _cut(app: Saved, folder: Path) -> None:
    os.truncate(folder / "0.sqlite", 4096)


def _flip(app: Saved, folder: Path) -> None:
    with open(folder / "0.sqlite", "r+b") as file:
        file.seek(4096 + 8)
        file.write(b"\xff\xff\xff")


def _logless(app: Saved, folder: Path) -> None:
    shutil.copyfile(app.paths.folder / "logless", folder / "0.sqlite")


def _stale(app: Saved, folder: Path) -> None:
    shutil.copyfile(app.paths.folder / "older", folder / "0.sqlite")


def _gone(app: Saved, folder: Path) -> None:
    (folder / "0.sqlite").unlink()


def _tar(app: Saved, folder: Path) -> None:
    os.truncate(folder / "1.tar", 512)


def _env(app: Saved, folder: Path) -> None:
    (folder / "app.env").write_text("SECRET=other\n")


def _release(app: Saved, folder: Path) -> None:
    text = (folder / "release.json").read_text()
    (folder / "release.json").write_text(text.replace("recreate", "overlap"))


def _manifest(app: Saved, folder: Path) -> None:
    text = (folder / "manifest.json").read_text()
    (folder / "manifest.json").write_text(text.replace('"food":3', '"food":4'))


def _other(app: Saved, folder: Path) -> None:
    for one in ("manifest.json", "manifest.sha256", "0.sqlite"):
        shutil.copyfile(app.paths.folder / "other" / one, folder / one)


Damage = Callable[[Saved, Path], None]
#: what is done, what names it, and what names it where the manifest was made to fit it
DAMAGE: list[tuple[Damage, str, str]] = [
    (_cut, "data/food.bin: it is 4096 bytes long and was", "data/food.bin: SQLite"),
    (_flip, "data/food.bin: it is not what was saved", "data/food.bin: SQLite"),
    (_logless, "data/food.bin: it is", "data/food.bin: the table food has 1 rows and had 3"),
    (_stale, "data/food.bin: it is", "data/food.bin: the table food has 2 rows and had 3"),
    (_gone, "data/food.bin: it cannot be read: No such file", ""),
    (_tar, "data: it is 512 bytes long and was", "data: it has 0 files and had 1"),
    (_env, "app.env: it is not what was saved", ""),
    (_release, "release.json: it is not what was saved", ""),
    (_manifest, "manifest.json: it is not what was saved", ""),
    (_other, "manifest.json: it is that of the set", ""),
]


def older(app: Saved) -> Manifest:
    """A database of three rows, two of them in its log alone, and copies of it from before."""
    with sqlite3.connect(app.data / "food.bin", isolation_level=None) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("CREATE TABLE food (id INTEGER PRIMARY KEY, name TEXT)")
        database.execute("INSERT INTO food (name) VALUES ('first')")
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        database.execute("PRAGMA wal_autocheckpoint = 0")
        database.execute("INSERT INTO food (name) VALUES ('second')")
        app.owned()
        before = sets.take(app.context(), app.release, "before")
        shutil.copytree(app.paths.backups / before.id, app.paths.folder / "other")
        shutil.copyfile(app.paths.folder / "other" / "0.sqlite", app.paths.folder / "older")
        database.execute("INSERT INTO food (name) VALUES ('third')")
        shutil.copyfile(app.data / "food.bin", app.paths.folder / "logless")
        (app.data / "photo").write_text("photo")
        app.owned()
        return sets.take(app.context(), app.release, "now")


def test_every_damage_is_found_and_named(make_saved: MakeSaved) -> None:
    """None of them counts as a backup, and each is called by its name; the good set still does."""
    app = make_saved()
    app.up()
    manifest = older(app)
    good, missed, tried = app.paths.folder / "good", [], 0
    place = app.paths.backups / manifest.id
    shutil.copytree(place, good)
    for damage, named, fitted in DAMAGE:
        for said in filter(None, (named, fitted)):
            shutil.rmtree(place)
            shutil.copytree(good, place)
            damage(app, place)
            if said == fitted:
                sign(app, manifest, "1.tar" if damage is _tar else "0.sqlite")
            found, tried = sets.verify(app.context(), manifest.id), tried + 1
            assert found.ok == (not found.problems)
            if not any(one.startswith(said) for one in found.problems):
                missed.append((damage.__name__, said, found))
            assert sets.verified(app.paths, manifest.id) == found
    evidence.add("data", damaged_backups=tried, damaged_backups_missed=len(missed))
    assert missed == []
    shutil.rmtree(place)
    shutil.copytree(good, place)
    assert sets.verify(app.context(), manifest.id).ok
    assert not list(app.paths.backups.glob(".scratch*")) and app.oneshots() == []


def test_the_apps_own_look_is_at_the_copy(make_saved: MakeSaved) -> None:
    """It sees the copied rows and may write there; what it does not like is told in its words."""
    look = "import sqlite3, sys; d = sqlite3.connect('/app/data/food.bin', isolation_level=None)"
    look += "; n = d.execute('SELECT count(*) FROM food').fetchone()[0]"
    look += "; d.execute('DELETE FROM food'); n == 3 or sys.exit(f'{n} rows, SECRET is very')"
    app = make_saved(backup=Backup(check=("python3", "-c", look)))
    fill(app)
    app.up()
    first = sets.take(app.context(), app.release, "three")
    assert sets.verify(app.context(), first.id).ok
    with app.database() as database:
        database.execute("INSERT INTO food (name) VALUES ('fourth')")
    second = sets.take(app.context(), app.release, "four")
    found = sets.verify(app.context(), second.id)
    assert len(found.problems) == 1 and found.problems[0].startswith("check: python3 -c")
    assert "ended with code 1: 4 rows" in found.problems[0]
    assert len(names(app)) == 4


def test_what_only_the_app_can_check_is_saved(make_saved: MakeSaved) -> None:
    """An index in an order of the app's own: the set counts, and people are told."""
    app = make_saved()
    fill(app)
    with app.database() as database:
        database.create_collation("MINE", lambda one, other: (one < other) - (one > other))
        database.execute("CREATE TABLE word (word TEXT COLLATE MINE PRIMARY KEY) WITHOUT ROWID")
        database.execute("INSERT INTO word VALUES ('a'), ('b')")
    app.up()
    manifest = sets.take(app.context(), app.release, "a test", check=True)
    (found,) = [one.tables for one in manifest.items if one.kind == "sqlite"]
    assert found == {"food": 3, "meal": 0, "word": 2}
    checked = sets.verify(app.context(), manifest.id)
    assert checked.problems == ()
    assert "data/food.bin: only read, they want what the app brings: word" in app.notices()


# --- around it -----------------------------------------------------------------------------------
def test_what_is_excluded_and_what_is_not_ours_stays_out(make_saved: MakeSaved) -> None:
    """A path below a folder, a whole volume by its short name; a cache does not come back."""
    app = make_saved(backup=Backup(exclude=("data/photos", "keep")))
    fill(app)
    app.up()
    manifest = sets.take(app.context(), app.release, "a test")
    assert sorted(one.source for one in manifest.items) == ["app.env", "data", "data/food.bin"]
    assert next(one for one in manifest.items if one.source == "data").files == 0
    assert sets.verify(app.context(), manifest.id).ok


def test_several_services_are_copied_by_databases_first(make_saved: MakeSaved) -> None:
    """What only a worker has is in the set too, and in no copy twice."""
    app = make_saved(services=("web", "worker"))
    fill(app)
    app.own("web", ["keep:/app/keep"])
    app.own("worker", [f"{app.data}:/work"])
    app.up()
    manifest = sets.take(app.context(), app.release, "a test")
    found = [(one.kind, one.source, one.mount) for one in manifest.items]
    assert found == [
        ("sqlite", "data/food.bin", "/work"),
        ("folder", "keep", "/app/keep"),
        ("folder", "data", "/work"),
        ("env", "app.env", ""),
    ]
    assert sets.verify(app.context(), manifest.id).ok
    app.down()
    with app.database() as database:
        database.execute("DELETE FROM food")
    sets.restore(app.context(), manifest.id, app.release)
    assert len(names(app)) == 3


def test_a_file_that_is_mounted_stands_in_no_ones_way(make_saved: MakeSaved) -> None:
    """It is told not to be saved; a check sees an empty one in its place, and a restore works."""
    look = "import os.path as p, sys; l = '/app/list'; sys.exit(not p.isfile(l) or p.getsize(l))"
    app = make_saved(backup=Backup(check=("python3", "-c", look)))
    fill(app)
    (app.paths.folder / "list").write_text("bread")
    app.own("web", [f"{app.data}:/app/data", f"{app.paths.folder}/list:/app/list"])
    app.up()
    manifest = sets.take(app.context(), app.release, "a test")
    assert [one.source for one in manifest.items] == ["data/food.bin", "data", "app.env"]
    assert "list is a file that is mounted by itself: it is not saved" in app.notices()
    checked = sets.verify(app.context(), manifest.id)
    assert checked.problems == ()
    with app.database() as database:
        database.execute("DELETE FROM food")
    app.down()
    sets.restore(app.context(), manifest.id, app.release)
    assert len(names(app)) == 3 and (app.paths.folder / "list").read_text() == "bread"


def test_a_folder_and_a_volume_of_one_name_are_both_saved(make_saved: MakeSaved) -> None:
    """Also where two services have them at one path; each comes back where it belongs."""
    app = make_saved(services=("web", "worker"))
    fill(app)
    shutil.move(app.data, app.paths.folder / "keep")
    app.data.mkdir()
    (app.paths.folder / "keep" / "photos").rename(app.data / "photos")
    app.own("web", [f"{app.paths.folder}/keep:/app/keep", f"{app.data}/photos:/app/keep/photos"])
    app.own("worker", ["keep:/app/keep"])
    app.up()
    (worker,) = [one for one in app.context().containers("r0001") if "worker" in one["Names"][0]]
    made = "import sqlite3; d = sqlite3.connect('/app/keep/other'); d.execute('CREATE TABLE o (x)')"
    docker("exec", "-u", "0", worker["Id"], "python3", "-c", made)
    docker("exec", "-u", "0", worker["Id"], "chown", "-R", str(UID), "/app/keep")
    manifest = sets.take(app.context(), app.release, "a test")
    found = sorted(one.source for one in manifest.items)
    volume = f"{app.name}_keep"
    assert found == sorted(
        ["keep", "keep/food.bin", "data/photos", volume, f"{volume}/other", "app.env"]
    )
    checked = sets.verify(app.context(), manifest.id)
    assert checked.problems == ()
    docker("exec", "-u", "0", worker["Id"], "rm", "/app/keep/other")
    (app.paths.folder / "keep" / "food.bin").unlink()
    app.down()
    sets.restore(app.context(), manifest.id, app.release)
    assert (app.paths.folder / "keep" / "food.bin").exists()
    assert not (app.paths.folder / "keep" / "other").exists()
    again = sets.take(app.context(), app.release, "after it")
    assert sorted(one.source for one in again.items) == found


def test_a_copy_that_has_no_place_is_no_good(make_saved: MakeSaved) -> None:
    """It is compared with its checksum, and never passes for one that could be put back."""
    app = make_saved()
    fill(app)
    app.up()
    manifest = sets.take(app.context(), app.release, "a test")
    app.down()
    app.own("web", ["keep:/app/keep"])
    app.up()
    found = sets.verify(app.context(), manifest.id)
    where = f"{app.release.id} has no such mount, so it could not be put back"
    assert found.problems == (f"data/food.bin: {where}", f"data: {where}")
    _flip(app, app.paths.backups / manifest.id)
    found = sets.verify(app.context(), manifest.id)
    assert found.problems[0] == "data/food.bin: it is not what was saved: its bytes differ"


def test_nothing_is_put_back_under_a_release_that_runs(make_saved: MakeSaved) -> None:
    """Nor from a copy that is bad: the data is as it was."""
    app = make_saved()
    fill(app)
    app.up()
    manifest = sets.take(app.context(), app.release, "a test")
    with app.database() as database:
        database.execute("DELETE FROM food")
    with pytest.raises(Internal, match="runs and could use the data"):
        sets.restore(app.context(), manifest.id, app.release)
    app.down()
    _flip(app, app.paths.backups / manifest.id)
    with pytest.raises(HostFault, match="data/food.bin: it is not what was saved"):
        sets.restore(app.context(), manifest.id, app.release)
    assert names(app) == []


def test_what_dead_runs_left_is_gone_with_the_next_set(make_saved: MakeSaved) -> None:
    """Half a set, half a removal, and a scratch place with a folder the agent may not empty."""
    app = make_saved()
    fill(app)
    app.up()
    app.paths.backups.mkdir()
    for name in (".20260101T000000-0000.new", ".20260101T000000-0001.gone", ".scratch-run"):
        (app.paths.backups / name).mkdir()
    manifest = sets.take(app.context(), app.release, "a test")
    assert sets.verify(app.context(), manifest.id).ok
    assert [one.name for one in app.paths.backups.iterdir()] == [manifest.id]
    sets.drop(app.paths, manifest.id)
    sets.drop(app.paths, manifest.id)
    assert sets.known(app.paths) == () and list(app.paths.backups.iterdir()) == []


def test_no_room_is_said_before_anything_is_copied(
    make_saved: MakeSaved, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A check that would fill the disk is refused with what it needs."""
    app = make_saved()
    fill(app)
    app.up()
    manifest = sets.take(app.context(), app.release, "a test")
    monkeypatch.setattr(room, "SPARE", 1 << 60)
    with pytest.raises(HostFault, match="a check of .* needs .* bytes"):
        sets.verify(app.context(), manifest.id)
    assert sets.verified(app.paths, manifest.id) is None


# --- steps ---------------------------------------------------------------------------------------
def taken(ctx: Context) -> tuple[str, ...]:
    """The sets of a run, as its journal tells."""
    run = ctx.store.history().run(ctx.run)
    assert run is not None
    return run.sets


def test_the_steps_write_down_what_they_did(make_saved: MakeSaved) -> None:
    """A set, its check, a stake and its end, each in the journal when it is so."""
    app = make_saved()
    fill(app)
    app.up()
    ctx = app.context()
    ctx.store.append(ctx.record("schema", schema="8"))
    OPS["backup"](ctx, {"release": app.release.id, "why": "a test"})
    (set_,) = taken(ctx)
    assert app.set(set_)["why"] == "a test" and app.set(set_)["schema"] == "8"
    assert "can be restored" in OPS["verify"](ctx, {"release": app.release.id})
    app.down()
    OPS["snapshot"](ctx, {"release": app.release.id, "why": "in the hold"})
    stake = ctx.store.history().stake
    assert stake is not None and (set_, stake.set) == taken(ctx)
    with app.database() as database:
        database.execute("DELETE FROM food")
    ctx.store.append(ctx.record("schema", schema="9"))
    OPS["restore-stake"](ctx, {"release": app.release.id, "set": stake.set})
    assert ctx.store.history().stake is None and ctx.store.history().schema == "8"
    assert len(names(app)) == 3
    _cut(app, app.paths.backups / set_)
    with pytest.raises(Unverified) as failure:
        OPS["verify"](ctx, {"release": app.release.id, "set": set_})
    assert failure.value.problems[0].where == "data/food.bin"


def test_a_damaged_database_is_kept_as_it_lies_before_it_is_replaced(make_saved: MakeSaved) -> None:
    """A snapshot that must be taken whatever comes: the set has it, and never counts."""
    app = make_saved()
    fill(app)
    with open(app.data / "food.bin", "r+b") as file:
        file.seek(100)
        file.write(b"\xff" * 64)
    damaged = (app.data / "food.bin").read_bytes()
    app.up()
    app.down()
    ctx = app.context()
    args = {"release": app.release.id, "why": "before a restore"}
    with pytest.raises(HostFault, match="the data cannot be copied"):
        OPS["snapshot"](ctx, args)
    assert ctx.store.history().stake is None and list(app.paths.backups.iterdir()) == []
    OPS["snapshot"](ctx, {**args, "raw": True})
    stake = ctx.store.history().stake
    assert stake is not None and "never counts" in app.notices()
    found = sets.verify(ctx, stake.set)
    assert found.problems == ("data/food.bin: SQLite could not read it when it was saved",)
    (app.data / "food.bin").write_bytes(b"")
    sets.restore(ctx, stake.set, app.release)
    assert (app.data / "food.bin").read_bytes() == damaged


# --- crashes -------------------------------------------------------------------------------------
AGENT = """
import sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from homeport.host import sets
from homeport.host.context import Context
from homeport.host.engine import Engine
from homeport.host.paths import Paths
from homeport.model import Request
paths = Paths(sys.argv[2], Path(sys.argv[3]))
ctx = Context(paths, Engine(), Request("restore", paths.app), "dead", lambda event: None)
release = ctx.release("r0001-1a2b3c4")
sets.restore(ctx, sys.argv[4], release) if sys.argv[4:] else sets.take(ctx, release, "cut short")
"""


def agent(app: Saved, *words: str) -> subprocess.Popen[str]:
    """An agent of its own that takes a set, or puts one back."""
    deploy = str(Path(__file__).resolve().parents[2] / "deploy")
    given = [sys.executable, "-I", "-c", AGENT, deploy, app.name, str(app.root), *words]
    return subprocess.Popen(given, stderr=subprocess.PIPE, text=True)


def killed(child: subprocess.Popen[str], seen: Callable[[], bool], what: str) -> None:
    """Kill an agent when something is to be seen; its one-shot container goes on."""
    wait(seen, what, 60)
    assert child.poll() is None, child.communicate()
    child.kill()
    child.communicate()


def test_what_a_killed_agent_was_at_is_ended_and_done_again(make_saved: MakeSaved) -> None:
    """In the midst of a set, and in the midst of putting one back, with its container going on."""
    app = make_saved()
    fill(app)
    with app.database() as database:
        database.execute("CREATE TABLE pad (x BLOB)")
        database.execute("BEGIN")
        database.executemany("INSERT INTO pad VALUES (?)", [(os.urandom(4000),)] * 25_000)
        database.execute("COMMIT")
    app.up()
    manifest = sets.take(app.context(), app.release, "good")

    def half() -> bool:
        return any(one.stat().st_size > 4e6 for one in app.paths.backups.glob(".*.new/*"))

    killed(agent(app), half, "half a set")
    assert app.oneshots() != []
    second = sets.take(app.context(), app.release, "good too")
    assert app.oneshots() == [] and not list(app.paths.backups.glob(".*"))
    assert [one.id for one in sets.known(app.paths)] == [manifest.id, second.id]
    assert sets.verify(app.context(), second.id).ok

    with app.database() as database:
        database.execute("DELETE FROM food")
    app.down()
    beside = app.data / ".food.bin.homeport-new"
    killed(agent(app, manifest.id), beside.exists, "half a database")
    sets.restore(app.context(), manifest.id, app.release)
    assert app.oneshots() == [] and not beside.exists()
    assert names(app) == ["food 0", "food 1", "food 2"]
