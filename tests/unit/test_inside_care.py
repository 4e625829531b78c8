"""Upkeep of real SQLite databases: what is done to them, and what is found in damaged ones."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from homeport.inside import care

SCHEMA = """
CREATE TABLE shops (id INTEGER PRIMARY KEY, name TEXT);
CREATE TABLE foods (id INTEGER PRIMARY KEY, name TEXT, shop INTEGER REFERENCES shops (id));
CREATE INDEX by_name ON foods (name);
"""


def make(path: Path, journal: str = "wal", rows: int = 400) -> Path:
    """A database with so many foods, all of the one shop there is."""
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.executescript(f"PRAGMA journal_mode = {journal}; PRAGMA synchronous = OFF; BEGIN")
        for one in SCHEMA.split(";")[:-1]:
            database.execute(one)
        database.execute("INSERT INTO shops VALUES (1, 'corner')")
        values = [(number, f"food {number} " + "x" * 200) for number in range(rows)]
        database.executemany("INSERT INTO foods VALUES (?, ?, 1)", values)
        database.execute("COMMIT")
    return path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A database in WAL mode."""
    return make(tmp_path / "shop.db")


@pytest.fixture
def app(file: Path) -> Iterator[sqlite3.Connection]:
    """The app's own connection to it, so that its log stays."""
    with closing(sqlite3.connect(file, isolation_level=None)) as database:
        database.execute("PRAGMA wal_autocheckpoint = 0")
        database.execute("INSERT INTO foods VALUES (9999, 'late', 1)")
        yield database


def test_a_whole_database(file: Path, app: sqlite3.Connection) -> None:
    """Its rows are counted, those in the log too, and not a byte of it is changed."""
    before = file.read_bytes(), Path(f"{file}-wal").read_bytes()
    line = care.care(str(file), "check", 1.0)
    assert (line["problems"], line["orphans"]) == ([], {})
    assert (line["rows"], line["tables"], line["journal"]) == (402, 2, "wal")
    assert line["version"] == sqlite3.sqlite_version and line["before"] == line["after"]
    assert before == (file.read_bytes(), Path(f"{file}-wal").read_bytes())


def test_rows_that_refer_to_nothing_are_told_and_no_damage(file: Path) -> None:
    """By the tables on both ends, and how many."""
    with closing(sqlite3.connect(file)) as database, database:
        database.execute("UPDATE foods SET shop = 7 WHERE id < 3")
    line = care.care(str(file), "check", 1.0)
    assert (line["problems"], line["orphans"]) == ([], {"foods -> shops": 3})


def test_a_key_that_cannot_be_followed_is_no_damage(file: Path) -> None:
    """It refers to a column that is not unique, which SQLite tells only when it is asked."""
    with closing(sqlite3.connect(file)) as database, database:
        database.execute("CREATE TABLE odd (name TEXT REFERENCES foods (name))")
        database.execute("INSERT INTO odd VALUES ('x')")
    line = care.care(str(file), "check", 1.0)
    assert line["problems"] == [] and list(line["orphans"].values()) == [0]


def test_an_index_that_does_not_match_its_table(file: Path) -> None:
    """What only a full check finds: rows that the index does not have."""
    with closing(sqlite3.connect(file)) as database, database:
        database.execute("PRAGMA writable_schema = 1")
        kept = database.execute("SELECT * FROM sqlite_master WHERE name = 'by_name'").fetchone()
        database.execute("DELETE FROM sqlite_master WHERE name = 'by_name'")
    with closing(sqlite3.connect(file)) as database, database:
        database.execute("INSERT INTO foods VALUES (5000, 'unseen', 1)")
    with closing(sqlite3.connect(file)) as database, database:
        database.execute("PRAGMA writable_schema = 1")
        database.execute("INSERT INTO sqlite_master VALUES (?, ?, ?, ?, ?)", kept)
    with closing(sqlite3.connect(file)) as database:
        assert database.execute("PRAGMA quick_check").fetchone() == ("ok",)
    assert "wrong # of entries in index by_name" in care.care(str(file), "check", 1.0)["problems"]


