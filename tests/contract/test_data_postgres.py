"""PostgreSQL on a real server in a container: dumps, their proof, and the way back."""

from __future__ import annotations

import hashlib
import secrets
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from bench import evidence
from homeport.backups import Backup, Item
from homeport.core import postgres_sql as sql
from homeport.errors import HostFault, Problem, Refused
from homeport.host import compose, ops, ops_data, postgres, postgres_care, postgres_find
from homeport.host import postgres_client, postgres_loss, postgres_major, prepare, sets
from homeport.host.context import Context
from homeport.host.detach import new_run
from homeport.host.engine import Engine
from homeport.host.paths import Paths
from homeport.host.postgres_client import Client
from homeport.model import Image, Release, Request, Settings, Web
from lab.database import ensure_database
from lab.images import Images
from tinyapp.driver import docker, wait

pytestmark = pytest.mark.docker
PASSWORD = "it's a %$\\ secret"
#: as a URL has it; `$` is doubled, since Compose reads env files too
URL = "postgresql+psycopg://food:it%27s%20a%20%25%24%5C%20secret@{host}/{name}"
COMPOSE = """\
services:
  web:
    image: {python}
    command: [sleep, "600"]
    env_file: [app.env]
    networks: [inner]
    restart: unless-stopped
  db:
    image: {image}
    labels: {{homeport.shared: "true"}}
    environment:
      POSTGRES_USER: food
      POSTGRES_PASSWORD: ${{DB_PASSWORD:?}}
      POSTGRES_DB: food
    volumes: ["{volume}:/var/lib/postgresql/data"]
    networks: {{inner: {{aliases: [the-database]}}}}
    healthcheck:
      test: [CMD, pg_isready, -h, localhost, -U, food, -d, food]
      interval: 1s
      retries: 60
volumes: {{{volume}: {{}}}}
networks: {{inner: {{}}}}
"""


@dataclass
class Kitchen:
    """An app of its own with a PostgreSQL server beside it, as a deploy would have left it."""

    root: Path
    name: str
    python: str
    image: str
    check: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self.paths = Paths(self.name, self.root)
        self.paths.folder.mkdir(parents=True)
        self.told: list[dict[str, Any]] = []
        self.env(URL.format(host="db", name="food"))
        self.release = self.write(self.context())

    def env(self, url: str, *more: str) -> None:
        """Write the app's settings."""
        self.url = url
        password = PASSWORD.replace("\\", "\\\\").replace("$", "\\$")
        lines = [f'DB_PASSWORD="{password}"', f"DATABASE_URL={url}", *more]
        self.paths.settings_env.write_text("".join(f"{line}\n" for line in lines))

    def settings(self) -> Settings:
        """Its homeport.toml."""
        web = Web("web", port=8000)
        return Settings(self.name, web=web, backup=Backup("DATABASE_URL", check=self.check))

    def context(self, volume: str = "pg", image: str = "") -> Context:
        """The hands of one run."""
        self.told.clear()
        text = COMPOSE.format(python=self.python, image=image or self.image, volume=volume)
        asked = Request("deploy", self.name, self.settings(), text, Image(self.python))
        return Context(
            self.paths, Engine(), asked, new_run(), lambda event: self.told.append(dict(event))
        )

    def write(self, ctx: Context) -> Release:
        """Start the shared services and write the release, as a first deploy does."""
        rendered, place = prepare.render_today(ctx, 1, self.python)
        release = Release(
            place.release,
            self.python,
            "",
            "x",
            "",
            "overlap",
            "web",
            ("web",),
            1.0,
            self.settings(),
        )
        ctx.fresh = release
        every = {"networks": [*rendered.networks], "volumes": [*rendered.volumes], "folders": []}
        ops_data.data(ctx, every)
        ops.shared_up(ctx, {"hash": rendered.shared_hash})
        ops.write_release(ctx, {"release": release.id})
        return release

    def again(self, url: str, *more: str) -> Release:
        """The same with another URL: its settings are written anew, the server stays."""
        self.env(url, *more)
        return self.write(self.context())

    @property
    def box(self) -> str:
        """The server's container."""
        label = f"label=homeport.app={self.name}"
        return docker("ps", "-q", "--filter", label, "--filter", "status=running").split()[0]

    def sql(self, text: str, name: str = "food", user: str = "food") -> str:
        """What the server answers to a person at it."""
        words = ["psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-U", user, "-d", name]
        return docker("exec", f"{self.name}-db-1", *words, "-c", text)

    def databases(self) -> list[str]:
        """The names of all databases but the server's own."""
        text = (
            "SELECT datname FROM pg_database WHERE datname !~ '^(postgres|template.)$' ORDER BY 1"
        )
        return self.sql(text, "postgres").split()

    def clean(self) -> None:
        """The database as it was first: three tables with some rows, and nothing besides it."""
        for name in self.databases():
            self.sql(f'DROP DATABASE "{name}" WITH (FORCE)', "postgres")
        self.sql("CREATE DATABASE food", "postgres")
        self.sql(
            "CREATE EXTENSION vector;"
            "CREATE TABLE foods (id serial PRIMARY KEY, name text, taste vector(3));"
            "INSERT INTO foods (name, taste) SELECT 'food ' || g, '[1,2,3]'"
            " FROM generate_series(1, 1000) g;"
            'CREATE SCHEMA "Odd ""one"; CREATE TABLE "Odd ""one"."T t" (a int, b int,'
            ' PRIMARY KEY (a, b)); INSERT INTO "Odd ""one"."T t" VALUES (1, 2), (1, 3);'
            "CREATE TABLE notes (line text); INSERT INTO notes VALUES ('a'), ('a');"
        )

    def leftovers(self) -> list[str]:
        """What operations of ours should not leave: containers and work folders."""
        label = f"label=homeport.app={self.name}"
        found = docker("ps", "-aq", "--filter", label, "--filter", "label=homeport.oneshot").split()
        return [*found, *(one.name for one in (self.paths.folder / ".postgres").glob("*"))]

    def down(self) -> None:
        """Remove it."""
        for one in docker("ps", "-aq", "--filter", f"label=homeport.app={self.name}").split():
            docker("rm", "-f", "-v", one)
        for kind in ("volume", "network"):
            for one in docker(kind, "ls", "-q", "--filter", f"name={self.name}_").split():
                docker(kind, "rm", one)


