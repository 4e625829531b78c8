"""``homeport doctor`` where one types: real files, the real Compose, and no host that answers."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from typing import Any

import pytest

from homeport.control import cli, doctor
from homeport.errors import NeedsMending
from test_core_doctor import FAULTS

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"
GOOD = "services:\n  web:\n    image: ghcr.io/me/shop:1\n    environment: {A: '${A:?set A}'}\n"
NAMELESS = GOOD.replace("ghcr.io/me/shop:1", "'ghcr.io/me/shop:${TAG:?set TAG}'")


@pytest.fixture(autouse=True)
def a_person(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project's folder, a home with a key of its own, and nobody on port 1 of this machine."""
    for name in ("HOMEPORT_SSH_KEY", "HOMEPORT_HOST_KEY", "HOMEPORT_HOST", "SSH_AUTH_SOCK", "A"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    (tmp_path / ".ssh").mkdir()
    key(tmp_path, 0o600)
    monkeypatch.chdir(tmp_path)
    write('compose = "c.yml"', GOOD)
    return tmp_path


def key(home: Path, mode: int) -> None:
    """A private key's file."""
    (home / ".ssh" / "id_ed25519").write_text("a key")
    os.chmod(home / ".ssh" / "id_ed25519", mode)


def write(settings: str, compose: str | None = None, port: int = 1) -> None:
    """homeport.toml and the compose file."""
    Path("homeport.toml").write_text(
        f'app = "shop"\n{settings}\n[host]\naddress = "127.0.0.1"\nport = {port}\n'
    )
    if compose is not None:
        Path("c.yml").write_text(compose)


def asked(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, dict[str, Any]]:
    """The exit code and the findings by check, the last of a check; each says why and mend."""
    code = cli.main(["doctor", "--json", *words])
    found = json.loads(capsys.readouterr().out)
    for one in found:
        assert one["state"] in ("ok", "unknown") or (one["why"] and one["mend"]), one
    return code, {one["id"]: one for one in found}


def test_a_host_that_is_off(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is here is judged all the same; the connection's problem is told with its mend."""
    monkeypatch.setenv("HOMEPORT_HOST_KEY", KEY)
    code, found = asked(capsys)
    assert code == NeedsMending.code == 39
    good = {name for name, one in found.items() if one["state"] == "ok"}
    assert {"settings", "key", "host-key"} <= good
    assert found["reach"]["state"] == "problem" and found["host"]["state"] == "unknown"
    assert "systemctl enable --now ssh" in found["reach"]["mend"]
    assert list(found) == ["settings", "compose-here", "docker-here", "key"] + [
        "host-key",
        "reach",
        "host",
    ]


def test_an_unknown_key_is_told_before_the_host_is_tried(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Nothing knows the host's key: setup pins it. A value that is no key is named as one."""
    _, found = asked(capsys)
    assert found["host-key"]["what"] == "no key of 127.0.0.1 is pinned"
    assert found["host-key"]["mend"] == "homeport setup --host USER@127.0.0.1"
    os.environ["HOMEPORT_HOST_KEY"] = "no key"
    try:
        _, found = asked(capsys)
    finally:
        del os.environ["HOMEPORT_HOST_KEY"]
    assert "that is not a host's public key" in found["host-key"]["what"]


def test_a_file_with_mistakes_keeps_the_host_unasked(capsys: pytest.CaptureFixture[str]) -> None:
    """Every mistake of homeport.toml is a finding; nothing is asked of a host."""
    Path("homeport.toml").write_text('app = "A"\n[web]\nport = 0\n')
    asked(capsys)
    assert cli.main(["doctor"]) == 39
    text = capsys.readouterr().out
    assert "✗ homeport.toml: app: 'A' is not an app's name" in text
    assert "✗ homeport.toml: [web] port: 0 is not a whole number" in text
    assert "? the host was not asked" in text


def test_no_host_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    """The connection's one problem is that nobody said where to."""
    Path("homeport.toml").write_text('app = "shop"\ncompose = "c.yml"\n')
    code, found = asked(capsys)
    assert (code, found["reach"]["what"]) == (39, "which host?")


@pytest.mark.parametrize(
    ("settings", "compose", "state", "what"),
    [
        ('compose = "c.yml"', GOOD, "ok", "web runs ghcr.io/me/shop:1"),
        ('compose = "c.yml"', NAMELESS, "warning", "c.yml names no image here"),
        ('compose = "c.yml"', GOOD.replace(":?set A", ":-1"), "ok", "web runs ghcr.io/me/shop:1"),
        ('compose = "c.yml"', "services: {db: {image: x}}", "problem", "has no service 'web'"),
        ('compose = "c.yml"', "services: [", "problem", "Compose refuses the file"),
        ('compose = "c.yml"', "services: {web: {build: .}}\n", "ok", "c.yml: web runs"),
        ('compose = "d.yml"', GOOD, "problem", "d.yml: there is no such file"),
    ],
)
def test_the_compose_file_as_this_machine_reads_it(
    capsys: pytest.CaptureFixture[str], settings: str, compose: str, state: str, what: str
) -> None:
    """A variable that only the host has is no mistake; a file that nobody could deploy is one."""
    write(settings, compose)
    _, found = asked(capsys)
    assert found["compose-here"]["state"] == state
    assert what in found["compose-here"]["what"]


def test_a_machine_without_docker(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither Compose nor an Engine here: said, and no reason not to deploy an image by name."""
    monkeypatch.setenv("PATH", "/nonexistent")
    _, found = asked(capsys)
    assert (found["compose-here"]["state"], found["docker-here"]["state"]) == ("warning",) * 2
    assert "homeport deploy IMAGE needs none" in found["compose-here"]["mend"]


def test_a_key_that_others_can_read(
    capsys: pytest.CaptureFixture[str], a_person: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its mode, one that is missing, and one in the environment, which is not shown."""
    key(a_person, 0o640)
    file = a_person / ".ssh" / "id_ed25519"
    assert asked(capsys)[1]["key"]["mend"] == f"chmod 600 {file}"
    monkeypatch.setenv("HOMEPORT_SSH_KEY", str(file))
    assert asked(capsys)[1]["key"]["mend"] == f"chmod 600 {file}"
    monkeypatch.setenv("HOMEPORT_SSH_KEY", "/nonexistent/key")
    assert "there is no such key file" in asked(capsys)[1]["key"]["what"]
    file.unlink()
    monkeypatch.delenv("HOMEPORT_SSH_KEY")
    assert asked(capsys)[1]["key"]["state"] == "ok"


def test_this_machine_as_a_host_that_is_not_set_up(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Reached, and not set up: what setup would find there is told too."""
    monkeypatch.setenv("HOMEPORT_ROOT", str(tmp_path / "opt"))
    code, found = asked(capsys, "--host", "local")
    assert (code, found["set-up"]["group"]) == (39, "the connection")
    assert "the host has not been set up" in found["set-up"]["what"]
    assert found["host"]["group"] == "the host" and "host-key" not in found


def test_a_sites_name_is_looked_up() -> None:
    """It leads to the host, nowhere, or elsewhere, which a router or tunnel may explain."""
    from homeport.model import HostAddress

    here, other = HostAddress("127.0.0.1"), HostAddress("192.0.2.1")
    assert [one.state for one in doctor._name("localhost", here)] == ["ok"]
    assert doctor._name("localhost", other)[0].what == "localhost does not lead to 192.0.2.1"
    assert doctor._name("no-such-name.invalid", here)[0].state == "warning"


def test_a_host_that_speaks_no_ssh(capsys: pytest.CaptureFixture[str]) -> None:
    """Something listens there and is no sshd."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        write('compose = "c.yml"', GOOD, server.getsockname()[1])
        server.close()
        _, found = asked(capsys)
    assert found["reach"]["state"] == "problem"


@pytest.mark.parametrize("name", FAULTS)
def test_a_mend_of_ours_is_a_command_that_exists(name: str) -> None:
    """What the doctor tells people to type is understood."""
    mend = FAULTS[name][2][3]
    if mend.startswith("homeport "):
        words = mend.split(" tells more")[0].split(" makes a new one")[0].split()[1:]
        assert cli.parse(words).verb == words[0]
