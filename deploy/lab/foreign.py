"""Other processors on this machine: emulation to run their images, and base images for them.

Emulation is for running and comparing only. What ships is built without it.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from lab import debian, debootstrap, state
from lab.docker import may_install
from lab.errors import LabError
from lab.images import RECIPE, Images, ensure_images
from lab.registry import ADDRESS, ensure_registry
from lab.shell import command, docker, last_lines

Talk = Callable[[str], None]
SUITE = "trixie"
#: the index of all three, as every engine and lab host reaches it
PYTHON = f"{ADDRESS}/homeport-lab/python:3.13"
BINFMT = Path("/proc/sys/fs/binfmt_misc")
QEMU = ["qemu-user-static", "binfmt-support"]
ACCEPT = "application/vnd.docker.distribution.manifest.list.v2+json"
# As python.dockerfile has it: the names that the official image has, and its variables.
NAMES = {"python3": "/usr/bin/python3", "python": "/usr/bin/python3", "pip3": "pip"}
PIP = '#!/bin/sh\nexec /usr/local/bin/python3 -m pip "$@"\n'
CHANGES = (
    "ENV PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin",
    "ENV LANG=C.UTF-8",
    "ENV SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt",
    "ENV PIP_CERT=/etc/ssl/certs/ca-certificates.crt",
    'CMD ["python3"]',
)


@dataclass(frozen=True)
class Processor:
    """One kind of processor: as Docker, Debian, QEMU and `uname -m` call it."""

    platform: str
    debian: str
    qemu: str
    machine: str


PROCESSORS = (
    Processor("linux/amd64", "amd64", "qemu-x86_64", "x86_64"),
    Processor("linux/arm64", "arm64", "qemu-aarch64", "aarch64"),
    Processor("linux/arm/v7", "armhf", "qemu-arm", "armv7l"),
)


def foreign(machine: str) -> list[Processor]:
    """The processors that are not the one of a machine which calls itself so."""
    return [one for one in PROCESSORS if one.machine != machine]


def lacking(said: dict[str, str | None]) -> list[str]:
    """The emulators that are not ready for containers, sorted.

    Args:
        said: per emulator what the kernel tells of it; None where it knows of none.

    Returns:
        those that are absent, switched off, or without the flag F: without it the kernel looks
        for the emulator inside the container, where there is none.
    """
    wrong = []
    for name, text in said.items():
        lines = (text or "").splitlines()
        flags = next((line[7:] for line in lines if line.startswith("flags: ")), "")
        if "enabled" not in lines or "F" not in flags:
            wrong.append(name)
    return sorted(wrong)


def _lacking() -> list[str]:
    said: dict[str, str | None] = {}
    for one in foreign(platform.machine()):
        try:
            said[one.qemu] = (BINFMT / one.qemu).read_text(encoding="utf-8")
        except OSError:
            said[one.qemu] = None
    return lacking(said)


def ensure_emulation(talk: Talk) -> None:
    """Make sure that containers for all three platforms run on this machine.

    On another system than Linux, Docker runs in a machine of its own, which brings emulation.
    Installs QEMU from Debian and registers it where it may (root on Debian, and `CI` or
    `HOMEPORT_YES` set); it lasts until the machine is booted. Running it again changes nothing.

    Raises:
        LabError: emulation is missing and must not be installed here, or does not come up.
    """
    if platform.system() != "Linux" or not _lacking():
        return
    with state.lock("emulation"):
        lacks = _lacking()
        if not lacks:
            return
        if not may_install():
            raise LabError(
                "Images for other processors cannot be run here.",
                f"the kernel knows no emulator for: {', '.join(lacks)}",
                "docker run --privileged --rm tonistiigi/binfmt --install all",
            )
        with state.lock("engine"):
            if not shutil.which("update-binfmts") or not shutil.which("qemu-arm-static"):
                talk(f"installing {' and '.join(QEMU)}")
                debian.install(QEMU, newer=False)
        if not (BINFMT / "status").exists():
            command(["mount", "-t", "binfmt_misc", "binfmt_misc", str(BINFMT)])
        talk(f"registering {' and '.join(lacks)}")
        for name in lacks:
            # one that is registered without F has to go first
            command(["update-binfmts", "--disable", name], check=False)
            command(["update-binfmts", "--enable", name], check=False)
        lacks = _lacking()
        if lacks:
            why = f"still not registered with the flag F: {', '.join(lacks)}"
            raise LabError(
                "Emulation does not come up.", why, f"ls {BINFMT}; update-binfmts --display"
            )


def _recipe() -> str:
    """The hash of everything the foreign bases are made from."""
    files = [Path(__file__), debootstrap.CA_BUNDLE]
    own = docker("image", "inspect", "--format", "{{.Id}}", Images.python).stdout
    parts = [own, debian.own_source().entry(SUITE).encode()]
    parts += [path.read_bytes() for path in files if path.is_file()]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]


def _in_registry(tag: str) -> bool:
    """Whether the lab's registry has an index of that tag."""
    url = f"http://{ADDRESS}/v2/homeport-lab/python/manifests/{tag}"
    asked = urllib.request.Request(url, method="HEAD", headers={"Accept": ACCEPT})
    try:
        with urllib.request.urlopen(asked, timeout=10) as answer:
            return bool(answer.headers.get("Content-Type") == ACCEPT)
    except urllib.error.HTTPError:
        return False


