"""What runs inside images, run here: copies of databases and folders, and their way back.

The real scripts on real files. A crash is an error that nothing catches, out of every single call
that changes the disk.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sqlite3
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from homeport.inside import empty, putback, snapshot, tables
from homeport.inside.tables import check


class Crash(BaseException):
    """A power cut: no handler of the script's may see it as an error."""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A mount as an app leaves it: two databases in WAL mode, one below; files, a link."""
    top = tmp_path / "data"
    (top / "photos").mkdir(parents=True)
    (top / "photos" / "one.jpg").write_bytes(b"j" * 3000)
    (top / "photos" / "link").symlink_to("one.jpg")
    os.chmod(top / "photos", 0o750)
    (top / "settings.json").write_text("{}")
    write(top / "food.bin", 3)
    write(top / "photos" / "index", 2)
    return top


def write(path: Path, rows: int, word: str = "row") -> None:
    """Rows that are in the database's log alone, left there as by a crash."""
    beside = path.with_name(f"{path.name}.making")
    opened = sqlite3.connect(beside, isolation_level=None)
    opened.execute("PRAGMA journal_mode = WAL")
    opened.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, word TEXT)")
    opened.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    for number in range(rows):
        opened.execute("INSERT INTO t (word) VALUES (?)", (f"{word} {number}",))
    for end in ("", "-wal"):
        shutil.copyfile(f"{beside}{end}", f"{path}{end}")
    opened.close()
    beside.unlink()


def rows(path: Path) -> list[str]:
    """What a database has, seen without changing anything about it."""
    place = path.parent.parent / "looked at"
    place.mkdir(exist_ok=True)
    for end in ("", "-wal"):
        if os.path.exists(f"{path}{end}"):
            shutil.copyfile(f"{path}{end}", place / f"db{end}")
    opened = sqlite3.connect(place / "db")
    found = [row[0] for row in opened.execute("SELECT word FROM t ORDER BY id")]
    opened.close()
    shutil.rmtree(place)
    return found


def take(tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str], **more: Any) -> Any:
    """Copies in ``set``, and what the script told of them."""
    out = tmp_path / "set"
    out.mkdir(exist_ok=True)
    mounts = [{"path": str(data), "exclude": more.pop("exclude", [])}]
    phases = ["databases", "folders"]
    snapshot.snapshot({"out": str(out), "first": 0, "mounts": mounts, "phases": phases, **more})
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def argument(tmp_path: Path, top: Path, told: list[dict[str, Any]], look: bool) -> dict[str, Any]:
    """What putback.py is told to put the copies into ``top``."""
    tar = next(one for one in told if one["k"] == "item" and one["kind"] == "folder")
    mine = [one for one in told if one["k"] == "item" and one["kind"] == "sqlite"]
    mount = {"path": str(top), "tar": tar, "databases": mine}
    how = {"run": "run-1", "look": look, "anyway": False}
    return {"set": str(tmp_path / "set"), "mounts": [mount], **how}


