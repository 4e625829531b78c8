"""What was lost is counted exactly: against what was really done to real databases."""

from __future__ import annotations

import io
import json
import os
import random
import sqlite3
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest
from homeport.inside import compare

SCHEMA = """
CREATE TABLE foods (id INTEGER PRIMARY KEY, name TEXT NOT NULL, price REAL);
CREATE TABLE tags (name TEXT PRIMARY KEY COLLATE NOCASE, colour TEXT);
CREATE TABLE foods_tags (food INTEGER, tag TEXT, weight, PRIMARY KEY (food, tag)) WITHOUT ROWID;
CREATE TABLE log (line TEXT);
CREATE TABLE "odd ""name" (rowid TEXT, "a b" BLOB);
CREATE TABLE still (id INTEGER PRIMARY KEY AUTOINCREMENT, x);
"""


def said(mount: dict[str, Any], cap: int = 100, within: float = 30.0) -> list[dict[str, Any]]:
    """What the script says of one mount."""
    lines: list[dict[str, Any]] = []
    mount = {"exclude": [], "databases": {}, **mount}
    compare.compare({"mounts": [mount], "cap": cap, "within": within}, lines.append)
    assert all(line.pop("mount") == 0 for line in lines)
    return lines


class Shop:
    """A live database, and a copy of it as it was when ``snapshot`` was called."""

    def __init__(self, folder: Path, journal: str = "wal", schema: str = SCHEMA) -> None:
        self.live, self.copy = folder / "live.db", folder / "copy.sqlite"
        self.db = sqlite3.connect(self.live, isolation_level=None)
        self.db.executescript(f"PRAGMA journal_mode = {journal}; PRAGMA synchronous = OFF")
        self.db.executescript(schema)

    def snapshot(self) -> None:
        """The copy, by the backup API, as sets have it."""
        with sqlite3.connect(self.copy) as other:
            self.db.backup(other, pages=-1)

    def lines(self, cap: int = 10_000, within: float = 30.0) -> list[dict[str, Any]]:
        """What the script says of the pair."""
        databases = {self.live.name: str(self.copy)}
        lines = said({"path": str(self.live.parent), "databases": databases}, cap, within)
        assert all(line.pop("path") == self.live.name for line in lines)
        return lines

    def figures(self) -> dict[str, tuple[int, int, int]]:
        """Added, changed, removed by table, where nothing else is said of any."""
        lines = self.lines()
        assert all(set(line) == {"table", "added", "changed", "removed"} for line in lines), lines
        return {one["table"]: (one["added"], one["changed"], one["removed"]) for one in lines}


@pytest.fixture(name="shop", params=["wal", "delete"])
def _shop(tmp_path: Path, request: pytest.FixtureRequest) -> Shop:
    return Shop(tmp_path, str(request.param))


def work(db: sqlite3.Connection, chance: random.Random, count: int) -> None:
    """A workload: what happens to each row is up to chance, and seen by the oracle afterwards."""
    for _ in range(count):
        key = chance.randrange(60)
        tag, line = f"t{chance.randrange(30)}", f"l{key}"
        what = chance.randrange(9)
        if what < 3:
            db.execute("INSERT OR IGNORE INTO foods VALUES (?, ?, ?)", (key, f"food {key}", 1.5))
            db.execute("INSERT OR IGNORE INTO tags VALUES (?, ?)", (tag, None))
            db.execute("INSERT OR IGNORE INTO foods_tags VALUES (?, ?, 1)", (key, tag))
            db.execute("INSERT INTO log VALUES (?)", (line,))
            db.execute('INSERT INTO "odd ""name" VALUES (?, ?)', (line, b"\0\xff"))
        elif what == 3:
            db.execute("UPDATE foods SET price = price + 1 WHERE id = ?", (key,))
            db.execute("UPDATE foods_tags SET weight = 2 WHERE food = ?", (key,))
        elif what == 4:
            db.execute("UPDATE tags SET name = upper(name) WHERE name = ?", (tag,))
            db.execute("UPDATE log SET line = line || '!' WHERE line = ?", (line,))
        elif what == 5:
            # there and back again is no change
            db.execute("UPDATE foods SET price = price * 2 WHERE id = ?", (key,))
            db.execute("UPDATE foods SET price = price / 2 WHERE id = ?", (key,))
        elif what == 6:
            db.execute("DELETE FROM foods WHERE id = ?", (key,))
            db.execute("DELETE FROM foods_tags WHERE food = ? AND tag < 't2'", (key,))
        elif what == 7:
            db.execute("DELETE FROM tags WHERE name = ?", (tag,))
            db.execute("DELETE FROM log WHERE line = ?", (line,))
            db.execute('DELETE FROM "odd ""name" WHERE rowid = ?', (line,))


