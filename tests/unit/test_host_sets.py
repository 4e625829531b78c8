"""What a set tells of itself, and what is refused of it, without an Engine."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from homeport import wire
from homeport.backups import Item, Manifest
from homeport.errors import Refused
from homeport.host import restoring, run_back, sets, verifying
from homeport.host.sources import Mount
from homeport.inside import putback
from test_host_sources import DATA, KEEP, context, release

ID = "20260101T000000-0000"
TAR = Item("folder", "data", "1.tar", 1, "", files=2, mount="/app/data")
FOOD = Item("sqlite", "data/food.db", "0.sqlite", 1, "", mount="/app/data")
SET = Manifest(ID, "food", "r0001-1a2b3c4", 1.0, items=(FOOD, TAR))


def signed(tmp_path: Path, manifest: Manifest) -> Path:
    """A set's folder with nothing but its manifest."""
    folder = tmp_path / manifest.id
    folder.mkdir()
    sets._sign(folder, manifest)
    return folder


def test_a_name_that_is_no_utf8_comes_back_as_it_was(tmp_path: Path) -> None:
    """Docker, Python and SQLite take any bytes: the manifest has them all."""
    odd = replace(FOOD, source="data/\udcff\u00fc.db")
    manifest = replace(SET, items=(odd, TAR))
    assert restoring.read(signed(tmp_path, manifest)) == manifest


def test_a_set_from_before_tells_no_papers(tmp_path: Path) -> None:
    """It can be read, and nothing is missed of it."""
    old = {key: one for key, one in wire.plain(SET).items() if key != "papers"}
    assert wire.decode(Manifest, old) == SET
    assert verifying._papers(tmp_path, SET) == []


def test_the_papers_of_a_release_are_looked_at(tmp_path: Path) -> None:
    """Both are wanted, as they were, and a release can be made of them."""
    texts = {"release.json": wire.encode(release()), "source.yaml": b"services: {}\n"}
    for name, text in texts.items():
        (tmp_path / name).write_bytes(text)
    papers = {name: hashlib.sha256(text).hexdigest() for name, text in texts.items()}
    good = replace(SET, papers=papers)
    assert verifying._papers(tmp_path, good) == []
    half = replace(SET, papers={"source.yaml": papers["source.yaml"]})
    assert verifying._papers(tmp_path, half) == ["release.json: the set has none"]
    (tmp_path / "source.yaml").write_bytes(b"services: {}")
    said = ["source.yaml: it is not what was saved: its bytes differ"]
    assert verifying._papers(tmp_path, good) == said
    (tmp_path / "source.yaml").unlink()
    said = ["source.yaml: it cannot be read: No such file or directory"]
    assert verifying._papers(tmp_path, good) == said
    (tmp_path / "source.yaml").write_bytes(texts["source.yaml"])
    (tmp_path / "release.json").write_text("{}")
    fits = {**papers, "release.json": hashlib.sha256(b"{}").hexdigest()}
    (said_,) = verifying._papers(tmp_path, replace(SET, papers=fits))
    assert said_.startswith("release.json: no release can be made of it: ")


CHECKSUMS = [
    ({"sha256": hashlib.sha256(b"food").hexdigest()}, True),
    ({"blake2b": hashlib.blake2b(b"food").hexdigest()}, True),
    ({"sha256": hashlib.sha256(b"foot").hexdigest()}, False),
    ({"blake2b": hashlib.blake2b(b"foot").hexdigest()}, False),
    # one that is another's, and none at all
    ({"sha256": hashlib.blake2b(b"food").hexdigest()}, False),
    ({"sha256": ""}, False),
]


@pytest.mark.parametrize(("checksum", "good"), CHECKSUMS)
def test_a_copy_is_compared_by_the_checksum_of_its_day(
    tmp_path: Path, checksum: dict[str, str], good: bool
) -> None:
    """Sets from before have SHA-256; those made now have BLAKE2b."""
    item = replace(FOOD, **checksum)  # type: ignore[arg-type]
    (tmp_path / item.file).write_bytes(b"food")
    said = verifying._damaged(tmp_path, item)
    assert said == ("" if good else "data/food.db: it is not what was saved: its bytes differ")
    copy = {**wire.plain(item), "size": 4}
    assert putback.wrong(str(tmp_path), copy) == said.removeprefix("data/food.db: ")


EMPTY = replace(TAR, source="list", file="2.tar", files=0, mount="/app/list")


def test_what_has_no_place_is_found() -> None:
    """A folder without a file in it is nothing to put back."""
    manifest = replace(SET, items=(FOOD, TAR, EMPTY))
    assert restoring.homeless(manifest, ()) == [FOOD, TAR]
    assert restoring.homeless(manifest, (Mount("data", "/other", "web"),)) == []


def test_a_set_with_data_that_has_no_place_is_refused() -> None:
    """Before anything is stopped; whoever insists may leave it out."""
    ctx = context([DATA], [])
    run_back.placed(ctx, SET, release())
    ctx = context([KEEP], [])
    with pytest.raises(Refused) as refused:
        run_back.placed(ctx, SET, release())
    assert "has no mount for data/food.db, data of" in refused.value.text()
    ctx.request = replace(ctx.request, unverified=True)
    run_back.placed(ctx, SET, release())
