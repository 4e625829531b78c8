"""Asking a release for its schema, migrating, and a start on a copy, on the real Engine."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from homeport.backups import Migrate
from homeport.core.facts import Schema
from homeport.errors import (
    Cancelled,
    HomeportError,
    HostFault,
    MigrationFailed,
    NeverHealthy,
    Problem,
    SmokeFailed,
    StartFailed,
)
from homeport.host import oneshot, ops_migrate, prepare, records, rehearsal, schema, sets
from homeport.host.context import Context
from homeport.host.engine import Engine
from homeport.host.ops import OPS
from homeport.host.restoring import Copy
from homeport.model import Release, Smoke, Web
from tinyapp.driver import Tiny, docker, wait

pytestmark = pytest.mark.docker
MakeApp = Callable[..., Tiny]
DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
RULES = Migrate(("python3", "/schema.py", "migrate"), ("python3", "/schema.py"), within=20.0)


@pytest.fixture(scope="module")
def app(make_app: MakeApp) -> Tiny:
    """An app whose data has the schema of v1. Nothing of it serves: only its data counts here."""
    made = make_app("migrate", migrate=RULES)
    (made.paths.folder / "app.env").write_text("TINY_SECRET=sesame-open\n")
    ctx, release = about(made, "v1")
    run(ctx, release, "migrate")
    return made


@pytest.fixture(autouse=True)
def _nothing_left(app: Tiny) -> Iterator[None]:
    """Whatever a test does, no container of it is left, and no folder of a start."""
    yield
    assert Engine().containers(f"homeport.app={app.name}") == []
    assert not (app.paths.folder / rehearsal.FOLDER).exists()


def about(app: Tiny, version: str, fault: str = "") -> tuple[Context, Release]:
    """A deploy up to where its data is there; what it is about."""
    ctx = app.context("deploy", version, fault)
    made = prepare.deploy(ctx)
    records.begin(ctx, made.release.id, "")
    for step in made.plan.steps:
        if step.do in ("write-release", "data"):
            OPS[step.do](ctx, step.args)
    return ctx, made.release


def run(ctx: Context, release: Release, do: str, within: float = 20.0, **more: bool) -> str:
    """Carry a step out that is about this release; what it says."""
    return OPS[do](ctx, {"release": release.id, "within": within, **more})


def version(app: Tiny) -> int:
    """What the live data has, read from outside."""
    with sqlite3.connect(f"file:{app.paths.folder}/data/rows.db?mode=ro", uri=True) as database:
        (found,) = database.execute("PRAGMA user_version").fetchone()
    return int(found)


def journalled(app: Tiny) -> list[str]:
    """What the journal says of the schema, in order."""
    lines = map(json.loads, app.paths.journal.read_text().splitlines())
    return [one["schema"] for one in lines if one["k"] == "schema"]


def text(error: HomeportError) -> str:
    return "\n".join(one.text() for one in error.problems)


# --- the look
def test_a_look_tells_and_leaves_nothing(app: Tiny) -> None:
    """The release says what the data has and what it wants, before its folder is there."""
    ctx = app.context("deploy", "v3")
    made = prepare.deploy(ctx)
    before = app.tree()
    assert schema.look(ctx, made.release) == Schema("1", "3")
    assert app.tree() == before


def test_a_look_has_the_settings_of_today(app: Tiny) -> None:
    """The command finds what is in app.env, as the release will."""
    ctx = app.context("deploy", "v3")
    release = prepare.deploy(ctx).release
    rules = replace(RULES, schema=("sh", "-c", "echo $HOMEPORT_RELEASE $TINY_SECRET"))
    asking = replace(release, settings=replace(release.settings, migrate=rules))
    assert schema.look(ctx, asking) == Schema(release.id, "sesame-open")


def test_a_look_at_what_is_not_there_yet(make_app: MakeApp) -> None:
    """Neither networks nor volumes nor folders are made for it: they would be root's."""
    app = make_app("first", migrate=RULES)
    ctx = app.context("deploy", "v2")
    made = prepare.deploy(ctx)
    assert schema.look(ctx, made.release) == Schema("0", "2")
    assert not (app.paths.folder / "data").exists()
    assert Engine().volume(f"{app.name}_keep") is None
    assert Engine().containers(f"homeport.app={app.name}") == []
    assert docker("network", "ls", "-q", "--filter", f"name={app.name}") == ""


