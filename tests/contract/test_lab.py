"""The lab's promises against real hosts: sshd, Docker, registry, power cuts, no trace left."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lab import hosts, images, registry, shell
from lab.cli import main
from lab.errors import LabError
from lab.hosts import LabHost

pytestmark = pytest.mark.lab
NAMES = {"systemd": "contract-systemd", "cron": "contract-cron"}


@pytest.fixture(scope="module", params=sorted(NAMES))
def host(request: pytest.FixtureRequest) -> Iterator[LabHost]:
    """A fresh host of each flavour, and its removal."""
    name = NAMES[request.param]
    hosts.down(name)
    yield hosts.up(name, request.param, print)
    hosts.down(name)


def ssh(host: LabHost, folder: Path, line: str, host_key: str = "") -> shell.Done:
    """Run a line as pi over SSH, believing in that host key and no other."""
    known = folder / "known_hosts"
    known.write_text(f"{host.address} {host_key or host.host_key}\n", encoding="utf-8")
    options = ["StrictHostKeyChecking=yes", f"UserKnownHostsFile={known}", "BatchMode=yes"]
    options += ["IdentitiesOnly=yes", "ConnectTimeout=10", "GlobalKnownHostsFile=/dev/null"]
    given = [word for option in options for word in ("-o", option)]
    argv = ["ssh", "-F", "/dev/null", "-i", str(host.key), *given, f"pi@{host.address}", line]
    return shell.command(argv, check=False, timeout=60)


def wait_for(look: Callable[[], bool], seconds: float, what: str) -> None:
    """Wait until `look` says yes; fail with `what` at the deadline."""
    limit = time.monotonic() + seconds
    while not look():
        assert time.monotonic() < limit, f"{what}: not within {seconds} s"
        time.sleep(0.2)


def succeeds(host: LabHost, *argv: str) -> bool:
    """Whether a program on the host ends with exit code 0."""
    return hosts.run(host, list(argv), check=False).returncode == 0


def test_pi_enters_by_the_labs_key_and_only_the_right_host_key_is_believed(
    host: LabHost, tmp_path: Path
) -> None:
    """SSH as pi works with strict checking against `host_key`, and fails against another key."""
    right = ssh(host, tmp_path, "id -un")
    assert (right.returncode, right.stdout) == (0, b"pi\n"), right.stderr
    lab_key = " ".join(host.key.with_suffix(".pub").read_text("utf-8").split()[:2])
    wrong = ssh(host, tmp_path, "id -un", host_key=lab_key)
    assert wrong.returncode == 255
    assert b"Host key verification failed" in wrong.stderr


def test_sudo_asks_for_the_password(host: LabHost, tmp_path: Path) -> None:
    """Without the password sudo refuses; with it on stdin pi becomes root."""
    assert ssh(host, tmp_path, "sudo -k; sudo -n id -u").returncode != 0
    line = "sudo -k; echo raspberry | sudo -S -p '' id -u"
    assert ssh(host, tmp_path, line).stdout == b"0\n"


def test_the_host_is_what_a_fresh_pi_with_docker_is(host: LabHost) -> None:
    """Overlay2, Compose >= 2.35, Python >= 3.10, curl; systemd as PID 1 or none at all."""
    info = hosts.run(host, ["docker", "info", "--format", "{{.Driver}}"]).stdout
    assert info == b"overlay2\n"
    compose = hosts.run(host, ["docker", "compose", "version", "--short"]).stdout.decode()
    assert tuple(map(int, compose.split("-")[0].lstrip("v").split(".")[:2])) >= (2, 35)
    check = "import sys; sys.exit(sys.version_info < (3, 10))"
    assert succeeds(host, "python3", "-c", check)
    assert succeeds(host, "curl", "--version")
    assert succeeds(host, "test", "-d", "/run/systemd/system") == (host.flavour == "systemd")
    assert succeeds(host, "which", "systemctl") == (host.flavour == "systemd")


def test_a_container_of_the_preloaded_edge_answers_on_a_published_port(host: LabHost) -> None:
    """`caddy:2.11.4` is there without a pull, and the network of the Docker inside works."""
    argv = ["docker", "run", "-d", "--pull", "never", "--name", "edge", "--memory", "64m"]
    hosts.run(host, [*argv, "-p", "8081:80", "caddy:2.11.4"])
    try:
        fetch = ["curl", "-fsS", "-m", "5", "-o", "/dev/null", "http://127.0.0.1:8081/"]
        wait_for(lambda: succeeds(host, *fetch), 15, "an answer of Caddy")
        said = hosts.run(host, ["docker", "exec", "edge", "caddy", "version"]).stdout.decode()
        assert images.version(said) >= (2, 11, 4)
    finally:
        hosts.run(host, ["docker", "rm", "-f", "edge"])


def test_an_image_travels_through_the_registry_under_one_name(host: LabHost) -> None:
    """What this machine pushes to 127.0.0.1:5010, the host pulls from 127.0.0.1:5010."""
    tag = f"{registry.ensure_registry(print)}/contract/edge:1"
    shell.docker("tag", images.Images().edge, tag)
    try:
        shell.docker("push", "-q", tag, timeout=120)
    finally:
        shell.docker("image", "rm", tag)
    hosts.run(host, ["docker", "pull", "-q", tag])
    show = ["docker", "image", "inspect", "--format", "{{index .RepoDigests 0}}", tag]
    assert b"127.0.0.1:5010/contract/edge@sha256:" in hosts.run(host, show).stdout


def _leave_traces(host: LabHost) -> None:
    """A container that restarts, a boot hook of the flavour's kind, and a file on the disk."""
    argv = ["docker", "run", "-d", "--name", "stays", "--restart", "unless-stopped"]
    hosts.run(host, [*argv, "caddy:2.11.4"])
    hosts.run(host, ["sh", "-c", "echo written > /root/file; sync -f /root"])
    if host.flavour == "cron":
        line = b"@reboot cat /proc/sys/kernel/random/uuid >> /root/boots\n"
        hosts.run(host, ["crontab", "-"], stdin=line)
        return
    unit = (
        b"[Service]\nType=oneshot\n"
        b"ExecStart=/bin/sh -c 'cat /proc/sys/kernel/random/uuid >> /root/boots'\n"
        b"[Install]\nWantedBy=multi-user.target\n"
    )
    hosts.run(host, ["tee", "/etc/systemd/system/hook.service"], stdin=unit)
    hosts.run(host, ["systemctl", "enable", "hook.service"])


