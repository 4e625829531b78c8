"""Where an app keeps its data: what a compose file says of it, and what is refused or warned of."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from builders import facts, release, settings, slot
from homeport.backups import Backup, Item, Manifest, Migrate
from homeport.core import cautions, mounts, saving, storage
from homeport.core.facts import Facts, Schema
from homeport.core.mounts import Loose, Mount, Named
from homeport.core.render import Rendered
from homeport.errors import Problem
from homeport.model import Settings

ONE = release(1)
SAID = replace(settings(standby=False), backup=Backup())
OVERLAP = replace(settings(standby=False, handover="overlap"), backup=Backup())
SEEN = facts(ONE, live=ONE, containers=slot(ONE))
DATA = Mount("web", "bind", "/opt/shop/data", "/app/data")
VOLUME = Mount("web", "volume", "shop_keep", "/app/keep")
FILE = Mount("web", "bind", "/opt/shop/food.db", "/app/food.db")
MEMORY = Mount("web", "tmpfs", "", "/tmp")
NAMELESS = Mount("web", "volume", "", "/app/data")
WHERE = "docker-compose.prod.yml: services.web"


def rendered(*found: Mount, **rest: Any) -> Rendered:
    """A web service with these mounts."""
    data = tuple(one.source for one in found if one.kind == "bind" and not one.read_only)
    writable = ("web",) if any(one.source and not one.read_only for one in found) else ()
    return Rendered(services=("web",), mounts=found, data=data, writable=writable, **rest)


def named(path: str, *found: Mount) -> Rendered:
    """The same, and a variable that leads to a database."""
    return rendered(*found, databases=(Named("web", "DATABASE_URL", path),))


def saved(*versions: str) -> Facts:
    """The facts with a set in which libraries of these versions copied a database each."""
    items = tuple(Item("sqlite", f"data/{one}.db", "0", 1, "", version=one) for one in versions)
    return replace(SEEN, sets=(Manifest("20260101T000000-aaaa", "shop", ONE.id, 1.0, items=items),))


# --- what a compose file and app.env say
RESOLVED = {
    "services": {
        "web": {
            "environment": {"DATABASE_URL": "sqlite:////app/x.db", "EMPTY": None},
            "env_file": [{"path": "/opt/shop/app.env"}],
            "volumes": [
                {"type": "bind", "source": "/opt/shop/data", "target": "/app/data"},
                {"type": "volume", "source": "keep", "target": "/app/keep", "read_only": True},
                {"type": "volume", "target": "/app/nameless"},
                {"type": "tmpfs", "target": "/app/cache"},
            ],
            "tmpfs": ["/tmp:size=32m"],
        },
        "worker": {"environment": {"SQLITE_SYNCHRONOUS": "OFF"}},
        "db": {"command": ["postgres", "-c", "fsync=off", "-c", "full_page_writes = off"]},
        "pg": {"command": "postgres --synchronous_commit=off -c shared_buffers=64MB"},
    },
    "volumes": {"keep": {"name": "shop_keep"}},
}


def test_mounts() -> None:
    """Every mount of the services that are asked about, volumes by their real names."""
    assert mounts.mounts(RESOLVED, ("web", "worker")) == (
        DATA,
        Mount("web", "volume", "shop_keep", "/app/keep", True),
        Mount("web", "volume", "", "/app/nameless"),
        Mount("web", "tmpfs", "", "/app/cache"),
        Mount("web", "tmpfs", "", "/tmp"),
    )


ENV = {"DATABASE_URL": "postgresql://a:b@db/x", "CACHE_DB": "/app/c.sqlite", "OTHER": "/app/d.db"}


def test_databases_of_the_variables() -> None:
    """What the compose file says counts before app.env, which only those who read it are told."""
    assert mounts.databases(RESOLVED, ("web", "worker"), ENV, "/opt/shop") == (
        Named("web", "CACHE_DB", "/app/c.sqlite"),
        Named("web", "DATABASE_URL", "/app/x.db"),
    )


def test_settings_that_lose_commits() -> None:
    """By a variable, by a URL, on the command line of a database server."""
    env = {"DB_URL": "file:/app/data/x.db?_journal_mode=OFF&_sync=0", "NOTE": "synchronous=off"}
    assert mounts.loose(RESOLVED, ("web", "worker"), ("db", "pg"), env, "/opt/shop") == (
        Loose("web", "journal_mode=off"),
        Loose("web", "sync=0"),
        Loose("worker", "synchronous=off"),
        Loose("db", "fsync=off"),
        Loose("db", "full_page_writes=off"),
        Loose("pg", "synchronous_commit=off"),
    )


PATHS = {
    ("DATABASE_URL", "sqlite:////app/x.db"): "/app/x.db",
    ("ANY", "sqlite+pysqlite:////app/x.db?timeout=5"): "/app/x.db",
    ("DATABASE_URL", "sqlite:///x.db"): "x.db",
    ("DATABASE_URL", "sqlite3:/app/x.db"): "/app/x.db",
    ("DATABASE_URL", "sqlite://"): "",
    ("DATABASE_URL", "sqlite:///:memory:"): "",
    ("DATABASE_URL", "file:/app/x.db?mode=memory"): "",
    ("DATABASE_URL", "file:///app/x.db?mode=rw"): "/app/x.db",
    ("DATABASE_URL", "file:./dev.db"): "./dev.db",
    ("DATABASE_URL", "postgresql://u:p@db/x.db"): "",
    ("DATABASE", "/app/instance/flaskr.sqlite"): "/app/instance/flaskr.sqlite",
    ("APP_DB_PATH", "/data/app.DB"): "/data/app.DB",
    ("SQLITE_FILE", "/data/app.sqlite3"): "/data/app.sqlite3",
    ("DB_PATH", "/data"): "",
    ("LOG", "/data/app.db"): "",
    ("AUDIT", "file:/data/app.db"): "",
    ("DATABASE_URL", "sqlite:///${HOME}/x.db"): "",
}


@pytest.mark.parametrize("variable,value", PATHS)
def test_the_path_in_a_variable(variable: str, value: str) -> None:
    """A SQLite address of any variable, a path by the variable's own name; memory is no place."""
    assert mounts.database_path(variable, value) == PATHS[variable, value]


