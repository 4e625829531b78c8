"""What is to be known of the edge: how it is, for whom it answers, and its own authority."""

from __future__ import annotations

import hashlib
import ssl
from typing import Any, Mapping

from homeport.core import tls
from homeport.core.edge import IMAGE, ports_of
from homeport.errors import Problem, Refused
from homeport.host import look
from homeport.host.context import Context
from homeport.host.paths import Paths


def status(ctx: Context) -> dict[str, Any]:
    """How the edge is, the sites of every app on it, and who must not be disturbed now."""
    edge, seen = ctx.edge.facts(), ctx.engine.inspect(ctx.paths.edge_name) or {}
    return {
        "version": edge.version,
        "running": edge.running,
        "since": (seen.get("State") or {}).get("StartedAt", ""),
        "memory": _memory(ctx) if edge.running else 0,
        "ports": list(edge.ports),
        "image": IMAGE,
        "current": edge.current,
        "outdated": edge.exists and bool(edge.pinned) and edge.image != edge.pinned,
        "sites": [site_of(ctx, app, site) for app, site in sorted(edge.sites.items())],
        "busy": ctx.edge.busy(),
    }


def _memory(ctx: Context) -> int:
    """The bytes that the edge has, without the files that it has read."""
    query = {"stream": "0", "one-shot": "1"}
    seen = ctx.engine.call("GET", f"/containers/{ctx.paths.edge_name}/stats", query=query)[
        "memory_stats"
    ]
    cache = seen.get("stats") or {}
    files = cache.get("inactive_file", cache.get("total_inactive_file", 0))
    return int(seen.get("usage") or 0) - int(files)


def site_of(ctx: Context, app: str, site: Mapping[str, Any]) -> dict[str, Any]:
    """Where the edge answers for an app, its certificates, and whether the page is up."""
    names = tls.names(site)
    return {
        "app": app,
        "names": names,
        "ports": list(ports_of(site)),
        "tls": site.get("tls", "off"),
        "certificates": [_certificate(ctx, name, site) for name in names] if tls.on(site) else [],
        "maintenance": Paths(app, ctx.paths.root).maintenance.exists(),
    }


def _certificate(ctx: Context, name: str, site: Mapping[str, Any]) -> dict[str, Any]:
    """The newest certificate for a name, as the edge keeps it; no end where there is none yet."""
    folder = ctx.paths.edge / "data" / "caddy" / "certificates"
    every = [
        one
        for one in folder.glob(f"*/{name}/{name}.crt")
        if (one.parent.parent.name == "local") == (site["tls"] == "internal")
    ]
    found = sorted(every, key=lambda one: one.stat().st_mtime)
    issuer = found[-1].parent.parent.name if found else ""
    return {
        "name": name,
        "issuer": issuer,
        "ends": tls.ends(look.text(found[-1])) if found else None,
    }


def authority(ctx: Context) -> dict[str, Any]:
    """The root certificate of the edge's own authority; raises Refused where it has none yet."""
    path = ctx.paths.edge / "data" / "caddy" / "pki" / "authorities" / "local" / "root.crt"
    pem = look.text(path, strip=False)
    if not pem:
        mend = 'tls = "internal" under [site] in homeport.toml, then homeport deploy'
        why = "no app on this host has a certificate from it"
        raise Refused(Problem("the edge has no authority of its own yet", "host", why, mend))
    digest = hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest().upper()
    return {"pem": pem, "sha256": ":".join(digest[at : at + 2] for at in range(0, 64, 2))}
