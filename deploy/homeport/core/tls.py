"""HTTPS at the edge: which names get a certificate, from whom, and when one ends.

Everything is said explicitly. Caddy's automatic HTTPS would open listeners nobody asked for.
"""

from __future__ import annotations

import base64
import calendar
import ipaddress
import re
from typing import Any, Mapping

Site = Mapping[str, Any]
#: where the edge sees the root certificates of ACME servers, one file an app
ROOTS = "/etc/homeport/roots"
#: what people read in the list of authorities that they trust
AUTHORITY = "Homeport"
#: two times of UTC in a row, as an X.509 certificate holds them until 2049
_VALIDITY = re.compile(rb"\x30\x1e\x17\x0d\d{12}Z\x17\x0d" + rb"(\d\d)" * 6 + b"Z")


def names(site: Site) -> list[str]:
    """Every name that the edge answers to for a site, the first the main one."""
    return [str(one).lower() for one in (site["name"], *site.get("also", ())) if one]


def on(site: Site) -> bool:
    """Whether the site is answered over HTTPS."""
    return bool(site.get("tls", "off") != "off")


def is_address(name: str) -> bool:
    """Whether a name is an IP address."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def apps(sites: Mapping[str, Site]) -> dict[str, Any]:
    """The parts of Caddy's configuration that get certificates; none where no site wants one."""
    wanting = {app: site for app, site in sorted(sites.items()) if on(site)}
    if not wanting:
        return {}
    policies = [
        {"subjects": names(site), "issuers": [_issuer(app, site)]} for app, site in wanting.items()
    ]
    subjects = sorted({name for site in wanting.values() for name in names(site)})
    local = {"name": AUTHORITY, "install_trust": False, "intermediate_lifetime": "4320h"}
    return {
        "tls": {
            "automation": {"policies": policies, "renew_interval": "1m"},
            "certificates": {"automate": subjects},
        },
        "pki": {"certificate_authorities": {"local": local}},
    }


def _issuer(app: str, site: Site) -> dict[str, Any]:
    if site["tls"] == "internal":
        # Caddy's own 12 hours are over when a board without a clock comes back after a night
        return {"module": "internal", "lifetime": "720h"}
    issuer: dict[str, Any] = {"module": "acme"}
    if site.get("email"):
        issuer["email"] = site["email"]
    if site.get("acme_ca"):
        issuer["ca"] = site["acme_ca"]
    if site.get("acme_root"):
        issuer["trusted_roots_pem_files"] = [f"{ROOTS}/{app}.pem"]
    return issuer


def policies(subjects: list[str]) -> list[dict[str, Any]]:
    """How a port speaks TLS. Who asks for an IP address names nobody, and gets its certificate."""
    addresses = sorted(name for name in subjects if is_address(name))
    return [{"default_sni": addresses[0]}] if addresses else [{}]


def ends(pem: str) -> float | None:
    """The instant at which the first certificate of a PEM file ends; None where it has none."""
    found = re.search(r"-----BEGIN CERTIFICATE-----(.*?)-----END", pem, re.DOTALL)
    try:
        times = _VALIDITY.search(base64.b64decode(found.group(1))) if found else None
    except ValueError:
        return None
    if times is None:
        return None
    year, *rest = (int(one) for one in times.groups())
    return float(calendar.timegm((2000 + year, *rest)))
