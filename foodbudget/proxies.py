"""Proxies: whose word is taken for where a request came from, and how."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from werkzeug.middleware.proxy_fix import ProxyFix

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Proxies:
    """Takes the `X-Forwarded-*` headers of the proxies before the app, and of nobody else.

    Over a unix socket the one who speaks is the edge: the socket is in a folder that only it
    mounts. Over TCP it is whoever reached the port, hence the list.

    Args:
        app: the application behind it.
        hops: how many proxies stand one behind the other; 0 takes nobody's word.
        networks: where the last of them connects from, over TCP.
    """

    def __init__(self, app: WSGIApplication, hops: int, networks: Sequence[Network]) -> None:
        self._bare = app
        self._told = ProxyFix(app, x_for=hops, x_proto=hops)
        self._hops = hops
        self._networks = networks

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        app: Any = self._told if self._hops and self._trusted(environ) else self._bare
        return app(environ, start_response)  # type: ignore[no-any-return]

    def _trusted(self, environ: WSGIEnvironment) -> bool:
        peer = environ.get("REMOTE_ADDR")
        if peer == "":
            # gunicorn's way to say that it is a unix socket
            return True
        try:
            address = ipaddress.ip_address(str(peer))
        except ValueError:
            return False
        mapped = getattr(address, "ipv4_mapped", None) or address
        return any(mapped in network for network in self._networks)
