"""HTTPS at the edge, as literals: who gives a certificate to whom, and when one ends."""

from __future__ import annotations

from typing import Any

import pytest

from homeport.core import caddy, maintenance, tls
from homeport.core.link import RUN

INTERNAL = {"name": "Food.lan", "also": ["192.168.1.5"], "port": 443, "tls": "internal"}
ACME = {"name": "a.org", "port": 443, "tls": "acme", "acme_ca": "https://ca/d", "acme_root": "PEM"}
#: a certificate made for this table, 2026-11-25 22:00:00 to 2026-11-26 10:00:00 UTC
PEM = """\
-----BEGIN CERTIFICATE-----
%s
-----END CERTIFICATE-----
"""


def test_who_gives_certificates() -> None:
    """Each app has its own authority; the trust store of the container is left alone."""
    assert tls.apps({"plain": {"name": "x", "port": 80}}) == {}
    made = tls.apps({"work": ACME, "food": INTERNAL})
    assert made["tls"] == {
        "automation": {
            "policies": [
                {
                    "subjects": ["food.lan", "192.168.1.5"],
                    "issuers": [{"module": "internal", "lifetime": "720h"}],
                },
                {
                    "subjects": ["a.org"],
                    "issuers": [
                        {
                            "module": "acme",
                            "ca": "https://ca/d",
                            "trusted_roots_pem_files": ["/etc/homeport/roots/work.pem"],
                        }
                    ],
                },
            ],
            "renew_interval": "1m",
        },
        "certificates": {"automate": ["192.168.1.5", "a.org", "food.lan"]},
    }
    local = {"name": "Homeport", "install_trust": False, "intermediate_lifetime": "4320h"}
    assert made["pki"] == {"certificate_authorities": {"local": local}}


@pytest.mark.parametrize(
    ("names", "policies"),
    [
        (["a.lan"], [{}]),
        (["a.lan", "192.168.1.5"], [{"default_sni": "192.168.1.5"}]),
        (["a.lan", "10.0.0.2", "10.0.0.1"], [{"default_sni": "10.0.0.1"}]),
    ],
)
def test_who_asks_for_an_address_gets_its_certificate(
    names: list[str], policies: list[dict[str, str]]
) -> None:
    """Without a name in the handshake, the address is what was asked for."""
    assert tls.policies(names) == policies


def certificate(inside: bytes) -> str:
    """PEM with these bytes in it."""
    import base64

    return PEM % base64.b64encode(inside).decode()


TIMES = b"\x30\x1e\x17\x0d261125220000Z\x17\x0d261126100000Z"


@pytest.mark.parametrize(
    ("pem", "ends"),
    [
        (certificate(b"before" + TIMES + b"after"), 1795687200.0),
        (certificate(b"no times"), None),
        ("-----BEGIN CERTIFICATE-----\nA\n-----END CERTIFICATE-----", None),
        ("", None),
    ],
)
def test_when_a_certificate_ends(pem: str, ends: float | None) -> None:
    """The end that stands in it, and nothing where none can be read."""
    assert tls.ends(pem) == ends


def test_what_people_write_on_the_page_is_text() -> None:
    """A reason is shown as it was written: it is neither HTML nor a placeholder of the edge's."""
    said = maintenance.text('<script>alert("{env.HOME}")</script> & more')
    assert "<script>" not in said and "&lt;script&gt;" in said and "&amp; more" in said
    assert "working on it" in maintenance.text("") and "<p>" not in maintenance.text("")


@pytest.mark.parametrize("site", [{"name": "", "port": 80, "hold": 5}, {**INTERNAL, "hold": 5}])
def test_the_page_is_looked_for_before_the_release_is_asked(site: dict[str, Any]) -> None:
    """The route of the page comes first, for the same names, and looks for one file."""
    [server] = caddy.config({"shop": site}, "")["apps"]["http"]["servers"].values()
    page, release = server["routes"][:2]
    [match] = page["match"]
    assert match.pop("file") == {"root": f"{RUN}/shop", "try_files": ["/maintenance"]}
    assert [match] == release.get("match", [{}])
    assert page["handle"][0]["body"] == f"{{file.{RUN}/shop/maintenance}}"