# --- the kind of filesystem that a volume is on
@pytest.mark.parametrize(
    ("driver", "options", "kind"),
    [
        ("local", {}, ("", "")),
        ("", {"type": "nfs", "o": "addr=nas,rw", "device": ":/share"}, ("nfs", "")),
        ("local", {"type": "CIFS", "device": "//nas/share"}, ("cifs", "")),
        ("local", {"type": "none", "o": "bind", "device": "/mnt/nas"}, ("", "/mnt/nas")),
        ("local", {"type": "tmpfs", "device": "tmpfs"}, ("tmpfs", "")),
        ("vieux/sshfs:latest", {}, ("the volume driver vieux/sshfs:latest", "")),
    ],
)
def test_the_kind_of_a_volume(driver: str, options: dict[str, str], kind: tuple[str, str]) -> None:
    """By its driver's options, or the path that has to be looked at."""
    assert storage.kind_of(driver, options) == kind


@pytest.mark.parametrize("kind", sorted(storage.UNSAFE))
def test_every_filesystem_that_spoils_sqlite(kind: str) -> None:
    """None of them is let through, for a folder and for a volume."""
    seen = replace(SEEN, filesystems={"/opt/shop/data": kind, "shop_keep": kind})
    found = storage.problems(SAID, rendered(DATA, VOLUME), seen)
    assert [one.what for one in found] == [
        f"/opt/shop/data lies on {kind}",
        f"the volume shop_keep lies on {kind}",
    ]


def spoiled(where: str) -> Problem:
    """What is told of data on a share."""
    mend = (
        "move the app's data to a local disk; if its database is PostgreSQL, say so:"
        ' [backup] postgres = "DATABASE_URL"'
    )
    return Problem(where, "host", "a SQLite database there would be damaged", mend)


