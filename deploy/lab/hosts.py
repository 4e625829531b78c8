"""Throwaway hosts: containers that stand for a fresh Pi with Docker already installed."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lab import disk as disks
from lab import network, state
from lab.docker import ensure_engine
from lab.errors import LabError
from lab.images import Images, ensure_images
from lab.registry import ensure_registry
from lab.shell import Done, command, docker

HOST_KEY = "/etc/ssh/ssh_host_ed25519_key.pub"
PREFIX = "homeport-lab-host-"
FLAVOURS = ("systemd", "cron")
NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?")
LOST = "homeport lab down NAME, then up again; if that fails too: docker logs " + PREFIX + "NAME"


@dataclass(frozen=True)
class LabHost:
    """A lab host that is up.

    Attributes:
        name: what it is called in the lab; also its hostname.
        address: its IP, kept over power cuts; sshd listens on port 22 there.
        flavour: `systemd` or `cron`.
        key: the private key that user `pi` (password `raspberry`) accepts.
        host_key: sshd's public key, `ssh-ed25519 AAAA…`; a line of known_hosts is
            f"{address} {host_key}".
        disk: whether a power cut drops what was not synced to its disk.
    """

    name: str
    address: str
    flavour: str
    key: Path
    host_key: str
    disk: bool = False

    @property
    def container(self) -> str:
        """The name of its container on this machine's Docker."""
        return PREFIX + self.name


def _silent(_: str) -> None:
    """Say nothing."""


def _key() -> Path:
    """The lab's private key, made at the first call."""
    path = state.folder() / "id_ed25519"
    with state.lock("key"):
        if not path.exists():
            argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "homeport-lab"]
            command([*argv, "-f", str(path)])
    return path


def _check_name(name: str) -> None:
    if not NAME.fullmatch(name):
        why = "a name is 1 to 32 characters of a-z, 0-9 and -, and neither begins nor ends with -"
        raise LabError(f"{name!r} is no name for a lab host.", why, "homeport lab up try-1")


def _label(name: str, label: str) -> str:
    """A label of a host's container; empty where there is no such host."""
    show = '{{index .Config.Labels "homeport.lab.' + label + '"}}'
    return docker("inspect", "--format", show, PREFIX + name, check=False).stdout.decode().strip()


def _read(name: str) -> LabHost:
    """The record of a host whose container is there and runs."""
    shown = docker("exec", PREFIX + name, "cat", HOST_KEY).stdout
    public = " ".join(shown.decode().split()[:2])
    address, flavour, disk = (_label(name, one) for one in ("address", "flavour", "disk"))
    return LabHost(name, address, flavour, _key(), public, bool(disk))


def _create(name: str, flavour: str, image: str, disk: bool) -> None:
    """Make a host's container under the next free address, not started yet."""
    volume = f"type=volume,dst=/var/lib/docker,volume-label={network.LABEL}"
    before, after = ([], []) if not disk else disks.start(flavour)
    with state.lock("hosts"):
        address = network.free_address()
        argv = ["create", "--name", PREFIX + name, "--hostname", name, "--privileged"]
        argv += ["--cgroupns", "private", "--network", network.NAME, "--ip", address]
        argv += ["--tmpfs", "/run:mode=755,exec,size=256m"]
        argv += ["--mount", disks.volume() if disk else volume]
        labels = ["", f".host={name}", f".flavour={flavour}", f".address={address}"]
        for label in [*labels, ".disk=1"] if disk else labels:
            argv += ["--label", f"homeport.lab{label or '=1'}"]
        docker(*argv, *before, image, *after)


def _wait_ready(name: str, deadline: float) -> None:
    """Wait until the host's sshd, Docker, edge image and registry relay are there."""
    argv = ["exec", PREFIX + name, "/bin/sh", "/usr/local/lib/homeport-lab/ready.sh"]
    done = docker(*argv, str(round(deadline)), check=False, timeout=deadline + 30)
    if done.returncode != 0:
        why = (done.stdout + done.stderr).decode().strip() or "it stopped at once"
        what = f"Lab host {name} is not up after {deadline:.0f} s."
        raise LabError(what, why, LOST.replace("NAME", name))


def _authorise(name: str) -> None:
    """Let the lab's key in as user pi."""
    script = (
        "install -d -m 700 -o pi -g pi /home/pi/.ssh && cd /home/pi/.ssh && umask 077 && "
        "cat > authorized_keys && chown pi:pi authorized_keys"
    )
    public = _key().with_suffix(".pub").read_bytes()
    docker("exec", "-i", PREFIX + name, "sh", "-c", script, stdin=public)


