"""What people, power cuts and clocks do to an app's files: real files in a scratch folder."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from builders import line, release, slot
from homeport import wire
from homeport.backups import Manifest
from homeport.core import journal, link, recovery
from homeport.core.facts import Facts
from homeport.errors import HostFault, Problem
from homeport.host import agent, boot, detach, look, ops_traffic, records, sets, spare, verbs
from homeport.host.context import Context
from homeport.host.engine import Engine
from homeport.host.paths import Paths
from homeport.host.store import Lock, Store
from homeport.model import Request

ONE, TWO = release(1), release(2)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Release 1 served, release 2 serves; both are kept."""
    paths = Paths("shop", tmp_path)
    for folder in (paths.sockets, paths.runs):
        folder.mkdir(parents=True)
    found = Store(paths)
    for one, before in ((ONE, ""), (TWO, ONE.id)):
        found.write_release(one, {"services": {}}, f"N={one.number}\n", "services: {}\n")
        run = f"run-{one.slot}"
        begun = {"verb": "deploy", "release": one.id, "from": before}
        found.append({"k": "begin", "run": run, **begun})
        found.append({"k": "done", "run": run, "step": "handover", "committed": one.id})
        found.append({"k": "end", "run": run, "code": 0, "outcome": "deployed"})
    found.write_link(TWO.link)
    found.set_current(TWO)
    return found


def seen(store: Store) -> Facts:
    """What recovery rests on, with both slots' containers there and Docker not asked."""
    facts = look.of_files(store.paths, store)
    containers = (*slot(ONE, False), *slot(TWO, pinned=True))
    return Facts(**{**vars(facts), "containers": containers})


def plan(store: Store) -> str:
    """Recovery's plan, as text."""
    return recovery.plan(seen(store)).text()


def context(store: Store, told: list[dict[str, object]] | None = None) -> Context:
    """A run's hands; Docker is not there."""
    said: list[dict[str, object]] = [] if told is None else told
    request = Request("recover", "shop")
    return Context(store.paths, Engine(), request, "x", lambda event: said.append(dict(event)))


def bring_back(store: Store) -> None:
    """What recovery's steps do about records."""
    for step in recovery.plan(seen(store)).steps:
        assert step.do == "record-back"
        spare.bring_back(store.paths, str(step.args["release"]))


WAYS: dict[str, Callable[[Paths], object]] = {
    "all of them": lambda paths: shutil.rmtree(paths.releases),
    "the one that serves": lambda paths: shutil.rmtree(paths.releases / TWO.id),
    "its record": lambda paths: (paths.releases / TWO.id / "release.json").unlink(),
    "its variables": lambda paths: (paths.releases / TWO.id / "env").unlink(),
}


@pytest.mark.parametrize("way", WAYS)
def test_releases_that_were_deleted_by_hand_come_back(store: Store, way: str) -> None:
    """What serves is known all the while, and once they are back there is nothing to do."""
    assert plan(store) == ""
    WAYS[way](store.paths)
    facts = seen(store)
    assert facts.committed == TWO and facts.releases == (ONE, TWO)
    assert f"record {TWO.id}: record-back" in plan(store)
    if way == "all of them":
        # what only looks needs nothing brought back
        assert store.env_file(TWO).read_text() == "N=2\n" and store.source(ONE) == "services: {}\n"
    bring_back(store)
    assert plan(store) == "" and store.releases() == (ONE, TWO)
    assert (store.paths.releases / TWO.id / "env").read_text() == "N=2\n"
    assert (store.paths.releases / TWO.id / "env").stat().st_mode & 0o777 == 0o600


def test_a_release_that_was_let_go_stays_gone(store: Store) -> None:
    """Its spare goes first: a crash between the two brings nothing back."""
    spare.drop(store.paths, ONE.id)
    assert store.releases() == (ONE, TWO) and plan(store) == ""
    store.drop_release(ONE.id)
    store.drop_release(ONE.id)
    assert store.releases() == (TWO,) and "record" not in plan(store)
    assert sorted(one.name for one in store.paths.spare.iterdir()) == [TWO.id]


