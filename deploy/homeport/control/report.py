"""The answers of the host as text for people, good to read on 80 columns."""

from __future__ import annotations

import time
from typing import Any, Mapping

#: how a release can be gone back to
WAYS = {
    "start": "rollback: its container is started again",
    "recreate": "rollback: made again from its image",
    "pull": "rollback: pulled again first",
    "no": "",
}


def status(data: Mapping[str, Any], now: float | None = None) -> str:
    """What serves, how it is, what it stands on, and what needs a person."""
    moment = time.time() if now is None else now
    live = data.get("release") or ""
    lines = [f"{data.get('app')}: nothing is live yet; homeport deploy"]
    if live:
        good = "healthy" if data.get("healthy") else "NOT HEALTHY"
        lines = [
            f"{data.get('app')}: {live} serves, {good}, since {ago(data.get('since'), moment)}"
        ]
        for name in ("site", "mode", "image", "digest", "link"):
            if data.get(name):
                lines.append(f"  {name:<8}{data[name]}")
    frozen = data.get("frozen")
    if frozen:
        lines[1:1] = _frozen(frozen, moment)
    for one in data.get("services") or ():
        health = f", {one['health']}" if one.get("health") else ""
        restarts = f", restarted {one['restarts']}×" if one.get("restarts") else ""
        lines.append(f"  {one.get('name', ''):<8}{one.get('state', '')}{health}{restarts}")
    lines.extend(_releases(data, live, moment))
    lines.extend(_ground(data))
    running = data.get("running") or {}
    if running:
        lines.append(f"\nrunning now: {running.get('verb', 'run')} {running.get('run', '')}")
    for run in data.get("unfinished") or ():
        lines.append(f"\nunfinished: run {run}\n  mend: homeport recover")
    for warning in data.get("warnings") or ():
        lines.append(f"\nwarning: {warning}")
    return "\n".join(lines)


def _frozen(frozen: Mapping[str, Any], now: float) -> list[str]:
    why = f": {frozen['why']}" if frozen.get("why") else ""
    url = [f"  {'':<8}{frozen['url']}"] if frozen.get("url") else []
    return [
        f"  FROZEN  {ago(frozen.get('at'), now)} by {frozen.get('who') or '?'}{why}",
        *url,
        "          no deploy until: homeport unfreeze",
    ]


def _releases(data: Mapping[str, Any], live: str, now: float) -> list[str]:
    releases = data.get("releases") or []
    lines = ["\nreleases"] if releases else []
    for one in releases:
        way = WAYS.get(str(one.get("can_roll_back")), "")
        if one.get("taken_back"):
            way = "was taken back"
        elif not one.get("served"):
            way = "never served"
        mark, note = ("*", "live") if one.get("id") == live else (" ", way)
        lines.append(f"{mark} {one.get('id', ''):<16}{ago(one.get('created'), now):<16}{note}")
    return lines


def _ground(data: Mapping[str, Any]) -> list[str]:
    host, edge = data.get("host") or {}, data.get("edge") or {}
    runs = "running" if edge.get("running") else "not running"
    return [
        f"\nhost      Docker {host.get('docker') or '?'}, Compose {host.get('compose') or '?'}",
        f"          {size(host.get('disk_free'))} of disk and "
        f"{size(host.get('mem_available'))} of memory free",
        f"edge      Caddy {edge.get('version') or '?'}, {runs}",
        f"backup    {data.get('backup') or 'not configured'}",
    ]


def history(data: list[Mapping[str, Any]]) -> str:
    """A line a run, and below it who asked and why."""
    lines = []
    for run in data:
        at = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(run.get("at") or 0))
        seconds = f"{run['seconds']:.1f} s" if run.get("seconds") is not None else ""
        word = run.get("outcome") or "unfinished"
        lines.append(
            f"{at}  {run.get('verb', ''):<9}{run.get('release') or '-':<15} {word} {seconds}"
        )
        held = f", held {run['held_seconds']:.1f} s" if run.get("held_seconds") else ""
        why = f": {run['why']}" if run.get("why") else ""
        lines.append(f"    {run.get('run', '')}{held}  {run.get('who', '')}{why}")
        if run.get("code"):
            lines.append(f"    {run.get('sentence', '')}")
    return "\n".join(lines) or "No run yet."


def plan(data: Mapping[str, Any]) -> str:
    """The plan's own text, and what would be refused."""
    lines = [str(data.get("text", ""))]
    for one in data.get("problems") or ():
        where = f"{one['where']}: " if one.get("where") else ""
        lines.append(f"\nrefused: {where}{one.get('what', '')}")
        lines.extend(f"  {key}: {one[key]}" for key in ("why", "mend") if one.get(key))
    return "\n".join(lines)


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
