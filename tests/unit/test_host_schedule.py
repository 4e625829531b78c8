"""What setup has run every quarter of an hour: which apps it makes backups of, and what it leaves.

The agent is the real one, on a folder that stands for a host; only the run it starts is the test's.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from builders import line, release, settings
from homeport import wire
from homeport.backups import Backup, Manifest, Verified
from homeport.core import freshness, link
from homeport.errors import Busy, HostFault, Problem, Unverified
from homeport.host import detach, endings, hooks, look, saving, schedule
from homeport.host.paths import Paths, from_environment
from homeport.host.store import Lock, Store
from homeport.model import Release
from homeport.planned import Verdict


def live(rule: str) -> Release:
    """Release 1 of ``shop``, with backups on that schedule."""
    return release(1, said=replace(settings(), backup=Backup(schedule=rule)))


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What runs were started with; none of them does anything."""
    found: list[dict[str, Any]] = []

    def start(paths: Paths, run: str, request: bytes) -> None:
        found.append({"app": paths.app, **json.loads(request)})

    monkeypatch.setattr(detach, "start", start)
    monkeypatch.setattr(detach, "follow", lambda paths, run, out: 0)
    return found


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """``/opt/homeport`` of a host that was set up."""
    monkeypatch.setenv("HOMEPORT_ROOT", str(tmp_path))
    made = tmp_path / "homeport"
    made.mkdir()
    return made


def deployed(app: str, one: Release, *sets: tuple[float, bool]) -> Paths:
    """An app whose release serves, with sets made at these instants, good or not."""
    paths = from_environment(app)
    mine = replace(one, settings=replace(one.settings, app=app))
    (paths.releases / one.id).mkdir(parents=True)
    (paths.releases / one.id / "release.json").write_bytes(wire.encode(mine))
    paths.sockets.mkdir(parents=True)
    paths.link.write_text(link.address(app, one.slot, one.settings.web))
    lines = [line("begin", "a", verb="deploy", release=one.id)]
    lines += [line("done", "a", step="handover", committed=one.id), line("end", "a", code=0)]
    paths.journal.write_text("\n".join(lines) + "\n")
    for at, good in sets:
        name = time.strftime("%Y%m%dT%H%M%S-0000", time.gmtime(at))
        folder = paths.folder / "backups" / name
        folder.mkdir(parents=True)
        (folder / "manifest.json").write_bytes(wire.encode(Manifest(name, app, one.id, at)))
        (folder / "verified.json").write_bytes(wire.encode(Verified(name, at + 1, good)))
    return paths


def test_what_is_due_is_made_app_by_app(home: Path, runs: list[dict[str, Any]]) -> None:
    """The live release's own settings count; who has what is wanted, or wants none, is left."""
    now = time.time()
    deployed("due", live("hourly"))
    deployed("fresh", live("hourly"), (now, True))
    deployed("failed", live("hourly"), (now, False))
    deployed("unasked", live(""))
    deployed("bare", release(1))
    assert schedule.main() == 0
    asked = {"verb": "backup", "cause": {"who": "schedule"}}
    assert runs == [{"app": "due", **asked}, {"app": "failed", **asked}]
    assert abs((home / "scheduled").stat().st_mtime - now) < 60


def test_an_app_that_is_held_is_left_to_the_next_time(
    home: Path, runs: list[dict[str, Any]]
) -> None:
    """A deploy may go on for long; a backup that waits for it would keep the others waiting."""
    lock = Lock(deployed("due", live("hourly")).lock)
    lock.take({"run": "x"})
    assert schedule.main() == 0 and runs == []
    lock.release()
    assert schedule.main() == 0 and len(runs) == 1


def test_never_two_at_once(home: Path, runs: list[dict[str, Any]]) -> None:
    """While one is at work, the next looks in, says that it did, and goes."""
    deployed("due", live("hourly"))
    before = Lock(home / "schedule.lock")
    before.take({})
    assert schedule.main() == 0 and runs == []
    assert (home / "scheduled").exists()


