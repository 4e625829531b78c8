"""Instants and sizes in the words of people."""

from __future__ import annotations

from typing import Any


def ago(then: Any, now: float) -> str:
    """``3 min ago`` for an instant; ``unknown`` without one."""
    if not isinstance(then, (int, float)) or not then:
        return "unknown"
    seconds = max(0, int(now - then))
    for limit, unit, divisor in ((120, "s", 1), (7200, "min", 60), (172800, "h", 3600)):
        if seconds < limit:
            return f"{seconds // divisor} {unit} ago"
    return f"{seconds // 86400} days ago"


def size(count: Any) -> str:
    """``1.4 GB``; ``?`` where it is not known."""
    if not isinstance(count, (int, float)):
        return "?"
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"