def test_nothing_is_asked_without_need(app: Tiny) -> None:
    """No [migrate], or an image that is not there yet: None."""
    ctx = app.context("deploy", "v2")
    release = prepare.deploy(ctx).release
    assert schema.look(ctx, replace(release, image="homeport-test/none:1")) is None
    plain = replace(release, settings=replace(release.settings, migrate=None))
    assert schema.look(ctx, plain) is None


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("mute", ["python3 /schema.py ended with code 1", "there is no such table: versions"]),
        ("odd", ["does not print two words", "1 of 2 migrations", "like: 0001 0002"]),
    ],
)
def test_a_look_that_fails_says_why(app: Tiny, fault: str, said: list[str]) -> None:
    ctx = app.context("deploy", "v2", fault)
    release = prepare.deploy(ctx).release
    with pytest.raises(schema.Untold) as caught:
        schema.look(ctx, release)
    assert caught.value.code == 30
    for one in said:
        assert one in text(caught.value)


# --- the migration
def test_a_good_migration(app: Tiny) -> None:
    """It is journalled as unknown before and as what it is after it, and may be done again."""
    before, known = version(app), len(journalled(app))
    ctx, release = about(app, f"v{before + 1}")
    assert run(ctx, release, "migrate") == f"the schema is at {before + 1}"
    assert version(app) == before + 1
    assert run(ctx, release, "migrate") == f"the schema is at {before + 1}"
    assert journalled(app)[known:] == ["", str(before + 1)] * 2


@pytest.mark.parametrize(
    ("fault", "within", "said"),
    [
        ("raises", 20.0, ["ended with code 1", "is half made", "password is •••"]),
        ("hangs", 2.0, ["had no end within 2 s", "waiting for a table that somebody else has"]),
        ("needs", 20.0, ["ended with code 1", "KeyError: 'MIGRATION_KEY'"]),
        ("idle", 20.0, ["ended well, and the schema is at 0 instead of 9"]),
    ],
)
def test_a_bad_migration(make_app: MakeApp, fault: str, within: float, said: list[str]) -> None:
    """It ends in its time, with the command's own last words; nothing is at stake here, so what it
    left is what the data has."""
    app = make_app(fault, migrate=RULES)
    (app.paths.folder / "app.env").write_text("TINY_SECRET=sesame-open\n")
    ctx, release = about(app, "v9", fault)
    begun = time.monotonic()
    with pytest.raises(MigrationFailed) as caught:
        run(ctx, release, "migrate", within)
    assert time.monotonic() - begun < within + 15
    for one in said:
        assert one in text(caught.value), text(caught.value)
    assert journalled(app) == ["", "0"]
    assert Engine().containers(f"homeport.app={app.name}") == []


def test_a_migration_is_looked_at_later(app: Tiny) -> None:
    """What it did is asked by a container that nobody waits for, until somebody does."""
    before, known = version(app), len(journalled(app))
    ctx, release = about(app, f"v{before + 1}")
    run(ctx, release, "migrate", later=True)
    assert version(app) == before + 1 and journalled(app)[known:] == [""]
    assert ctx.asking is not None and Engine().inspect(ctx.asking.begun.made)
    assert run(ctx, release, "schema") == f"the schema is at {before + 1}"
    assert ctx.asking is None and Engine().containers(f"homeport.app={app.name}") == []
    # as any other step, it may be done again
    assert run(ctx, release, "schema") == f"the schema is at {before + 1}"
    assert journalled(app)[known:] == ["", *(str(before + 1),) * 2]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (("python3", "/schema.py"), "ended well, and the schema is at 0 instead of 9"),
        (("sh", "-c", "echo no table >&2; exit 3"), "ended with code 3"),
        (("schemata",), "schemata is no program that the image has"),
    ],
)
def test_what_is_found_later_fails_the_deploy(
    make_app: MakeApp, asked: tuple[str, ...], said: str
) -> None:
    """With the same words; and where the code failed of it first, these words come before."""
    app = make_app("late", migrate=replace(RULES, schema=asked))
    ctx, release = about(app, "v9", "idle")
    run(ctx, release, "migrate", later=True)
    failed = StartFailed(Problem("web ended with code 1", release.id))
    error = ops_migrate.left(ctx, failed)
    assert isinstance(error, MigrationFailed) and error.problems[-1] == failed.problems[0]
    assert said in error.problems[0].text()
    # nothing is asked any more
    assert ops_migrate.left(ctx, failed) is failed
    run(ctx, release, "migrate", later=True)
    with pytest.raises(MigrationFailed) as caught:
        run(ctx, release, "schema")
    assert said in text(caught.value)
    assert Engine().containers(f"homeport.app={app.name}") == []


def test_nobody_waits_for_long_for_a_look(make_app: MakeApp) -> None:
    """Not at all after a cancel, and where it hangs not until it is killed; what is good is no
    cause."""
    app = make_app("left", migrate=replace(RULES, schema=("sleep", "600")))
    ctx, release = about(app, "v1")
    run(ctx, release, "migrate", later=True)
    stopped = Cancelled(Problem("stopped at start", release.id))
    begun = time.monotonic()
    failed = StartFailed(Problem("web ended with code 1", release.id))
    assert ops_migrate.left(ctx, stopped) is stopped
    run(ctx, release, "migrate", later=True)
    assert ops_migrate.left(ctx, failed) is failed
    assert time.monotonic() - begun < 30
    assert Engine().containers(f"homeport.app={app.name}") == []
    ctx, release = about(make_app("well", migrate=RULES), "v1")
    run(ctx, release, "migrate", later=True)
    assert ops_migrate.left(ctx, failed) is failed and ctx.asking is None