@pytest.mark.parametrize("at", ["a page", "the end"])
def test_a_damaged_file(file: Path, at: str) -> None:
    """A page full of nonsense, and a file that was cut short, are found."""
    data = bytearray(file.read_bytes())
    if at == "a page":
        data[4096 * 3 : 4096 * 4] = os.urandom(4096)
    file.write_bytes(data if at == "a page" else data[: len(data) // 2 // 4096 * 4096])
    assert care.care(str(file), "check", 1.0)["problems"]


def test_a_database_that_is_none_any_more(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One that was saved once is missed, whether it is gone or begins with something else."""
    gone = file.with_name("gone.db")
    file.write_bytes(b"\0" * 8192)
    mounts = [{"path": str(file.parent), "exclude": []}]
    known = [str(file), str(gone)]
    care.main({"do": "check", "mounts": mounts, "known": known, "wait": 1})
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(one["path"], one["problems"]) for one in lines] == [
        (str(gone), ["it is not there any more"]),
        (str(file), ["it is no SQLite database any more"]),
    ]


def test_a_file_with_a_log_beside_it_was_one(
    file: Path, app: sqlite3.Connection, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also where nothing was ever saved."""
    file.write_bytes(b"\0" * 8192)
    mounts = [{"path": str(file.parent), "exclude": []}]
    care.main({"do": "check", "mounts": mounts, "known": [], "wait": 1})
    line = json.loads(capsys.readouterr().out)
    assert line["problems"] == ["it is no SQLite database any more"]


@pytest.mark.parametrize("journal", ["wal", "delete"])
def test_vacuum_gives_room_back(tmp_path: Path, journal: str) -> None:
    """The file gets smaller, its rows stay, and nothing is left beside it."""
    file = make(tmp_path / "big.db", journal)
    with closing(sqlite3.connect(file)) as database, database:
        database.execute("DELETE FROM foods WHERE id >= 40")
    line = care.care(str(file), "vacuum", 1.0)
    assert line["before"]["empty"] > 10 and line["after"]["empty"] == 0
    assert line["after"]["size"] < line["before"]["size"] / 3
    assert file.stat().st_size == line["after"]["size"]
    assert care.care(str(file), "check", 1.0)["rows"] == 41
    assert [one.name for one in tmp_path.iterdir()] == ["big.db"]


def test_vacuum_beside_the_apps_own_connection(file: Path, app: sqlite3.Connection) -> None:
    """An app that is idle, as one is whose requests are held, keeps nothing of it back."""
    app.execute("DELETE FROM foods WHERE id >= 40")
    line = care.care(str(file), "vacuum", 1.0)
    assert not line["locked"] and line["after"]["wal"] == 0
    assert app.execute("SELECT count(*) FROM foods").fetchone() == (40,)


def test_a_checkpoint_brings_the_log_home(file: Path, app: sqlite3.Connection) -> None:
    """The log is empty, the row that was in it is in the file itself."""
    line = care.care(str(file), "checkpoint", 1.0)
    assert line["before"]["wal"] > 0 and line["after"]["wal"] == 0 and not line["locked"]
    copy = file.with_name("copy.db")
    copy.write_bytes(file.read_bytes())
    with closing(sqlite3.connect(copy)) as database:
        assert database.execute("SELECT id FROM foods WHERE name = 'late'").fetchone() == (9999,)


def test_a_reader_keeps_the_log(file: Path, app: sqlite3.Connection) -> None:
    """What could not be done is told, and nothing is lost."""
    with closing(sqlite3.connect(file, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM foods").fetchone()
        app.execute("INSERT INTO foods VALUES (10000, 'later', 1)")
        assert care.care(str(file), "checkpoint", 0.1)["locked"]


def test_a_writer_that_does_not_let_go(file: Path, app: sqlite3.Connection) -> None:
    """It is waited for as long as was said, and then told."""
    app.execute("BEGIN IMMEDIATE")
    line = care.care(str(file), "vacuum", 0.2)
    assert line["locked"] and "after" not in line and line["seconds"] >= 0.2
    app.execute("COMMIT")
    assert not care.care(str(file), "vacuum", 0.2)["locked"]


def test_analyze_gathers_statistics(file: Path) -> None:
    """They are there afterwards, and counted."""
    line = care.care(str(file), "analyze", 1.0)
    with closing(sqlite3.connect(file)) as database:
        known = database.execute("SELECT count(*) FROM sqlite_stat1").fetchone()[0]
    assert line["statistics"] == known >= 2


def test_every_database_of_the_mounts_by_its_first_bytes(tmp_path: Path) -> None:
    """As an image's Python runs it: what is called so and is none, and what is left out, is not."""
    for name in ("a.db", "deep/b.data", "cache/c.db", "left.db"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        make(tmp_path / name, rows=1)
    (tmp_path / "notes.db").write_text("no database")
    (tmp_path / "link.db").symlink_to(tmp_path / "a.db")
    mounts = [{"path": str(tmp_path), "exclude": ["cache", "left.db"]}]
    asked = {"do": "look", "mounts": mounts, "known": [], "wait": 1}
    text = Path(care.__file__).read_text()
    said = subprocess.run(
        [sys.executable, "-I", "-S", "-B", "-c", text],
        env={"HOMEPORT_ARGUMENT": json.dumps(asked)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert said.returncode == 0, said.stderr
    lines: list[dict[str, Any]] = [json.loads(line) for line in said.stdout.splitlines()]
    assert [one["path"] for one in lines] == [f"{tmp_path}/a.db", f"{tmp_path}/deep/b.data"]
    assert all(one["journal"] == "wal" and one["free"] > 0 for one in lines)
    assert {path.name for path in tmp_path.iterdir()} == {
        *("a.db", "deep", "cache", "left.db", "notes.db", "link.db")
    }
