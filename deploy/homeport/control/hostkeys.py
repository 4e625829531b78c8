"""Which host keys are trusted, and where that is written down.

Three places, the first that knows the host decides: ``HOMEPORT_HOST_KEY``, Homeport's own pins
(``~/.config/homeport/known_hosts``), the user's own known_hosts of OpenSSH.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

VARIABLE = "HOMEPORT_HOST_KEY"


@dataclass(frozen=True)
class HostKey:
    """A host's public key, as in ``ssh-ed25519 AAAA…``."""

    kind: str
    data: str

    @property
    def fingerprint(self) -> str:
        """``SHA256:…`` as ``ssh-keygen -l`` prints it."""
        digest = hashlib.sha256(base64.b64decode(self.data)).digest()
        return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")

    def text(self) -> str:
        """``ssh-ed25519 AAAA…``."""
        return f"{self.kind} {self.data}"


def read_key(text: str) -> HostKey:
    """The key in ``ssh-ed25519 AAAA… [comment]``; raises ValueError if there is none."""
    words = text.split()
    for kind, data in zip(words, words[1:]):
        if kind.startswith(("ssh-", "ecdsa-")):
            try:
                base64.b64decode(data, validate=True)
            except binascii.Error:
                break
            return HostKey(kind, data)
    raise ValueError("not a public key: write it as in ssh_host_ed25519_key.pub")


def lookup_name(address: str, port: int) -> str:
    """The name of a host in a known_hosts file: ``pi.local``, or ``[pi.local]:2222``."""
    return address if port == 22 else f"[{address}]:{port}"


def pins() -> Path:
    """Homeport's own known_hosts."""
    home = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    return Path(home) / "homeport" / "known_hosts"


def places() -> tuple[Path, ...]:
    """The known_hosts files, in the order in which they decide."""
    return (
        pins(),
        Path(os.path.expanduser("~/.ssh/known_hosts")),
        Path("/etc/ssh/ssh_known_hosts"),
    )


def from_environment() -> tuple[HostKey, ...]:
    """The keys in ``HOMEPORT_HOST_KEY``, one a line; raises ValueError for anything else."""
    lines = os.environ.get(VARIABLE, "").strip().splitlines()
    return tuple(read_key(line) for line in lines if line.strip())


def pin(name: str, key: HostKey) -> Path:
    """Writes down that ``name`` has ``key``, in place of what was pinned for it before."""
    path = pins()
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    kept = []
    if path.exists():
        kept = [line for line in path.read_text().splitlines() if line.split()[:1] != [name]]
    handle, beside = tempfile.mkstemp(dir=path.parent)
    with os.fdopen(handle, "w") as out:
        out.write("\n".join([*kept, f"{name} {key.text()}"]) + "\n")
    os.replace(beside, path)
    return path
