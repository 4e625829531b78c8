"""``homeport setup`` against lab hosts as a fresh Pi would be: user pi, sudo with a password."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Iterator

import pytest

from homeport.control import cli, hostkeys
from lab import hosts
from lab.hosts import LabHost

pytestmark = pytest.mark.lab


def talk(line: str) -> None:
    """The lab's progress, where pytest shows it after a failure."""
    print(line, file=sys.stderr)


@pytest.fixture(scope="module", params=["cron", "systemd"])
def host(request: pytest.FixtureRequest) -> Iterator[LabHost]:
    """A fresh host of each flavour."""
    name = f"setup-{request.param}"
    hosts.down(name)
    yield hosts.up(name, request.param, talk)
    hosts.down(name)


@pytest.fixture(autouse=True)
def a_person(host: LabHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody with a checkout, a key that pi accepts, and nothing pinned."""
    for name in ("SSH_AUTH_SOCK", "HOMEPORT_HOST_KEY", "HOMEPORT_SSH_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("HOMEPORT_SSH_KEY", str(host.key))
    monkeypatch.setenv("HOMEPORT_SUDO_PASSWORD", "raspberry")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "homeport.toml").write_text(
        'app = "shop"\ncompose = "c.yml"\n[secrets]\nnames = ["SECRET_KEY"]\n'
        '[backup]\nschedule = "03:30"\n'
    )
    (tmp_path / "c.yml").write_text("services: {web: {image: '${IMAGE:?which}'}}\n")


def setup(host: LabHost, *words: str) -> int:
    """The exit code of the command as typed."""
    return cli.main(["setup", "--host", f"pi@{host.address}", *words])


def on(host: LabHost, script: str) -> str:
    """What ``script`` says on the host, as root."""
    return hosts.run(host, ["sh", "-c", script]).stdout.decode()


def fingerprint(host: LabHost) -> str:
    """The host's key as a person reads it there."""
    return hostkeys.read_key(host.host_key).fingerprint


def test_a_stranger_is_not_trusted_by_yes(
    host: LabHost, capsys: pytest.CaptureFixture[str]
) -> None:
    """--yes alone accepts no unknown key, nor does another fingerprint; nothing is changed."""
    assert setup(host, "--yes") == 22
    err = capsys.readouterr().err
    assert fingerprint(host) in err and "ssh-keygen -lf /etc/ssh/ssh_host" in err
    assert setup(host, "--yes", "--accept-host-key", "SHA256:another") == 22
    assert setup(host, "--yes", "--host-key", "no key") == 2
    assert not hostkeys.pins().exists()
    assert on(host, "[ -e /opt/homeport ] || echo untouched") == "untouched\n"


def test_a_wrong_password_changes_nothing(
    host: LabHost, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """sudo's refusal ends it before the script is sent."""
    monkeypatch.setenv("HOMEPORT_SUDO_PASSWORD", "wrong")
    assert setup(host, "--yes", "--accept-host-key", fingerprint(host)) == 21
    assert "sudo refused the password" in capsys.readouterr().err
    assert on(host, "[ -e /opt/homeport ] || echo untouched") == "untouched\n"


def test_a_person_who_is_not_there_agrees_to_nothing(host: LabHost) -> None:
    """Without --yes and without a terminal it lists what it would do, and stops."""
    assert setup(host, "--host-key", host.host_key) == 2
    assert on(host, "[ -e /opt/homeport ] || echo untouched") == "untouched\n"


def test_setup_makes_what_a_deploy_needs_and_only_once(
    host: LabHost, capsys: pytest.CaptureFixture[str]
) -> None:
    """User, group, folders, modes, key, hook, schedule; the second time nothing is made again."""
    assert setup(host, "--yes", "--host-key", host.host_key) == 0
    err = capsys.readouterr().err
    assert "as good as root" in err and "SECRET_KEY=…" in err and "IMAGE=…" in err
    assert "raspberry" not in err
    assert "makes the backups that are due:\n    of shop: daily at 03:30" in err
    names = "homeport/run shop shop/backups shop/app.env homeport/.ssh"
    state = f"cd /opt && stat -c '%U %a %n' {names}"
    assert on(host, state).splitlines() == [
        "homeport 700 homeport/run",
        "homeport 755 shop",
        "homeport 700 shop/backups",
        "homeport 600 shop/app.env",
        "homeport 700 homeport/.ssh",
    ]
    assert "docker" in on(host, "id -nG homeport").split()
    for hook in ("boot-hook", "schedule-hook"):
        assert on(host, f"cat /opt/homeport/{hook}") == f"{host.flavour}\n"
    # before the first deploy there is no agent, and nothing to do
    assert on(host, "su homeport -c /opt/homeport/schedule; echo $?") == "0\n"
    if host.flavour == "systemd":
        assert on(host, "systemctl is-enabled homeport-boot.service") == "enabled\n"
        assert "Linger=yes" in on(host, "loginctl show-user homeport")
        asked = "systemctl is-{} homeport-schedule.timer"
        assert on(host, asked.format("enabled")) == "enabled\n"
        assert on(host, asked.format("active")) == "active\n"
    else:
        assert on(host, "crontab -l -u homeport").splitlines() == [
            "@reboot /opt/homeport/boot",
            "*/15 * * * * /opt/homeport/schedule",
        ]
    on(host, "echo KEEP=me > /opt/shop/app.env; chown 10001 /opt/shop/data")
    assert setup(host, "--yes", "--host-key", host.host_key) == 0
    assert ": made" not in capsys.readouterr().err
    assert on(host, "cat /opt/shop/app.env; stat -c %u /opt/shop/data") == "KEEP=me\n10001\n"
    assert on(host, "wc -l < /opt/homeport/.ssh/authorized_keys") == "1\n"
    assert cli.main(["status", "--host", host.address]) == 0


def test_a_boot_hook_that_was_taken_off_is_named_and_put_back(
    host: LabHost, capsys: pytest.CaptureFixture[str]
) -> None:
    """doctor looks at the unit or the cron line itself, not at what setup once wrote down."""
    off = {
        "systemd": "systemctl --quiet disable homeport-boot.service",
        "cron": "crontab -r -u homeport",
    }

    def hook() -> str:
        capsys.readouterr()
        cli.main(["doctor", "--json", "--host", host.address])
        found = json.loads(capsys.readouterr().out)
        states = [str(one["state"]) for one in found if one["id"] == "boot-hook"]
        assert states, found
        return states[0]

    assert setup(host, "--yes", "--host-key", host.host_key) == 0
    assert hook() == "ok"
    on(host, off[host.flavour])
    assert hook() == "problem"
    assert setup(host, "--yes", "--host-key", host.host_key) == 0
    assert hook() == "ok"


def test_without_docker_nothing_is_changed(
    host: LabHost, capsys: pytest.CaptureFixture[str]
) -> None:
    """No docker on the host: refused, with the official command."""
    on(host, "mv /usr/bin/docker /usr/bin/docker.away")
    try:
        assert setup(host, "--yes", "--host-key", host.host_key) == 30
        assert "| sudo sh" in capsys.readouterr().err
    finally:
        on(host, "mv /usr/bin/docker.away /usr/bin/docker")