def in_the_image(path: str, mend: str) -> Problem:
    """What is told of a database that no volume holds."""
    return Problem(
        f"DATABASE_URL leads to {path}, which lies in no volume",
        WHERE,
        "the data would end with the container, and every deploy makes a new one",
        mend,
    )


LOST = in_the_image(
    "/app/x.db",
    "volumes: [./data:/app/data] for web, and /app/data/x.db as its path; first save what is"
    " there: ssh homeport@HOST docker cp shop-r0001-web-1:/app/x.db .",
)
RELATIVE = in_the_image(
    "x.db", "volumes: [./data:/app/data] for web, and /app/data/x.db as its path"
)
TWO = Problem(
    "overlap is not possible with SQLite",
    "homeport.toml: [deploy] handover",
    "/app/data/x.db is a SQLite database, and two releases would write to it at the same time",
    'remove handover, or set "single-writer" for an app that can stand by, else "recreate"',
)
MIGRATES = replace(settings(standby=False), migrate=Migrate(("up",), ("schema",)))
DUE = replace(SEEN, schema=Schema("1", "2"))
SHARING = replace(rendered(DATA, VOLUME), beside=(replace(DATA, service="media"),))


def shares(where: str, service: str = "media") -> Problem:
    """What is told of a shared service that writes to what a moving one writes to."""
    return Problem(
        f"{service} is shared and writes to {where}, as moving services do",
        f"docker-compose.prod.yml: services.{service}.volumes",
        "nobody may write there while its data is migrated or put back, and no deploy stops a"
        " shared service",
        "mount it read-only there (:ro), or take the label homeport.shared away",
    )


def beside(**changed: Any) -> Rendered:
    """The same with that mount of the shared service changed."""
    return replace(SHARING, beside=(replace(SHARING.beside[0], **changed),))


