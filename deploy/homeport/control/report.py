"""The answers of the host as text for people, good to read on 80 columns."""

from __future__ import annotations

import time
from itertools import groupby
from typing import Any, Iterable, Mapping

from homeport.control import report_data
from homeport.control.figures import ago, size
from homeport.core.finding import Finding, State

#: how a release can be gone back to
WAYS = {
    "start": "rollback: its container is started again",
    "recreate": "rollback: made again from its image",
    "pull": "rollback: pulled again first",
    "no": "",
}

#: how a finding is marked
MARKS: Mapping[State, str] = {"ok": "✓", "warning": "!", "problem": "✗", "unknown": "?"}


def status(data: Mapping[str, Any], now: float | None = None) -> str:
    """What serves, how it is, what it stands on, and what needs a person."""
    moment = time.time() if now is None else now
    live = data.get("release") or ""
    lines = [f"{data.get('app')}: nothing is live yet; homeport deploy"]
    if data.get("unrecorded"):
        lines = [f"{data.get('app')}: {data['unrecorded']} has the link, but its record is gone"]
    if live:
        good = "healthy" if data.get("healthy") else "NOT HEALTHY"
        lines = [
            f"{data.get('app')}: {live} serves, {good}, since {ago(data.get('since'), moment)}"
        ]
        for name in ("site", "mode", "image", "digest", "link"):
            if data.get(name):
                lines.append(f"  {name:<8}{data[name]}")
    frozen, away = data.get("frozen"), data.get("maintenance")
    if frozen:
        lines[1:1] = _frozen(frozen, moment)
    if away:
        lines[1:1] = _away(away, moment)
    for one in data.get("services") or ():
        health = f", {one['health']}" if one.get("health") else ""
        restarts = f", restarted {one['restarts']}×" if one.get("restarts") else ""
        lines.append(f"  {one.get('name', ''):<8}{one.get('state', '')}{health}{restarts}")
    lines.extend(_releases(data, live, moment))
    lines.extend(_ground(data, moment))
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


def _away(page: Mapping[str, Any], now: float) -> list[str]:
    why = f": {page['why']}" if page.get("why") else ""
    return [
        f"  MAINTENANCE  {ago(page.get('at'), now)} by {page.get('who') or '?'}{why}",
        "          everybody gets that page until: homeport maintenance off",
    ]


def edge(data: Mapping[str, Any], now: float | None = None) -> str:
    """The edge, and a line a site."""
    moment = time.time() if now is None else now
    runs = f"runs since {data.get('since', '?')[:19]}" if data.get("running") else "DOES NOT RUN"
    lines = [f"edge: Caddy {data.get('version') or '?'}, {runs}, {size(data.get('memory'))}"]
    for site in data.get("sites") or ():
        where = ", ".join(site.get("names") or ()) or "every name"
        ports = ", ".join(str(port) for port in site.get("ports") or ())
        page = "  MAINTENANCE" if site.get("maintenance") else ""
        lines.append(f"  {site.get('app', ''):<12} {where}; port {ports}; tls {site['tls']}{page}")
        for one in site.get("certificates") or ():
            ends = one.get("ends")
            left = f"{(ends - moment) / 86400:.1f} days left" if ends else "none yet"
            lines.append(f"  {'':<12} certificate of {one['name']}: {one['issuer'] or '-'}, {left}")
    lines += [f"now: {sentence}" for sentence in data.get("busy") or ()]
    if not data.get("current", True):
        lines.append("\nwarning: another Homeport configured it\n  mend: homeport edge apply")
    if data.get("outdated"):
        lines.append(f"\nwarning: it is not {data.get('image')}\n  mend: homeport edge upgrade")
    return "\n".join(lines)


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


def _ground(data: Mapping[str, Any], now: float) -> list[str]:
    host, edge = data.get("host") or {}, data.get("edge") or {}
    runs = "running" if edge.get("running") else "not running"
    return [
        f"\nhost      Docker {host.get('docker') or '?'}, Compose {host.get('compose') or '?'}",
        f"          {size(host.get('disk_free'))} of disk and "
        f"{size(host.get('mem_available'))} of memory free",
        f"edge      Caddy {edge.get('version') or '?'}, {runs}",
        f"backup    {report_data.backup(data.get('backup'), now)}",
        *([f"off box   {data['offsite']}"] if data.get("offsite") else []),
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
        if run.get("put_back"):
            kept = ", ".join(run.get("sets") or ()) or "?"
            lines.append(f"    asked for the data of {run['put_back']}; saved before: {kept}")
        if run.get("code"):
            lines.append(f"    {run.get('sentence', '')}")
    return "\n".join(lines) or "No run yet."


def look(event: Mapping[str, Any]) -> str:
    """One look at what serves, in a line: good or bad, what it rests on, and who watches."""
    bad = event.get("bad") or event.get("smoke")
    state = f"NOT WELL: {bad}" if bad else "well"
    run = f"  (run {event['run']})" if event.get("run") else ""
    return f"{event.get('release', '')}  {state}  {event.get('text', '')}{run}"


def going_back(data: Mapping[str, Any]) -> str:
    """What putting a set back costs, and the steps that would do it."""
    lines = [str(one) for one in data.get("said") or ()]
    if not data.get("checked"):
        lines.append("nobody has checked that set yet: that is done first, before anybody waits")
    lines.append("")
    for one in data.get("steps") or ():
        lines.append(f"  {one.get('id', ''):<10}{one.get('cause', '')}")
    lines += [f"note: {one}" for one in data.get("notices") or ()]
    return "\n".join(lines)


def plan(data: Mapping[str, Any]) -> str:
    """The plan's own text, and what would be refused."""
    lines = [str(data.get("text", ""))]
    for one in data.get("problems") or ():
        where = f"{one['where']}: " if one.get("where") else ""
        lines.append(f"\nrefused: {where}{one.get('what', '')}")
        lines.extend(f"  {key}: {one[key]}" for key in ("why", "mend") if one.get(key))
    return "\n".join(lines)


def doctor(found: Iterable[Finding]) -> str:
    """A line a finding under its group, with why and what mends it below what is not well."""
    found, lines = list(found), []
    for group, members in groupby(found, lambda one: one.group):
        lines.append(group)
        for one in members:
            lines.append(f"  {MARKS[one.state]} {one.what}")
            if one.why:
                lines.append("      why:  " + one.why.replace("\n", "\n            "))
            if one.mend:
                lines.append(f"      mend: {one.mend}")
        lines.append("")
    counts = []
    for state in ("problem", "warning"):
        count = sum(one.state == state for one in found)
        counts += [f"{count} {state}{'s' if count > 1 else ''}"] if count else []
    sum_up = " and ".join(counts) or "Nothing is wrong"
    typed = " Commands with sudo or docker are typed on the host." if counts else ""
    lines.append(f"{sum_up}.{typed}")
    return "\n".join(lines)
