"""Going back across a migration with the data, under traffic: its cost is told to the row, nobody's
request fails by it, and wherever it dies both code and data are as they were.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import conftest
from bench import evidence, images
from bench.moves import AUDIT, Moves
from bench.stage import Ran, until
from lab.load import AuditRow, Load, Result, judge
from lab.registry import ensure_registry
from moving import PATIENT
from scenario import sending, status, under_way

pytestmark = pytest.mark.lab

#: steps at which the executor dies: all of the handover before its commit
STEPS = ("hold", "retire", "snapshot", "restore", "start", "healthy")
#: what a table has, by its key: another way to the figures than the engine's
TABLES = {"purchases": "id", "users": "id", "load_audit": "rowid"}
#: what a person did by hand since: seven rows changed, three removed
CHOSEN = "SELECT id FROM purchases ORDER BY id LIMIT 7"
WORK = (
    f"UPDATE purchases SET shop = 'another' WHERE id IN ({CHOSEN})",
    "DELETE FROM load_audit WHERE rowid <= 3",
)
DONE = (
    "import sqlite3, sys; c = sqlite3.connect('/opt/myfoodbudget/data/myfoodbudget.db', timeout=20)"
    "; [c.execute(one) for one in sys.argv[1:]]; c.commit()"
)
PSQL = ("docker", "exec", "myfoodbudget-db-1", "psql", "-U", "foodbudget", "-At", "-d")
#: tables of which something else was told, by the kind of database
WRONG: dict[str, int] = {}
OF_SET = (
    "import json, sqlite3, sys; c = sqlite3.connect(f'file:{sys.argv[1]}?mode=ro&immutable=1',"
    " uri=True); print(json.dumps([list(one) for one in c.execute(sys.argv[2])]))"
)


@pytest.fixture(scope="module")
def made() -> dict[str, str]:
    """The app of today in the lab's registry, and a later one that migrates."""
    registry = ensure_registry(conftest.talk)
    bases = {"now": images.production(conftest.talk), "good": images.later(conftest.talk)}
    return {
        name: images.version(base, registry, f"back-{name}", {"version": name})
        for name, base in bases.items()
    }


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def moves(request: pytest.FixtureRequest, made: dict[str, str]) -> Iterator[Moves]:
    """A host where the app of today was written to."""
    found = Moves.up(request.param, conftest.talk, "back")
    found.settings(**PATIENT)
    try:
        found.stage.deploy(made["now"], "--monitor", "0s")
        with sending(Load(found.stage.url, rate=60)) as load:
            under_way(load, 200)
        yield found
    finally:
        found.down()


def told(moves: Moves, names: dict[str, list[str]]) -> dict[str, dict[object, list[object]]]:
    """Every row of the tables that are looked at, by key."""
    found = {}
    for table, key in TABLES.items():
        rows = moves.rows(f"SELECT {', '.join(names[table])} FROM {table}")
        found[table] = {one[names[table].index(key)]: one for one in rows}
    return found


def columns(moves: Moves) -> dict[str, list[str]]:
    """The columns that each table has now."""
    asked = "SELECT name FROM pragma_table_info('{}')"
    if moves.kind == "postgres":
        asked = "SELECT column_name FROM information_schema.columns WHERE table_name = '{}'"
    return {table: [str(row[0]) for row in moves.rows(asked.format(table))] for table in TABLES}


def work(moves: Moves) -> None:
    """What a person does by hand, past the app."""
    if moves.kind == "sqlite":
        moves.stage.on_host("python3", "-I", "-c", DONE, *WORK)
    for statement in WORK if moves.kind == "postgres" else ():
        moves.stage.on_host(*PSQL, "foodbudget", "-c", statement)


def difference(then: dict[object, Any], now: dict[object, Any]) -> tuple[int, int, int]:
    """Rows added, changed, removed."""
    both = then.keys() & now.keys()
    changed = sum(then[key] != now[key] for key in both)
    return len(now.keys() - then.keys()), changed, len(then.keys() - now.keys())


@pytest.fixture(scope="module")
def then(moves: Moves, made: dict[str, str]) -> dict[str, Any]:
    """The rows right before the migration, which went live after that and was written to.

    What came since is known: so many writes were acknowledged, and these statements were made.
    """
    names = columns(moves)
    rows = told(moves, names)
    moves.stage.deploy(made["good"], "--monitor", "0s")
    assert moves.schema() == "0003"
    with sending(Load(moves.stage.url, rate=60)) as load:
        under_way(load, 200)
    result = load.stop()
    work(moves)
    return {"rows": rows, "columns": names, "acked": len(result.acked_writes)}


def test_code_alone_is_refused_and_the_loss_is_right(moves: Moves, then: dict[str, Any]) -> None:
    """To the row, as counted in another way; nothing is touched, and the command is named."""
    now = told(moves, then["columns"])
    wanted = {table: difference(then["rows"][table], now[table]) for table in TABLES}
    assert wanted["load_audit"] == (then["acked"], 0, 3) and then["acked"] > 50
    assert wanted["purchases"] == (then["acked"], 7, 0)
    before = status(moves.stage)["release"]
    ran = moves.stage.homeport("rollback", "--json", check=False)
    assert (ran.code, ran.data["outcome"]) == (34, "refused"), ran
    loss = ran.data["figures"]["loss"]
    found = {one["table"].rpartition(".")[2]: one for one in loss["changes"] if one.get("table")}
    reported = {
        table: tuple(found.get(table, {}).get(kind, 0) for kind in ("added", "changed", "removed"))
        for table in TABLES
    }
    wrong = sum(reported[table] != wanted[table] for table in TABLES)
    WRONG[moves.kind] = wrong
    evidence.add("data", loss_reported_wrong=sum(WRONG.values()), loss_databases=len(WRONG))
    assert reported == wanted and loss["sure"] is True
    problem = ran.data["problems"][0]
    assert f"--with-data {loss['set']}" in problem["mend"]
    assert f"{then['acked']} added, 7 changed" in problem["why"]
    asked = moves.stage.homeport("rollback", "--with-data", "latest", check=False)
    assert asked.code == 2 and "nobody is there to ask" in asked.err, asked
    assert f"{then['acked']} added, 7 changed" in asked.out and "snapshot" in asked.out
    assert status(moves.stage)["release"] == before and moves.schema() == "0003"


