"""docs/data.md's way out of each bad day, typed as it stands there.

What differs from what a person types: the addresses, and the set, which is one of this host's own.
Questions are answered at a real terminal.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest

import conftest
from bench import images
from bench.images import TOP
from bench.moves import Moves
from lab import hosts, network
from lab.images import ensure_images
from lab.load import Load
from lab.registry import ensure_registry
from lab.shell import docker
from scenario import sending, status, under_way
from test_readme import Laptop, program

pytestmark = pytest.mark.lab

PAGE = (TOP / "docs" / "data.md").read_text(encoding="utf-8")
STEP = dict(re.findall(r"<!-- path: ([\w-]+) -->\n```sh\n(.*?)```", PAGE, re.DOTALL))
ORDER = (
    *("bad", "parted", "with-data", "list", "fetch", "restore", "look", "damaged", "whole"),
    "dead",
)
#: the set that the page names
SET = "20261126T033000-1a2b"
FILE = "/opt/myfoodbudget/data/myfoodbudget.db"
YES = (r"What is there now is saved first\. \[y/N\] $", "y")
WORD = "a-long-sentence-to-find-again"
ROWS = "SELECT count(*) FROM purchases"


@dataclass
class Owner:
    """Whoever owns the host: their app, their laptop, and what they see in the database."""

    moves: Moves
    laptop: Laptop
    made: dict[str, str]

    def types(self, name: str, set_: str = "", answers: Sequence[tuple[str, str]] = ()) -> str:
        """Type a block of the page with a set of this host's; what the terminal showed."""
        return self.laptop.type(STEP[name].replace(SET, set_), answers)

    def refused(self, line: str, code: int) -> str:
        """Type a line that ends with a code; what the terminal showed."""
        return self.laptop.type(f"{line.strip()} || test $? -eq {code}")

    def rows(self) -> int:
        """How many purchases there are, past the app and the engine."""
        return int(str(self.moves.rows(ROWS)[0][0]))

    def does(self, statement: str) -> None:
        """Something happens to the database behind everybody's back."""
        script = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1], timeout=30);"
        script += " c.execute(sys.argv[2]); c.commit()"
        self.moves.stage.on_host("python3", "-I", "-c", script, FILE, statement)

    def sets(self) -> list[dict[str, Any]]:
        """The sets that are kept, the newest first."""
        return list(self.moves.stage.homeport("backup", "list", "--json").data["sets"])

    def save(self) -> str:
        """Make a set that counts; its id."""
        self.moves.stage.homeport("backup", "now")
        newest = self.sets()[0]
        assert newest["state"] == "verified"
        return str(newest["id"])

    def writes(self) -> None:
        """People use the app for a while."""
        with sending(Load(self.moves.stage.url, rate=40)) as load:
            under_way(load, 60)
        counts = load.stop().counts()
        assert counts["ok"] == counts["requests"], counts


@pytest.fixture(scope="module")
def owner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Owner]:
    """An app that serves and is written to, and a person at a laptop who ships it."""
    registry, now = ensure_registry(conftest.talk), images.production(conftest.talk)
    bases = {"one": now, "two": now, "migrates": images.later(conftest.talk)}
    made = {
        name: images.version(base, registry, f"guide-{name}", {"version": name})
        for name, base in bases.items()
    }
    moves = Moves.up("sqlite", conftest.talk, "guide")
    try:
        folder = tmp_path_factory.mktemp("laptop")
        program(folder / "homeport", f'exec "{sys.executable}" -m homeport.control.cli "$@"')
        program(
            folder / "scp",
            f'exec /usr/bin/scp -i "{moves.stage.host.key}" -o IdentitiesOnly=yes'
            ' -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null "$@"',
        )
        (folder / ".config").symlink_to(moves.stage.folder / "config")
        env = {**moves.stage.env, "PATH": f"{folder}:{moves.stage.env['PATH']}", "TERM": "dumb"}
        env["HOME"] = str(folder)
        laptop = Laptop(folder, moves.stage.folder, moves.stage.host, env)
        # a busy machine: how long a migration may take is promised elsewhere
        moves.settings(within=40)
        moves.stage.deploy(made["one"], "--monitor", "0s")
        owner = Owner(moves, laptop, made)
        owner.writes()
        yield owner
    finally:
        moves.down()


def test_every_block_of_the_page_is_typed_here() -> None:
    """A way out that nobody tried would be found by whoever needs it."""
    assert tuple(STEP) == ORDER


def test_a_bad_deploy(owner: Owner) -> None:
    """The code goes back, and what people wrote meanwhile stays."""
    first = status(owner.moves.stage)["release"]
    owner.moves.stage.deploy(owner.made["two"], "--monitor", "0s")
    owner.writes()
    rows = owner.rows()
    shown = owner.types("bad")
    assert f"{first} is live" in shown
    assert status(owner.moves.stage)["release"] == first and owner.rows() == rows


