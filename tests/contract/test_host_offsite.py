"""An app whose host dies: its sets in a real repository, and the app made anew from one."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from homeport.backups import Backup
from homeport.core import offsite
from homeport.errors import HostFault
from homeport.host import kept, offsite_memory, records
from homeport.host import read as reading
from homeport.host.execute import execute
from homeport.planned import Plan
from lab.restic import ensure_restic
from tinyapp.driver import Tiny

pytestmark = pytest.mark.docker
KEYS = "RESTIC_PASSWORD=only-in-a-test\n"
SETTINGS = "GREETING=hello\nAPI_TOKEN=a-token-of-ours\n"


@pytest.fixture(autouse=True, scope="module")
def _restic() -> None:
    ensure_restic(print)


def send(app: Tiny) -> None:
    """What a scheduled backup does behind the check: carry the newest verified set off the box."""
    ctx = app.context("backup")
    records.begin(ctx, "", "")
    execute(ctx, Plan("backup", steps=offsite.steps(app.backup)))


@pytest.fixture
def app(make_app: Callable[..., Tiny], tmp_path: Path) -> Tiny:
    """An app that served, wrote, and has a verified set in its repository."""
    made = make_app("dead", backup=Backup(offsite=str(tmp_path / "repo")))
    made.paths.settings_env.write_text(SETTINGS)
    made.paths.restic_env.write_text(KEYS)
    made.deploy()
    assert made.ask("/write", b"first").status == 200
    data = made.paths.folder / "data"
    with closing(sqlite3.connect(data / "rows.db")) as database:
        database.execute("CREATE TABLE food (id INTEGER PRIMARY KEY, name TEXT)")
        database.execute("INSERT INTO food (name) VALUES ('bread'), ('milk')")
        database.commit()
    os.chown(data / "rows.db", 10001, 10001)
    made.deploy("v2")
    send(made)
    return made


def die(app: Tiny) -> None:
    """All that the host had is gone; a new one was set up."""
    app.clear()
    app.paths.folder.mkdir()
    (app.paths.folder / "data").mkdir()


def asked(app: Tiny, **more: object) -> dict[str, object]:
    """What a person on a new host asks."""
    assert app.backup is not None
    return {"set": "latest", "source": app.backup.offsite, "opens": KEYS, **more}


def rows(app: Tiny) -> list[str]:
    """What the app's database has."""
    with closing(sqlite3.connect(app.paths.folder / "data" / "rows.db")) as database:
        return [row[0] for row in database.execute("SELECT name FROM food ORDER BY id")]


def test_a_new_host_serves_with_the_last_set(app: Tiny) -> None:
    """One run: data, settings and keys are those of the set, and it goes on saving there."""
    (before,) = kept.manifests(app.paths)
    assert rows(app) == ["bread", "milk"]
    die(app)
    assert app.run("restore-from", **asked(app)).outcome == "restored"
    assert app.ask("/env?API_TOKEN").told()["value"] == "a-token-of-ours"
    assert app.serves() == before.release
    assert rows(app) == ["bread", "milk"]
    data = app.paths.folder / "data"
    assert (data / "rows").read_bytes() == f"first {before.release}\n".encode()
    assert {one.stat().st_uid for one in (data, data / "rows", data / "rows.db")} == {10001}
    for path, text in ((app.paths.settings_env, SETTINGS), (app.paths.restic_env, KEYS)):
        assert path.read_text() == text and path.stat().st_mode & 0o777 == 0o600
    steps = app.steps()
    assert steps.index("fetch") < steps.index("verify") < steps.index("data-back")
    assert steps.index("data-back") < steps.index("start") < steps.index("handover")
    # it knows that the set is there, sends the next one, and nothing in vain
    known = offsite_memory.known(app.paths)
    assert known and known.set == before.id
    app.deploy("v2")
    app.ask("/write", b"second")
    send(app)
    after = offsite_memory.known(app.paths)
    assert after and after.set > before.id and after.id == known.id
    told = json.dumps(app.events) + app.paths.journal.read_text()
    assert "only-in-a-test" not in told and "a-token-of-ours" not in told