def test_a_spare_is_of_what_was_written_last(store: Store) -> None:
    """A number whose folder is written again does not come back as it was before."""
    store.write_release(TWO, {}, "N=3\n", "services: {}\n")
    shutil.rmtree(store.paths.releases)
    bring_back(store)
    assert store.env_file(TWO).read_text() == "N=3\n"


def test_a_release_of_an_older_agent_gets_a_spare_once(store: Store) -> None:
    """Marking it keeps one; a release that is not there has none."""
    spare.drop(store.paths, TWO.id)
    spare.drop(store.paths, TWO.id)
    (store.paths.spare / ".r0003-3333333.new").mkdir()
    for name in (TWO.id, TWO.id, "r0009-9999999"):
        spare.keep(store.paths, name)
    assert sorted(one.name for one in store.paths.spare.iterdir()) == [ONE.id, TWO.id]


def test_where_no_spare_can_be_made_the_release_is_written_all_the_same(store: Store) -> None:
    """A filesystem without hard links, or a file in the way, stops no deploy."""
    shutil.rmtree(store.paths.spare)
    store.paths.spare.write_text("in the way")
    three = release(3)
    store.write_release(three, {}, "", "")
    assert store.releases() == (ONE, TWO, three)


def test_what_serves_without_a_record_is_left_alone(store: Store) -> None:
    """No container of it is touched, and the words say what is gone and what mends it."""
    for folder in (store.paths.releases, store.paths.spare):
        (folder / TWO.id / "release.json").unlink()
    facts = seen(store)
    assert facts.committed is None and plan(store) == ""
    problem = recovery.not_understood(facts)
    assert isinstance(problem, Problem)
    assert problem.what == "the record of r0002 is gone, and the link names it"
    assert "homeport remove" in problem.mend


#: what became of the journal → recovery's plan, with release 2 serving and release 1 kept
JOURNALS: dict[str, tuple[Callable[[list[str]], list[str]], str]] = {
    "deleted": (lambda lines: [], "the journal does not know"),
    "its last line torn": (lambda lines: [*lines[:-1], lines[-1][:20]], ""),
    "a line of zeros after a power cut": (lambda lines: [*lines, "\0" * 99], ""),
    "all of it garbled": (lambda lines: ["\x7fELF"] * len(lines), "the journal does not know"),
    "the first begin garbled": (lambda lines: ["{", *lines[1:]], ""),
    "the first commit garbled": (lambda lines: [lines[0], "{", *lines[2:]], ""),
    "the last commit garbled": (
        lambda lines: [*lines[:4], "{", lines[5]],
        "the journal does not know",
    ),
    "nested beyond reason": (lambda lines: [*lines, "[" * 200_000], ""),
}


@pytest.mark.parametrize("name", JOURNALS)
def test_a_journal_that_was_damaged(store: Store, name: str) -> None:
    """The link tells what serves, and nothing that may have served is removed."""
    spoil, told = JOURNALS[name]
    lines = store.paths.journal.read_text().splitlines()
    store.paths.journal.write_text("".join(f"{one}\n" for one in spoil(lines)))
    facts = seen(store)
    assert facts.committed == TWO
    text = recovery.plan(facts).text()
    assert "remove-slot" not in text and "stop" not in text
    assert told in text if told else text == ""
    # the next number is never one that was used
    assert max(facts.history.highest, *(one.number for one in facts.releases)) == 2


