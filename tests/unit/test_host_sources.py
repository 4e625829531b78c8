"""Which mounts are declared data, how sets name them, and what of them is left out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from homeport.backups import Backup, Item, Manifest, Migrate
from homeport.core import room
from homeport.host import sources
from homeport.host.context import Context
from homeport.host.engine import Engine
from homeport.host.paths import Paths
from homeport.host.sources import Mount
from homeport.model import Release, Request, Settings

KEEP = {"Type": "volume", "Name": "food_keep", "Destination": "/app/keep", "RW": True}
DATA = {"Type": "bind", "Source": "/opt/food/data", "Destination": "/app/data", "RW": True}
PHOTOS = {**DATA, "Source": "/opt/food/data/photos", "Destination": "/photos"}
MEDIA = {**DATA, "Source": "/srv/media", "Destination": "/media"}
OWN = {**DATA, "Source": "/opt/food/settings", "Destination": "/etc/food", "RW": False}
SOCKETS = {**DATA, "Source": "/opt/homeport/run/food/r0001", "Destination": "/run/homeport"}
NAMELESS = {**KEEP, "Name": "0123456789abcdef" * 4, "Destination": "/var/lib/x"}
SHARED = {**KEEP, "Name": "photos", "Destination": "/shared"}
TMP = {"Type": "tmpfs", "Destination": "/tmp", "RW": True}
#: as the volume ``data`` of the compose file is mounted
STORE = {**KEEP, "Name": "food_data", "Destination": "/store"}
UPLOADS = {**DATA, "Source": "/opt/food/data/uploads", "Destination": "/uploads"}
WITHIN = {**PHOTOS, "Destination": "/app/data/photos"}
OUTER = {**SHARED, "Name": "data", "Destination": "/outer"}


def release(**settings: Any) -> Release:
    """A release of a web service and a worker."""
    made = Settings("food", **settings)
    names = ("web", "worker")
    return Release("r0001-1a2b3c4", "i", "", "f", "l", "recreate", "web", names, 1.0, made)


def context(web: list[dict[str, Any]], worker: list[dict[str, Any]]) -> Context:
    """The hands of a run that knows already what the containers are like."""
    ctx = Context(Paths("food", Path("/opt")), Engine("no.sock"), Request("x", "food"), "", print)
    ctx.likes = {
        ("r0001-1a2b3c4", "web"): {"Mounts": web},
        ("r0001-1a2b3c4", "worker"): {"Mounts": worker},
    }
    return ctx


WITHIN_IT = "/app/data/photos"
MOUNTS: list[tuple[list[dict[str, Any]], list[dict[str, Any]], list[tuple[str, str, str]]]] = [
    ([DATA, KEEP], [], [("data", "/app/data", "web"), ("keep", "/app/keep", "web")]),
    ([KEEP, DATA], [DATA], [("data", "/app/data", "web"), ("keep", "/app/keep", "web")]),
    ([DATA], [{**DATA, "Destination": "/work"}], [("data", "/app/data", "web")]),
    ([OWN, SOCKETS, NAMELESS, TMP], [KEEP], [("keep", "/app/keep", "worker")]),
    ([DATA], [PHOTOS], [("data", "/app/data", "web")]),
    ([PHOTOS, DATA], [], [("data", "/app/data", "web")]),
    ([STORE, DATA], [], [("data", "/app/data", "web"), ("food_data", "/store", "web")]),
    ([STORE], [UPLOADS], [("food_data", "/store", "web"), ("data/uploads", "/uploads", "worker")]),
    ([STORE], [OUTER], [("food_data", "/store", "web"), ("data", "/outer", "worker")]),
    ([DATA], [OUTER], [("data", "/app/data", "web"), ("volume:data", "/outer", "worker")]),
    ([DATA, WITHIN], [], [("data", "/app/data", "web"), ("data/photos", WITHIN_IT, "web")]),
    ([MEDIA, SHARED], [], [("/srv/media", "/media", "web"), ("photos", "/shared", "web")]),
    ([], [], []),
]


@pytest.mark.parametrize("web,worker,found", MOUNTS)
def test_declared_data(
    web: list[dict[str, Any]], worker: list[dict[str, Any]], found: list[tuple[str, str, str]]
) -> None:
    """What a moving service may write and what outlives it, once, in the same order always."""
    told = sources.declared(context(web, worker), release())
    assert [(one.source, one.target, one.service) for one in told] == found


def part(volume: str, target: str) -> dict[str, Any]:
    """How a container is told to mount a part of a volume: not among its mounts."""
    return {"Type": "volume", "Target": target, "VolumeOptions": {"Subpath": volume}}


def test_each_part_of_a_volume_is_declared_data() -> None:
    """Docker names the whole volume for each of them; a part of what is mounted whole is in it."""
    ctx = context([{**KEEP, "Destination": f"/{one}"} for one in ("a", "b")], [])
    like = dict(ctx.likes["r0001-1a2b3c4", "web"])
    like["HostConfig"] = {"Mounts": [part("one", "/a"), part("two/x", "/b")]}
    ctx.likes["r0001-1a2b3c4", "web"] = like
    told = sources.declared(ctx, release())
    assert [(one.source, one.target) for one in told] == [("keep/one", "/a"), ("keep/two/x", "/b")]
    ctx.likes["r0001-1a2b3c4", "worker"] = {"Mounts": [KEEP]}
    told = sources.declared(ctx, release())
    assert [(one.source, one.target) for one in told] == [("keep", "/app/keep")]


def test_what_hides_a_part_of_a_folder_keeps_it_from_being_covered() -> None:
    """Something in memory lies over the photos there: only the worker's mount reaches them."""
    ctx = context([DATA], [PHOTOS])
    ctx.likes["r0001-1a2b3c4", "web"] = {
        "Mounts": [DATA],
        "HostConfig": {"Tmpfs": {"/app/data/photos/new": ""}},
    }
    assert [one.source for one in sources.declared(ctx, release())] == ["data", "data/photos"]
    ctx.likes["r0001-1a2b3c4", "web"] = {
        "Mounts": [DATA],
        "HostConfig": {"Tmpfs": {"/app/data/cache": ""}},
    }
    assert [one.source for one in sources.declared(ctx, release())] == ["data"]


