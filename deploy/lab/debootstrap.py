"""Debian base images made on this machine, for where none can be pulled."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from lab import debian, state
from lab.docker import may_install
from lab.errors import LabError
from lab.shell import command, last_lines

CA_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
# The package source's release file can be past its date on machines with a frozen mirror.
APT_CONF = 'Acquire::Check-Valid-Until "false";\nAcquire::Check-Date "false";\n'
TRIMMED = [
    "usr/share/doc",
    "usr/share/man",
    "usr/share/locale",
    "var/cache/apt",
    "var/lib/apt/lists",
]


def ensure_debootstrap(talk: Callable[[str], None]) -> None:
    """Make sure that debootstrap can be run, installing it where we may; else LabError."""
    with state.lock("engine"):
        if shutil.which("debootstrap") and os.geteuid() == 0:
            return
        if not may_install():
            raise LabError(
                "The lab cannot make its base images.",
                "Docker Hub does not answer, and making them needs root and debootstrap",
                "as root: apt-get install debootstrap, or set HOMEPORT_YES=1",
            )
        talk("installing debootstrap")
        debian.install(["debootstrap"], newer=False)


def _furnish(root: Path, suite: str, source: debian.Source) -> None:
    """Give a fresh tree the machine's package source and certificates; trim what nobody reads."""
    for name in TRIMMED:
        shutil.rmtree(root / name, ignore_errors=True)
        (root / name).mkdir(mode=0o755, parents=True)
    (root / "var/lib/apt/lists/partial").mkdir()
    (root / "var/cache/apt/archives/partial").mkdir(parents=True)
    apt = root / "etc/apt"
    (apt / "sources.list").unlink(missing_ok=True)
    ring = debian.Source(
        source.uri, source.components, "/usr/share/keyrings/debian-archive-keyring.gpg"
    )
    (apt / "sources.list.d/debian.sources").write_text(ring.entry(suite), encoding="utf-8")
    (apt / "apt.conf.d/90homeport-lab").write_text(APT_CONF, encoding="utf-8")
    # Set aside, because Debian's ca-certificates package writes the usual place anew.
    aside = root / "usr/local/share/homeport-lab/ca.crt"
    aside.parent.mkdir(parents=True)
    aside.write_bytes(CA_BUNDLE.read_bytes() if CA_BUNDLE.is_file() else b"")


def make_base(suite: str, tag: str, labels: dict[str, str], talk: Callable[[str], None]) -> None:
    """Make a minimal Debian of that suite and import it as a Docker image.

    Args:
        suite: Debian's code name, as `trixie`.
        tag: the name the image gets.
        labels: labels of the image.
        talk: gets a line when it begins.

    Raises:
        LabError: no debootstrap, no package source, or either of the programs failed.
    """
    ensure_debootstrap(talk)
    source = debian.own_source()
    talk(f"making a Debian {suite} base image (debootstrap)")
    with tempfile.TemporaryDirectory(prefix="homeport-lab-") as folder:
        root = Path(folder) / suite
        # fsync of every unpacked file protects a disk we throw away: dpkg is told not to.
        argv = [
            "debootstrap",
            "--variant=minbase",
            "--force-check-gpg",
            suite,
            str(root),
            source.uri,
        ]
        command(argv, timeout=600, env={**os.environ, "DPKG_FORCE": "unsafe-io"})
        _furnish(root, suite, source)
        changes = [word for name, text in labels.items() for word in ("-c", f"LABEL {name}={text}")]
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