#: what became of ``current`` and the link → recovery's plan
LINKS: dict[str, tuple[Callable[[Paths], object], str]] = {
    "current missing": (lambda paths: (paths.folder / "current").unlink(), "mark"),
    "the link missing": (lambda paths: paths.link.unlink(), "the link was missing"),
    "the link garbage": (lambda paths: paths.link.write_bytes(b"\xff\0"), "the link was missing"),
    "the link empty": (lambda paths: paths.link.write_text(""), "the link was garbage"),
    "the link of nobody": (
        lambda paths: paths.link.write_text("unix//run/homeport/shop/r0009/app.sock"),
        "the link was astray",
    ),
}


@pytest.mark.parametrize("name", LINKS)
def test_a_link_that_was_damaged(store: Store, name: str) -> None:
    """What was committed last is linked again; nothing of it is stopped."""
    spoil, told = LINKS[name]
    spoil(store.paths)
    assert seen(store).committed == TWO
    assert told in plan(store)
    assert "remove-slot" not in plan(store) and "stop" not in plan(store)


# --- clocks --------------------------------------------------------------------------------------
def test_the_newest_set_is_the_one_made_last(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that was a day ahead for a while hides no later set behind an earlier one."""
    ahead = Manifest("20260102T235959-aaaa", "shop", ONE.id, 1.0)
    monkeypatch.setattr(sets, "new_run", lambda: "20260101T120000-bbbb")
    assert sets._last_of([ahead]) == "20260103T000000-bbbb"
    assert sets._last_of([]) == "20260101T120000-bbbb"
    monkeypatch.setattr(sets, "new_run", lambda: "20260104T120000-bbbb")
    assert sets._last_of([ahead]) == "20260104T120000-bbbb"


def test_what_a_run_took_is_measured_without_the_clock(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A day that is set on or back in the middle of a run is no time that it took."""
    ctx = context(store)
    for day in (86400.0, -86400.0):
        now = ctx.began + day
        with monkeypatch.context() as patch:
            patch.setattr("time.time", lambda now=now: now)
            ops_traffic.link(ctx, {"address": link.hold("shop")})
            ops_traffic.link(ctx, {"address": "shop-r0002-web-1:80"})
            assert 0 <= ctx.figures["held_s"] < 60
            verdict = records.good(ctx, TWO, "deployed")
        assert 0 <= verdict.figures["total_s"] < 60
        assert "is live after 0." in verdict.sentence or "is live after 1." in verdict.sentence


def test_a_run_keeps_its_own_events_whatever_its_name(store: Store) -> None:
    """A clock that was set back gives the newest run the oldest name."""
    names = [f"20260202T0000{n:02}-0000" for n in range(60)]
    mine = "20260101T000000-abcd"
    for name in (*names, mine, f"{mine}-guard0"):
        for end in ("jsonl", "err", "key"):
            (store.paths.runs / f"{name}.{end}").touch()
    verbs._forget_old_runs(store.paths, mine)
    left = {one.name for one in store.paths.runs.iterdir()}
    assert {f"{mine}.jsonl", f"{mine}.err", f"{mine}.key", f"{mine}-guard0.jsonl"} <= left
    assert f"{names[0]}.jsonl" not in left and f"{names[-1]}.jsonl" in left


def test_attach_follows_the_run_that_goes_on(store: Store) -> None:
    """Whatever another run is called that ended long ago."""
    now, later = "20260101T000000-abcd", "20260202T000000-abcd"
    for name in (now, later):
        verdict = wire.encode({"e": "verdict", "code": 0, "run": name})
        (store.paths.runs / f"{name}.jsonl").write_bytes(verdict)
    told: list[dict[str, str]] = []

    def attached() -> str:
        with open("/dev/null", "wb") as out:
            agent._attach(store.paths, Request("attach", "shop"), out, told.append)
        return told[-1]["run"]

    assert attached() == later
    lock = Lock(store.paths.lock)
    lock.take({"run": f"{now}-guard0"})
    try:
        assert attached() == now
    finally:
        lock.release()


# --- who brings things back ----------------------------------------------------------------------
def test_the_guardian_recovers_after_a_fault_of_the_host(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Docker that went away takes a run with it that tells its end: it is recovered all the same.

    A release that failed by itself has been taken back by its own run.
    """
    asked: list[str] = []
    waited: list[float] = []

    def forked(codes: list[int]) -> Callable[[str, str, bytes], int]:
        def carried(app: str, run: str, request: bytes) -> int:
            verb = json.loads(request)["verb"]
            asked.append(verb)
            (store.paths.runs / "r.jsonl").write_bytes(wire.encode({"e": "verdict", "code": 1}))
            return codes.pop(0)

        return carried

    class In:
        """Standard input with a request in it."""

        buffer = None

    monkeypatch.setenv("HOMEPORT_ROOT", str(store.paths.root))
    monkeypatch.setattr(boot, "docker", waited.append)
    monkeypatch.setattr("sys.stdin", In)
    monkeypatch.setattr(wire, "read_frame", lambda stream: b'{"verb": "deploy"}')
    for codes, verbs_, code in (
        ([0], ["deploy"], 0),
        ([52], ["deploy"], 0),
        ([60, 0], ["deploy", "recover"], 0),
        ([60, 60, 0], ["deploy", "recover", "recover"], 0),
        ([55, 52], ["deploy", "recover"], 0),
        ([60] * 6, ["deploy", *["recover"] * 5], 1),
    ):
        asked.clear()
        monkeypatch.setattr(detach, "_forked", forked(list(codes)))
        assert detach.guardian("shop", "r") == code, codes
        assert asked == verbs_, codes
    assert set(waited) == {detach.PATIENCE}


def test_an_app_that_cannot_be_told_of_a_boot_is_recovered_with_the_others(
    store: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A full disk keeps the line out of the journal, and no app from serving."""
    other = store.paths.root / "wiki"
    other.mkdir()
    (other / "journal.jsonl").touch()
    recovered: list[str] = []

    def carried(app: str, run: str, request: bytes) -> int:
        recovered.append(app)
        return 0 if app == "wiki" else 5

    def full(self: Store, *given: object) -> None:
        raise HostFault(Problem("the journal cannot be written", "", "no space", "df -h"))

    monkeypatch.setenv("HOMEPORT_ROOT", str(store.paths.root))
    monkeypatch.setattr(boot, "docker", lambda within: True)
    monkeypatch.setattr(verbs, "carry_out", carried)
    monkeypatch.setattr(Store, "append", full)
    assert boot.main() == 5 and recovered == ["shop", "wiki"]
    assert capsys.readouterr().err.count("the journal cannot be written") == 2


def test_who_cannot_be_counted_gets_all_the_time_there_is(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An edge whose admin socket is gone tells nothing of what is in flight: it is said so."""
    told: list[dict[str, object]] = []
    ctx = context(store, told)
    assert ops_traffic.drain(ctx, {"address": TWO.link, "within": 0.3}) == "not seen"
    assert ctx.figures["drain_s"] >= 0.3 and "cut" not in ctx.figures
    assert "cannot be asked" in str(told[-1]["text"])


def test_a_garbled_begin_takes_nothing_along() -> None:
    """Neither the data at stake in that run, nor the commit of what a later run found live."""
    lines = [
        line("begin", "a", verb="deploy", release=ONE.id),
        line("done", "a", step="handover", committed=ONE.id),
        line("end", "a", outcome="deployed"),
        '{"k": "begin", "run": "b"',
        line("stake", "b", set="20260101T000000-aaaa"),
    ]
    told = journal.fold(lines)
    assert told.stake is not None and told.stake.run == "b"
    assert [one.id for one in told.unfinished] == ["b"] and told.garbled == 1
    found = journal.fold(['{"k"', line("begin", "c", release=TWO.id, **{"from": ONE.id})])
    assert (found.committed, found.served) == (ONE.id, (ONE.id,))
    assert journal.fold([line("begin", "c", release=TWO.id, **{"from": ONE.id})]).served == ()
