"""The edge: for whom it answers, where, and whether a run has to change it.

One site an app, told to the edge once, so that a deploy never changes the configuration.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Mapping

from homeport.core import tls
from homeport.core.facts import EdgeFacts
from homeport.model import Settings

IMAGE = "caddy:2.11.4"
LEAST = (2, 11, 4)
NAMES_PORT, HTTPS_PORT = 80, 443
HEADER = "Homeport-Edge"
#: the changes that other apps would feel, and that wait for their holds and watches
FELT = ("load", "recreate")
CUT = (
    "the edge's configuration is loaded anew: WebSockets through it are cut, and so may be who"
    " connects in that moment"
)
#: what a request in flight gets to end when the edge is made anew, in seconds
LAST = 2
AWAY = (
    "the edge is made anew: every app on it is away for about a second, and a request in flight"
    f" has {LAST} s to end"
)


@dataclass(frozen=True)
class Wanted:
    """What a run has to do to the edge: nothing, ``create``, ``load`` or ``recreate``."""

    change: str = ""
    cause: str = ""
    ports: tuple[int, ...] = ()
    notices: tuple[str, ...] = ()
    sites: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    networks: tuple[str, ...] = ()


def site_of(
    settings: Settings, network: str, inner: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """What the edge must know of an app. ``network`` is where its slots answer by name, if any.

    ``inner`` is where its own shared services ask the edge for it: network, name and port.

    What is not asked for is left out: what was written before there was such a key stays equal.
    """
    site, safe = settings.site, settings.site.tls != "off"
    told: dict[str, Any] = {
        "name": site.name or "",
        "port": site.port or (HTTPS_PORT if safe else NAMES_PORT),
        "hold": settings.deploy.hold,
        "network": network if settings.web.port is not None else "",
    }
    if site.also:
        told["also"] = list(site.also)
    if inner:
        told["inner"] = dict(inner)
    if safe:
        kept = {key: getattr(site, key) for key in ("tls", "email", "acme_ca", "acme_root")}
        told |= {key: value for key, value in kept.items() if value}
        if not site.port:
            told["redirect"] = NAMES_PORT
    return told


def stays(edge: EdgeFacts, app: str, site: Mapping[str, Any]) -> dict[str, Any]:
    """The app's site as it is, on the network that ``site`` names.

    Where people reach an app is not a release's matter: going back to one moves no name.
    """
    return {**(edge.sites.get(app) or site), "network": site["network"]}


def joins(sites: Mapping[str, Mapping[str, Any]]) -> dict[str, list[str]]:
    """The networks that the edge joins, each with the names it is found by there."""
    found: dict[str, set[str]] = {}
    for site in sites.values():
        if site["network"]:
            found.setdefault(str(site["network"]), set())
        inner = site.get("inner")
        if inner:
            found.setdefault(str(inner["network"]), set()).add(str(inner["name"]))
    return {network: sorted(names) for network, names in sorted(found.items())}


def alone(sites: Mapping[str, Mapping[str, Any]], site: Mapping[str, Any]) -> int:
    """The port inside on which nobody but the site's own shared services ask; 0 for none."""
    port = int((site.get("inner") or {}).get("port", 0))
    every = [(*ports_of(one), (one.get("inner") or {}).get("port")) for one in sites.values()]
    return port if sum(port in ports for ports in every) == 1 else 0


def kept(
    sites: Mapping[str, Mapping[str, Any]], wanted: Mapping[str, Mapping[str, Any]]
) -> dict[str, list[str]]:
    """The networks of the apps that stay: up to its handover what serves is reached there."""
    return joins({app: site for app, site in sites.items() if app in wanted})


def ports_of(site: Mapping[str, Any]) -> tuple[int, ...]:
    """The ports of the host that a site takes."""
    return tuple(int(site[key]) for key in ("port", "redirect") if site.get(key))


