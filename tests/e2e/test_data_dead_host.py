"""A host dies, and one command makes its app anew on another one, with the data of the last set."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace

import pytest

import conftest
from bench import evidence, images
from bench.moves import Moves
from bench.stage import Ran, Stage
from lab import hosts
from lab.load import Load
from lab.registry import ensure_registry
from scenario import sending, status, under_way
from vault import LOGIN, PASSWORD, Vault

pytestmark = pytest.mark.lab
#: megabytes in the database, and in files beside it
BIG = {"sqlite": (100, 100), "postgres": (20, 0)}
#: what a gigabyte may take until it serves, in seconds, and the steps that move its bytes
BOUND, MOVES = 900.0, ("fetch", "verify", "data-back")
_FILL = (
    "import os, sqlite3; c = sqlite3.connect('/app/data/myfoodbudget.db', timeout=60);"
    " c.execute('CREATE TABLE filler (id INTEGER PRIMARY KEY, data BLOB)');"
    " c.executemany('INSERT INTO filler (data) VALUES (?)',"
    " ((os.urandom(100000),) for _ in range({rows}))); c.commit();"
    " os.mkdir('/app/data/photos');"
    " [open(f'/app/data/photos/{{n}}.jpg', 'wb').write(os.urandom(10**6)) for n in range({files})]"
)
_SUM = {
    "sqlite": "SELECT count(*), sum(length(data)) FROM filler",
    "postgres": "SELECT count(*) AS n, sum(length(data)) AS m FROM filler",
}


@pytest.fixture(scope="module")
def vault() -> Iterator[Vault]:
    """Where the copies are."""
    made = Vault.up(conftest.talk)
    yield made
    hosts.down(made.host.name)


@pytest.fixture(scope="module")
def image() -> str:
    """The app in the lab's registry."""
    ships = images.production(conftest.talk)
    return images.version(ships, ensure_registry(conftest.talk), "dead", {"version": "dead"})


def fill(moves: Moves) -> None:
    """Give the app what it would take long to lose."""
    rows, files = BIG[moves.kind]
    if moves.kind == "postgres":
        moves.fill()
        return
    web = next(one for one in moves.stage.running() if "-web-" in one)
    script = _FILL.format(rows=rows * 10, files=files)
    moves.stage.on_host("docker", "exec", web, "python3", "-c", script)


def photos(stage: Stage) -> str:
    """What the files beside the database hold."""
    line = "cd /opt/myfoodbudget/data && find photos -type f | sort | xargs -r sha256sum"
    return stage.on_host("sh", "-c", line, check=False)


def prepared(stage: Stage, vault: Vault, kind: str, keys: bool) -> None:
    """What docs/offsite.md has a person do on a host by hand."""
    if kind == "sqlite":
        vault.admit(stage)
    if keys:
        text = f"RESTIC_PASSWORD={PASSWORD}\nRESTIC_REST_USERNAME=me\n"
        text += f"RESTIC_REST_PASSWORD={LOGIN}\n"
        into = ["sh", "-c", "umask 077; cat > /opt/myfoodbudget/restic.env"]
        hosts.run(stage.host, into, user="homeport", stdin=text.encode())


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_a_dead_hosts_app_comes_up_on_a_new_one(kind: str, vault: Vault, image: str) -> None:
    """One command: the same image, settings and rows; and the new host saves on where that was."""
    repository = vault.sftp if kind == "sqlite" else vault.rest
    old = Moves.up(kind, conftest.talk, "dead")
    old.backup = f'offsite = "{repository}"\n'
    old.settings()
    old.stage.set_up()
    prepared(old.stage, vault, kind, keys=True)
    old.stage.deploy(image, "--monitor", "0s")
    fill(old)
    with sending(Load(old.stage.url, rate=60)) as load:
        under_way(load, 200)
    load.stop()
    saved = old.stage.homeport("backup", "now", "--json").data
    assert saved["figures"]["offsite"]["set"] in saved["sentence"], saved
    drilled = old.stage.homeport("backup", "drill", "--json").data
    assert drilled["outcome"] == "verified", drilled
    rows, sums, files = old.audit(), old.rows(_SUM[kind]), photos(old.stage)
    assert rows and sums[0][0]
    env = old.stage.on_host("cat", "/opt/myfoodbudget/app.env")
    serves = status(old.stage)["release"]
    # what is written after the last set dies with the host
    with sending(Load(old.stage.url, rate=60)) as load:
        under_way(load)
    load.stop()
    assert len(old.audit()) > len(rows)

    new = Moves(
        replace(old.stage, host=hosts.up(f"{old.stage.host.name}-2", "systemd", conftest.talk)),
        kind,
        old.backup,
    )
    hosts.down(old.stage.host.name)
    try:
        new.settings()
        new.stage.set_up()
        prepared(new.stage, vault, kind, keys=False)
        new.stage.env |= {
            "RESTIC_PASSWORD": PASSWORD,
            "RESTIC_REST_USERNAME": "me",
            "RESTIC_REST_PASSWORD": LOGIN,
        }
        ran = new.stage.homeport("restore", "latest", "--from", repository, "--json")
        assert ran.data["outcome"] == "restored", ran.data
        assert (new.audit(), new.rows(_SUM[kind]), photos(new.stage)) == (rows, sums, files)
        new.sound()
        assert new.stage.on_host("cat", "/opt/myfoodbudget/app.env") == env
        seen = status(new.stage)
        assert (seen["release"], seen["healthy"], seen["unfinished"]) == (serves, True, [])
        assert new.stage.get("/health")[0] == 200
        told = (
            ran.out
            + ran.err
            + new.stage.on_host(
                "sh", "-c", "cat /opt/myfoodbudget/journal.jsonl /opt/myfoodbudget/logs/runs/*"
            )
        )
        assert PASSWORD not in told and LOGIN not in told
        _note(kind, ran)
        # it goes on saving there, and sends only what is new; a packed dump is new as a whole
        again = new.stage.homeport("backup", "now", "--json").data["figures"]["offsite"]
        assert again["set"] > saved["figures"]["offsite"]["set"]
        assert kind == "postgres" or again["added"] < again["size"] / 2, again
        refused = new.stage.homeport("restore", "latest", "--from", repository, check=False)
        assert refused.code == 30 and "lives on this host already" in refused.err
    finally:
        hosts.down(new.stage.host.name)
        shutil.rmtree(new.stage.folder, ignore_errors=True)


def _note(kind: str, ran: Ran) -> None:
    """Write down how long it took until the app served, and what a gigabyte would take.

    What moves bytes takes as much longer as there are more of them; the rest is the same.
    """
    fetched = ran.data["figures"]["fetched"]
    names = [one["id"] for one in ran.data["steps"]]
    later = ran.data["steps"][names.index("handover") + 1 :]
    serving = ran.seconds - sum(one["seconds"] for one in later)
    moving = sum(one["seconds"] for one in ran.data["steps"] if one["id"] in MOVES)
    reckoned = serving - moving + moving * 1e9 / fetched["bytes"]
    found = {
        f"dead_host_{kind}_bytes": fetched["bytes"],
        f"dead_host_{kind}_fetch_s": fetched["seconds"],
        f"dead_host_{kind}_serving_s": round(serving, 1),
    }
    if kind == "sqlite":
        assert fetched["bytes"] > 200_000_000
        assert reckoned < BOUND
        found["restore_s_for_1gb"] = round(reckoned, 1)
    evidence.add("data", **found)
    print(found)