def put(
    given: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> list[dict[str, Any]]:
    """Run putback.py; what it told."""
    monkeypatch.setenv("HOMEPORT_ARGUMENT", json.dumps(given))
    before = os.umask(0o022)
    try:
        putback.main()
    finally:
        os.umask(before)
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def tree(top: Path) -> dict[str, Any]:
    """Every file below a folder: mode and content, databases by their rows."""
    found: dict[str, Any] = {}
    for path in sorted(top.rglob("*")):
        name = str(path.relative_to(top))
        if path.is_symlink():
            found[name] = os.readlink(path)
        elif path.is_dir():
            found[name] = path.stat().st_mode & 0o777
        elif name in ("food.bin", "photos/index"):
            found[name] = rows(path)
        elif not name.endswith(snapshot.BESIDE):
            found[name] = (path.stat().st_mode & 0o777, path.read_bytes())
    return found


# --- copies --------------------------------------------------------------------------------------
def test_a_file_that_is_mounted_is_told_and_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is copied of it; a set from before, whose tar is empty, is put back all the same."""
    single, copies = tmp_path / "single", tmp_path / "set"
    single.write_text("what is in it")
    assert take(tmp_path, single, capsys) == [{"k": "single", "mount": str(single)}]
    made = snapshot.copy_folder(str(single), [], [], str(copies / "0.tar"))
    tar = {"k": "item", "kind": "folder", "file": "0.tar", **made}
    for look in (True, False):
        assert put(argument(tmp_path, single, [tar], look), monkeypatch, capsys) == []
    assert single.read_text() == "what is in it"


def test_databases_are_told_by_their_first_bytes(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever they are named, with what is in their logs alone; their logs are in no tar."""
    (data / "fake.db").write_bytes(b"no database, and longer than sixteen bytes")
    told = take(tmp_path, data, capsys, check=True)
    by = {one["path"] or one["kind"]: one for one in told}
    assert sorted(by) == ["folder", "food.bin", "photos/index"]
    assert by["food.bin"]["tables"] == {"t": 3} and by["photos/index"]["tables"] == {"t": 2}
    assert by["food.bin"]["orphans"] == 0
    assert [one["kind"] for one in told] == ["sqlite", "sqlite", "folder"]
    with tarfile.open(tmp_path / "set" / by["folder"]["file"]) as tar:
        sizes = {one.name: one.size for one in tar.getmembers() if one.isreg()}
    known = {"fake.db": 42, "settings.json": 2, "photos/one.jpg": 3000}
    assert sizes == {**known, "food.bin": 0, "photos/index": 0}
    assert by["folder"]["files"] == 4


def test_a_copy_needs_no_log_beside_it(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is closed cleanly, keeps the source's mode, and its checksum is the file's."""
    told = take(tmp_path, data, capsys)
    names = {one.name for one in (tmp_path / "set").iterdir()}
    assert names == {"0.sqlite", "1.sqlite", "2.tar"}
    head = (tmp_path / "set" / "0.sqlite").read_bytes()[:20]
    assert head[:16] == snapshot.MAGIC and head[18:20] == b"\2\2"
    for one in told:
        data = (tmp_path / "set" / one["file"]).read_bytes()
        (kind,) = {"sha256", "blake2b"} & one.keys()
        assert (one[kind], one["size"]) == (hashlib.new(kind, data).hexdigest(), len(data))


@pytest.mark.parametrize("kind", ["sha256", "blake2b"])
def test_the_checksum_that_is_made_sooner_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """Not every processor has instructions for SHA-256; another program may come between."""
    (tmp_path / "file").write_bytes(os.urandom(3 * tables.CHUNK + 5))
    known, said = iter([9.0, 1.0, 9.0, 9.0, 9.0] if kind == "sha256" else [9.0] * 5), []

    def took(one: str, data: bytearray) -> float:
        said.append((one, len(data)))
        return next(known) if one == "sha256" else 2.0

    monkeypatch.setattr(tables, "_took", took)
    digest = hashlib.new(kind, (tmp_path / "file").read_bytes()).hexdigest()
    assert snapshot.checksum(str(tmp_path / "file")) == {kind: digest}
    assert set(said) == {("sha256", tables.CHUNK), ("blake2b", tables.CHUNK)}


def test_what_is_timed_is_the_checksum_itself() -> None:
    """Of as much as is read at a time."""
    assert 0 < tables._took("blake2b", bytearray(tables.CHUNK)) < 1
    assert tables._took("sha256", bytearray(64 * tables.CHUNK)) > tables._took(
        "sha256", bytearray(1)
    )


EXCLUDED = [
    (["photos"], {"food.bin", "settings.json"}),
    (["photos/one.jpg", "settings.json"], {"food.bin", "photos/link", "photos/index"}),
    (["food.bin"], {"settings.json", "photos/one.jpg"}),
    (["photo", "food"], {"food.bin", "settings.json"} | {f"photos/{one}" for one in ("one.jpg",)}),
]


@pytest.mark.parametrize("left,there", EXCLUDED)
def test_what_is_excluded_is_left_out(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str], left: list[str], there: set[str]
) -> None:
    """A path and all below it, and nothing that only begins like it."""
    told = take(tmp_path, data, capsys, exclude=left)
    with tarfile.open(tmp_path / "set" / told[-1]["file"]) as tar:
        names = {one.name for one in tar.getmembers() if not one.isdir()}
    assert there <= names and not set(left) & names
    assert not [one for one in names if one.endswith(snapshot.BESIDE)]
    assert ("photos/index" in names) == ("photos" not in left)


def test_what_changes_while_it_is_read_is_told_and_ends_nothing(
    tmp_path: Path,
    data: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One goes away after it was seen, one grows, one shrinks: the tar stays whole."""
    for name in ("gone", "grows", "shrinks"):
        (data / name).write_bytes(b"x" * 5000)
    pack, read = snapshot._pack, snapshot.Steady.read

    def packed(tar: Any, top: str, path: str, database: bool) -> int:
        if path == "gone":
            (data / "gone").unlink()
        return pack(tar, top, path, database)

    def changed(self: Any, most: int) -> bytes:
        if self.file.name.endswith("grows"):
            (data / "grows").write_bytes(b"y" * 9000)
        if self.file.name.endswith("shrinks"):
            os.truncate(data / "shrinks", 1000)
        return read(self, most)

    monkeypatch.setattr(snapshot, "_pack", packed)
    monkeypatch.setattr(snapshot.Steady, "read", changed)
    told = take(tmp_path, data, capsys)
    missing = {one["path"] for one in told if one["k"] == "missing"}
    assert missing == {"gone", "grows", "shrinks"}
    with tarfile.open(tmp_path / "set" / told[-1]["file"]) as tar:
        sizes = {one.name: one.size for one in tar.getmembers()}
        shrunk = tar.extractfile("shrinks")
        assert shrunk is not None and shrunk.read() == b"x" * 1000 + bytes(4000)
    assert sizes["grows"] == 5000 and "gone" not in sizes


def test_rows_without_a_parent_are_counted_and_harm_no_copy(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An app that never had its keys checked can be saved; a key to nowhere is not counted."""
    with sqlite3.connect(data / "food.bin") as opened:
        opened.execute("CREATE TABLE child (t INTEGER REFERENCES t(id))")
        opened.execute("INSERT INTO child VALUES (77), (1), (78)")
    opened.close()
    with sqlite3.connect(data / "photos" / "index") as opened:
        opened.execute("CREATE TABLE child (t TEXT REFERENCES t(word))")
    opened.close()
    told = {one["path"]: one for one in take(tmp_path, data, capsys, check=True)}
    assert (told["food.bin"]["orphans"], told["photos/index"]["orphans"]) == (2, -1)


def owned(path: Path, words: int) -> None:
    """A database that wants a collation and a function of the app's, in every way there is."""
    opened = sqlite3.connect(path, isolation_level=None)
    opened.create_collation("MINE", lambda one, other: (one < other) - (one > other))
    opened.create_function("own", 1, lambda word: word, deterministic=True)
    opened.execute("CREATE TABLE a (word TEXT, more TEXT)")
    opened.execute("CREATE INDEX a_word ON a (word COLLATE MINE)")
    opened.execute("CREATE TABLE b (word TEXT CHECK (own(word) <> ''))")
    opened.execute("CREATE TABLE c (word TEXT)")
    opened.execute("CREATE INDEX c_word ON c (own(word))")
    opened.execute("CREATE TABLE d (word TEXT COLLATE MINE PRIMARY KEY) WITHOUT ROWID")
    opened.execute("CREATE TABLE plain (word TEXT UNIQUE)")
    for table in ("a", "b", "c", "d", "plain"):
        for number in range(words):
            opened.execute(f"INSERT INTO {table} (word) VALUES (?)", (f"{number:03}" * 99,))
    opened.close()


def test_what_wants_the_apps_own_is_saved_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its rows are read and counted; the tables that SQLite cannot check are named."""
    data = tmp_path / "data"
    data.mkdir()
    owned(data / "own.db", 40)
    told = take(tmp_path, data, capsys, check=True)
    assert told[0]["tables"] == dict.fromkeys(("a", "b", "c", "d", "plain"), 40)
    found = put(argument(tmp_path, tmp_path / "new", told, True), monkeypatch, capsys)
    (note,) = [one for one in found if one["k"] != "put"]
    named = note["text"].rpartition(": ")[2].split(", ")
    # of a rule over rows (b) SQLite does not always say that it cannot check it
    assert note["k"] == "note" and [one for one in named if one != "b"] == ["a", "c", "d"]
    told[0]["tables"]["d"] = 41
    found = put(argument(tmp_path, tmp_path / "other", told, True), monkeypatch, capsys)
    assert [one["text"] for one in found if one["k"] == "problem"] == [
        "the table d has 40 rows and had 41"
    ]


@pytest.mark.parametrize("table", ["b", "plain"])
def test_damage_is_found_beside_the_apps_own(
    tmp_path: Path, table: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """In a table whose rows are only read, and in one that is checked as ever."""
    path = tmp_path / "own.db"
    owned(path, 400)
    opened = sqlite3.connect(path)
    names = "SELECT rootpage FROM sqlite_master WHERE name = ?"
    (root,) = opened.execute(names, (table,)).fetchone()
    opened.close()
    _flip(path, (root - 1) * 4096)
    try:
        said, _ = check(str(path), 5)
    except sqlite3.DatabaseError as error:
        said = str(error)
    assert said != "ok"


def test_what_is_checked_table_by_table_is_told(tmp_path: Path) -> None:
    """A column that may not be empty, and is: nothing that a reader would stumble over."""
    path = tmp_path / "own.db"
    owned(path, 40)
    opened = sqlite3.connect(path)
    opened.execute("PRAGMA writable_schema = ON")
    opened.execute(
        "UPDATE sqlite_master SET sql = replace(sql, 'UNIQUE', 'UNIQUE, more TEXT NOT NULL')"
        " WHERE name = 'plain'"
    )
    opened.commit()
    opened.close()
    assert check(str(path), 5)[0].startswith("NULL value in plain.more")


def test_a_database_that_cannot_be_read_is_named(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A head of SQLite's with garbage behind it: the path and SQLite's words."""
    (data / "broken").write_bytes(snapshot.MAGIC + b"\xff" * 5000)
    with pytest.raises(SystemExit, match="broken: file is not a database"):
        take(tmp_path, data, capsys)


def test_a_damaged_database_can_be_kept_as_it_lies(
    tmp_path: Path,
    data: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With its log, told as unread, and put back byte by byte without the log of another."""
    with open(data / "food.bin", "r+b") as file:
        file.seek(100)
        file.write(b"\xff" * 64)
    with pytest.raises(SystemExit, match="food.bin: "):
        take(tmp_path, data, capsys, check=True)
    capsys.readouterr()
    before = {one: (data / one).read_bytes() for one in ("food.bin", "food.bin-wal")}
    told = take(tmp_path, data, capsys, check=True, raw=True)
    assert [one["path"] for one in told if one["k"] == "unread"] == ["food.bin"]
    assert [one["path"] for one in told if one.get("kind") == "sqlite"] == ["photos/index"]
    write(data / "food.bin", 9, "later")
    (data / "food.bin-journal").write_text("of another")
    put(argument(tmp_path, data, told, False), monkeypatch, capsys)
    assert {one: (data / one).read_bytes() for one in before} == before
    assert not (data / "food.bin-journal").exists()


# --- put back ------------------------------------------------------------------------------------
def spoil(data: Path) -> None:
    """What became of the data since: other rows, in the log as well, other files, one more."""
    for name in ("food.bin", "photos/index"):
        write(data / name, 5, "later")
    (data / "settings.json").write_text('{"later": 1}')
    (data / "photos" / "one.jpg").unlink()
    (data / "photos" / "link").unlink()
    (data / "photos" / "link").mkdir()
    (data / "photos" / "link" / "inner").write_text("x")
    (data / "upload").write_text("this morning's")


def test_everything_is_as_it_was(
    tmp_path: Path,
    data: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Rows, files, modes and links; what is new stays, and what stood in the way is beside it."""
    before = tree(data)
    told = take(tmp_path, data, capsys)
    spoil(data)
    said = put(argument(tmp_path, data, told, False), monkeypatch, capsys)
    moved = {
        "upload": (0o644, b"this morning's"),
        "photos/link.replaced-run-1": 0o755,
        "photos/link.replaced-run-1/inner": (0o644, b"x"),
    }
    assert tree(data) == {**before, **moved}
    assert not (data / "food.bin-wal").exists()
    assert (said[0]["left"], said[0]["written"]) == (2, 3)
    again = put(argument(tmp_path, data, told, False), monkeypatch, capsys)
    assert tree(data) == {**before, **moved} and again[0]["written"] == 0


CALLS = ("replace", "rename", "unlink", "fsync", "chmod", "utime", "symlink", "mkdir")


def crashing(monkeypatch: pytest.MonkeyPatch, at: int) -> Callable[[], int]:
    """Let the ``at``-th call that changes the disk never come; how many there were."""
    count = 0

    def guard(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*words: Any, **more: Any) -> Any:
            nonlocal count
            count += 1
            if count == at:
                raise Crash()
            return real(*words, **more)

        return call

    for name in CALLS:
        monkeypatch.setattr(putback.os, name, guard(getattr(os, name)))
    return lambda: count


def test_after_a_crash_anywhere_it_is_done_again(
    tmp_path: Path,
    data: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """At every call that changes the disk: the second time makes everything as it was.

    Between the two a database is the one of before or the copy, and never the copy with a log of
    before beside it.
    """
    before = tree(data)
    given = argument(tmp_path, data, take(tmp_path, data, capsys), False)
    spoil(data)
    data.rename(tmp_path / "spoilt")
    states, at = set(), 0
    while True:
        at += 1
        shutil.copytree(tmp_path / "spoilt", data, symlinks=True)
        with monkeypatch.context() as patched:
            done = crashing(patched, at)
            try:
                put(given, monkeypatch, capsys)
                break
            except Crash:
                capsys.readouterr()
        found = rows(data / "food.bin")
        states.add(tuple(found))
        put(given, monkeypatch, capsys)
        after = {k: v for k, v in tree(data).items() if "replaced" not in k and k != "upload"}
        assert after == before, f"crash at call {at}"
        assert not [one for one in data.rglob("*") if one.name.endswith(putback.TEMP)]
        shutil.rmtree(data)
    assert at > 20 and done() < at
    # with its log, without it, and the copy: nothing else was ever to be seen
    later = tuple(f"later {number}" for number in range(5))
    assert states == {later, (), tuple(f"row {number}" for number in range(3))}


@pytest.fixture
def copies(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> Iterator[dict[str, Any]]:
    """A set, and what a trial in an empty place is told."""
    told = take(tmp_path, data, capsys)
    yield argument(tmp_path, tmp_path / "scratch", told, True)


def test_a_good_set_is_told_nothing_of(
    tmp_path: Path,
    copies: dict[str, Any],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A trial in an empty place finds nothing wrong, and leaves what the agent can remove."""
    assert [one["k"] for one in put(copies, monkeypatch, capsys)] == ["put"]
    assert rows(tmp_path / "scratch" / "food.bin") == ["row 0", "row 1", "row 2"]
    empty.empty(str(tmp_path / "scratch"))
    assert list((tmp_path / "scratch").iterdir()) == []


def _sql(path: Path, *statements: str) -> None:
    opened = sqlite3.connect(path, isolation_level=None)
    for one in statements:
        opened.execute(one)
    opened.close()


def _flip(path: Path, at: int) -> None:
    with open(path, "r+b") as file:
        file.seek(at)
        byte = file.read(1)
        file.seek(at)
        file.write(bytes([byte[0] ^ 0xFF]))


#: what is done to a copy, and what is said of it even where its checksum was made anew
DAMAGE: list[tuple[str, Callable[[Path], None], str]] = [
    ("0.sqlite", lambda path: os.truncate(path, 4096), "SQLite"),
    ("0.sqlite", lambda path: _flip(path, 4096), "SQLite"),
    ("0.sqlite", lambda path: _sql(path, "DELETE FROM t"), "the table t has 0 rows and had 3"),
    ("0.sqlite", lambda path: _sql(path, "DROP TABLE t"), "the table t is not there"),
    ("0.sqlite", lambda path: _sql(path, "CREATE TABLE n (x)"), "the table n was not there"),
    (
        "0.sqlite",
        lambda path: _sql(path, "CREATE TABLE c (t REFERENCES t)", "INSERT INTO c VALUES (9)"),
        "1 rows name a parent that is not there",
    ),
    ("0.sqlite", lambda path: path.write_bytes(b""), "the table t is not there"),
    ("2.tar", lambda path: os.truncate(path, 512), "it has 0 files and had 3"),
    ("2.tar", lambda path: path.write_bytes(b"no tar" * 300), "it cannot be unpacked"),
]


@pytest.mark.parametrize("file,damage,said", DAMAGE)
def test_damage_is_found_and_named(
    tmp_path: Path,
    copies: dict[str, Any],
    file: str,
    damage: Callable[[Path], None],
    said: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By its checksum, and by what is in it where the checksum fits, as after a bad copy."""
    path = tmp_path / "set" / file
    damage(path)
    told = [one for one in put(copies, monkeypatch, capsys) if one["k"] == "problem"]
    assert {one["file"] for one in told} == {file}
    assert any(word in told[0]["text"] for word in ("bytes long", "bytes differ"))
    shutil.rmtree(tmp_path / "scratch")
    mount = copies["mounts"][0]
    for one in [mount["tar"], *mount["databases"]]:
        if one["file"] == file:
            for kind in ("sha256", "blake2b"):
                one.pop(kind, None)
            one |= {"size": path.stat().st_size, **snapshot.checksum(str(path))}
    told = [one for one in put(copies, monkeypatch, capsys) if one["k"] == "problem"]
    assert {one["file"] for one in told} == {file}
    assert any(said in one["text"] for one in told), told


def test_nothing_is_changed_where_a_copy_is_bad(
    tmp_path: Path,
    data: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One bad copy among good ones: no file of the data is touched."""
    told = take(tmp_path, data, capsys)
    spoil(data)
    before = tree(data)
    _flip(tmp_path / "set" / "1.sqlite", 5000)
    said = put(argument(tmp_path, data, told, False), monkeypatch, capsys)
    assert [(one["k"], one["file"]) for one in said] == [("problem", "1.sqlite")]
    assert tree(data) == before
    # a person who knows of it may want it all the same
    given = {**argument(tmp_path, data, told, False), "anyway": True}
    assert [one["k"] for one in put(given, monkeypatch, capsys)] == ["problem", "put"]
    assert rows(data / "food.bin") == ["row 0", "row 1", "row 2"]


@pytest.mark.parametrize("name", ["../out", "/etc/out", "a/../../out"])
def test_no_entry_leaves_its_folder(name: str) -> None:
    """Whatever a tar says, nothing is written beside the mount."""
    with pytest.raises(ValueError, match="leaves its folder"):
        putback.inside("/data", name)


def test_a_copy_leaves_the_source_as_it_was(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Rows that are in the log stay there; a transaction that a crash cut short is taken back."""
    before = {one: (data / one).read_bytes() for one in ("food.bin", "food.bin-wal")}
    opened = sqlite3.connect(tmp_path / "making", isolation_level=None)
    opened.execute("CREATE TABLE t (word TEXT)")
    opened.execute("PRAGMA cache_size = 1")
    opened.execute("BEGIN")
    opened.executemany("INSERT INTO t VALUES (?)", [("x" * 3000,)] * 200)
    for end in ("", "-journal"):
        shutil.copyfile(tmp_path / f"making{end}", data / f"hot{end}")
    opened.close()
    told = {one["path"]: one for one in take(tmp_path, data, capsys, check=True)}
    assert {one: (data / one).read_bytes() for one in before} == before
    assert told["food.bin"]["tables"] == {"t": 3} and told["hot"]["tables"] == {"t": 0}