def test_a_failure_is_told_and_keeps_no_other_from_its_turn(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """systemd and cron keep what is said; a run that another one was faster than is no failure."""
    codes = {"busy": Busy.code, "good": 0, "sick": Unverified.code}
    told = Verdict("failed", Unverified.code, "no backup was made that counts")

    def start(paths: Paths, run: str, request: bytes) -> None:
        if paths.app == "full":
            raise HostFault(Problem("the journal cannot be written", "disk"))

    monkeypatch.setattr(detach, "start", start)
    monkeypatch.setattr(detach, "follow", lambda paths, run, out: codes[paths.app])
    monkeypatch.setattr(endings, "ended", lambda paths, run: told)
    for app in (*codes, "full"):
        deployed(app, live("hourly"))
    assert schedule.main() == HostFault.code
    err = capsys.readouterr().err.splitlines()
    assert err == [
        "homeport: full: disk: the journal cannot be written",
        "homeport: sick: no backup was made that counts",
    ]


def test_what_is_seen_of_the_ticker(home: Path, tmp_path: Path) -> None:
    """What setup wrote down, what systemd would start, when it ran last, since when it could."""
    paths, root = deployed("shop", live("03:30")), tmp_path / "root"
    hook = home / "schedule-hook"

    def seen() -> tuple[str, bool | None]:
        found = saving.ticker(paths, root)
        return found.kind, found.runs

    assert seen() == ("", None)
    hook.write_text("systemd\n")
    os.utime(hook, (1000, 1000))
    assert seen() == ("systemd", False)
    unit = root / "etc/systemd/system/timers.target.wants/homeport-schedule.timer"
    unit.parent.mkdir(parents=True)
    unit.write_text("")
    assert seen() == ("systemd", True)
    assert (saving.ticker(paths, root).at, saving.ticker(paths, root).since) == (0.0, 1000.0)
    (root / "proc").mkdir()
    (root / "proc/uptime").write_text("60.00 100.00\n")
    paths.scheduled.write_text("")
    found = saving.ticker(paths, root)
    assert abs(found.at - time.time()) < 60 and abs(time.time() - 60 - found.since) < 60
    store = Store(paths)
    assert freshness.next_at(look.of_files(paths, store, root)) is not None
    unit.unlink()
    assert freshness.next_at(look.of_files(paths, store, root)) is None


def test_a_long_backup_is_no_silence(home: Path) -> None:
    """While one is made nobody looks for others; that is not told as a schedule that is off."""
    paths = deployed("shop", live("03:30"))
    (home / "schedule-hook").write_text("cron\n")
    paths.scheduled.write_text("")
    for path in (home / "schedule-hook", paths.scheduled):
        os.utime(path, (1000, 1000))
    assert saving.ticker(paths, home).at == 1000
    lock = Lock(home / "schedule.lock")
    lock.take({})
    assert time.time() - saving.ticker(paths, home).at < 60
    lock.release()
    assert saving.ticker(paths, home).at == 1000


CRONTABS = {
    "*/15 * * * * /opt/homeport/schedule\n@reboot /opt/homeport/boot\n": (True, True),
    "@reboot /opt/homeport/boot\n": (True, False),
    "#*/15 * * * * /opt/homeport/schedule\n": (False, False),
    "": (False, False),
}


@pytest.mark.parametrize("lines", CRONTABS)
def test_a_cron_line_counts_where_cron_runs(
    lines: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is commented out is none, and one script's line is not the other's."""
    monkeypatch.setattr(hooks.machine, "said", lambda *argv: lines)
    assert [hooks.runs("cron", tmp_path, one) for one in ("boot", "schedule")] == [False, False]
    (tmp_path / "proc/7").mkdir(parents=True)
    (tmp_path / "proc/7/comm").write_text("crond\n")
    found = tuple(hooks.runs("cron", tmp_path, one) for one in ("boot", "schedule"))
    assert found == CRONTABS[lines]
    assert hooks.runs("launchd", tmp_path, "boot") is None


def test_declared_data(home: Path) -> None:
    """What the services can write to that outlives them, and not the folder of their sockets."""
    paths = deployed("shop", release(1))
    one = Store(paths).releases()[0]
    assert saving.declared(paths, one) == ()
    data = {"type": "bind", "source": "/opt/shop/data", "target": "/app/data"}
    mounts = [data, {"type": "bind", "source": "x", "target": link.RUN}]
    mounts += [{"type": "tmpfs", "target": "/tmp"}, {**data, "target": "/ro", "read_only": True}]
    volume = {"type": "volume", "source": "pics", "target": "/pics"}
    project = {"services": {"web": {"volumes": mounts}, "worker": {"volumes": [volume, data]}}}
    (paths.releases / one.id / "compose.json").write_text(json.dumps(project))
    assert saving.declared(paths, one) == ("/app/data", "/pics")
    judged = freshness.judge(look.of_files(paths, Store(paths)))
    assert [one.problem.what for one in judged] == ["nothing is saved of /app/data, /pics"]


def test_the_hosts_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own time zone, with the days on which it is set."""
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    time.tzset()
    try:
        assert [saving.offset(at) / 3600 for at in (1767225600.0, 1782864000.0)] == [1, 2]
    finally:
        monkeypatch.undo()
        time.tzset()
