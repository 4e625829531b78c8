"""The other apps behind the edge: which of them a change of it would cost something right now."""

from __future__ import annotations

from pathlib import Path

from homeport.host.paths import Paths
from homeport.host.store import Lock, Store


def busy(paths: Paths, but: str = "") -> list[str]:
    """The apps that hold their requests or watch a release, each as a sentence."""
    found = []
    for folder in sorted((paths.home / "run").glob("*")):
        other = Paths(folder.name, paths.root)
        if other.app == but:
            continue
        if _holds(other.link):
            found.append(f"{other.app} holds its requests")
        elif _watches(other):
            found.append(f"{other.app} watches a release")
    return found


def _holds(link: Path) -> bool:
    """Whether a link says hold; one that is gone by now or garbage says nothing."""
    try:
        return link.read_text("utf-8", "replace").endswith("/hold.sock")
    except OSError:
        return False


def _watches(other: Paths) -> bool:
    """Whether a run of that app goes on and is in its watch."""
    if not Lock(other.lock).held():
        return False
    runs = Store(other).history().runs
    return bool(runs) and runs[-1].end is None and runs[-1].step == "watch" and not runs[-1].watched
