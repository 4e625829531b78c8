"""Sets in a real restic REST server that wants a login."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from homeport.errors import HostFault
from homeport.host import offsite
from homeport.host.paths import Paths
from homeport.host.restic import Restic, Unreachable
from lab.images import Images
from lab.restic import ensure_restic

SET, LATER = "20260101T030000-aaaa", "20260102T030000-bbbb"
KEYS = "RESTIC_PASSWORD=a-long-password\nRESTIC_REST_USERNAME=me\nRESTIC_REST_PASSWORD={}\n"


@pytest.fixture(scope="module")
def server(images: Images, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of one that lets nobody delete: http://127.0.0.1:PORT."""
    ensure_restic(print)
    folder = tmp_path_factory.mktemp("rest")
    word = base64.b64encode(hashlib.sha1(b"p@ss:word").digest()).decode()
    (folder / ".htpasswd").write_text(f"me:{{SHA}}{word}\n")
    argv = ["docker", "run", "-d", "--rm", "-p", "127.0.0.1::8000", "-v", f"{folder}:/data"]
    argv += [
        "--entrypoint",
        "restic-rest-server",
        images.host_cron,
        "--path",
        "/data",
        "--append-only",
    ]
    one = subprocess.run(
        [*argv, "--listen", ":8000"], check=True, capture_output=True, text=True
    ).stdout.strip()
    try:
        found = subprocess.run(
            ["docker", "port", one, "8000"], check=True, capture_output=True, text=True
        ).stdout
        yield f"http://{found.splitlines()[0].strip()}"
    finally:
        subprocess.run(["docker", "rm", "-f", one], capture_output=True, timeout=60)


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    """A host's folders with two sets."""
    made = Paths("food", tmp_path / "opt")
    for name in (SET, LATER):
        folder = made.backups / name
        folder.mkdir(parents=True)
        (folder / "0.sqlite").write_bytes(b"rows" * 1000)
        (folder / "manifest.json").write_text(json.dumps({"id": name}))
    return made


def vault(paths: Paths, server: str, password: str) -> offsite.Vault:
    """The way there with this login."""
    box = Restic(paths, f"rest:{server}/food", KEYS.format(password), lambda text: text)
    return offsite.Vault(paths, box)


def test_a_set_goes_to_a_rest_server_and_comes_back(
    server: str, paths: Paths, tmp_path: Path
) -> None:
    """Its login stands in restic.env alone: neither the address that is shown nor a file has it."""
    way, end = vault(paths, server, "p@ss:word"), time.monotonic() + 30
    while True:
        try:
            way.open(make=True)
            break
        except Unreachable:
            assert time.monotonic() < end, "the server did not come up"
            time.sleep(0.2)
    way.send(SET, paths.backups / SET, lambda done, total: None)
    (copy,) = way.copies()
    back = way.fetch(copy, tmp_path / "back", lambda done, total: None)
    assert (back / "0.sqlite").read_bytes() == b"rows" * 1000
    assert way.shown == f"rest:{server}/food"
    # what a thief of the host would do, and what a wrong rule would
    way.send(LATER, paths.backups / LATER, lambda done, total: None)
    with pytest.raises(HostFault):
        way.prune(0, 0, 0)
    assert [one.set for one in way.copies()] == [SET, LATER]


def test_a_login_that_the_server_refuses_is_named(server: str, paths: Paths) -> None:
    """It is told apart from a repository that is not there, and its password is in no message."""
    with pytest.raises(Unreachable) as seen:
        vault(paths, server, "guessed-wrong").open(make=True)
    (problem,) = seen.value.problems
    assert "guessed-wrong" not in problem.text() and "restic.env" in problem.mend
