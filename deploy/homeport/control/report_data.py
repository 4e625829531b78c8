"""What the host says of saved data, as text for people."""

from __future__ import annotations

import time
from typing import Any, Mapping

from homeport.control.figures import ago, size


def backup(data: Any, now: float) -> str:
    """What ``status`` says of it, in a line."""
    if not isinstance(data, Mapping):
        return str(data or "not configured")  # an older agent
    if not data.get("configured"):
        return "not configured"
    newest = data.get("verified")
    words = ["NOTHING VERIFIED"]
    if newest:
        words = [f"verified, {ago(newest.get('at'), now)}, {size(newest.get('size'))}"]
    if data.get("schedule"):
        words.append(f"next {moment(data.get('next'), now)}")
    return "; ".join(words)


def moment(at: Any, now: float) -> str:
    """``03:30`` today and tomorrow, with its day later; ``when the host looks`` if it is due."""
    if not isinstance(at, (int, float)):
        return "unknown"
    if at <= now:
        return "within a quarter of an hour"
    form = "%H:%M" if at - now < 86400 else "%Y-%m-%d %H:%M"
    return time.strftime(form, time.localtime(at))


def sets(data: Mapping[str, Any], now: float | None = None) -> str:
    """A line a set, the newest first, with what is wrong with it; then what is wrong with all."""
    clock = time.time() if now is None else now
    lines = []
    for one in data.get("sets") or ():
        state = {"verified": "verified", "failed": "FAILED", "unverified": "not verified"}
        lines.append(
            f"{one['id']}  {ago(one.get('at'), clock):<13}{state.get(one['state'], '?'):<13}"
            f"{size(one.get('size')):>8}  {one.get('release', '')}"
        )
        schema = f"schema {one['schema']}; " if one.get("schema") else ""
        lines.append(f"    {schema}{one.get('why', '')}")
        lines.extend(f"    problem: {text}" for text in one.get("problems") or ())
        lines.extend(f"    missing: {text}" for text in one.get("missing") or ())
    if not lines:
        lines = ["No set yet: homeport backup now"]
    total = f"{data.get('count', 0)} sets, {size(data.get('size'))}"
    lines.append(f"\n{total}; backup: {backup(data, clock)}")
    for one in data.get("problems") or ():
        lines.append(f"\nwarning: {one.get('what')}")
        lines.extend(f"  {key}:  {one[key]}" for key in ("why",) if one.get(key))
        lines.extend(f"  {key}: {one[key]}" for key in ("mend",) if one.get(key))
    return "\n".join(lines)
