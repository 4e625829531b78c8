"""The edge's configuration as Caddy reads it, and the pages that it answers by itself.

One route a site, each dialling what the app's link file says at that very moment. JSON, not a
Caddyfile: the Caddyfile adapter rewrites the dial.
"""

from __future__ import annotations

import re
from typing import Any, Mapping

from homeport.core import maintenance, tls
from homeport.core.edge import HEADER, HTTPS_PORT, NAMES_PORT, ports_of
from homeport.core.link import RUN
from homeport.core.verdicts import Count

#: requests up to this size survive a retry in memory; larger ones are streamed once
BUFFER = 64 * 1024
ADMIN = "unix//run/homeport-admin/admin.sock|0220"

_PAGE = """<!doctype html><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>%(title)s</title><style>body{font:1.1rem/1.5 system-ui;max-width:32rem;margin:20vh auto;\
padding:0 1rem;color:#333;background:#fafafa}</style><h1>%(title)s</h1><p>%(text)s</p>"""


#: the ranges of a network's addresses, and its gateways: what comes from outside may bear those
Ranges = tuple[list[str], list[str]]


def config(
    sites: Mapping[str, Mapping[str, Any]],
    secret: str,
    ranges: Mapping[str, Ranges] | None = None,
) -> dict[str, Any]:
    """Caddy's whole configuration for these sites; its admin wants ``secret`` as origin.

    ``ranges`` are those of networks, by which the shared services of an app are known.
    """
    inner = _inner(sites, ranges or {})
    ports = {port for site in sites.values() for port in ports_of(site)}
    servers = {f"port-{port}": _server(port, sites, inner) for port in sorted(ports | set(inner))}
    http = {"grace_period": "30s", "metrics": {"per_host": True}, "servers": servers}
    return {
        "admin": {"listen": ADMIN, "enforce_origin": True, "origins": [secret]},
        "logging": {"logs": {"default": {"level": "WARN"}}},
        "apps": {"http": http, **tls.apps(sites)},
    }


def _inner(
    sites: Mapping[str, Mapping[str, Any]], ranges: Mapping[str, Ranges]
) -> dict[int, list[dict[str, Any]]]:
    """By port: routes for shared services that ask for their app on its own network."""
    found: dict[int, list[dict[str, Any]]] = {}
    for app, site in sorted(sites.items()):
        asked = site.get("inner")
        if asked and ranges.get(str(asked["network"]), ([], []))[0]:
            routes = _routes(app, site, ranges[str(asked["network"])])
            found.setdefault(int(asked["port"]), []).extend(routes)
    return found


def _server(
    port: int, sites: Mapping[str, Mapping[str, Any]], inner: Mapping[int, list[dict[str, Any]]]
) -> dict[str, Any]:
    apps = [app for app in sorted(sites) if int(sites[app]["port"]) == port]
    named = [app for app in apps if sites[app]["name"]]
    bare = [app for app in apps if not sites[app]["name"]]
    turned = [sites[app] for app in sorted(sites) if sites[app].get("redirect") == port]
    routes = [*inner.get(port, ()), *(_turn(site) for site in turned)]
    routes += [route for app in (*named, *bare) for route in _routes(app, sites[app])]
    if not bare:
        routes.append(
            {"handle": [_answer(404, "no-such-site", "Nothing here", "No app has this name.")]}
        )
    server: dict[str, Any] = {
        "listen": [f":{port}"],
        "automatic_https": {"disable": True},
        "protocols": ["h1", "h2c"] if port == NAMES_PORT else ["h1"],
        "routes": routes,
        "errors": {"routes": _errors()},
    }
    if any(tls.on(sites[app]) for app in apps):
        called = [name for app in apps for name in tls.names(sites[app])]
        server |= {"protocols": ["h1", "h2"], "tls_connection_policies": tls.policies(called)}
    return server


def _turn(site: Mapping[str, Any]) -> dict[str, Any]:
    """HTTP turned to HTTPS: 308 keeps the method, and the path is kept here."""
    place = "" if site["port"] == HTTPS_PORT else f":{site['port']}"
    answer = {
        "handler": "static_response",
        "status_code": 308,
        "headers": {
            HEADER: ["to-https"],
            "Location": [f"https://{{http.request.host}}{place}{{http.request.uri}}"],
        },
    }
    return {"match": [{"host": tls.names(site)}], "handle": [answer], "terminal": True}


def _routes(
    app: str, site: Mapping[str, Any], within: Ranges | None = None
) -> list[dict[str, Any]]:
    """The maintenance page while its file is there, and else what the link names.

    ``within``: for who asks from these addresses, by whatever name. Whom such a one asks for is
    believed: it is the app's own.
    """
    folder = f"{RUN}/{app}"
    host: list[dict[str, Any]] = [{"host": tls.names(site)}] if site["name"] else []
    if within:
        outside = {"not": [{"remote_ip": {"ranges": within[1]}}]} if within[1] else {}
        host = [{"remote_ip": {"ranges": within[0]}, **outside}]
    there = {"file": {"root": folder, "try_files": [f"/{maintenance.PAGE}"]}}
    away = _answer(503, "maintenance", "", "")
    away["headers"]["Retry-After"] = [f"{{file.{folder}/{maintenance.UNTIL}}}"]
    away["body"] = f"{{file.{folder}/{maintenance.PAGE}}}"
    proxy: dict[str, Any] = {
        "handler": "reverse_proxy",
        "upstreams": [{"dial": f"{{file.{folder}/live}}"}],
        "load_balancing": {"try_duration": f"{site['hold']:g}s", "try_interval": "100ms"},
        "request_buffers": BUFFER,
        "transport": {
            "protocol": "http",
            # a reused connection could be the one the app is just closing
            "keep_alive": {"enabled": False},
            "dial_timeout": "3s",
        },
    }
    if within:
        proxy["trusted_proxies"] = within[0]
    routes: list[dict[str, Any]] = [
        {"match": [{**one, **there} for one in host or [{}]], "handle": [away]}
    ]
    routes.append({"handle": [proxy], "terminal": True, **({"match": host} if host else {})})
    return routes


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
        "body": page(title, text),
    }


def page(title: str, text: str) -> str:
    """A page of the edge's own, as HTML; ``text`` is HTML already."""
    return _PAGE % {"title": title, "text": text}


#: what the edge passed on: ``response`` where an answer came back, ``request`` in any case
_PASSED = re.compile(
    r'^caddy_http_(request|response)_duration_seconds_count\{code="(\d+)",'
    r'handler="reverse_proxy",host="([^"]*)",method="[^"]*",server="([^"]*)"\} (\S+)$',
    re.MULTILINE,
)


def counted(text: str, site: Mapping[str, Any], inner: int = 0) -> Count:
    """What became of the requests to ``site`` since the edge's last load of a configuration.

    ``text`` is what the edge's /metrics says, in Prometheus' exposition format. A 5xx that the edge
    made itself is in the first of the two counters only. ``inner`` is a port on which only its own
    shared services ask, by whatever name.
    """
    server, hosts = f"port-{site['port']}", tls.names(site) or ["_other"]
    asked, failed = {"request": 0, "response": 0}, {"request": 0, "response": 0}
    for kind, code, its_host, its_server, number in _PASSED.findall(text):
        if (its_server == server and its_host in hosts) or its_server == f"port-{inner}":
            asked[kind] += int(float(number))
            failed[kind] += int(float(number)) * (code[0] == "5")
    # a request that goes on has no answer yet, and one whose client left none at all
    cut = max(0, failed["request"] - failed["response"])
    return Count(asked["response"] + cut, failed["response"], cut)
