"""What single files of a host say: a text, the kernel's memory, the mount below a path."""

from __future__ import annotations

from pathlib import Path


def text(path: Path, strip: bool = True) -> str:
    """What a file says, or nothing where it cannot be read."""
    try:
        found = path.read_text("utf-8", "replace")
    except OSError:
        return ""
    return found.strip() if strip else found


def memory(root: Path) -> dict[str, int]:
    """``/proc/meminfo`` below a root, in bytes."""
    found = {}
    for line in text(root / "proc/meminfo").splitlines():
        name, _, rest = line.partition(":")
        words = rest.split()
        if words and words[0].isdigit():
            found[name] = int(words[0]) * 1024
    return found


def mount(root: Path, folder: str) -> tuple[str, list[str], list[str]]:
    """The mount point of the filesystem below a path, and both halves of its line in mountinfo.

    proc(5): the left half ends before " - "; nothing where no line fits.
    """
    best: tuple[str, list[str], list[str]] = ("", [], [])
    for line in text(root / "proc/self/mountinfo").splitlines():
        left, _, right = line.partition(" - ")
        words, what = left.split(), right.split()
        if len(words) < 6 or len(what) < 3:
            continue
        point = words[4].replace("\\040", " ")
        inside = folder == point or folder.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best[0]):
            best = (point, words, what)
    return best
