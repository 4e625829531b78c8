"""The edge's configuration, and whether a run has to change it.

One route a site, each dialling what the app's link file says at that very moment, so that a deploy
never changes the configuration. JSON, not a Caddyfile: the Caddyfile adapter rewrites the dial.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Mapping

from homeport.core.facts import EdgeFacts
from homeport.core.link import RUN
from homeport.model import Settings

IMAGE = "caddy:2.11.4"
LEAST = (2, 11, 4)
NAMES_PORT = 80
#: requests up to this size survive a retry in memory; larger ones are streamed once
BUFFER = 64 * 1024
ADMIN = "unix//run/homeport-admin/admin.sock|0220"
HEADER = "Homeport-Edge"

_PAGE = """<!doctype html><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>%(title)s</title><style>body{font:1.1rem/1.5 system-ui;max-width:32rem;margin:20vh auto;\
padding:0 1rem;color:#333;background:#fafafa}</style><h1>%(title)s</h1><p>%(text)s</p>"""


@dataclass(frozen=True)
class Wanted:
    """What a run has to do to the edge: nothing, ``create``, ``load`` or ``recreate``."""

    change: str = ""
    cause: str = ""
    ports: tuple[int, ...] = ()
    notices: tuple[str, ...] = ()
    sites: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    networks: tuple[str, ...] = ()


def site_of(settings: Settings, network: str) -> dict[str, Any]:
    """What the edge must know of an app. ``network`` is where its slots answer by name, if any."""
    return {
        "name": settings.site.name or "",
        "port": settings.site.port or NAMES_PORT,
        "hold": settings.deploy.hold,
        "network": network if settings.web.port is not None else "",
    }


def wanted(edge: EdgeFacts, app: str, site: Mapping[str, Any] | None) -> Wanted:
    """What must change at the edge so that it answers for ``app`` as ``site`` says (or no more)."""
    sites = {name: dict(one) for name, one in edge.sites.items() if name != app}
    if site is not None:
        sites[app] = dict(site)
    ports = tuple(sorted({int(one["port"]) for one in sites.values()}))
    networks = tuple(sorted({str(one["network"]) for one in sites.values() if one["network"]}))
    same = Wanted(ports=ports, sites=sites, networks=networks)
    where = _where(site)
    if not edge.exists:
        cause = f"no edge runs yet; {app} is to answer on {where}"
        return replace(same, change="create", cause=cause) if sites else same
    if edge.ports != ports:
        new = sorted(set(ports) - set(edge.ports))
        cause = f"port {new[0]} is new at the edge" if new else "a port is no longer used"
        gap = "the edge is recreated for its new ports: every app on it is away for about a second"
        return replace(same, change="recreate", cause=cause, notices=(gap,))
    if edge.sites.get(app) != sites.get(app):
        cause = f"{app} answers on {where}" if site else f"{app} is removed"
        gap = "the edge's configuration is loaded anew: WebSockets through it are cut"
        return replace(same, change="load", cause=cause, notices=(gap,))
    if not edge.running or set(networks) - set(edge.networks):
        return replace(same, change="start", cause="the edge is not as it was left")
    return same


def _where(site: Mapping[str, Any] | None) -> str:
    if site is None:
        return "nothing"
    return f"{site['name']}, port {site['port']}" if site["name"] else f"port {site['port']}"


def clash(edge: EdgeFacts, app: str, site: Mapping[str, Any]) -> str:
    """The other app that already answers where ``site`` wants to, or nothing."""
    for name, one in sorted(edge.sites.items()):
        if name != app and (one["port"], one["name"]) == (site["port"], site["name"]):
            return name
    return ""


def config(sites: Mapping[str, Mapping[str, Any]], secret: str) -> dict[str, Any]:
    """Caddy's whole configuration for these sites; its admin wants ``secret`` as origin."""
    ports: dict[int, list[str]] = {}
    for app in sorted(sites):
        ports.setdefault(int(sites[app]["port"]), []).append(app)
    servers = {f"port-{port}": _server(port, apps, sites) for port, apps in sorted(ports.items())}
    return {
        "admin": {"listen": ADMIN, "enforce_origin": True, "origins": [secret]},
        "logging": {"logs": {"default": {"level": "WARN"}}},
        "apps": {"http": {"grace_period": "30s", "servers": servers}},
    }


def _server(port: int, apps: list[str], sites: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    named = [app for app in apps if sites[app]["name"]]
    bare = [app for app in apps if not sites[app]["name"]]
    routes = [_route(app, sites[app]) for app in (*named, *bare)]
    if not bare:
        routes.append(
            {"handle": [_answer(404, "no-such-site", "Nothing here", "No app has this name.")]}
        )
    return {
        "listen": [f":{port}"],
        "automatic_https": {"disable": True},
        "protocols": ["h1", "h2c"] if port == NAMES_PORT else ["h1"],
        "routes": routes,
        "errors": {"routes": _errors()},
    }


def _route(app: str, site: Mapping[str, Any]) -> dict[str, Any]:
    proxy = {
        "handler": "reverse_proxy",
        "upstreams": [{"dial": f"{{file.{RUN}/{app}/live}}"}],
        "load_balancing": {"try_duration": f"{site['hold']:g}s", "try_interval": "100ms"},
        "request_buffers": BUFFER,
        "transport": {
            "protocol": "http",
            # a reused connection could be the one the app is just closing
            "keep_alive": {"enabled": False},
            "dial_timeout": "3s",
        },
    }
    route: dict[str, Any] = {"handle": [proxy], "terminal": True}
    if site["name"]:
        route["match"] = [{"host": [site["name"]]}]
    return route


def _errors() -> list[dict[str, Any]]:
    text = "It is being changed or mended. Please try again in a moment."
    waiting = _answer(503, "no-release", "One moment", text)
    waiting["headers"]["Retry-After"] = ["5"]
    broken = _answer("{http.error.status_code}", "proxy-error", "That did not work", text)
    match = [{"expression": "{http.error.status_code} in [502, 503, 504]"}]
    return [{"match": match, "handle": [waiting]}, {"handle": [broken]}]


def _answer(status: int | str, reason: str, title: str, text: str) -> dict[str, Any]:
    return {
        "handler": "static_response",
        "status_code": status,
        "headers": {
            HEADER: [reason],
            "Content-Type": ["text/html; charset=utf-8"],
            "Cache-Control": ["no-store"],
        },
        "body": _PAGE % {"title": title, "text": text},
    }
