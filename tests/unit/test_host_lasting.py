"""What a power cut would find at every moment: nothing that the link names is ever missing.

The disk of these tests keeps only what was synced (`harshest`). What Docker writes cannot be seen
so: there the order is held in which things are asked for.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from builders import APP, release
from harshest import Disk
from homeport.backups import Manifest
from homeport.core.edge import IMAGE
from homeport.core.link import hold
from homeport.errors import HostFault, RegistryError
from homeport.host import compose, edge_box, kept, lasting, ops, ops_slot, sets
from homeport.host.context import Context
from homeport.host.engine import Engine
from homeport.host.paths import Paths, make, write
from homeport.model import Release, Request

OLD, NEW = release(1), release(2)
REF = NEW.image


class Docker(Engine):
    """An Engine that has what it was told to have, and writes down what it is asked."""

    def __init__(self, said: list[str], images: set[str] | None = None) -> None:
        super().__init__("no.sock")
        self.said, self.images, self.boxes = said, images or set(), ["one"]
        self.fails: str = ""

    def info(self) -> dict[str, Any]:
        return {"DockerRootDir": "/nowhere"}

    def image(self, ref: str) -> dict[str, Any] | None:
        return {"Id": "sha256:1"} if ref in self.images else None

    def pull(self, ref: str, auth: str, progress: Callable[[int, int], None]) -> None:
        self.said.append("pull")
        if self.fails:
            raise RegistryError.of("no answer", "registry", self.fails, "")
        self.images.add(ref)

    def untag(self, ref: str) -> None:
        self.said.append("untag")
        self.images.discard(ref)

    def containers(self, *labels: str) -> list[dict[str, Any]]:
        return [{"Id": one, "Labels": {}} for one in self.boxes]

    def set_policy(self, name: str, policy: str) -> None:
        self.said.append(f"policy {policy}")

    def inspect(self, name: str) -> dict[str, Any] | None:
        return None if name.endswith("-next") else {"NetworkSettings": {}}

    def network(self, name: str) -> dict[str, Any] | None:
        return {"Name": name}

    def create(self, name: str, body: dict[str, Any]) -> str:
        self.said.append(f"create {name}")
        return name

    def start(self, name: str) -> None:
        self.said.append(f"start {name}")

    def stop(self, name: str, within: int | None = None) -> None:
        self.said.append(f"stop {name}")

    def remove(self, name: str) -> None:
        self.said.append(f"remove {name}")

    def rename(self, name: str, new: str) -> None:
        self.said.append(f"rename {name}")

    def tag(self, ref: str, repository: str, tag: str) -> None:
        self.said.append(f"tag {tag}")


@pytest.fixture
def said() -> list[str]:
    """What Docker and the disk were asked, in its order."""
    return []


@pytest.fixture
def flushed(said: list[str], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The same, with every flush of the disk among it instead of one that happens."""

    def flush(*_: object) -> bool:
        said.append("flush")
        return True

    monkeypatch.setattr(lasting, "flush", flush)
    return said


@pytest.fixture
def ctx(tmp_path: Path, said: list[str]) -> Context:
    """A run on a host that setup has just made: nothing but two folders."""
    paths = Paths(APP, tmp_path)
    paths.folder.mkdir()
    paths.home.mkdir()
    made = Context(paths, Docker(said), Request("deploy", APP), "a", lambda event: None)
    made.fresh = NEW
    return made