def audited(moves: Moves, set_: str = "") -> list[AuditRow]:
    """The audit rows of the live database, and those that were kept when it was replaced."""
    rows = moves.audit()
    kept: list[list[object]] = []
    if set_ and moves.kind == "sqlite":
        folder = f"/opt/myfoodbudget/backups/{set_}"
        items = json.loads(moves.stage.on_host("cat", f"{folder}/manifest.json"))["items"]
        (file,) = [one["file"] for one in items if one["kind"] == "sqlite"]
        answer = moves.stage.on_host("python3", "-I", "-c", OF_SET, f"{folder}/{file}", AUDIT)
        kept = json.loads(answer)
    elif set_:
        asked = "SELECT datname FROM pg_database WHERE datname LIKE 'foodbudget_replaced%'"
        for name in moves.stage.on_host(*PSQL, "foodbudget", "-c", asked).split():
            wrapped = f"SELECT coalesce(json_agg(to_json(t)), '[]') FROM ({AUDIT}) t"
            answer = moves.stage.on_host(*PSQL, name, "-c", wrapped)
            kept += [list(one.values()) for one in json.loads(answer)]
    live = {one.load_id for one in rows}
    # several databases were replaced, and a row may be in more than one of them
    older = {one.load_id: one for one in (AuditRow(*row) for row in kept)}  # type: ignore[arg-type]
    return rows + [one for name, one in older.items() if name not in live]


def sound(result: Result, rows: list[AuditRow]) -> dict[str, Any]:
    """No request failed by the edge, and each acknowledged write is in one of the two places."""
    figures = judge(result, rows)
    names = ("failed_edge", "answered_5xx", "lost_writes", "doubled_writes")
    assert {name: figures[name] for name in names} == dict.fromkeys(names, 0), figures["errors"]
    assert figures["acked_writes"]
    return figures


def killed(moves: Moves, step: str, *words: str) -> Ran:
    """Type a command and have its executor killed when it begins a step."""
    kill = moves.kills(step)
    with ThreadPoolExecutor(1) as pool:
        typed = pool.submit(moves.stage.homeport, *words, "--yes", "--json", check=False)
        kill()
        ran = typed.result(timeout=180)
    until(lambda: not status(moves.stage)["running"], 60, "the guardian's recovery", 0.5)
    return ran


@pytest.mark.parametrize("step", STEPS)
def test_an_executor_killed_before_the_commit(
    moves: Moves, then: dict[str, Any], step: str
) -> None:
    """Today's data is put back and the release that served serves, within the hold."""
    before = status(moves.stage)["release"]
    with sending(Load(moves.stage.url, rate=40)) as load:
        under_way(load, 20)
        ran = killed(moves, step, "rollback", "--with-data", "latest")
        under_way(load, 20)
    assert ran.code != 0, ran
    sound(load.stop(), audited(moves))
    seen = status(moves.stage)
    assert (seen["release"], seen["healthy"], seen["unfinished"]) == (before, True, [])
    assert moves.schema() == "0003"
    moves.sound()
    assert moves.stage.homeport("recover", "--json").data["outcome"] == "nothing-to-do"


def test_code_and_data_go_back_under_traffic(moves: Moves, then: dict[str, Any]) -> None:
    """Schema, rows and code are those of the set; what was written up to the hold is kept."""
    with sending(Load(moves.stage.url, rate=60)) as load:
        under_way(load)
        ran = moves.stage.homeport(
            "rollback", "--with-data", "latest", "--yes", "--monitor", "0s", "--json"
        )
        under_way(load)
    result = load.stop()
    assert ran.data["outcome"] == "rolled-back", ran
    assert "it would undo the writes of" in ran.err
    kept = ran.data["figures"]["snapshot"]["set"]
    figures = sound(result, audited(moves, kept))
    assert moves.schema() == "0002"
    moves.sound()
    now = told(moves, then["columns"])
    for table, rows in then["rows"].items():
        assert {key: now[table].get(key) for key in rows} == rows, f"{table} is not as it was"
    evidence.add(
        "data",
        **{
            f"back_{moves.kind}_hold_ms": round(1000 * ran.data["figures"]["held_s"]),
            f"back_{moves.kind}_requests": figures["requests"],
        },
    )


def test_data_alone_goes_back(moves: Moves) -> None:
    """A restore under traffic keeps the code; killed in its midst it changes nothing."""
    stage = moves.stage
    made_ = stage.homeport("backup", "now", "--json").data["figures"]["backup"]["set"]
    before = told(moves, columns(moves))
    release = status(stage)["release"]
    with sending(Load(stage.url, rate=40)) as load:
        under_way(load, 40)
        ran = killed(moves, "restore", "restore", made_)
        under_way(load, 20)
        assert ran.code != 0
        ran = stage.homeport("restore", made_, "--yes", "--json")
        under_way(load, 20)
    result = load.stop()
    assert ran.data["outcome"] == "restored", ran
    assert status(stage)["release"] == release and moves.schema() == "0002"
    sound(result, audited(moves, ran.data["figures"]["snapshot"]["set"]))
    now = told(moves, columns(moves))
    for table, rows in before.items():
        assert {key: now[table].get(key) for key in rows} == rows