def ensure_bases(talk: Talk) -> str:
    """Make sure that the lab's registry has the Python base image for all three processors.

    The second call asks the registry once; the first takes well under a minute.

    Returns:
        The index's name in the registry, with a tag that changes when what it is made of does.

    Raises:
        LabError: no Debian package source, no debootstrap, or one of the programs failed.
    """
    ensure_images(talk)
    ensure_registry(talk)
    tag = f"3.13-{_recipe()}"
    with state.lock("foreign"):
        if not _in_registry(tag):
            debootstrap.ensure_debootstrap(talk)
            others = foreign(platform.machine())
            talk(f"making Python base images for {', '.join(one.platform for one in others)}")
            whole = PYTHON.rpartition(":")[0] + f":{tag}"
            own = f"{whole}-own"
            with ThreadPoolExecutor() as pool:
                made = list(pool.map(lambda one: _make(one, f"{whole}-{one.debian}"), others))
            docker("tag", Images.python, own)
            for one in (own, *made):
                docker("push", "-q", one, timeout=300)
            names = ["-t", whole, "-t", PYTHON]
            docker("buildx", "imagetools", "create", *names, own, *made, timeout=120)
            # the registry has them now: as local images they would only be in the way
            docker("image", "rm", own, *made)
    return PYTHON.rpartition(":")[0] + f":{tag}"


def _make(one: Processor, tag: str) -> str:
    """Unpack Debian's packages for a processor, without their scripts, into an image."""
    with tempfile.TemporaryDirectory(prefix="homeport-lab-") as folder:
        root = Path(folder) / one.debian
        argv = ["debootstrap", "--foreign", f"--arch={one.debian}", "--variant=minbase"]
        argv += ["--force-check-gpg", "--include=python3,python3-venv,python3-pip", SUITE]
        argv += [str(root), debian.own_source().uri]
        command(argv, timeout=600, env={**os.environ, "DPKG_FORCE": "unsafe-io"})
        # the first stage unpacks what dpkg itself needs, and only fetches the rest
        for package in sorted((root / "var/cache/apt/archives").glob("*.deb")):
            command(["dpkg-deb", "-x", str(package), str(root)], timeout=120)
        _furnish(root)
        changes = [word for text in CHANGES for word in ("-c", text)]
        changes += ["-c", f"LABEL {RECIPE}=foreign", "--platform", one.platform]
        tar = subprocess.Popen(["tar", "-C", str(root), "-c", "."], stdout=subprocess.PIPE)
        done = subprocess.run(
            ["docker", "import", *changes, "-", tag],
            stdin=tar.stdout,
            capture_output=True,
            check=False,
        )
        if tar.wait() != 0 or done.returncode != 0:
            why = last_lines(done.stderr) or "tar could not read the tree"
            raise LabError(f"{tag} could not be imported.", why, "docker info; df -h")
    return tag


def _furnish(root: Path) -> None:
    """Give a tree whose packages' scripts never ran what an image needs of them; trim it."""
    for name in (*debootstrap.TRIMMED, "debootstrap", "var/log"):
        shutil.rmtree(root / name, ignore_errors=True)
    (root / "var/log").mkdir(mode=0o755)
    (root / "tmp").chmod(0o1777)
    for name in ("passwd", "group"):
        shutil.copy(root / "usr/share/base-passwd" / f"{name}.master", root / "etc" / name)
    for marker in root.glob("usr/lib/python3*/EXTERNALLY-MANAGED"):
        marker.unlink()
    places = root / "usr/local/bin"
    places.mkdir(mode=0o755, parents=True, exist_ok=True)
    for name, to in NAMES.items():
        (places / name).symlink_to(to)
    (places / "pip").write_text(PIP, encoding="utf-8")
    (places / "pip").chmod(0o755)
    if debootstrap.CA_BUNDLE.is_file():
        certificates = root / "etc/ssl/certs"
        certificates.mkdir(parents=True, exist_ok=True)
        shutil.copy(debootstrap.CA_BUNDLE, certificates / "ca-certificates.crt")