def wanted(edge: EdgeFacts, app: str, site: Mapping[str, Any] | None) -> Wanted:
    """What must change at the edge so that it answers for ``app`` as ``site`` says (or no more)."""
    sites = {name: dict(one) for name, one in edge.sites.items() if name != app}
    if site is not None:
        sites[app] = dict(site)
    ports = tuple(sorted({port for one in sites.values() for port in ports_of(one)}))
    networks = tuple(sorted(joins(sites)))
    same = Wanted(ports=ports, sites=sites, networks=networks)
    where = _where(site)
    if not edge.exists:
        cause = f"no edge runs yet; {app} is to answer on {where}"
        return replace(same, change="create", cause=cause) if sites else same
    if edge.ports != ports:
        new = sorted(set(ports) - set(edge.ports))
        cause = f"port {new[0]} is new at the edge" if new else "a port is no longer used"
        return replace(same, change="recreate", cause=cause, notices=(AWAY,))
    if edge.sites.get(app) != sites.get(app):
        cause = f"{app} answers on {where}" if site else f"{app} is removed"
        return replace(same, change="load", cause=cause, notices=(CUT,))
    if not edge.running or set(networks) - set(edge.networks):
        return replace(same, change="start", cause="the edge is not as it was left")
    return same


def applied(edge: EdgeFacts, app: str, site: Mapping[str, Any] | None) -> Wanted:
    """As ``wanted``, and the configuration made anew where another Homeport wrote it."""
    found = wanted(edge, app, site)
    if found.change in ("", "start") and edge.exists and not edge.current:
        cause = "this Homeport configures the edge differently"
        return replace(found, change="load", cause=cause, notices=(CUT,))
    return found


def anew(planned: Wanted, edge: EdgeFacts, app: str) -> Wanted:
    """What was planned for ``app``, on the edge as it is by now.

    Between a plan and its step lie minutes, in which other apps come and go: their sites are
    theirs, whatever they were when the plan was made.
    """
    now = wanted(edge, app, planned.sites.get(app))
    if "create" in (planned.change, now.change):
        change = now.change or "start"
    else:
        change = max(planned.change, now.change, key=("", "start", "load", "recreate").index)
    return replace(now, change=change, cause=planned.cause)


def overtaken(planned: Wanted, now: Wanted, edge: EdgeFacts, app: str) -> str:
    """Why what was planned is not to be done any more, or nothing."""
    site = now.sites.get(app)
    other = clash(edge, app, site) if site else ""
    if other:
        return f"the app {other} answers there by now"
    if now.change == "recreate" != planned.change:
        return "another app changed it, and it would have to be made anew, which no plan announced"
    return ""


def upgraded(edge: EdgeFacts) -> Wanted:
    """What must change so that the edge runs the image that this Homeport asks for."""
    same = restored(edge)
    if not edge.exists or edge.image == edge.pinned:
        return replace(same, change="")
    cause = f"the edge was made from another image than this Homeport's {IMAGE}"
    return replace(same, change="recreate", cause=cause, notices=(AWAY,))


def restored(edge: EdgeFacts) -> Wanted:
    """The edge as its sites have it, brought back after it went away or was changed by half."""
    found = wanted(edge, "", None)
    # a change that died may have left it on other ports than its sites are on
    change = found.change if found.change == "recreate" else "start"
    change = change if edge.exists else "create"
    return replace(found, change=change, cause="the edge does not run", notices=())


def _where(site: Mapping[str, Any] | None) -> str:
    if site is None:
        return "nothing"
    return f"{site['name']}, port {site['port']}" if site["name"] else f"port {site['port']}"


def clash(edge: EdgeFacts, app: str, site: Mapping[str, Any]) -> str:
    """The other app that already answers where ``site`` wants to, or nothing.

    A port is shared by name, but speaks either HTTP or HTTPS.
    """
    mine = _places(site)
    for name, one in sorted(edge.sites.items()):
        theirs = {} if name == app else _places(one)
        speak = {port: safe for (port, _), safe in theirs.items()}
        if any(
            place in theirs or speak.get(place[0], safe) != safe for place, safe in mine.items()
        ):
            return name
    return ""


def addressed(edge: EdgeFacts, app: str, site: Mapping[str, Any]) -> str:
    """The other app with HTTPS for an IP address where ``site`` wants it as well, or nothing.

    Who asks for an address does not say which, so a port has one certificate for all of them.
    """
    if not (tls.on(site) and any(map(tls.is_address, tls.names(site)))):
        return ""
    others = ((name, one) for name, one in sorted(edge.sites.items()) if name != app)
    for name, one in others:
        if tls.on(one) and one["port"] == site["port"] and any(map(tls.is_address, tls.names(one))):
            return name
    return ""


def _places(site: Mapping[str, Any]) -> dict[tuple[int, str], bool]:
    """Each port and name that a site answers on, and whether it does so over HTTPS."""
    called = tls.names(site) or [""]
    places = {(int(site["port"]), name): tls.on(site) for name in called}
    return places | {(int(site["redirect"]), name): False for name in called if "redirect" in site}
