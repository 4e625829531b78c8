"""``homeport edge`` and ``homeport maintenance``: the proxy in front of every app of a host."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any, Callable, Mapping

from homeport.control import report
from homeport.control.changing import carry_out
from homeport.control.context import Context
from homeport.control.reading import show
from homeport.core.maintenance import LONGEST
from homeport.errors import UsageError

TRUST = """\
Trust this certificate only on devices of your own. Whoever has the key of it, which never leaves
the host (/opt/homeport/edge/data), can pretend to be any site to those devices.
Compare on each device:  SHA-256 {sha256}

save it, and bring it to the device:  homeport edge ca > homeport-ca.crt
  iPhone, iPad   open the file, then Settings > General > VPN & Device Management > install it, and
                 Settings > General > About > Certificate Trust Settings > switch it on
  Android        Settings > Security > More > Encryption & credentials > Install a certificate >
                 CA certificate. Some apps trust only what came with the phone; browsers do trust it
  Windows        certutil -addstore -f Root homeport-ca.crt   (as administrator)
  macOS          sudo security add-trusted-cert -d -r trustRoot \\
                   -k /Library/Keychains/System.keychain homeport-ca.crt
  Debian, Ubuntu sudo cp homeport-ca.crt /usr/local/share/ca-certificates/ && \\
                   sudo update-ca-certificates
  Firefox        Settings > Privacy & Security > Certificates > View > Authorities > Import
"""


def edge(context: Context) -> int:
    """Shows the edge, its authority, or changes it."""
    action = str(context.options.action)
    if action in ("apply", "upgrade"):
        return carry_out(context, context.request(f"edge-{action}"))
    form = report.edge if action == "status" else _certificate
    return show(context, context.request(f"edge-{action}"), form)


def _certificate(data: Mapping[str, Any]) -> str:
    """The certificate for stdout; how to trust it goes to stderr."""
    print(TRUST.format(sha256=data.get("sha256", "?")), file=sys.stderr)
    return str(data.get("pem", "")).strip()


def maintenance(context: Context) -> int:
    """Puts the maintenance page up, or takes it down."""
    minutes, state = context.options.minutes or 0, str(context.options.state)
    if not 0 <= minutes <= LONGEST or (minutes and state == "off"):
        raise UsageError.of(
            "--minutes says how long it will take", mend="maintenance on --minutes 30"
        )
    request = replace(context.request(f"maintenance-{state}"), minutes=minutes)
    return carry_out(context, request)


VERBS: Mapping[str, Callable[[Context], int]] = {"edge": edge, "maintenance": maintenance}