def test_a_drill_brings_the_set_back_and_leaves_nothing(app: Tiny) -> None:
    """It says so; once the data in the repository is spoilt, it says that."""
    verdict = app.run("backup-drill")
    (one,) = kept.manifests(app.paths)
    assert verdict.outcome == "verified" and one.id in verdict.sentence
    known = offsite_memory.known(app.paths)
    assert known and known.drilled_set == one.id and known.why == ""
    assert [path.name for path in app.paths.backups.glob(".*")] == []
    assert app.backup is not None
    packs = [path for path in Path(app.backup.offsite, "data").rglob("*") if path.is_file()]
    for pack in packs:
        pack.chmod(0o600)
        raw = bytearray(pack.read_bytes())
        raw[len(raw) // 3] ^= 0xFF
        pack.write_bytes(raw)
    shutil.rmtree(app.paths.home / "cache")
    verdict = app.run("backup-drill")
    assert verdict.code == HostFault.code and verdict.outcome == "failed"
    known = offsite_memory.known(app.paths)
    assert known and "cannot be read" in known.why
    assert [path.name for path in app.paths.backups.glob(".*")] == []
    assert "did NOT come back" in reading.status(app.context("status"))["offsite"]


def test_a_host_on_which_the_app_lives_is_left_as_it_is(app: Tiny) -> None:
    """Its data is newer than any set: nothing is fetched, and nothing is stopped."""
    before, running = app.tree(), app.running()
    verdict = app.run("restore-from", "v2", **asked(app))
    assert verdict.outcome == "refused" and "lives on this host already" in verdict.sentence
    assert app.running() == running
    changed = {path for path, what in app.tree().items() if before.get(path) != what}
    names = {Path(path).name for path in changed if "/logs/" not in path}
    assert names <= {"journal.jsonl", "lock"}, names


def test_data_that_nobody_saved_is_not_overwritten(app: Tiny) -> None:
    """It was put there by hand on the new host: refused before anything is pulled or started."""
    die(app)
    (app.paths.folder / "data" / "precious").write_text("mine")
    verdict = app.run("restore-from", "v2", **asked(app))
    assert verdict.outcome == "refused" and "there is data already" in verdict.sentence
    assert (app.paths.folder / "data" / "precious").read_text() == "mine"
    assert app.containers() == {}
    (app.paths.folder / "data" / "precious").unlink()
    assert app.run("restore-from", "v2", **asked(app)).outcome == "restored"


def test_a_try_that_failed_is_repeated_over_what_it_left(app: Tiny) -> None:
    """The release did not get ready: the data it was given is no hindrance the next time."""
    die(app)
    verdict = app.run("restore-from", "v1", "never-ready", **asked(app))
    assert verdict.outcome == "failed" and app.running() == []
    assert rows(app) == ["bread", "milk"]
    assert app.run("restore-from", "v2", **asked(app)).outcome == "restored"
    assert rows(app) == ["bread", "milk"] and "fetch" in app.steps()


WRONG = {
    "another password": ({"opens": "RESTIC_PASSWORD=guessed\n"}, "has another password"),
    "no such set": ({"set": "20200101T000000-aaaa"}, "there is no set"),
    "another place": ({"source": "/nowhere/at/all"}, "there is no repository"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_said_and_nothing_is_kept(name: str, app: Tiny) -> None:
    """Neither keys that open nothing, nor settings, nor a part of a set."""
    more, words = WRONG[name]
    die(app)
    verdict = app.run("restore-from", "v2", **asked(app, **more))
    assert verdict.outcome == "failed" and words in verdict.sentence
    assert not app.paths.restic_env.exists() and not app.paths.settings_env.exists()
    assert kept.manifests(app.paths) == () and app.containers() == {}


def test_a_set_that_somebody_carried_off_by_hand_comes_back(app: Tiny, tmp_path: Path) -> None:
    """Without a repository: a first deploy on the new host, the set laid there, and a restore."""
    (mine,) = kept.manifests(app.paths)
    # as scp -r brings it: whoever copies owns it, and it is readable for all
    shutil.copytree(app.paths.backups / mine.id, tmp_path / mine.id, copy_function=shutil.copyfile)
    die(app)
    app.paths.settings_env.write_text(SETTINGS)
    assert app.deploy("v2").outcome == "deployed"
    shutil.copytree(tmp_path / mine.id, app.paths.backups / mine.id)
    verdict = app.run("restore", set=mine.id, yes=True)
    assert verdict.outcome == "restored", verdict
    assert rows(app) == ["bread", "milk"]