NOTHING = replace(facts(), schema=Schema("1", "2"))
READ = rendered(replace(DATA, read_only=True))
NOWHERE = Problem(
    "the database that would be migrated is in no backup",
    "[migrate] command",
    "no service has a mount to write to, and [backup] names no PostgreSQL database",
    '[backup] postgres = "DATABASE_URL" saves the server of the compose file; for another database'
    " take [migrate] out and migrate by hand",
)
#: settings, compose file, facts → what is refused
Case = tuple[Settings, Rendered, Facts, tuple[Problem, ...]]
REFUSED: dict[str, Case] = {
    "all is well": (SAID, named("/app/data/x.db", DATA, VOLUME), SEEN, ()),
    "a volume on a share": (
        SAID,
        rendered(DATA, VOLUME),
        replace(SEEN, filesystems={"/opt/shop/data": "ext4", "shop_keep": "nfs"}),
        (spoiled("the volume shop_keep lies on nfs"),),
    ),
    "a volume by a driver that goes over the network": (
        SAID,
        rendered(VOLUME),
        replace(SEEN, filesystems={"shop_keep": "the volume driver vieux/sshfs:latest"}),
        (spoiled("the volume shop_keep lies on the volume driver vieux/sshfs:latest"),),
    ),
    "a volume by another driver": (
        SAID,
        rendered(VOLUME),
        replace(SEEN, filesystems={"shop_keep": "the volume driver local-persist"}),
        (),
    ),
    "what is only read may lie on a share": (
        SAID,
        rendered(replace(DATA, read_only=True), replace(VOLUME, read_only=True)),
        replace(SEEN, filesystems={"/opt/shop/data": "nfs", "shop_keep": "nfs"}),
        (),
    ),
    "files on a share beside a PostgreSQL": (
        replace(SAID, backup=Backup(postgres="DATABASE_URL")),
        rendered(DATA),
        replace(SEEN, filesystems={"/opt/shop/data": "nfs4"}),
        (),
    ),
    "a database mounted by itself": (
        SAID,
        rendered(FILE),
        replace(SEEN, files=frozenset({"/opt/shop/food.db"})),
        (
            Problem(
                "/opt/shop/food.db is a database, mounted by itself",
                f"{WHERE}.volumes",
                "SQLite keeps rows in files beside it (-wal, -journal), and those would stay in"
                " the container and be lost with it",
                "mount its folder instead: /opt/shop:/app",
            ),
        ),
    ),
    "a database that is only read": (
        SAID,
        rendered(replace(FILE, read_only=True)),
        replace(SEEN, files=frozenset({"/opt/shop/food.db"})),
        (),
    ),
    "a database in the image": (SAID, named("/app/x.db", DATA), SEEN, (LOST,)),
    "a database in a volume without a name": (
        SAID,
        named("/app/data/x.db", NAMELESS),
        facts(),
        (
            in_the_image(
                "/app/data/x.db",
                "volumes: [./data:/app/data/data] for web, and /app/data/data/x.db as its path",
            ),
        ),
    ),
    "a folder of a similar name": (
        SAID,
        named("/app/database/x.db", DATA),
        facts(),
        (
            in_the_image(
                "/app/database/x.db",
                "volumes: [./data:/app/database/data] for web, and /app/database/data/x.db as its"
                " path",
            ),
        ),
    ),
    "a relative path, and nothing is kept": (SAID, named("x.db", MEMORY), SEEN, (RELATIVE,)),
    "a relative path, and something is kept": (SAID, named("x.db", DATA), SEEN, ()),
    "memory is somebody's own word": (SAID, named("/tmp/x.db", MEMORY), SEEN, ()),
    "another service's mount": (
        SAID,
        named("/app/x.db", replace(DATA, service="worker", target="/app")),
        facts(),
        (in_the_image("/app/x.db", LOST.mend.partition(";")[0]),),
    ),
    "overlap with a database that a variable names": (
        OVERLAP,
        named("/app/data/x.db", DATA),
        SEEN,
        (TWO,),
    ),
    "overlap with a database that was saved": (
        OVERLAP,
        rendered(DATA),
        saved("3.51.3"),
        (
            replace(
                TWO,
                why="data/3.51.3.db is a SQLite database, and two releases would write to it at"
                " the same time",
            ),
        ),
    ),
    "overlap with files and no SQLite": (OVERLAP, rendered(DATA), SEEN, ()),
    "overlap with a database that is only read": (
        OVERLAP,
        named("/app/data/x.db", replace(DATA, read_only=True)),
        SEEN,
        (),
    ),
    "a migration of what nobody saves": (MIGRATES, READ, DUE, (NOWHERE,)),
    "the same and nothing due": (MIGRATES, READ, replace(SEEN, schema=Schema("2", "2")), ()),
    "the same and nothing serves": (MIGRATES, READ, NOTHING, ()),
    "a migration of files that are saved": (MIGRATES, rendered(DATA), DUE, ()),
    "a migration of a server that is saved": (
        replace(MIGRATES, backup=Backup("DATABASE_URL")),
        READ,
        DUE,
        (),
    ),
    "a shared service that writes": (SAID, SHARING, SEEN, (shares("/opt/shop/data"),)),
    "one that writes below": (
        SAID,
        beside(source="/opt/shop/data/x"),
        SEEN,
        (shares("/opt/shop/data/x"),),
    ),
    "one that writes above": (SAID, beside(source="/opt/shop"), SEEN, (shares("/opt/shop"),)),
    "one that writes to the volume": (
        SAID,
        beside(kind="volume", source="shop_keep"),
        SEEN,
        (shares("the volume shop_keep"),),
    ),
    "one that only reads": (SAID, beside(read_only=True), SEEN, ()),
    "one with a folder of its own": (SAID, beside(source="/opt/shop/data2"), SEEN, ()),
    "one with a tmpfs": (SAID, beside(kind="tmpfs", source=""), SEEN, ()),
    "a shared service where nothing is put back": (settings(standby=False), SHARING, SEEN, ()),
    "all of it at once": (
        OVERLAP,
        named("/app/x.db", DATA),
        replace(SEEN, filesystems={"/opt/shop/data": "nfs"}),
        (
            spoiled("/opt/shop/data lies on nfs"),
            LOST,
            replace(TWO, why=TWO.why.replace("/app/data/", "/app/")),
        ),
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusals(name: str) -> None:
    """Every problem at once, whole; and nothing where nothing is wrong."""
    said, asked, seen, problems = REFUSED[name]
    assert storage.problems(said, asked, seen) == list(problems)


COVERED = [
    (Backup(), ("folder", "sqlite"), ""),
    (Backup(), ("postgres",), ""),
    (Backup("DATABASE_URL"), ("folder", "postgres"), ""),
    (Backup(), ("folder", "env"), "a SQLite database lies in none of the app's mounts"),
    (Backup("DB"), ("folder", "sqlite"), "DB leads to no database that the app's own services"),
    (None, ("env",), "and [backup] names no PostgreSQL one"),
]


@pytest.mark.parametrize("rules,kinds,why", COVERED)
def test_a_set_without_the_database(rules: Backup | None, kinds: tuple[Any, ...], why: str) -> None:
    """What would be migrated must be in the set: a server that is named, or a SQLite database."""
    made = Manifest("s", "shop", "r", 1.0, items=tuple(Item(one, "x", "0", 1, "") for one in kinds))
    said = saving.uncovered(release(2, said=replace(MIGRATES, backup=rules)), made)
    assert len(said) == bool(why) and all(why in one.why for one in said)


BARE = settings(standby=False)
#: the same → what is said
WARNED: dict[str, tuple[Settings, Rendered, Facts, list[str]]] = {
    "nothing": (SAID, rendered(DATA), saved("3.51.3"), []),
    "a setting": (
        SAID,
        rendered(DATA, loose=(Loose("db", "fsync=off"),)),
        SEEN,
        [
            "db runs with fsync=off: a power cut takes writes along that were acknowledged, or"
            " the whole database (remove it; a local disk is quick enough for what it costs)"
        ],
    ),
    "memory": (
        SAID,
        named("/tmp/x.db", MEMORY),
        SEEN,
        [
            "DATABASE_URL leads to /tmp/x.db in memory: it is gone with the container (lead it"
            " into a volume unless that is meant)"
        ],
    ),
    "an old library": (
        SAID,
        rendered(DATA),
        saved("3.51.3", "3.46.1"),
        [
            "the app's SQLite 3.46.1 can lose a commit (the WAL-reset bug): when one connection"
            " writes and another checkpoints at the same instant; so no two releases write at once"
            " (a base image with SQLite 3.51.3, 3.50.7 or 3.44.6, or newer)"
        ],
    ),
    "no backup, first release": (
        BARE,
        rendered(DATA, VOLUME),
        facts(),
        [
            "nothing is saved of data, shop_keep: homeport.toml has no [backup]: a dead disk takes"
            " it along ([backup] in homeport.toml, then homeport deploy)"
        ],
    ),
    "no backup, and so it was": (BARE, rendered(DATA), SEEN, []),
    "no backup, and nothing to lose": (BARE, rendered(MEMORY), facts(), []),
}


@pytest.mark.parametrize("name", WARNED)
def test_warnings(name: str) -> None:
    """What stops nothing, in a line each."""
    said, asked, seen, lines = WARNED[name]
    assert [cautions.line(one) for one in storage.warnings(said, asked, seen)] == lines


VERSIONS = {
    "3.6.23": False,
    "3.7.0": True,
    "3.40.1": True,
    "3.44.5": True,
    "3.44.6": False,
    "3.45.0": True,
    "3.46.1": True,
    "3.50.6": True,
    "3.50.7": False,
    "3.51.2": True,
    "3.51.3": False,
    "3.52.0": False,
    "4.0.0": False,
    "3.44": True,
    "": False,
    "unknown": False,
}


@pytest.mark.parametrize("version", VERSIONS)
def test_libraries_that_lose_commits(version: str) -> None:
    """From 3.7.0 on, but for the three lines in which it was mended and all after them."""
    assert storage.loses_commits(version) == VERSIONS[version]