KEYS = {
    "foods": ("id",),
    "tags": ("lower(name)",),
    "foods_tags": ("food", "tag"),
    "log": ("rowid",),
    'odd "name': ("_rowid_",),
    "still": ("id",),
}


def rows(db: sqlite3.Connection) -> dict[str, dict[Any, Any]]:
    """Every table as a dictionary from key to row: another way to the same figures."""
    found = {}
    for table, keys in KEYS.items():
        quoted = '"' + table.replace('"', '""') + '"'
        told = db.execute(f"SELECT {', '.join(keys)}, * FROM {quoted}").fetchall()
        found[table] = {row[: len(keys)]: row[len(keys) :] for row in told}
    return found


@pytest.mark.parametrize("seed", range(12))
def test_the_figures_are_those_of_the_workload(shop: Shop, seed: int) -> None:
    """Whatever was done, what is said is what another way of counting finds, table by table."""
    chance = random.Random(seed)
    work(shop.db, chance, 300)
    shop.snapshot()
    before = rows(shop.db)
    work(shop.db, chance, 20 * seed)
    after = rows(shop.db)
    wanted = {}
    for table, then in before.items():
        now = after[table]
        both = now.keys() & then.keys()
        figures = (
            len(now.keys() - then.keys()),
            sum(now[key] != then[key] for key in both),
            len(then.keys() - now.keys()),
        )
        if any(figures):
            wanted[table] = figures
    assert shop.figures() == wanted
    assert len(wanted) >= (4 if seed > 2 else 0), "a workload that does nothing shows nothing"


def test_it_counts_while_the_app_writes_and_of_one_instant(tmp_path: Path) -> None:
    """A write in the middle is in all of the figures or in none, and no writer is kept waiting."""
    shop = Shop(tmp_path)
    shop.snapshot()
    shop.db.execute("INSERT INTO foods VALUES (1, 'one', 1)")
    clock = compare.Clock(30.0)
    pair = compare.Pair(str(shop.live), str(shop.copy), 100, clock)
    lines = pair.lines()
    first = next(lines)
    assert (first["table"], first["added"]) == ("foods", 1)
    shop.db.execute("PRAGMA busy_timeout = 0")
    shop.db.execute("INSERT INTO foods_tags VALUES (1, 'a', 1)")
    shop.db.execute("INSERT INTO tags VALUES ('a', 'b')")
    assert not list(lines)
    pair.db.close()


def test_a_migration_between_is_seen_as_what_it_did(shop: Shop) -> None:
    """Columns of one side alone say nothing; tables of one side alone are named, with their rows"""
    shop.db.execute("INSERT INTO foods VALUES (1, 'one', 1), (2, 'two', 2)")
    shop.db.execute("INSERT INTO log VALUES ('a'), ('b'), ('c')")
    shop.snapshot()
    shop.db.execute("ALTER TABLE foods ADD COLUMN unit TEXT DEFAULT 'g'")
    shop.db.execute("UPDATE foods SET name = 'zwei' WHERE id = 2")
    shop.db.execute("DROP TABLE log")
    shop.db.execute("CREATE TABLE meals (id INTEGER PRIMARY KEY)")
    shop.db.execute("INSERT INTO meals VALUES (1), (2)")
    shop.db.execute("DROP TABLE still")
    shop.db.execute("CREATE TABLE still (x PRIMARY KEY)")
    assert shop.lines() == [
        {"table": "foods", "added": 0, "changed": 1, "removed": 0},
        {"table": "log", "added": 0, "changed": 0, "removed": 3, "only": "then"},
        {"table": "meals", "added": 2, "changed": 0, "removed": 0, "only": "now"},
        {
            "table": "still",
            "added": 0,
            "changed": 0,
            "removed": 0,
            "note": "cannot be compared: its primary key is another one now",
        },
    ]


