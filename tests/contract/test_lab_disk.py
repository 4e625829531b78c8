"""A lab host with a disk of its own: a power cut there drops what nobody synced, and only that."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import disk, hosts
from lab.errors import LabError
from lab.hosts import LabHost

pytestmark = pytest.mark.lab
NAME = "contract-disk"
# Written in this order: whatever is synced after it takes a name along, so the rest comes last.
_WRITE = """
import os, sys
top = sys.argv[1]
os.makedirs(f"{top}/kept", exist_ok=True)

def put(name, text, sync):
    handle = os.open(f"{top}/kept/{name}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.write(handle, text)
    if sync:
        os.fsync(handle)
    os.close(handle)

def sync(folder):
    handle = os.open(folder, os.O_RDONLY)
    os.fsync(handle)
    os.close(handle)

put("synced", b"synced", True)
put("renamed", b"old", True)
put("grown", b"first;", True)
put("removed", b"still there", True)
for folder in (f"{top}/kept", top):
    sync(folder)
put("beside", b"new", True)
os.rename(f"{top}/kept/beside", f"{top}/kept/renamed")
os.unlink(f"{top}/kept/removed")
put("unsynced", b"x" * 100_000, False)
with open(f"{top}/kept/grown", "ab") as stream:
    stream.write(b"second;")
"""
_READ = """
import json, os, sys
folder = sys.argv[1] + "/kept"
print(json.dumps({name: open(f"{folder}/{name}").read() for name in sorted(os.listdir(folder))}))
"""


@pytest.fixture(scope="module")
def host() -> Iterator[LabHost]:
    """A fresh host with a disk, and its removal."""
    hosts.down(NAME)
    yield hosts.up(NAME, "cron", print, disk=True)
    hosts.down(NAME)


def read(host: LabHost, folder: str) -> dict[str, str]:
    """What is in a folder's files by now."""
    said = hosts.run(host, ["python3", "-I", "-c", _READ, folder]).stdout
    found: dict[str, str] = json.loads(said)
    return found


@pytest.mark.parametrize("folder", ["/opt/lab-disk", "/var/lib/docker/lab-disk"])
def test_what_nobody_synced_is_lost(host: LabHost, folder: str) -> None:
    """Unsynced content is gone, a rename and a removal without their folder's sync go back."""
    # whoever syncs a file takes names along that were changed before it: Docker does now and then
    hosts.run(host, ["pkill", "-STOP", "-x", "dockerd|containerd"])
    hosts.run(host, ["python3", "-I", "-c", _WRITE, folder])
    assert read(host, folder)["renamed"] == "new" and read(host, folder)["unsynced"]
    hosts.power_cut(host)
    assert hosts.boot(host) == host
    found = read(host, folder)
    assert found.pop("unsynced", "") == ""
    assert found.pop("beside", "new") == "new"
    assert found == {
        "grown": "first;",
        "removed": "still there",
        "renamed": "old",
        "synced": "synced",
    }
    # a second cut finds nothing more to take
    hosts.power_cut(host)
    hosts.boot(host)
    assert read(host, folder).items() >= found.items()


def test_docker_keeps_its_own_on_that_disk(host: LabHost) -> None:
    """A container that was synced is there after a cut, and a boot starts it by its policy."""
    argv = ["docker", "run", "-d", "--name", "stays", "--restart", "unless-stopped"]
    hosts.run(host, [*argv, "caddy:2.11.4"])
    hosts.run(host, ["sync", "-f", "/opt"])
    hosts.power_cut(host)
    hosts.boot(host)
    show = ["docker", "inspect", "--format", "{{.State.Status}}", "stays"]
    assert hosts.run(host, show).stdout.strip() in (b"running", b"restarting")
    hosts.run(host, ["docker", "rm", "-f", "stays"])


def test_nobody_runs_on_while_the_disk_is_gone(host: LabHost) -> None:
    """What a program acknowledged before the cut is there; it never sees a disk that fails."""
    code = (
        "import os; h = os.open('/opt/count', os.O_WRONLY | os.O_CREAT); n = 0\n"
        "while True:\n"
        "    n += 1\n"
        "    os.pwrite(h, b'%9d' % n, 0)\n"
        "    os.fsync(h)\n"
        "    print(n, flush=True)\n"
    )
    argv = ["docker", "exec", host.container, "python3", "-u", "-c", code]
    child = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert child.stdout is not None
    assert child.stdout.readline()
    hosts.power_cut(host)
    out, err = child.communicate(timeout=30)
    acknowledged = int(out.split()[-1])
    assert b"Error" not in err, err
    hosts.boot(host)
    kept = int(hosts.run(host, ["cat", "/opt/count"]).stdout)
    assert kept in (acknowledged, acknowledged + 1)


def test_a_disk_is_no_afterthought(host: LabHost) -> None:
    """A host that is there with a disk is not taken for one without, and not changed."""
    with pytest.raises(LabError, match="there already") as caught:
        hosts.up(NAME, "cron")
    assert "it has a disk of its own" in str(caught.value)
    assert hosts.up(NAME, "cron", disk=True) == host


def test_a_machine_that_mounts_none_says_so_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Why the host has no disk is told in one message, not as a host that does not come up."""
    script = "echo 'mount: /disk: failed to set up loop device' >&2; exit 32"
    monkeypatch.setattr(disk, "start", lambda _: (["--entrypoint", "/bin/sh"], ["-c", script]))
    try:
        with pytest.raises(LabError, match="cannot have a disk of its own here") as caught:
            hosts.up("contract-no-disk", "cron", print, disk=True)
        assert "failed to set up loop device" in caught.value.why
    finally:
        hosts.down("contract-no-disk")


def test_down_gives_the_loop_device_back() -> None:
    """However a host ends, its mount and its loop device end with it."""
    name = "contract-disk-gone"
    host = hosts.up(name, "cron", print, disk=True)
    try:
        source = hosts.run(host, ["findmnt", "-no", "SOURCE", "/disk"]).stdout.decode().strip()
        backing = Path("/sys/block") / Path(source).name / "loop" / "backing_file"
        assert backing.read_text().strip().endswith("/disk.img")
    finally:
        hosts.down(name)
    assert not backing.exists()
