"""What the keys of [site] mean for each other, and the certificate that one of them names."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Mapping

from homeport.core import tls
from homeport.errors import Problem, SettingsError
from homeport.model import Settings

#: endings of names that no public authority gives a certificate for
PRIVATE = (".local", ".lan", ".internal", ".home.arpa", ".test", ".localhost")
_ACME = ("email", "acme_ca", "acme_root")


def problems(site: Mapping[str, Any], name: str) -> list[Problem]:
    """What is wrong with the section as a whole; ``name`` is the file's."""
    where, found = f"{name}: [site]", []
    mode, called = site.get("tls", "off"), [site.get("name", ""), *site.get("also", ())]
    if "name" not in site and mode != "off":
        what = "HTTPS needs the name that people type, which may be an IP address"
        found.append(Problem(what, where, mend='name = "food.lan", or name = "192.168.1.5"'))
    if "name" not in site and "also" in site:
        found.append(Problem("also needs a name", where, mend="call one of them name"))
    if {"name", "port"} <= site.keys() and mode == "off":
        found.append(Problem("name and port exclude each other", where, mend="keep one of them"))
    if "port" in site and mode == "acme":
        why = "the authority asks on ports 80 and 443"
        found.append(Problem("acme and port exclude each other", where, why, "take port away"))
    if mode != "acme":
        found += [
            Problem("it is for acme alone", f"{where} {key}", mend='tls = "acme", or take it away')
            for key in _ACME
            if key in site
        ]
    if mode == "acme" and "acme_ca" not in site:
        mend = 'tls = "internal", or an acme_ca of your own'
        found += [
            Problem(f"no public authority gives a certificate for {one}", where, mend=mend)
            for one in called
            if one and (tls.is_address(one) or "." not in one or one.endswith(PRIVATE))
        ]
    if sum(tls.is_address(one) for one in called) > 1:
        why = "who asks for an address does not say which, so one certificate is all there is"
        found.append(Problem("only one name may be an IP address", where, why, "keep one"))
    return found


def with_root(settings: Settings, path: Path) -> Settings:
    """The settings with the certificate that ``acme_root`` names in place of its path.

    The path is relative to homeport.toml. Raises SettingsError where there is no certificate.
    """
    if not settings.site.acme_root:
        return settings
    where, file = f"{path.name}: [site] acme_root", path.parent / settings.site.acme_root
    try:
        text = file.read_text("ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError.of("it cannot be read", where, str(error), "correct the path") from None
    if "-----BEGIN CERTIFICATE-----" not in text:
        mend = "a file in PEM: -----BEGIN CERTIFICATE-----"
        raise SettingsError.of("that is no certificate", where, str(file), mend)
    return replace(settings, site=replace(settings.site, acme_root=text))
