"""A PostgreSQL image with pgvector: the official one, or its like from Debian's packages."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable
from pathlib import Path

from lab import debootstrap, state
from lab.docker import ensure_engine
from lab.images import RECIPE, hub_answers
from lab.shell import docker

FILES = Path(__file__).parent / "database"
TAG, OFFICIAL = "homeport-lab/postgres:17", "pgvector/pgvector:pg17"
SUITE = "trixie"


def _recipe() -> str:
    parts = [Path(__file__), *sorted(FILES.iterdir())]
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in parts)).hexdigest()[:16]


def _has(tag: str, recipe: str = "") -> bool:
    """Whether an image is there, and made by that recipe where one is given."""
    show = '{{index .Config.Labels "' + RECIPE + '"}}'
    done = docker("image", "inspect", "--format", show, tag, check=False)
    return done.returncode == 0 and (not recipe or done.stdout.decode().strip() == recipe)


def ensure_database(talk: Callable[[str], None]) -> str:
    """Make sure that the image is on this machine's Docker.

    Args:
        talk: gets a line where it has to be made.

    Returns:
        Its tag.

    Raises:
        LabError: no engine, no package source, or the build failed; with its last lines.
    """
    ensure_engine(talk)
    recipe = _recipe()
    with state.lock("database"):
        if _has(TAG, recipe):
            return TAG
        talk(f"making {TAG}")
        label = ["--label", f"{RECIPE}={recipe}"]
        if hub_answers():
            with tempfile.TemporaryDirectory(prefix="homeport-lab-") as folder:
                file = Path(folder) / "adopt"
                file.write_text(f"FROM {OFFICIAL}\n", encoding="utf-8")
                docker("build", "-q", "-t", TAG, *label, "-f", str(file), folder, timeout=900)
            return TAG
        base = f"homeport-lab/base:{SUITE}"
        if not _has(base):
            debootstrap.make_base(SUITE, base, {}, talk)
        given = ["--build-arg", f"BASE={base}", "-f", str(FILES / "dockerfile")]
        docker("build", "-q", "-t", TAG, *given, *label, str(FILES), timeout=900)
        return TAG