def test_a_power_cut_and_a_boot_are_what_they_are_on_a_pi(host: LabHost, tmp_path: Path) -> None:
    """After each of two cuts: same address and key, files kept, hook run, container back."""
    _leave_traces(host)
    running = ["docker", "inspect", "--format", "{{.State.Running}}", "stays"]
    for boots in (1, 2):
        hosts.power_cut(host)
        assert host.name not in [other.name for other in hosts.listing()]
        again = hosts.boot(host)
        assert again == host
        assert ssh(again, tmp_path, "true").returncode == 0
        assert hosts.run(host, ["cat", "/root/file"]).stdout == b"written\n"
        count = f"test $(wc -l < /root/boots) -eq {boots}"
        wait_for(lambda: succeeds(host, "sh", "-c", count), 20, f"hook of boot {boots}")
        wait_for(lambda: hosts.run(host, running).stdout == b"true\n", 20, "container back")
        relay = ["curl", "-fsS", "-m", "5", "http://127.0.0.1:5010/v2/"]
        wait_for(lambda: succeeds(host, *relay), 20, "registry after the boot")
    hosts.run(host, ["docker", "rm", "-f", "stays"])


def test_a_cut_cable_is_silence_and_a_mended_one_goes_on(host: LabHost, tmp_path: Path) -> None:
    """While cut there is no way in; an SSH session from before goes on when the cable is back."""
    hosts.run(host, ["rm", "-f", "/tmp/began"])
    known = tmp_path / "known_hosts"
    assert ssh(host, tmp_path, "true").returncode == 0
    argv = ["ssh", "-F", "/dev/null", "-i", str(host.key), "-o", f"UserKnownHostsFile={known}"]
    line = "touch /tmp/began; read go; echo went on"
    session = subprocess.Popen(
        [*argv, "-o", "BatchMode=yes", f"pi@{host.address}", line],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        wait_for(lambda: succeeds(host, "test", "-e", "/tmp/began"), 20, "the session")
        hosts.cut_network(host)
        hosts.cut_network(host)
        ping = ["bash", "-c", f"exec 3<>/dev/tcp/{host.address}/22"]
        with pytest.raises(LabError, match="failed"):
            shell.command(ping, timeout=3)
        hosts.mend_network(host)
        hosts.mend_network(host)
        assert session.communicate(b"go\n", timeout=60)[0] == b"went on\n"
    finally:
        hosts.mend_network(host)
        session.kill()


def test_a_lingering_user_starts_transient_units_over_ssh(host: LabHost, tmp_path: Path) -> None:
    """On systemd `systemd-run --user` outlives the session; on the other flavour there is none."""
    if host.flavour == "cron":
        assert ssh(host, tmp_path, "systemd-run --user true").returncode == 127
        return
    hosts.run(host, ["loginctl", "enable-linger", "pi"])
    started = ssh(host, tmp_path, "systemd-run --user --unit outlives sleep 600")
    assert started.returncode == 0, started.stderr
    active = ssh(host, tmp_path, "systemctl --user is-active outlives")
    assert active.stdout == b"active\n"


def test_up_again_changes_nothing_and_is_quick(host: LabHost) -> None:
    """A second `up` returns the same host in under 5 s; the other flavour is refused."""
    began = time.monotonic()
    assert hosts.up(host.name, host.flavour) == host
    assert time.monotonic() - began < 5
    other = "cron" if host.flavour == "systemd" else "systemd"
    with pytest.raises(LabError, match="there already"):
        hosts.up(host.name, other)


def test_a_host_without_a_key_yet_is_passed_over(host: LabHost) -> None:
    """One that is just booting has none: it is not listed, and the others are."""
    hosts.run(host, ["mv", hosts.HOST_KEY, "/root/key"])
    try:
        assert host.name not in [other.name for other in hosts.listing()]
    finally:
        hosts.run(host, ["mv", "/root/key", hosts.HOST_KEY])
    assert host.name in [other.name for other in hosts.listing()]


def test_the_command_lists_what_runs(host: LabHost, capsys: pytest.CaptureFixture[str]) -> None:
    """`list --json` on stdout is data and names key, address and host key."""
    assert main(["list", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    row = rows[host.name]
    assert (row["address"], row["host_key"]) == (host.address, host.host_key)
    assert Path(row["key"]).stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("name", ["", "-a", "a-", "A", "a b", "a" * 33, "../x"])
def test_a_bad_name_is_refused_before_anything_happens(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A name that is no host name ends with exit code 1, a sentence and a hint."""
    assert main(["up", "--", name]) == 1
    said = capsys.readouterr().err
    assert "is no name for a lab host" in said
    assert "hint: homeport lab up" in said


def test_down_leaves_nothing_of_the_host_behind() -> None:
    """After `down` neither a container of that name nor its volume is there; again is fine."""
    host = hosts.up("contract-gone", "cron", print)
    show = "{{range .Mounts}}{{.Name}} {{end}}"
    volumes = shell.docker("inspect", "--format", show, host.container).stdout.decode().split()
    assert len(volumes) == 1
    found = shell.docker("volume", "ls", "-q", "--filter", "label=homeport.lab=1").stdout.decode()
    assert volumes[0] in found
    hosts.down("contract-gone")
    hosts.down("contract-gone")
    assert shell.docker("inspect", host.container, check=False).returncode != 0
    assert shell.docker("volume", "inspect", volumes[0], check=False).returncode != 0


def test_the_images_do_not_carry_the_label_by_which_down_all_removes() -> None:
    """A container of an app built on the lab's base image is not taken for one of the lab's."""
    tags = images.ensure_images(print)
    show = '{{index .Config.Labels "homeport.lab"}}'
    for tag in (tags.python, tags.edge, tags.registry):
        assert shell.docker("image", "inspect", "--format", show, tag).stdout.strip() == b""


def test_down_all_removes_the_labs_own_and_spares_the_rest(host: LabHost) -> None:
    """On the Docker inside a host: labelled objects go, with their volumes; others stay."""
    package = Path(hosts.__file__).parent.parent
    tar = shell.command(["tar", "-C", str(package), "-c", "--exclude=__pycache__", "lab"]).stdout
    hosts.run(host, ["tar", "-C", "/opt", "-x"], stdin=tar)
    mark = "homeport.lab=1"
    volume = f"type=volume,dst=/srv,volume-label={mark}"
    script = (
        f"{{ docker network create --label {mark} ours; docker network create theirs; "
        f"docker volume create theirs; "
        f"docker run -d --name ours --label {mark} --network ours --mount {volume} caddy:2.11.4; "
        "docker run -d --name theirs --network theirs -v theirs:/srv caddy:2.11.4; } >&2; "
        f"test $(docker volume ls -q --filter label={mark} | wc -l) -eq 1 || exit 3; "
        "cd /opt && python3 -m lab down --all || exit 4; "
        f"for kind in 'ps -a' 'volume ls' 'network ls'; do "
        f"docker $kind -q --filter label={mark}; done; echo --; "
        "docker ps -q --filter name=theirs | wc -l; docker volume ls -q | grep -c '^theirs$'; "
        "docker network ls -q --filter name=theirs | wc -l; "
        "docker rm -f -v theirs; docker network rm theirs; docker volume rm theirs"
    )
    done = hosts.run(host, ["bash", "-c", script])
    left, _, spared = done.stdout.decode().partition("--\n")
    assert left == "", done.stdout
    assert spared.split()[:3] == ["1", "1", "1"], done.stdout