def test_deleted_rows(owner: Owner) -> None:
    """They are found in the list, fetched by themselves, and brought back with all the rest."""
    rows, set_ = owner.rows(), owner.save()
    owner.does("DELETE FROM purchases WHERE id % 2")
    left = owner.rows()
    assert 0 < left < rows

    shown = owner.types("list")
    assert re.search(rf"^{set_} .*verified", shown, re.MULTILINE)
    owner.types("fetch", set_)
    count = "import sqlite3; print(sqlite3.connect('0.sqlite').execute('" + ROWS + "').fetchone())"
    assert f"({rows},)" in owner.laptop.type(f'{sys.executable} -c "{count}"')
    assert owner.rows() == left

    shown = owner.types("restore", set_, [YES])
    assert f"{rows - left} removed" in shown
    assert owner.rows() == rows
    # and back again: what was there before is the newest set
    shown = owner.types("restore", owner.sets()[0]["id"], [YES])
    assert owner.rows() == left
    owner.types("restore", set_, [YES])
    owner.writes()


def test_a_damaged_database(owner: Owner) -> None:
    """It is found, replaced by the last good set, kept as it was, and whole again."""
    rows = owner.rows()
    set_ = owner.save()
    owner.moves.stage.homeport("data", "checkpoint")
    junk = f"dd if=/dev/urandom of={FILE} bs=4096 seek=2 count=6 conv=notrunc"
    owner.moves.stage.on_host("sh", "-c", junk)
    doctor, check = STEP["look"].splitlines()
    said = owner.refused(doctor, 39)
    assert "database disk image is malformed" in said, said
    shown = owner.refused(check, 36)
    assert "data/myfoodbudget.db is damaged" in shown and "homeport backup list" in shown

    owner.types("damaged", answers=[YES])
    assert "whole" in owner.types("whole")
    assert owner.rows() == rows
    (kept,) = [one for one in owner.sets() if one["id"] > set_]
    assert kept["state"] != "verified"
    owner.writes()


def test_a_migration_that_has_to_go_back(owner: Owner) -> None:
    """The price is named first, to the row; then code and data go back together."""
    first, rows = status(owner.moves.stage)["release"], owner.rows()
    owner.moves.stage.deploy(owner.made["migrates"], "--monitor", "0s")
    assert owner.moves.schema() == "0003"
    owner.writes()
    more = owner.rows() - rows
    shown = owner.refused(STEP["parted"], 34)
    named = re.search(r"homeport rollback \S+ --with-data (\S+)", shown)
    assert named and f"{more} added" in shown
    assert status(owner.moves.stage)["release"] != first

    owner.types("with-data", named[1], [YES])
    assert status(owner.moves.stage)["release"] == first
    assert (owner.moves.schema(), owner.rows()) == ("0002", rows)
    owner.moves.sound()
    given_up = f"/opt/myfoodbudget/backups/{owner.sets()[0]['id']}/0.sqlite"
    count = f"import sqlite3; print(sqlite3.connect('{given_up}').execute('{ROWS}').fetchone()[0])"
    assert int(owner.moves.stage.on_host("python3", "-I", "-c", count)) == rows + more


@pytest.fixture
def shelf() -> Iterator[str]:
    """A restic REST server on another machine of the network; its address."""
    server = ("restic-rest-server", "--path", "/data", "--listen", ":8000", "--no-auth")
    image = ensure_images(conftest.talk).host_cron
    options = ("--rm", "--network", network.NAME, "--label", network.LABEL, "--tmpfs", "/data")
    made = docker("run", "-d", *options, "--entrypoint", server[0], image, *server[1:])
    one = made.stdout.decode().strip()
    try:
        show = '{{(index .NetworkSettings.Networks "' + network.NAME + '").IPAddress}}'
        yield docker("inspect", "--format", show, one).stdout.decode().strip()
    finally:
        docker("rm", "-f", one)


def test_a_dead_card(owner: Owner, shelf: str) -> None:
    """On a new host the app serves with the data of its last set, by one command."""
    stage = owner.moves.stage
    file = stage.folder / "homeport.toml"
    line = f'[backup]\noffsite = "rest:http://{shelf}:8000/food"'
    file.write_text(file.read_text().replace("[backup]", line))
    keys = ["sh", "-c", "umask 077; cat > /opt/myfoodbudget/restic.env"]
    hosts.run(stage.host, keys, user="homeport", stdin=f"RESTIC_PASSWORD={WORD}\n".encode())
    stage.deploy(owner.made["one"], "--monitor", "0s")
    owner.save()
    rows, old = owner.rows(), stage.host

    hosts.down(old.name)
    stage.host = hosts.up(f"{old.name}-new", "systemd", conftest.talk)
    file.write_text(file.read_text().replace(old.address, stage.host.address))
    owner.laptop = replace(owner.laptop, host=stage.host)
    forget, setup, restore = STEP["dead"].replace("nas.local", shelf).splitlines()
    owner.laptop.type(forget)
    owner.laptop.type(setup, [(r"Is it the same\? \[y/N\] $", "y"), (r"Go on\? \[y/N\] $", "y")])
    shown = owner.laptop.type(restore, [(r"Password of .*: $", WORD)])
    assert WORD not in shown
    assert owner.rows() == rows and owner.moves.schema() == "0002"
    owner.writes()