def up(
    name: str = "lab",
    flavour: str = "systemd",
    talk: Callable[[str], None] = _silent,
    disk: bool = False,
) -> LabHost:
    """Bring a host up, with engine, images, network and registry where they are missing.

    A host that is there already is booted where it is off, and returned as it is.

    Args:
        name: 1 to 32 characters of `a-z0-9-`.
        flavour: `systemd`, or `cron` for one without it.
        talk: gets a line for each thing done.
        disk: whether /opt and Docker's data lie on a disk of the host's own, of which a power cut
            drops what was not synced.

    Raises:
        LabError: a wrong name or flavour, no Docker, no disk to be had, or the host did not come
            up within 60 s.
    """
    _check_name(name)
    if flavour not in FLAVOURS:
        why = f"{flavour!r} is none of: {', '.join(FLAVOURS)}"
        raise LabError(
            "Unknown flavour of lab host.", why, f"homeport lab up {name} --flavour cron"
        )
    ensure_engine(talk)
    images = ensure_images(talk)
    ensure_registry(talk)
    with state.lock(f"host-{name}"):
        have = _label(name, "flavour")
        if have and (have, bool(_label(name, "disk"))) != (flavour, disk):
            what = f"Lab host {name} is there already."
            why = f"its flavour is {have}, not {flavour}"
            if have == flavour:
                why = f"it has {'no' if disk else 'a'} disk of its own"
            raise LabError(what, why, f"homeport lab down {name}, or take another name")
        if not have:
            talk(f"starting lab host {name} ({flavour})")
            image = images.host_systemd if flavour == "systemd" else images.host_cron
            _create(name, flavour, image, disk)
        docker("start", PREFIX + name)
        if disk:
            disks.mounted(PREFIX + name)
        _authorise(name)
        _wait_ready(name, 60)
        if disk and not have:
            disks.keep(PREFIX + name)
        return _read(name)


def down(name: str) -> None:
    """Remove a host with its disk, its volume and its folder of state; no such host is fine."""
    _check_name(name)
    docker("rm", "-f", "-v", PREFIX + name, check=False, timeout=120)
    still = docker("ps", "-aq", "--filter", f"name=^{PREFIX}{name}$").stdout.strip()
    if still:
        why = "docker rm left its container behind"
        raise LabError(f"Lab host {name} is still there.", why, f"docker rm -f -v {PREFIX}{name}")


def down_all() -> None:
    """Remove every container, volume and network of the lab and its keys; nothing else."""
    mark = ["--filter", f"label={network.LABEL}"]
    listed = docker("ps", "-aq", *mark).stdout.decode().split()
    if listed:
        docker("rm", "-f", "-v", *listed, timeout=300)
    for kind in ("volume", "network"):
        listed = docker(kind, "ls", "-q", *mark).stdout.decode().split()
        if listed:
            docker(kind, "rm", *listed)
    shutil.rmtree(state.folder())


def names() -> list[tuple[str, str, bool]]:
    """Name, flavour, and whether it runs, of each lab host; sorted."""
    labels = '{{.Label "homeport.lab.host"}} {{.Label "homeport.lab.flavour"}} {{.State}}'
    argv = ["ps", "-a", "--filter", "label=homeport.lab.host", "--format", labels]
    rows = (line.split() for line in docker(*argv).stdout.decode().splitlines())
    return sorted((name, flavour, status == "running") for name, flavour, status in rows)


def listing() -> list[LabHost]:
    """The hosts that are up, sorted by name; one that is switched off or just booting is not."""
    found = []
    for name in (name for name, _, running in names() if running):
        try:
            found.append(_read(name))
        except LabError:
            # off or removed since the names were listed, or without a key of its own yet
            argv = ["exec", PREFIX + name, "test", "-s", HOST_KEY]
            if docker(*argv, check=False).returncode == 0:
                raise
    return found


def run(
    host: LabHost, argv: list[str], user: str = "root", stdin: bytes = b"", check: bool = True
) -> Done:
    """Run a program on a host, past SSH, as that user.

    Args:
        host: where.
        argv: program and arguments.
        user: a user of the host.
        stdin: what it reads.
        check: whether an exit code other than 0 is an error.

    Returns:
        Exit code, stdout and stderr, as bytes.

    Raises:
        LabError: it failed while `check` is set, or took more than 600 s.
    """
    return docker(
        "exec", "-i", "-u", user, host.container, *argv, stdin=stdin, check=check, timeout=600
    )


def power_cut(host: LabHost) -> None:
    """Cut the power: every process on the host dies at once, without a word.

    What it had not synced is lost where the host has a disk of its own, and kept elsewhere.
    """
    if host.disk:
        disks.cut(host.container, Images.host_cron)
        return
    docker("kill", "-s", "KILL", host.container)
    # kill returns when the signal is sent; only then is the power off
    docker("wait", host.container)


def boot(host: LabHost, deadline: float = 60) -> LabHost:
    """Switch a host on and wait until sshd and its Docker answer.

    Args:
        host: a host that is off; one that is on is only waited for.
        deadline: seconds.

    Raises:
        LabError: what is still missing at the deadline.
    """
    docker("start", host.container)
    _wait_ready(host.name, deadline)
    return _read(host.name)


def _cable(host: LabHost, present: bool) -> None:
    """Drop every packet of the host's one cable in both directions, or no more; loopback stays."""
    for chain, way in (("PREROUTING", "-i"), ("POSTROUTING", "-o")):
        rule = [chain, way, "eth0", "-j", "DROP"]
        iptables = ["iptables", "-w", "-t", "mangle"]
        cut = run(host, [*iptables, "-C", *rule], check=False).returncode == 0
        if cut == present:
            run(host, [*iptables, "-D" if present else "-I", *rule])


def cut_network(host: LabHost) -> None:
    """Pull the network cable: nothing comes in or goes out, and no connection is told so."""
    _cable(host, present=False)


def mend_network(host: LabHost) -> None:
    """Put the cable back; connections that are still alive go on. A boot does the same."""
    _cable(host, present=True)