@pytest.fixture(scope="module")
def database_image(images: Images) -> str:
    """PostgreSQL with pgvector."""
    return ensure_database(print)


@pytest.fixture(scope="module")
def made(
    images: Images, database_image: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Kitchen]:
    """One server for all tests."""
    root = tmp_path_factory.mktemp("kitchen")
    (root / "homeport").mkdir()
    name = f"pg{secrets.token_hex(3)}"
    found = Kitchen(root, name, images.python, database_image)
    yield found
    found.down()


@pytest.fixture
def kitchen(made: Kitchen) -> Iterator[Kitchen]:
    """It, with the database as it was first, whatever the test before did."""
    if made.url != URL.format(host="db", name="food") or made.check:
        made.check = ()
        made.release = made.again(URL.format(host="db", name="food"))
    made.clean()
    yield made
    assert made.leftovers() == []
    found = [one for one in made.databases() if one.startswith((sql.CHECK, sql.FRESH))]
    assert found == [], "databases of ours were left"


@pytest.fixture
def folder(made: Kitchen) -> Path:
    """A set's folder."""
    path = made.paths.folder / "backups" / secrets.token_hex(4)
    path.mkdir(parents=True)
    return path


def dumped(kitchen: Kitchen, folder: Path) -> Item:
    """A dump of the database as it is now."""
    return postgres.dump(kitchen.context(), kitchen.release, folder, "2.dump")


#: how many snapshots are taken under a writer, and how many damaged dumps are looked at
SNAPSHOTS, DAMAGED = 10, 11
#: what `make data-evidence` keeps of this
TOTAL = dict.fromkeys(
    (
        "damaged_backups_postgres",
        "damaged_backups_postgres_missed",
        "snapshots_postgres",
        "inconsistent_snapshots_postgres",
    ),
    0,
)


@pytest.fixture(scope="module", autouse=True)
def evident() -> Iterator[None]:
    """The figures go into the evidence at the end, unless only some of the tests were asked for."""
    yield
    if TOTAL["snapshots_postgres"] == SNAPSHOTS and TOTAL["damaged_backups_postgres"] == DAMAGED:
        evidence.add("data", **TOTAL)


def damaged(found: tuple[str, ...]) -> str:
    """The one thing that was found wrong with a damaged dump, which is counted."""
    TOTAL["damaged_backups_postgres"] += 1
    TOTAL["damaged_backups_postgres_missed"] += not found
    assert len(found) == 1, found
    return found[0]


ROWS = {'"Odd ""one"."T t"': 2, "foods": 1000, "notes": 2}


def test_a_dump_and_its_proof(kitchen: Kitchen, folder: Path) -> None:
    """A dump tells its rows; restored beside the app's database it has vectors and all."""
    began = time.time()
    item = dumped(kitchen, folder)
    assert (item.kind, item.source, item.file) == ("postgres", "DATABASE_URL", "2.dump")
    assert item.tables == ROWS and item.version.startswith("17")
    file = folder / "2.dump"
    assert (file.stat().st_size, file.stat().st_mode & 0o777) == (item.size, 0o600)
    assert hashlib.sha256(file.read_bytes()).hexdigest() == item.sha256
    assert [one.name for one in folder.iterdir()] == ["2.dump"]

    asked: list[str] = []

    def check(env: Any) -> str:
        [(name, url)] = env.items()
        assert name == "DATABASE_URL"
        database = url.rpartition("/")[2]
        assert url == URL.format(host="db", name=database) and database in kitchen.databases()
        asked.append(
            kitchen.sql("SELECT count(*) FROM foods WHERE taste <-> '[1,2,3]' < 1", database)
        )
        return ""

    found = postgres.problems(
        kitchen.context(), kitchen.release, item, folder, check, began, time.time()
    )
    assert found == () and asked == ["1000"]
    assert kitchen.databases() == ["food"]