def test_beyond_the_cap_it_says_at_least(shop: Shop) -> None:
    """A table that changed in more rows than anybody counts is said to have at least so many."""
    shop.snapshot()
    shop.db.executemany("INSERT INTO log VALUES (?)", [("x",)] * 50)
    assert shop.lines(cap=50) == [{"table": "log", "added": 50, "changed": 0, "removed": 0}]
    assert shop.lines(cap=49) == [
        {"table": "log", "added": 49, "changed": 0, "removed": 0, "least": True}
    ]


def test_out_of_time_it_says_at_least(shop: Shop) -> None:
    """Where the time is over, what was counted up to then is said, and that it may be more."""
    shop.snapshot()
    shop.db.execute("BEGIN")
    shop.db.executemany("INSERT INTO log VALUES (?)", [("x",)] * 200_000)
    shop.db.execute("COMMIT")
    lines = shop.lines(cap=10**9, within=0.01)
    mine = [line for line in lines if line["table"] == "log"]
    assert mine and mine[0]["least"] is True and mine[0]["added"] < 200_000


def test_writers_wait_no_longer_than_a_share(tmp_path: Path) -> None:
    """Without a WAL a reader stops writers: then each question has a bound of its own."""
    shares = []
    for journal in ("delete", "wal"):
        folder = tmp_path / journal
        folder.mkdir()
        shop = Shop(folder, journal)
        shop.snapshot()
        pair = compare.Pair(str(shop.live), str(shop.copy), 10, compare.Clock(1.0))
        shares.append(pair.share)
        pair.db.close()
    assert shares == [compare.SHARE, None]


def test_keys_that_may_be_empty_are_not_trusted(shop: Shop) -> None:
    """SQLite lets rows without a key into a table that has one: then the rowid tells them apart."""
    shop.db.executescript("CREATE TABLE t (k TEXT PRIMARY KEY, v)")
    shop.db.executemany("INSERT INTO t VALUES (?, ?)", [(None, 1), (None, 2), ("a", 3)])
    shop.snapshot()
    shop.db.execute("UPDATE t SET v = 9 WHERE v = 2")
    shop.db.execute("INSERT INTO t VALUES (NULL, 4)")
    assert shop.figures() == {"t": (1, 1, 0)}


def test_an_index_for_full_text_counts_once(shop: Shop) -> None:
    """Its rows are counted under its own name; what it keeps for searching is nobody's row."""
    shop.db.executescript(
        "CREATE VIRTUAL TABLE notes USING fts5(body); CREATE TABLE notes_archive (x);"
        "INSERT INTO notes VALUES ('one'), ('two')"
    )
    shop.snapshot()
    shop.db.execute("INSERT INTO notes VALUES ('three')")
    shop.db.execute("UPDATE notes SET body = 'zwei' WHERE body = 'two'")
    shop.db.execute("INSERT INTO notes_archive VALUES (1)")
    assert shop.figures() == {"notes": (1, 1, 0), "notes_archive": (1, 0, 0)}


@pytest.mark.parametrize("how", ["gone", "torn", "no copy"])
def test_what_cannot_be_read_is_said(shop: Shop, how: str) -> None:
    """A live file that is gone or damaged is why somebody goes back: it ends nothing."""
    shop.snapshot()
    shop.db.close()
    if how == "torn":
        shop.live.write_bytes(b"no database" * 1000)
    else:
        (shop.live if how == "gone" else shop.copy).unlink()
    (line,) = shop.lines()
    assert line["table"] == "" and line["note"].startswith("cannot be read: ")
    assert how != "gone" or not shop.live.exists(), "looking makes no empty database"


def test_the_live_database_is_not_changed(shop: Shop) -> None:
    """Looking changes nothing: not a row, and no file stays behind."""
    shop.snapshot()
    shop.db.execute("INSERT INTO log VALUES ('x')")
    shop.db.close()
    names, content = sorted(shop.live.parent.iterdir()), shop.live.read_bytes()
    assert shop.figures() == {"log": (1, 0, 0)}
    assert sorted(shop.live.parent.iterdir()) == names and shop.live.read_bytes() == content