def test_a_file_that_is_mounted_is_no_folder(tmp_path: Path) -> None:
    """It is told apart, for people and for what stands in for it; one in a folder is in that."""
    (tmp_path / "food.db").touch()
    file = {**DATA, "Source": f"{tmp_path}/food.db", "Destination": "/food.db"}
    ctx = context([DATA, file], [])
    assert [one.source for one in sources.declared(ctx, release())] == ["data"]
    (told,) = sources.singles(ctx, release())
    assert (told.source, told.target, told.single) == (f"{tmp_path}/food.db", "/food.db", "file")
    ctx = context([{**DATA, "Source": str(tmp_path)}, file], [])
    assert sources.singles(ctx, release()) == ()


def test_databases_go_by_their_mount_and_their_service() -> None:
    """Two services may have different data at one path."""
    found = [
        Item("sqlite", name, "", 0, "", mount=mount)
        for name, mount in (("data/x", "/data"), ("keep/x", "/data"), ("data/y", "/other"))
    ]
    assert sources.within(found, "data", "/data") == found[:1]


EXCLUDED = [
    (("data/cache",), [("data", ("cache",)), ("keep", ())]),
    (("./data/cache/", "/opt/food/data/x"), [("data", ("cache", "x")), ("keep", ())]),
    (("keep",), [("data", ())]),
    (("food_keep/thumbs",), [("data", ()), ("keep", ("thumbs",))]),
    (("dat", "data2/x", "kee"), [("data", ()), ("keep", ())]),
]


@pytest.mark.parametrize("left,found", EXCLUDED)
def test_what_is_left_out(left: tuple[str, ...], found: list[tuple[str, Any]]) -> None:
    """By the name in the compose file or on the host, and never by the beginning of a name."""
    told = sources.declared(context([DATA, KEEP], []), release(backup=Backup(exclude=left)))
    assert [(one.source, one.exclude) for one in told] == found


def test_nothing_is_left_out_by_a_name_that_a_folder_has_too() -> None:
    """What is meant is the folder: the volume is named in full."""
    mounts = context([DATA, STORE], [])
    told = sources.declared(mounts, release(backup=Backup(exclude=("data", "food_data/x"))))
    assert [(one.source, one.exclude) for one in told] == [("food_data", ("x",))]


def test_mounts_go_by_their_service() -> None:
    """Each is reached by the image and user of the service that has it."""
    one, two = Mount("a", "/a", "web"), Mount("b", "/b", "worker")
    three = Mount("c", "/c", "web")
    assert sources.grouped([one, two, three]) == {"web": [one, three], "worker": [two]}


def test_a_release_from_before_is_saved_by_the_rules_of_the_next() -> None:
    """Its own come first; those of the deploy that goes on otherwise, but for their look at it."""
    ctx = context([], [])
    mine = Backup(exclude=("data/x",), check=("true",))
    assert sources.rules(ctx, release(backup=mine)).settings.backup == mine
    migrate = Migrate(("up",), ("schema",))
    assert sources.rules(ctx, release(migrate=migrate)).settings.backup == Backup()
    assert sources.rules(ctx, release()).settings.backup == Backup()
    next_ = release(backup=replace(mine, postgres="DATABASE_URL"))
    ctx.fresh = replace(next_, id="r0002-1a2b3c4")
    saved = sources.rules(ctx, release()).settings.backup
    assert saved == Backup(postgres="DATABASE_URL", exclude=("data/x",))


@pytest.mark.parametrize(
    "told,postgres",
    [
        ({"DATABASE_URL": "postgresql://food@db/food"}, "DATABASE_URL"),
        ({"DATABASE_URL": "sqlite:////app/data/food.db"}, ""),
        ({}, ""),
    ],
)
def test_a_database_that_the_next_one_names(
    monkeypatch: pytest.MonkeyPatch, told: dict[str, str], postgres: str
) -> None:
    """It is saved before that one migrates it, where the one that serves has it as well."""
    monkeypatch.setattr(sources.postgres_find, "environment", lambda *_: told)
    ctx, mine = context([], []), Backup(exclude=("data/x",), check=("true",))
    ctx.fresh = replace(release(backup=Backup("DATABASE_URL")), id="r0002-1a2b3c4")
    saved = sources.rules(ctx, release(backup=mine)).settings.backup
    assert saved == replace(mine, postgres=postgres)


MIB = 1024 * 1024
ROOM = [(0, 0, 0), (80, 0, 2 * 90 + 16), (0, 80, 2 * 90 + 16), (80, 160, 2 * 180 + 16)]


@pytest.mark.parametrize("last,data,need", ROOM)
def test_room(last: int, data: int, need: int) -> None:
    """For a set and its check, by the last one or by what the data takes; nothing if not known."""
    item = Item("folder", "data", "0.tar", last * MIB, "")
    before = Manifest("id", "food", "r", 1.0, items=(item,)) if last else None
    assert room.backup(before, data * MIB) == need * MIB