def test_what_the_app_does_not_like_does_not_count(kitchen: Kitchen, folder: Path) -> None:
    """The app's own word on the restored copy decides, and no password is in what is told."""
    item, ctx = dumped(kitchen, folder), kitchen.context()
    url = URL.format(host="db", name="food")
    said = postgres.problems(ctx, kitchen.release, item, folder, lambda env: f"no: {url}")
    assert said == ("no: •••",)


def flipped(data: bytes) -> bytes:
    """With one bit changed in the rows."""
    at = len(data) - 400
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


#: how a dump is damaged, whether its manifest is made to agree, and what must be said
DAMAGE: list[tuple[str, Callable[[bytes], bytes], bool, str]] = [
    ("truncated", lambda data: data[:-200], False, "bytes, and had"),
    ("truncated, and told so", lambda data: data[:-200], True, "pg_restore: error"),
    ("half of it", lambda data: data[: len(data) // 2], True, "pg_restore: error"),
    ("empty", lambda data: b"", False, "has 0 bytes"),
    ("empty, and told so", lambda data: b"", True, "pg_restore: error"),
    ("no dump at all", lambda data: b"x" * 9000, True, "pg_restore: error"),
    ("a flipped bit", flipped, False, "checksum differs"),
    ("a flipped bit, and told so", flipped, True, "pg_restore: error"),
]


@pytest.mark.parametrize("name,damage,agree,said", DAMAGE, ids=[one[0] for one in DAMAGE])
def test_damage_is_found(
    kitchen: Kitchen,
    folder: Path,
    name: str,
    damage: Callable[[bytes], bytes],
    agree: bool,
    said: str,
) -> None:
    """A dump that was damaged does not count, with a manifest that knows it or not."""
    item = dumped(kitchen, folder)
    data = damage((folder / "2.dump").read_bytes())
    (folder / "2.dump").write_bytes(data)
    if agree:
        item = replace(item, size=len(data), sha256=hashlib.sha256(data).hexdigest())
    found = postgres.problems(kitchen.context(), kitchen.release, item, folder)
    assert said in damaged(found)
    assert kitchen.databases() == ["food"]
    with pytest.raises(HostFault):
        postgres.restore(kitchen.context(), kitchen.release, item, folder)
    assert kitchen.sql("SELECT count(*) FROM foods") == "1000"


def test_a_dump_of_the_wrong_database(kitchen: Kitchen, folder: Path) -> None:
    """A good dump of another database is not taken for this one's, were it alike to the row."""
    kitchen.sql("CREATE DATABASE other TEMPLATE food", "postgres")
    other = kitchen.again(URL.format(host="db", name="other"))
    item = postgres.dump(kitchen.context(), other, folder, "2.dump")
    kitchen.again(URL.format(host="db", name="food"))
    found = postgres.problems(kitchen.context(), kitchen.release, item, folder)
    assert damaged(found) == "it is a dump of the database 'other', not of 'food'"
    kitchen.sql("DROP DATABASE other", "postgres")


def test_a_stale_dump(kitchen: Kitchen, folder: Path) -> None:
    """Yesterday's dump in today's set is found by its rows, and by its time where those agree."""
    old = dumped(kitchen, folder)
    kept = (folder / "2.dump").read_bytes()
    kitchen.sql("INSERT INTO notes VALUES ('later')")
    today = dumped(kitchen, folder)
    (folder / "2.dump").write_bytes(kept)
    planted = replace(today, size=old.size, sha256=old.sha256)
    found = postgres.problems(kitchen.context(), kitchen.release, planted, folder)
    assert damaged(found) == "notes has 2 rows, and had 3"
    ctx, began = kitchen.context(), time.time() + 60
    late = postgres.problems(ctx, kitchen.release, old, folder, None, began, began + 1)
    assert damaged(late) == "it is a dump from another time than its set"


def test_every_acknowledged_write_is_in_it(kitchen: Kitchen, folder: Path) -> None:
    """Under a steady writer: all that was committed before is in the dump, no pair appears half."""
    kitchen.sql("CREATE TABLE pairs (id int, side text)")
    with writing(kitchen) as done:
        for _ in range(SNAPSHOTS):
            before = done()
            item = dumped(kitchen, folder)
            after = done()
            with postgres.scratch(kitchen.context(), kitchen.release, item, folder) as copy:
                rows = "SELECT coalesce(max(id), 0), count(*), count(DISTINCT id) FROM pairs"
                most, count, ids = map(int, kitchen.sql(rows, copy.name).split("|"))
            whole = before <= most <= after + 1 and count == 2 * ids == 2 * most
            TOTAL["snapshots_postgres"] += 1
            TOTAL["inconsistent_snapshots_postgres"] += not whole
            assert before <= most, "an acknowledged write is missing"
            # one may have been committed whose acknowledgement was still on its way
            assert most <= after + 1, "a write begun after the dump is in it"
            assert count == 2 * ids == 2 * most == item.tables["pairs"]
    assert done() > 50, "the writer stood still"


@contextmanager
def writing(kitchen: Kitchen) -> Iterator[Callable[[], int]]:
    """Commits pairs of rows, one pair after the other; tells the last that was acknowledged."""
    words = ["docker", "exec", "-i", kitchen.box, "psql", "-X", "-q", "-A", "-t", "-U", "food"]
    child = subprocess.Popen(
        [*words, "-d", "food", "-v", "ON_ERROR_STOP=1"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
    )
    last, over = [0], threading.Event()
    assert child.stdin and child.stdout
    source, sink = child.stdout, child.stdin

    def write() -> None:
        turn = 0
        while not over.is_set():
            turn += 1
            sink.write(f"BEGIN; INSERT INTO pairs VALUES ({turn}, 'left');\n")
            sink.write(f"INSERT INTO pairs VALUES ({turn}, 'right'); COMMIT; SELECT {turn};\n")
            sink.flush()
            if source.readline().strip() != str(turn):
                return
            last[0] = turn

    thread = threading.Thread(target=write)
    thread.start()
    try:
        wait(lambda: last[0] > 10, "the writer writes")
        yield lambda: last[0]
    finally:
        over.set()
        thread.join(20)
        sink.close()
        source.close()
        child.wait(20)


def state(kitchen: Kitchen) -> str:
    """All of the database that a restore must bring back, in one line."""
    return kitchen.sql(
        "SELECT (SELECT md5(string_agg(f::text, '' ORDER BY id)) FROM foods f)"
        ' || (SELECT count(*) FROM "Odd ""one"."T t") || (SELECT count(*) FROM notes)'
        " || (SELECT last_value FROM foods_id_seq)"
    )


def test_a_restore_in_place(kitchen: Kitchen, folder: Path) -> None:
    """Rows, sequences, settings and privileges are the dump's again; what was there is kept."""
    kitchen.sql(
        'ALTER DATABASE food SET search_path TO "$user", public, "Odd ""one";'
        "ALTER DATABASE food SET work_mem = '5MB'; COMMENT ON DATABASE food IS 'it''s mine';"
        "DO $$ BEGIN CREATE ROLE reader; EXCEPTION WHEN duplicate_object THEN END $$;"
        "GRANT SELECT ON foods TO reader; REVOKE CONNECT ON DATABASE food FROM PUBLIC;"
        "GRANT CONNECT ON DATABASE food TO reader"
    )
    told = (
        "SELECT (SELECT array_agg(setconfig) FROM pg_db_role_setting WHERE setdatabase = d.oid),"
        " datacl, shobj_description(oid, 'pg_database'), datcollate, encoding"
        " FROM pg_database d WHERE datname = 'food'"
    )
    before, settings = state(kitchen), kitchen.sql(told)
    item = dumped(kitchen, folder)
    kitchen.sql("DROP TABLE notes; UPDATE foods SET name = 'changed'; CREATE TABLE more (x int)")
    ctx = kitchen.context()
    note = postgres.restore(ctx, kitchen.release, item, folder)
    assert (state(kitchen), sorted(kitchen.sql(told))) == (before, sorted(settings))
    assert kitchen.sql("SELECT has_table_privilege('reader', 'foods', 'SELECT')") == "t"
    assert kitchen.sql("SELECT count(*) FROM pg_class WHERE relname = 'more'") == "0"
    # statistics are there: the first queries are planned as well as before
    assert kitchen.sql("SELECT count(*) FROM pg_stats WHERE tablename = 'foods'") == "3"
    [old] = [one for one in kitchen.databases() if one != "food"]
    assert old.startswith("food_replaced_") and note.endswith(old)
    assert kitchen.sql("SELECT count(*) FROM foods WHERE name = 'changed'", old) == "1000"
    # and once more: the same content, one more that was replaced
    postgres.restore(kitchen.context(), kitchen.release, item, folder)
    assert state(kitchen) == before and len(kitchen.databases()) == 3


def test_what_was_replaced_is_kept_for_days(kitchen: Kitchen) -> None:
    """After those it is dropped; of another database it is left alone."""
    stamps = [
        time.strftime("%Y%m%dt%H%M%S", time.gmtime(time.time() - days * 86400)) for days in (6, 8)
    ]
    names = [f"{name}_replaced_{stamp}_ab12" for name in ("food", "drink") for stamp in stamps]
    for name in names:
        kitchen.sql(f"CREATE DATABASE {name}", "postgres")
    assert postgres.prune(kitchen.context(), kitchen.release, 7.0) == (names[1],)
    assert kitchen.databases() == sorted(["food", names[0], *names[2:]])


def test_a_restore_sends_others_away(kitchen: Kitchen, folder: Path) -> None:
    """Sessions that a stopped app left behind do not keep its database from being replaced."""
    item, before = dumped(kitchen, folder), state(kitchen)
    kitchen.sql("CREATE TABLE pairs (id int, side text)")
    with writing(kitchen):
        postgres.restore(kitchen.context(), kitchen.release, item, folder)
    assert state(kitchen) == before
    assert kitchen.sql("SELECT count(*) FROM pg_class WHERE relname = 'pairs'") == "0"


def test_a_restore_on_another_server(kitchen: Kitchen, folder: Path) -> None:
    """A new volume is an empty server: all comes back there, though a role is missing, which is
    told."""
    kitchen.sql(
        "DO $$ BEGIN CREATE ROLE reader; EXCEPTION WHEN duplicate_object THEN END $$;"
        "GRANT SELECT ON foods TO reader"
    )
    item, before = dumped(kitchen, folder), state(kitchen)
    try:
        release = kitchen.write(kitchen.context(volume="newer"))
        assert kitchen.sql("SELECT count(*) FROM pg_roles WHERE rolname = 'reader'") == "0"
        assert postgres.problems(kitchen.context(), release, item, folder) == ()
        note = postgres.restore(kitchen.context(), release, item, folder)
        assert note.startswith("all belongs to food, and no privileges of others were restored")
        assert state(kitchen) == before
    finally:
        kitchen.release = kitchen.write(kitchen.context())
    assert state(kitchen) == before


def test_both_renames_or_none(kitchen: Kitchen) -> None:
    """Where the second cannot be done the first is not either: the app's database has its name."""
    with Client(kitchen.context(), kitchen.release, kitchen.paths.folder) as client:
        said = client.psql(sql.swap("food", "homeport_new_not_there", "food_old"), client.beside)
    assert said.code and "does not exist" in said.err
    assert kitchen.databases() == ["food"]


def test_a_database_that_somebody_dropped(kitchen: Kitchen, folder: Path) -> None:
    """A restore brings it back where it is gone altogether."""
    item, before = dumped(kitchen, folder), state(kitchen)
    kitchen.sql("DROP DATABASE food", "postgres")
    note = postgres.restore(kitchen.context(), kitchen.release, item, folder)
    assert state(kitchen) == before and note == "there was none before"
    assert kitchen.databases() == ["food"]


def test_a_session_that_does_not_go(kitchen: Kitchen, folder: Path) -> None:
    """Whoever the app's role may not send away is named, and nothing is changed."""
    kitchen.sql("CREATE ROLE owner LOGIN CREATEDB PASSWORD 'weakling'", "postgres")
    kitchen.sql("CREATE DATABASE owned OWNER owner", "postgres")
    kitchen.sql("CREATE TABLE x AS SELECT 1 AS a", "owned", "owner")
    release = kitchen.again("postgresql://owner:weakling@db/owned")
    item = postgres.dump(kitchen.context(), release, folder, "2.dump")
    words = ["docker", "exec", "-i", f"{kitchen.name}-db-1", "psql", "-XqAt", "-U", "food", "owned"]
    child = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert child.stdin and child.stdout
    try:
        child.stdin.write("SELECT 'in';\n")
        child.stdin.flush()
        assert child.stdout.readline() == "in\n"
        with pytest.raises(HostFault, match="owned cannot be replaced: it is in use by food"):
            postgres.restore(kitchen.context(), release, item, folder)
    finally:
        child.stdin.close()
        child.stdout.close()
        child.wait(20)
    assert kitchen.sql("SELECT a FROM x", "owned", "owner") == "1"
    kitchen.sql("DROP DATABASE owned", "postgres")
    kitchen.sql("DROP ROLE owner", "postgres")


class Died(BaseException):
    """The agent was killed here."""


#: the programs that a restore runs, from the look at the server to the two renames
PROGRAMS = 5


def gone(*_: object) -> None:
    """An Engine that does not answer."""
    raise HostFault(Problem("Docker does not answer"))


def test_one_client_copies_for_a_whole_deploy(
    kitchen: Kitchen, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For the set that people wait for nothing is started; one that fails is removed at once."""
    ctx, later = kitchen.context(), folder.with_name("later")
    later.mkdir()
    with postgres_client.keeping(ctx):
        first = postgres.dump(ctx, kitchen.release, folder, "0.dump")
        (kept,) = [one for one in kitchen.leftovers() if not one.startswith(ctx.run)]
        kitchen.sql("INSERT INTO notes VALUES ('later')")
        item = postgres.dump(ctx, kitchen.release, later, "0.dump")
        assert ctx.client is not None and kept in kitchen.leftovers()
        assert len(kitchen.leftovers()) == 2
        with monkeypatch.context() as patched:
            patched.setattr(sql, "COUNTS", "SELECT 1 / 0;\n")
            with pytest.raises(HostFault, match="could not be dumped"):
                postgres.dump(ctx, kitchen.release, later, "1.dump")
        assert kitchen.leftovers() == [] and ctx.client is None
        again = postgres.dump(ctx, kitchen.release, later, "1.dump")
    assert kitchen.leftovers() == []
    # a container that cannot be removed ends no deploy: the next run's first copy sweeps it
    with monkeypatch.context() as patched, postgres_client.keeping(ctx):
        postgres.dump(ctx, kitchen.release, later, "2.dump")
        patched.setattr(Engine, "remove", gone)
        postgres_client.leave(ctx)
    assert ctx.client is None and kitchen.leftovers()
    postgres.dump(kitchen.context(), kitchen.release, later, "3.dump")
    assert kitchen.leftovers() == []
    assert item.tables["notes"] == first.tables["notes"] + 1
    assert again.tables == item.tables
    assert postgres.problems(kitchen.context(), kitchen.release, item, later) == ()


@pytest.mark.parametrize("turn", range(1, PROGRAMS + 2))
def test_a_restore_that_dies_anywhere(
    kitchen: Kitchen, folder: Path, turn: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed before or after any of its programs: the database is the old or the new, whole.

    The next run sweeps what was left, and a restore then is a restore.
    """
    item, before = dumped(kitchen, folder), state(kitchen)
    kitchen.sql("INSERT INTO notes VALUES ('after')")
    after, count, real = state(kitchen), 0, Client.run

    def dying(self: Client, words: Any, *more: Any, **named: Any) -> Any:
        nonlocal count
        count += 1
        if count == turn:
            # what a killed process does not do: its container and its files stay
            monkeypatch.setattr(Client, "close", lambda self: None)
            monkeypatch.setattr(postgres, "drop", lambda *_: None)
            raise Died
        return real(self, words, *more, **named)

    with monkeypatch.context() as patched:
        patched.setattr(Client, "run", dying)
        try:
            postgres.restore(kitchen.context(), kitchen.release, item, folder)
            died = False
        except Died:
            died = True
    monkeypatch.undo()
    assert died == (turn <= PROGRAMS)
    assert state(kitchen) in ((after,) if died else (before,))
    if died:
        assert kitchen.leftovers(), "nothing was left, so nothing was tried"
    postgres.restore(kitchen.context(), kitchen.release, item, folder)
    assert state(kitchen) == before


def test_a_role_that_may_not_make_databases(kitchen: Kitchen, folder: Path) -> None:
    """It is named, with the command that mends it; after that command all is well."""
    kitchen.sql("DROP ROLE IF EXISTS weak; CREATE ROLE weak LOGIN PASSWORD 'weakling'", "postgres")
    kitchen.sql("CREATE DATABASE weakness OWNER weak", "postgres")
    kitchen.sql("CREATE TABLE x AS SELECT 1 AS a", "weakness", "weak")
    release = kitchen.again("postgresql://weak:weakling@db/weakness")
    item = postgres.dump(kitchen.context(), release, folder, "2.dump")
    with pytest.raises(Refused) as caught:
        postgres.problems(kitchen.context(), release, item, folder)
    [problem] = caught.value.problems
    assert problem.what == "the role weak may not make databases"
    done = subprocess.run(["sh", "-c", problem.mend], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert postgres.problems(kitchen.context(), release, item, folder) == ()
    # a setting that only a superuser may give stops nobody's restore, and is told
    kitchen.sql("ALTER DATABASE weakness SET log_statement = 'all'", "postgres")
    postgres.restore(kitchen.context(), release, item, folder)
    assert kitchen.sql("SELECT a FROM x", "weakness", "weak") == "1"
    told = " ".join(one.get("text", "") for one in kitchen.told)
    assert "not all settings of the database weakness" in told and "log_statement" in told
    for name in kitchen.databases():
        kitchen.sql(f"DROP DATABASE {name}", "postgres")
    kitchen.sql("DROP ROLE weak", "postgres")


def test_a_dump_that_breaks_off(kitchen: Kitchen, folder: Path) -> None:
    """Where pg_dump itself fails, its words are told and no file is left that looks like a dump."""
    kitchen.sql("CREATE ROLE half LOGIN PASSWORD 'weakling'", "postgres")
    kitchen.sql("CREATE DATABASE halves OWNER half", "postgres")
    # rows can be counted, and a sequence of somebody else's is in no count
    kitchen.sql("CREATE SEQUENCE others", "halves")
    release = kitchen.again("postgresql://half:weakling@db/halves")
    with pytest.raises(HostFault, match="halves could not be dumped") as caught:
        postgres.dump(kitchen.context(), release, folder, "2.dump")
    assert "permission denied for sequence others" in caught.value.problems[0].why
    assert list(folder.iterdir()) == []
    kitchen.sql("DROP DATABASE halves", "postgres")
    kitchen.sql("DROP ROLE half", "postgres")


def test_what_came_since(kitchen: Kitchen, folder: Path) -> None:
    """Rows added, changed and removed, by key, of tables that a migration changed as well."""
    item = dumped(kitchen, folder)
    kitchen.sql(
        "INSERT INTO foods (name) SELECT 'new' FROM generate_series(1, 7);"
        "UPDATE foods SET name = 'changed' WHERE id BETWEEN 10 AND 14;"
        "DELETE FROM foods WHERE id BETWEEN 20 AND 22;"
        "ALTER TABLE foods ADD COLUMN price int DEFAULT 3;"
        "INSERT INTO notes VALUES ('b'); DELETE FROM notes WHERE ctid = '(0,1)';"
        "CREATE TABLE later AS SELECT generate_series(1, 4) AS x;"
        'DROP TABLE "Odd ""one"."T t"'
    )
    ctx = kitchen.context()
    found = postgres_loss.differences(ctx, kitchen.release, item, folder, cap=5000, within=60)
    same = {"least": False, "note": ""}
    assert found == [
        {"table": '"Odd ""one"."T t"', "added": 0, "changed": 0, "removed": 2, "only": "then"}
        | same,
        {"table": "foods", "added": 7, "changed": 5, "removed": 3, "only": ""} | same,
        {"table": "later", "added": 4, "changed": 0, "removed": 0, "only": "now"} | same,
        {"table": "notes", "added": 1, "changed": 0, "removed": 1, "only": ""} | same,
    ]
    ctx = kitchen.context()
    capped = postgres_loss.differences(ctx, kitchen.release, item, folder, cap=100, within=60)
    [foods] = [one for one in capped if one["table"] == "foods"]
    assert foods["least"] and 4 <= foods["added"] <= 7
    assert foods["changed"] <= 5 and foods["removed"] <= 3


def test_upkeep(kitchen: Kitchen) -> None:
    """Dead rows go, and a damaged index is found where amcheck is there; else that is said."""
    rows = "SELECT g AS id, repeat('x', 500) FROM generate_series(1, 20000) g"
    kitchen.sql(f"CREATE TABLE big WITH (autovacuum_enabled = off) AS {rows}")
    kitchen.sql("DELETE FROM big")
    done = postgres_care.vacuum(kitchen.context(), kitchen.release, 60)
    assert done["after"] < done["before"] - 8_000_000 and done["server"].startswith("17")
    assert postgres_care.analyze(kitchen.context(), kitchen.release, 60)["after"] > 0
    blind = postgres_care.look(kitchen.context(), kitchen.release, 60)
    assert blind["problems"] == [] and "CREATE EXTENSION amcheck" in blind["note"]
    kitchen.sql("CREATE EXTENSION amcheck")
    kitchen.sql("ALTER SYSTEM SET synchronous_commit = off")
    kitchen.sql("SELECT pg_reload_conf()")
    unsafe = postgres_care.look(kitchen.context(), kitchen.release, 60)
    assert "synchronous_commit=off" in unsafe["note"] and "fsync" not in unsafe["note"]
    kitchen.sql("ALTER SYSTEM RESET synchronous_commit")
    kitchen.sql("SELECT pg_reload_conf()")
    seen = postgres_care.look(kitchen.context(), kitchen.release, 60)
    assert seen["problems"] == [] and "amcheck" not in seen["note"]
    assert "power cut" not in seen["note"]
    kitchen.sql(
        # an index whose order is no more the one that its rows are compared by
        "CREATE FUNCTION f(a int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT a';"
        "CREATE INDEX broken ON foods (f(id));"
        "CREATE OR REPLACE FUNCTION f(a int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT -a'"
    )
    [*damage] = postgres_care.look(kitchen.context(), kitchen.release, 60)["problems"]
    assert any("broken" in line for line in damage), damage


@pytest.mark.parametrize("host", ["db", "the-database", "container"])
def test_names_of_the_server(kitchen: Kitchen, folder: Path, host: str) -> None:
    """The service, an alias, and the container's own name are the same server."""
    own = docker("inspect", "--format", "{{.Name}}", kitchen.box).lstrip("/")
    release = kitchen.again(URL.format(host=own if host == "container" else host, name="food"))
    assert postgres.dump(kitchen.context(), release, folder, "2.dump").tables == ROWS


def test_a_url_that_refers_to_other_variables(kitchen: Kitchen, folder: Path) -> None:
    """Compose itself fills it in, so it is read as the app reads it."""
    release = kitchen.again("postgresql://food:${ENCODED}@db/${NAME}", "NAME=food")
    kitchen.paths.settings_env.write_text(
        "ENCODED=it%27s%20a%20%25%24%5C%20secret\nNAME=food\n"
        + kitchen.paths.settings_env.read_text()
    )
    release = kitchen.write(kitchen.context())
    assert postgres_find.environment(kitchen.context(), release)["DATABASE_URL"] == URL.format(
        host="db", name="food"
    ).replace("+psycopg", "")
    assert postgres.dump(kitchen.context(), release, folder, "2.dump").tables == ROWS


@pytest.mark.parametrize(
    "url,error,said",
    [
        ("postgresql://u:p@db.example.org/food", postgres.Elsewhere, "no service of its own"),
        ("postgresql://u:p@localhost/food", postgres.Elsewhere, "no service of its own"),
        ("sqlite:////app/data/food.db", Refused, "is no address like"),
        ("", Refused, "has no value"),
        ("postgresql://food:wrong@db/food", HostFault, "could not be dumped"),
        ("postgresql://food:wrong@db/nowhere", HostFault, "could not be dumped"),
    ],
)
def test_databases_that_cannot_be_dumped(
    kitchen: Kitchen, folder: Path, url: str, error: type[Exception], said: str
) -> None:
    """Each is told apart, before anything is written, and never with a password."""
    release = kitchen.again(url)
    with pytest.raises(error, match=said) as caught:
        postgres.dump(kitchen.context(), release, folder, "2.dump")
    assert isinstance(caught.value, (HostFault, Refused))
    assert "wrong" not in caught.value.text()
    assert list(folder.iterdir()) == []


def test_the_password_is_on_no_command_line(kitchen: Kitchen, folder: Path) -> None:
    """It is in the environment of one container that is gone, and in no file that stays."""
    item = dumped(kitchen, folder)
    with postgres.scratch(kitchen.context(), kitchen.release, item, folder) as copy:
        seen = Engine().inspect(copy.client._name) or {}
        assert f"PGPASSWORD={PASSWORD}" in seen["Config"]["Env"]
        words = docker("top", copy.client._name, "-eo", "pid,args")
        assert "secret" not in words
        texts = [one.read_bytes() for one in copy.client.work.iterdir()]
        assert texts and not any(b"secret" in one for one in texts)
    assert "secret" not in str(kitchen.told)


def test_a_server_that_was_down(kitchen: Kitchen, folder: Path) -> None:
    """After a boot nothing may run yet: the server is started where it stands, and waited for."""
    docker("stop", kitchen.box)
    assert dumped(kitchen, folder).tables == ROWS


def test_another_major_version_is_refused(kitchen: Kitchen, tmp_path: Path) -> None:
    """By its name before anything is pulled, by what it is after that, unless its volume is new."""
    (tmp_path / "dockerfile").write_text(f"FROM {kitchen.image}\nENV PG_MAJOR=18\n")
    ref = "homeport-test/postgres:newest"
    docker("build", "-q", "-t", ref, "-f", str(tmp_path / "dockerfile"), str(tmp_path))
    box, file = kitchen.box, (kitchen.paths.folder / "shared.json")
    before = file.read_text()
    try:
        for image, said in (
            ("postgres:16", "PostgreSQL 16 cannot read the files of PostgreSQL 17"),
            ("pgvector/pgvector:pg18", "PostgreSQL 18 cannot read the files of PostgreSQL 17"),
            (ref, "PostgreSQL 18 cannot read the files of PostgreSQL 17"),
            (kitchen.image, ""),
            ("somebody/else:18", ""),
        ):
            ctx = kitchen.context(image=image)
            rendered, _ = prepare.render_today(ctx, 1, kitchen.python)
            found = postgres_major.problems(ctx, rendered, "compose.yaml")
            assert [one.what for one in found] == [f"db: {said}"] * bool(said)
        ctx = kitchen.context(image=ref, volume="newer")
        rendered, _ = prepare.render_today(ctx, 1, kitchen.python)
        assert postgres_major.problems(ctx, rendered, "compose.yaml") == ()
        ctx = kitchen.context(image=ref)
        prepare.render_today(ctx, 1, kitchen.python)
        with pytest.raises(Refused, match="PostgreSQL 18 cannot read"):
            ops.shared_up(ctx, {"hash": "other"})
        assert kitchen.box == box and file.read_text() == before
    finally:
        docker("image", "rm", ref)


def test_limits_of_a_migration_are_heeded(kitchen: Kitchen) -> None:
    """What a migration's environment holds is what its session has."""
    env = postgres.limits(kitchen.context(), kitchen.release, 2.5, 60)
    with Client(kitchen.context(), kitchen.release, kitchen.paths.folder) as client:
        script = "SHOW lock_timeout; SHOW statement_timeout;"
        said = client.sql(script, client.live, options=env["PGOPTIONS"])
    assert said.split() == ["2500ms", "1min"]
    none = replace(kitchen.release, settings=replace(kitchen.settings(), backup=None))
    assert postgres.limits(kitchen.context(), none, 2.5, 60) == {}
    assert compose.environment(kitchen.paths, kitchen.release, "web")["DATABASE_URL"]


#: the app's own look at a copy: it must be pointed at one, and not at the database that serves
LOOK = """\
import os, sys
url = os.environ["DATABASE_URL"]
sys.exit(0 if "@db/homeport_check_" in url else f"this is not a copy: {url}")
"""


def test_a_set_with_a_database(kitchen: Kitchen) -> None:
    """Taken, looked at by the app itself, put back: a dump is an item of a set like others."""
    kitchen.check = ("python3", "-c", LOOK)
    asked, ctx = kitchen.write(kitchen.context()), kitchen.context()
    before = state(kitchen)
    manifest = sets.take(ctx, asked, "a test")
    [item] = [one for one in manifest.items if one.kind == "postgres"]
    assert item.tables == ROWS and item.source == "DATABASE_URL"
    found = sets.verify(ctx, manifest.id)
    assert (found.ok, found.problems) == (True, ())

    with sets.scratch(ctx, asked, manifest.id) as copy:
        name = copy.env["DATABASE_URL"].rpartition("/")[2]
        assert kitchen.sql("SELECT count(*) FROM foods", name) == "1000"
    kitchen.sql("DELETE FROM notes; DROP TABLE foods")
    sets.restore(kitchen.context(), manifest.id, asked)
    assert state(kitchen) == before

    kitchen.check = ("python3", "-c", "raise SystemExit('the cellar is empty')")
    picky, ctx = kitchen.write(kitchen.context()), kitchen.context()
    found = sets.verify(ctx, sets.take(ctx, picky, "a test").id)
    assert not found.ok and "the cellar is empty" in " ".join(found.problems)


def test_a_set_of_an_app_whose_database_is_elsewhere(kitchen: Kitchen) -> None:
    """All else is saved, and it is said that the database is not."""
    release = kitchen.again("postgresql://u:p@db.example.org/food")
    ctx = kitchen.context()
    manifest = sets.take(ctx, release, "a test")
    assert [one.kind for one in manifest.items] == ["env"]
    assert "no service of its own" in " ".join(one.get("text", "") for one in kitchen.told)
