"""Backups that nobody asks for: made on a host's own schedule, by systemd's timer and by cron."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from bench.booting import boot
from bench.stage import Stage, until
from lab import hosts
from scenario import note, status

pytestmark = pytest.mark.lab
BOTH = pytest.mark.parametrize("flavour", hosts.FLAVOURS)
TIMER = "homeport-schedule.timer"
FAST = f"/etc/systemd/system/{TIMER}.d"
#: what is said of a schedule that nothing looks at any more
OFF = "what runs the schedule of backups is switched off"


@pytest.fixture
def saving(stage: Stage, turns: Iterator[str]) -> Iterator[Stage]:
    """MyFoodBudget, deployed with a schedule, with none of its sets left: so one is due."""
    file = stage.folder / "homeport.toml"
    plain = file.read_text()
    file.write_text(plain + '[backup]\nschedule = "03:30"\n')
    stage.deploy(next(turns), "--monitor", "0s", "--force")
    yield stage
    file.write_text(plain)
    usual(stage)


def listed(stage: Stage) -> dict[str, Any]:
    """What `homeport backup list --json` says."""
    return dict(stage.homeport("backup", "list", "--json").data)


def lose(stage: Stage) -> None:
    """Take every set away: the last instant of the schedule has no backup any more."""
    stage.on_host("sh", "-c", f"rm -rf /opt/{stage.app}/backups/*")


def scheduled(stage: Stage) -> list[dict[str, Any]]:
    """The runs that the schedule began, the latest first."""
    runs = stage.homeport("history", "--json").data
    return [one for one in runs if one["verb"] == "backup" and one["who"] == "schedule"]


def hurried(stage: Stage) -> None:
    """Let the installed timer, or cron's own line, come sooner than every quarter of an hour."""
    if stage.host.flavour == "systemd":
        lines = "[Timer]\\nOnCalendar=\\nOnCalendar=*:*:0/10\\nAccuracySec=1s\\n"
        write = f"mkdir -p {FAST} && printf '{lines}' > {FAST}/test.conf"
        stage.on_host(
            "sh", "-c", f"{write} && systemctl daemon-reload && systemctl restart {TIMER}"
        )
    else:
        stage.on_host(
            "sh", "-c", "crontab -l -u homeport | sed 's#^[*]/15 #* #' | crontab -u homeport -"
        )


def usual(stage: Stage) -> None:
    """Undo that."""
    if stage.host.flavour == "systemd":
        stage.on_host(
            "sh", "-c", f"rm -rf {FAST}; systemctl daemon-reload; systemctl restart {TIMER}"
        )
    else:
        stage.on_host(
            "sh", "-c", "crontab -l -u homeport | sed 's#^[*] #*/15 #' | crontab -u homeport -"
        )


def made(stage: Stage, before: int, within: float) -> dict[str, Any]:
    """The set of the next run that the schedule begins, once that run is over."""

    def over() -> dict[str, Any] | None:
        runs = scheduled(stage)
        return runs[0] if len(runs) > before and runs[0]["code"] is not None else None

    run = until(over, within, "the end of a backup that nobody asked for", pause=1.0)
    assert run["code"] == 0, run
    found = dict(listed(stage)["sets"][0])
    assert (found["state"], found["why"]) == ("verified", "scheduled, 03:30")
    assert any(one["kind"] == "sqlite" for one in found["items"])
    return found


def stamp(stage: Stage) -> str:
    """When somebody looked last which backups are due."""
    return stage.on_host("stat", "-c", "%Y", "/opt/homeport/scheduled", check=False)


@BOTH
def test_a_due_backup_is_made_by_itself_and_once(saving: Stage, flavour: str) -> None:
    """The real timer, the real line of cron's: verified, in history, and no second one after it."""
    seen = listed(saving)
    assert seen["sets"][0]["why"].startswith("before r"), "the deploy saved first"
    assert seen["problems"] == [] and seen["next"] > seen["verified"]["at"]
    assert saving.homeport("backup", "list", "--check").code == 0
    before = len(scheduled(saving))
    lose(saving)
    assert [one["what"] for one in status(saving)["backup"]["problems"]] == [
        "there is no verified backup"
    ]
    assert saving.homeport("backup", "list", "--check", check=False).code == 35

    hurried(saving)
    found = made(saving, before, 150)
    note(**{f"scheduled_backup_{flavour}": {"bytes": found["size"], "seconds": found["seconds"]}})
    for _ in range(2):
        last = stamp(saving)
        until(lambda: stamp(saving) != last, 130, "another look at what is due", pause=1.0)
    assert len(scheduled(saving)) == before + 1
    assert saving.homeport("backup", "list", "--check").code == 0


@BOTH
def test_what_was_missed_while_the_power_was_off_is_made_up(saving: Stage, flavour: str) -> None:
    """Once, and soon after the boot: within minutes by systemd, by cron when its line comes."""
    before = len(scheduled(saving))
    if flavour == "cron":
        hurried(saving)
    lose(saving)
    hosts.power_cut(saving.host)
    boot(saving)
    made(saving, before, 240)
    assert status(saving)["healthy"]


@BOTH
def test_a_schedule_that_was_taken_off_is_told_and_put_back(saving: Stage, flavour: str) -> None:
    """status and the plan of a deploy warn, doctor ends with 39, and setup mends it."""
    off = {
        "systemd": f"systemctl --quiet disable --now {TIMER}",
        "cron": "crontab -l -u homeport | grep -v schedule | crontab -u homeport -",
    }
    saving.on_host("sh", "-c", off[flavour])
    seen = status(saving)
    assert [one["what"] for one in seen["backup"]["problems"]] == [OFF]
    assert any(one.startswith(OFF) for one in seen["warnings"])
    assert seen["backup"]["next"] is None
    assert saving.homeport("backup", "list", "--check", check=False).code == 35
    assert saving.homeport("doctor", check=False).code == 39
    saving.set_up()
    assert status(saving)["backup"]["problems"] == []
    assert saving.homeport("backup", "list", "--check").code == 0


def test_the_door_on_the_host(saving: Stage) -> None:
    """Without another machine: a set, the same set checked again, and nothing to let go."""
    door = f"/opt/{saving.app}/scripts/backup"
    for words, said in (
        ([], "is saved and verified"),
        (["verify"], "restored, looked at, and good"),
        (["prune"], "0 sets are let go"),
    ):
        told = hosts.run(saving.host, [door, *words], user="homeport").stdout.decode()
        assert said in told
    done = hosts.run(saving.host, [door, "list"], user="homeport", check=False)
    assert done.returncode == 2 and b"backup [now|verify|prune] [SET]" in done.stderr