@pytest.fixture
def disk(ctx: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Disk:
    """The host's disk from there on."""
    return Disk(tmp_path, monkeypatch)


def written(ctx: Context, one: Release) -> Path:
    """A release's folder, written."""
    ctx.store.write_release(one, {"services": {}}, "A=1\n", "services: {}\n")
    return ctx.paths.releases / one.id


# --- the disk itself ------------------------------------------------------------------------------
def test_the_harshest_disk_takes_what_was_not_synced(disk: Disk, tmp_path: Path) -> None:
    """A file without its sync, a name without its folder's, and a move without both folders'."""
    folder = tmp_path / "one"
    folder.mkdir()
    assert disk.lost(folder) == ["name one"]
    path = folder / "file"
    handle = os.open(path, os.O_WRONLY | os.O_CREAT)
    assert disk.lost(path) == ["content of one/file", "name one/file", "name one"]
    os.fsync(handle)
    os.close(handle)
    assert disk.lost(path) == ["name one/file", "name one"]
    for one in (folder, tmp_path):
        handle = os.open(one, os.O_RDONLY)
        os.fsync(handle)
        os.close(handle)
    assert disk.lost(path) == []
    os.replace(path, folder / "new")
    assert disk.lost(folder / "new") == ["name one/new"]


# --- what the link names --------------------------------------------------------------------------
def test_before_the_link_names_a_release_everything_of_it_lasts(ctx: Context, disk: Disk) -> None:
    """On a host where no app ever ran, too: its record, its project, its variables, its folders."""
    folder = written(ctx, NEW)
    ops_slot.sockets(ctx, {"slot": NEW.slot})
    ops_slot.standby_on(ctx, {"slot": NEW.slot})
    ops_slot.standby_off(ctx, {"slot": NEW.slot})
    ctx.journal("intent", step="handover", do="link")
    lost: list[list[str]] = []

    def look(what: str, path: Path) -> None:
        if path == ctx.paths.link:
            found = [*disk.all_lost(folder), *disk.lost(ctx.paths.slot(NEW.slot))]
            lost.append([*found, *disk.lost(ctx.paths.journal)])

    disk.moments.append(look)
    ctx.store.write_link(NEW.link)
    assert sorted(one.name for one in folder.iterdir()) == [
        "compose.json",
        "env",
        "release.json",
        "source.yaml",
    ]
    assert lost == [[]]
    assert disk.lost(ctx.paths.link) == []


def test_the_link_that_holds_lasts_before_anything_of_the_old_slot_ends(
    ctx: Context, disk: Disk
) -> None:
    """And the handover lasts when it is done: nothing that follows rests on a name in doubt."""
    make(ctx.paths.sockets)
    ops.OPS["link"](ctx, {"address": hold(APP)})
    assert disk.lost(ctx.paths.link) == []


def test_a_standby_that_was_lifted_stays_so(ctx: Context, disk: Disk) -> None:
    """A release that came back as a reader after a power cut would refuse every write."""
    ops_slot.sockets(ctx, {"slot": NEW.slot})
    ops_slot.standby_on(ctx, {"slot": NEW.slot})
    path = ctx.paths.slot(NEW.slot) / "standby"
    # an empty file: its name is all there is to it
    assert path.exists() and disk.lost(path) == [
        f"content of homeport/run/{APP}/{NEW.slot}/standby"
    ]
    ops_slot.standby_off(ctx, {"slot": NEW.slot})
    assert not path.exists() and disk.lost(path) == []


def test_the_marks_last(ctx: Context, disk: Disk) -> None:
    """What a hand-typed compose command reads is the live release's after a boot, too."""
    written(ctx, NEW)
    ops.OPS["mark"](ctx, {"release": NEW.id, "previous": ""})
    for name in ("compose.yaml", ".env", "current"):
        assert disk.lost(ctx.paths.folder / name) == [], name


def test_today_s_secrets_last_before_a_container_is_made_of_them(
    ctx: Context, disk: Disk, flushed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A recreated slot after a power cut has the secrets that it had when it became live."""
    one = replace(NEW, settings=replace(NEW.settings, secrets=("KEY",)))
    ctx.fresh = one
    ctx.store.write_release(one, {"services": {}}, "KEY=old\n", "services: {}\n")
    write(ctx.paths.settings_env, "KEY=new\n")
    seen: list[tuple[list[str], str]] = []

    def up(*_: object) -> str:
        seen.append((disk.lost(ctx.store.env_file(one)), ctx.store.env_file(one).read_text()))
        return ""

    monkeypatch.setattr(compose, "up", up)
    ops.OPS["compose-up"](ctx, {"release": one.id, "services": ["web"]})
    assert seen == [([], "KEY=new\n")]


# --- what goes ------------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", ["release", "set"])
def test_what_is_let_go_loses_its_name_for_good_before_it_loses_a_file(
    kind: str, ctx: Context, disk: Disk
) -> None:
    """A power cut in the middle brings back all of it or nothing, never a part by its name."""
    if kind == "release":
        folder = written(ctx, NEW)
    else:
        folder = ctx.paths.backups / "20260101T000000-0000"
        make(folder)
        write(folder / "manifest.json", "{}")
    del disk.log[:]
    if kind == "release":
        ctx.store.drop_release(NEW.id)
    else:
        kept.drop(ctx.paths, folder.name)
    gone = f".{folder.name}.gone"
    parent = folder.parent.relative_to(disk.top)
    mine = [one for one in disk.log if ".spare" not in one]
    assert mine[:2] == [f"replace {parent}/{gone}", f"sync {parent}"]
    assert disk.lost(folder) == [] and not folder.exists()


# --- sets -----------------------------------------------------------------------------------------
def test_a_set_has_its_name_only_when_all_of_it_lasts(
    ctx: Context, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The journal names a set by its folder: what has that name is whole after a power cut."""
    written(ctx, NEW)
    write(ctx.paths.settings_env, "A=1\n", 0o600)
    sets.sweep(ctx.paths)
    final, lost = ctx.paths.backups / "20260101T000000-0000", []
    beside = ctx.paths.backups / f".{final.name}.new"
    manifest = Manifest(final.name, APP, NEW.id, 1.0)
    taking = sets._Taking(ctx, NEW, beside, True, False)
    monkeypatch.setattr(taking, "data", lambda: sets._put(beside / "0.sqlite", b"rows"))

    def look(what: str, path: Path) -> None:
        if path == final:
            lost.append(disk.all_lost(beside))

    disk.moments.append(look)
    sets._make(ctx, NEW, beside, manifest, taking)
    names = ["0.sqlite", "app.env", "manifest.json", "manifest.sha256"]
    assert sorted(one.name for one in final.iterdir())[:4] == names
    own = f"name {APP}/backups/{beside.name}"
    assert lost == [[own]], "its name beside may go; nothing in it may"
    assert disk.all_lost(final) == []


# --- what Docker writes ---------------------------------------------------------------------------
def test_containers_last_before_the_step_that_made_them_is_over(
    ctx: Context, flushed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Docker syncs a container's record and not what it is mounted from."""
    written(ctx, NEW)
    monkeypatch.setattr(compose, "up", lambda *_: flushed.append("compose up") or "")
    ops.OPS["compose-up"](ctx, {"release": NEW.id, "services": ["web"]})
    assert flushed == ["compose up", "flush"]


def test_shared_services_last_before_they_count_as_up(
    ctx: Context, flushed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A database that cannot be started again would be noticed by nobody until a boot."""
    monkeypatch.setattr(compose, "shared", lambda *words, **_: flushed.append(words[1]))
    ops.OPS["shared-up"](ctx, {"hash": "abc"})
    assert flushed == ["pull", "up", "flush"]


def test_the_old_edge_goes_only_when_the_new_one_lasts(ctx: Context, flushed: list[str]) -> None:
    """A power cut in a change of the edge leaves one that can be started, the old or the new."""
    old, new = ctx.paths.edge_name, ctx.paths.edge_next
    edge_box.replace(ctx.engine, ctx.paths, [80], {}, lambda: None, lambda name: None)
    assert flushed == [
        *(f"create {new}", "flush", f"stop {old}", f"start {new}", f"remove {old}"),
        f"rename {new}",
    ]


@pytest.mark.parametrize("apart,asked", [(True, ["policy no", "flush"]), (False, ["policy no"])])
def test_a_restart_policy_is_off_for_good_before_another_release_is_linked(
    apart: bool, asked: list[str], ctx: Context, flushed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On one filesystem the link's own sync takes it along; from another one it must come first."""
    monkeypatch.setattr(lasting, "apart", lambda *_: apart)
    ops.OPS["policy-off"](ctx, {"slot": OLD.slot})
    assert flushed == asked


# --- pulls ----------------------------------------------------------------------------------------
def test_a_pull_is_marked_until_it_lasts(
    ctx: Context, disk: Disk, flushed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever dies in it leaves the mark, and the image does not count as there."""
    engine, folder, seen = ctx.engine, ctx.paths.folder, []
    assert isinstance(engine, Docker)
    pull = engine.pull

    def looked(*words: Any) -> None:
        seen.append((lasting.torn(folder), disk.lost(folder / lasting.MARK)))
        pull(*words)
        seen.append((str(engine.image(REF) is not None), [str(lasting.there(engine, folder, REF))]))

    monkeypatch.setattr(engine, "pull", looked)
    assert ops.OPS["pull"](ctx, {"image": REF}) == ""
    assert seen == [(REF, []), ("True", ["False"])]
    assert flushed == ["pull", "flush"]
    assert lasting.there(engine, folder, REF)
    assert disk.lost(folder / lasting.MARK) == []


def test_an_image_whose_pull_was_cut_short_is_let_go_and_pulled_whole(
    ctx: Context, flushed: list[str]
) -> None:
    """Layers that Docker knows by name are fetched again only when nothing has them any more."""
    write(ctx.paths.folder / lasting.MARK, REF)
    ops.OPS["pull"](ctx, {"image": REF})
    assert flushed == ["pull", "untag", "pull", "flush"]
    ops.OPS["pull"](ctx, {"image": REF})
    assert flushed[4:] == ["pull", "flush"]


def test_a_pull_that_fails_leaves_nothing_in_doubt(ctx: Context, flushed: list[str]) -> None:
    """What did come is written out; the next try needs to fetch only the rest."""
    assert isinstance(ctx.engine, Docker)
    ctx.engine.fails = "connection reset"
    with pytest.raises(RegistryError):
        ops.OPS["pull"](ctx, {"image": REF})
    assert (flushed, lasting.torn(ctx.paths.folder)) == (["pull", "flush"], "")


def test_another_image_is_not_in_doubt(ctx: Context) -> None:
    """The mark names one image; what others have is as good as before."""
    assert isinstance(ctx.engine, Docker)
    ctx.engine.images = {OLD.image, REF, IMAGE}
    write(ctx.paths.folder / lasting.MARK, REF)
    there = [one for one in (OLD.image, REF) if lasting.there(ctx.engine, ctx.paths.folder, one)]
    assert there == [OLD.image]
    assert edge_box.here(ctx.engine, ctx.paths)
    make(ctx.paths.edge)
    write(ctx.paths.edge / lasting.MARK, IMAGE)
    assert not edge_box.here(ctx.engine, ctx.paths)


# --- the flush itself -----------------------------------------------------------------------------
APART = [
    ("on one filesystem", {"/docker": 1}, False),
    ("Docker's elsewhere", {"/docker": 2}, True),
    ("containerd's elsewhere", {"/docker": 1, lasting.CONTAINERD: 2}, True),
    ("nobody may look", {"/docker": PermissionError("no")}, True),
    ("nothing there yet", {}, False),
]


@pytest.mark.parametrize("told,places,apart", APART, ids=[one[0] for one in APART])
def test_everything_is_written_out_where_docker_keeps_its_own_elsewhere(
    told: str,
    places: dict[str, Any],
    apart: bool,
    ctx: Context,
    said: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """syncfs of the app's own filesystem where all lies on it, else sync of every one."""

    class Seen:
        def __init__(self, device: int) -> None:
            self.st_dev = device

    def stat(path: Any) -> Seen:
        found = {str(ctx.paths.folder): 1, **places}.get(str(path), FileNotFoundError(str(path)))
        if isinstance(found, OSError):
            raise found
        return Seen(int(found))

    monkeypatch.setattr(ctx.engine, "info", lambda: {"DockerRootDir": "/docker"})
    monkeypatch.setattr(os, "stat", stat)
    monkeypatch.setattr(os, "sync", lambda: said.append("sync"))
    monkeypatch.setattr(lasting, "_write_out", lambda folder: said.append(f"syncfs {folder}"))
    assert lasting.flush(ctx.engine, ctx.paths.folder)
    assert said == (["sync"] if apart else [f"syncfs {ctx.paths.folder}"])


def test_a_disk_that_hangs_is_not_waited_for_without_end(
    ctx: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Requests may be held meanwhile."""
    over = threading.Event()
    monkeypatch.setattr(lasting, "apart", lambda *_: False)
    monkeypatch.setattr(lasting, "_write_out", lambda folder: over.wait(30))
    try:
        assert not lasting.flush(ctx.engine, ctx.paths.folder, 0.01)
    finally:
        over.set()


def test_a_disk_that_fails_ends_the_step_before_the_link(
    ctx: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel says once that something could not be written: that is no time to go live."""

    def fail(folder: Path) -> None:
        raise OSError(5, "Input/output error", str(folder))

    written(ctx, NEW)
    monkeypatch.setattr(lasting, "apart", lambda *_: False)
    monkeypatch.setattr(lasting, "_write_out", fail)
    monkeypatch.setattr(compose, "up", lambda *_: "")
    with pytest.raises(HostFault, match="takes no more writes"):
        ops.OPS["compose-up"](ctx, {"release": NEW.id, "services": ["web"]})


def test_the_real_one_works_on_this_machine(tmp_path: Path) -> None:
    """syncfs(2) is found in the C library and takes a folder."""
    write(tmp_path / "file", "x")
    lasting._write_out(tmp_path)


def test_the_first_line_of_a_journal_lasts_with_its_name(ctx: Context, disk: Disk) -> None:
    """Later ones are synced in a file whose name lasts already."""
    ctx.journal("begin", verb="deploy", release=NEW.id)
    assert disk.lost(ctx.paths.journal) == []
    del disk.log[:]
    ctx.journal("end")
    assert disk.log == [f"write {APP}/journal.jsonl", f"sync {APP}/journal.jsonl"]
    assert disk.lost(ctx.paths.journal) == []