def gone(*_: object) -> None:
    """An Engine that does not answer."""
    raise HostFault(Problem("Docker does not answer"))


def test_a_docker_that_is_gone_hides_no_cause(
    make_app: MakeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What asks cannot be removed then: the failure is told as what it was."""
    app = make_app("deaf", migrate=replace(RULES, schema=("sleep", "600")))
    ctx, release = about(app, "v1")
    run(ctx, release, "migrate", later=True)
    stopped = Cancelled(Problem("stopped at start", release.id))
    with monkeypatch.context() as patched:
        patched.setattr(Engine, "remove", gone)
        assert ops_migrate.left(ctx, stopped) is stopped and ctx.asking is None
    # the next run ends it
    oneshot.clear(app.context("recover"))


def test_a_program_that_is_not_there(make_app: MakeApp) -> None:
    app = make_app("absent", migrate=replace(RULES, command=("alembic", "upgrade", "head")))
    ctx, release = about(app, "v1")
    with pytest.raises(MigrationFailed) as caught:
        run(ctx, release, "migrate")
    assert "alembic upgrade head is no program that the image has" in text(caught.value)


def test_a_migration_outlives_no_recovery(make_app: MakeApp) -> None:
    """What a dead executor left migrating is ended before anything else is done to the data."""
    app = make_app("dead", migrate=RULES)
    ctx, release = about(app, "v9", "hangs")
    one = oneshot.OneShot(ctx, release)
    wanted = oneshot.Wanted(RULES.command)
    body, _ = oneshot.bodies.body(one.like, wanted, app.name, "a run that died", 0)
    made = ctx.engine.create(f"{app.name}-oneshot-dead", body)
    ctx.engine.start(made)
    wait(lambda: rows(app), "it has begun to migrate")
    assert version_of(app, release) == "0 9"
    assert Engine().inspect(made) is None


@contextmanager
def held(app: Tiny) -> Iterator[None]:
    """Another process is in the midst of a run of this app."""
    code = "import sys, pathlib; from homeport.host.store import Lock; "
    code += "Lock(pathlib.Path(sys.argv[1])).take({'run': 'theirs'}); print(flush=True); input()"
    words = [sys.executable, "-c", code, str(app.paths.lock)]
    pipe = subprocess.PIPE
    env = {**os.environ, "PYTHONPATH": str(DEPLOY)}
    with subprocess.Popen(words, stdin=pipe, stdout=pipe, env=env, text=True) as process:
        assert process.stdout and process.stdout.readline() == "\n"
        yield
        process.communicate("\n", timeout=20)


def test_who_only_looks_ends_nothing_of_a_run(make_app: MakeApp) -> None:
    """While another process holds the app, what it does is its own business."""
    app = make_app("busy", migrate=RULES)
    ctx, release = about(app, "v9")
    one = oneshot.OneShot(ctx, release)
    wanted = oneshot.Wanted(("python3", "-c", "import time; time.sleep(600)"))
    body, _ = oneshot.bodies.body(one.like, wanted, app.name, "theirs", 0)
    made = ctx.engine.create(f"{app.name}-oneshot-busy", body)
    ctx.engine.start(made)
    with held(app):
        assert schema.look(ctx, replace(release, id="r0099-aaaaaaa")) == Schema("0", "9")
        assert (Engine().inspect(made) or {})["State"]["Running"]
    assert schema.look(ctx, release) == Schema("0", "9")
    assert Engine().inspect(made) is None


def rows(app: Tiny) -> int:
    """How many rows the live data has, read from outside; 0 where there is no table yet."""
    try:
        with sqlite3.connect(f"file:{app.paths.folder}/data/rows.db?mode=ro", uri=True) as database:
            (found,) = database.execute("SELECT count(*) FROM rows").fetchone()
    except sqlite3.OperationalError:
        return 0
    return int(found)


def version_of(app: Tiny, release: Release) -> str:
    """What the release says, by another run."""
    ctx = app.context("recover")
    ctx.fresh = release
    found = schema.ask(ctx, release)
    return f"{found.found} {found.wanted}"


@pytest.mark.parametrize(("told", "found"), [(None, "1"), ("", ""), ("7", "7")])
def test_a_set_has_no_schema_that_nobody_told(
    make_app: MakeApp, told: str | None, found: str
) -> None:
    """What a failed migration left is not what the release before it had."""
    app = make_app("label", migrate=RULES)
    ctx, release = about(app, "v1")
    if told is not None:
        ctx.journal("schema", schema=told)
    assert sets.take(ctx, replace(release, schema="1"), "asked").schema == found


# --- the start on a copy
@pytest.fixture
def copy(app: Tiny, tmp_path: Path) -> dict[str, str]:
    """Folders in the place of the app's own, open to its uid."""
    found = {"/app/data": tmp_path / "data", "/app/keep": tmp_path / "keep"}
    tmp_path.chmod(0o755)
    for folder in found.values():
        folder.mkdir()
        folder.chmod(0o777)
    return {path: str(folder) for path, folder in found.items()}


@pytest.mark.parametrize("env,reached", [({}, False), ({"DATABASE_URL": "of a copy"}, True)])
@pytest.mark.parametrize("which", ["command", "schema"])
def test_a_copy_without_a_server_reaches_none(
    app: Tiny, copy: dict[str, str], env: dict[str, str], reached: bool, which: str
) -> None:
    """Only a copied database on a server needs a network; without one the live one is not there."""
    ctx, release = about(app, "v2")
    look = "import socket; names = {one for _, one in socket.if_nameindex()} - {'lo'};"
    look += "print('2 2') if not names else exit(f'there is {names}')"
    asking = ("python3", "-c", look)
    rules = Migrate(("true",), asking) if which == "schema" else Migrate(asking, ("echo", "2 2"))
    asked = replace(release, schema="2", settings=replace(release.settings, migrate=rules))
    if not reached:
        assert ops_migrate.bring_up(ctx, asked, 20.0, Copy(copy, 0.0, env)).found == "2"
        return
    with pytest.raises(MigrationFailed) as caught:
        ops_migrate.bring_up(ctx, asked, 20.0, Copy(copy, 0.0, env))
    assert "there is {'eth" in text(caught.value)


def test_a_start_on_a_copy(app: Tiny, copy: dict[str, str]) -> None:
    """It gets healthy, is gone again, and the live data has not been looked at."""
    ctx, release = about(app, "v2")
    (Path(copy["/app/data"]) / "ill").write_text("v1")
    before = app.tree([app.paths.folder / "data"])
    took = rehearsal.boot(ctx, release, copy, {})
    # three good probes over a second
    assert 1.0 <= took < 20.0
    assert app.tree([app.paths.folder / "data"]) == before


def test_it_stands_on_the_copy(app: Tiny, copy: dict[str, str]) -> None:
    """What the copy says is what it goes by, not the live data."""
    ctx, release = about(app, "v2")
    (Path(copy["/app/data"]) / "ill").write_text("v2")
    short = replace(release.settings, deploy=replace(release.settings.deploy, start=2.0))
    with pytest.raises(NeverHealthy) as caught:
        rehearsal.boot(ctx, replace(release, settings=short), copy, {})
    assert "did not become healthy within 2 s" in text(caught.value)
    assert "the database is on fire" in text(caught.value)
    assert f"v2 serves as {release.id}" in text(caught.value)


def test_a_release_with_a_port(make_app: MakeApp, app: Tiny, copy: dict[str, str]) -> None:
    """It is asked at its own address; nobody finds it by the service's name."""
    other = make_app("port", migrate=RULES, web=Web(port=8000, ready="/ready"))
    ctx, release = about(other, "v1")
    assert rehearsal.boot(ctx, release, copy, {}) >= 1.0


def test_one_that_ends(app: Tiny, copy: dict[str, str]) -> None:
    ctx, release = about(app, "v2", "exit")
    with pytest.raises(StartFailed) as caught:
        rehearsal.boot(ctx, release, copy, {})
    assert f"web ended with code 1 in {release.id}" in text(caught.value)
    assert "cannot find my configuration" in text(caught.value)


def test_one_that_fails_its_smoke_checks(app: Tiny, copy: dict[str, str]) -> None:
    ctx, release = about(app, "v2", "bad-page")
    checked = replace(release, settings=replace(release.settings, smoke=(Smoke("/"),)))
    with pytest.raises(SmokeFailed) as caught:
        rehearsal.boot(ctx, checked, copy, {})
    assert "GET /: 500" in text(caught.value)


def test_one_whose_own_check_fails(make_app: MakeApp, app: Tiny, copy: dict[str, str]) -> None:
    """The container's own health check is asked too, though Docker does not run it here."""
    bad = 'print("no tables"); raise SystemExit(3)'
    other = make_app("check", migrate=RULES)
    other.compose = other.compose.replace('"pass"', json.dumps(bad))
    other.rules = replace(other.rules, start=2.0)
    ctx, release = about(other, "v1")
    with pytest.raises(NeverHealthy) as caught:
        rehearsal.boot(ctx, release, copy, {})
    assert "its health check exits with 3: no tables" in text(caught.value)
