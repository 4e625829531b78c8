"""The agent as one small archive: the files of the package that a host needs, nothing else."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
from dataclasses import dataclass, field
from pathlib import Path

#: what both halves share, beside the agent's own folders
SHARED = ("__init__.py", "backups.py", "errors.py", "model.py", "planned.py", "wire.py")
FOLDERS = ("core", "host", "inside")
LIMIT = 512 * 1024


@dataclass(frozen=True)
class Bundle:
    """``hash`` names the content: 16 hex digits of the SHA-256 of the tar before compression."""

    hash: str
    tar: bytes = field(repr=False)

    def packed(self) -> bytes:
        """The gzipped tar, as it goes over the wire; raises ValueError above 512 KB."""
        packed = gzip.compress(self.tar, 9, mtime=0)
        if len(packed) > LIMIT:
            raise ValueError(f"the agent is {len(packed)} bytes packed, over {LIMIT}")
        return packed


def build(package: Path | None = None) -> Bundle:
    """The bundle of the ``homeport`` package in the folder ``package`` (default: this one's).

    The same files give the same bytes: paths sorted, no times, no owners.
    """
    root = package or Path(__file__).resolve().parent.parent
    paths = [root / name for name in SHARED]
    for folder in FOLDERS:
        paths.extend((root / folder).rglob("*.py"))
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for path in sorted(paths, key=lambda one: one.relative_to(root).as_posix()):
            content = path.read_bytes()
            entry = tarfile.TarInfo(f"homeport/{path.relative_to(root).as_posix()}")
            entry.size, entry.mode = len(content), 0o644
            tar.addfile(entry, io.BytesIO(content))
    raw = buffer.getvalue()
    return Bundle(hashlib.sha256(raw).hexdigest()[:16], raw)