# --- files ---------------------------------------------------------------------------------------
class Folder:
    """A folder of an app, and a tar of it as sets have it."""

    def __init__(self, home: Path) -> None:
        self.path, self.tar = home / "data", home / "1.tar"
        (self.path / "photos" / "old").mkdir(parents=True)
        for name in ("a", "b", "photos/c", "photos/old/d"):
            self.put(name, f"text of {name}")
        self.put("db", "SQLite format 3\0 and so on")
        self.put("db-wal", "a log")
        (self.path / "link").symlink_to("a")
        (self.path / "there").symlink_to("photos")

    def put(self, name: str, text: str, at: float = 1e9) -> None:
        """A file with this text, last changed at that instant."""
        path = self.path / name
        path.write_text(text)
        os.utime(path, (at, at))

    def snapshot(self) -> None:
        """The tar, as the script beside this one makes it."""
        with tarfile.open(self.tar, "w", format=tarfile.PAX_FORMAT) as tar:
            for path in sorted(self.path.rglob("*")):
                name = str(path.relative_to(self.path))
                if name == "db-wal" or name.startswith("cache"):
                    continue
                entry = tar.gettarinfo(path, name)
                entry.mtime = int(entry.mtime)
                if name == "db":
                    entry.size, entry.pax_headers = 0, {compare.DATABASE: "1"}
                    tar.addfile(entry)
                elif path.is_file() and not path.is_symlink():
                    tar.addfile(entry, io.BytesIO(path.read_bytes()))
                else:
                    tar.addfile(entry)

    def lines(self, **rest: Any) -> list[dict[str, Any]]:
        """What the script says of it."""
        mount = {"path": str(self.path), "tar": str(self.tar), "exclude": ["cache"]}
        return said(mount, **rest)


@pytest.fixture(name="folder")
def _folder(tmp_path: Path) -> Folder:
    made = Folder(tmp_path)
    made.snapshot()
    return made


def figures(added: int, changed: int, removed: int, **rest: Any) -> dict[str, Any]:
    """The line of the files of a mount."""
    return {"path": "", "added": added, "changed": changed, "removed": removed, **rest}


def test_files_that_nobody_touched_say_nothing(folder: Folder) -> None:
    """Nor do those that were only looked at, written with the same bytes, or left out of sets."""
    assert folder.lines() == []
    folder.put("a", "text of a", 1.1e9)
    (folder.path / "cache").mkdir()
    folder.put("cache/x", "not saved")
    folder.put("db", "SQLite format 3\0 and more")
    folder.put("db-shm", "")
    assert folder.lines() == []


def test_files_are_counted_by_what_became_of_them(folder: Folder) -> None:
    """New ones, gone ones, and those of other bytes, of another size, or of another kind."""
    folder.put("new", "x")
    folder.put("photos/old/new", "y")
    (folder.path / "link2").symlink_to("nowhere")
    assert folder.lines() == [figures(3, 0, 0)]
    folder.put("a", "TEXT OF A", 1.1e9)
    folder.put("b", "longer than before")
    (folder.path / "link").unlink()
    (folder.path / "link").symlink_to("b")
    assert folder.lines() == [figures(3, 3, 0)]
    (folder.path / "photos" / "c").unlink()
    (folder.path / "there").unlink()
    folder.put("there", "a file now")
    assert folder.lines() == [figures(3, 4, 1)]
    assert folder.lines(cap=3) == [figures(3, 3, 1, least=True)]


def test_a_database_that_is_none_any_more_is_no_file_that_is_new(folder: Folder) -> None:
    """What is damaged is told as a database that cannot be read, and not as a file that stays."""
    folder.put("db", "what was a database")
    mount = {"path": str(folder.path), "tar": str(folder.tar), "databases": {"db": "/nowhere"}}
    (line,) = said(mount)
    assert line["path"] == "db" and line["note"].startswith("cannot be read: ")


def test_files_are_not_counted_for_ever(folder: Folder) -> None:
    """Out of time it says what it found, and that there may be more."""
    folder.put("new", "x")
    assert folder.lines(within=0.0) == [figures(0, 0, 0, least=True)]


def test_the_script_runs_by_itself(folder: Folder) -> None:
    """As it does in an app's image: alone, its argument in a variable, a line of JSON for each."""
    folder.put("new", "x")
    mount = {"path": str(folder.path), "tar": str(folder.tar), "exclude": [], "databases": {}}
    argument = json.dumps({"mounts": [mount], "cap": 9, "within": 9})
    text = Path(compare.__file__).read_text()
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-B", "-c", text],
        env={"HOMEPORT_ARGUMENT": argument},
        capture_output=True,
        check=True,
    )
    assert [json.loads(line) for line in done.stdout.splitlines()] == [
        {"mount": 0, **figures(1, 0, 0)}
    ]
