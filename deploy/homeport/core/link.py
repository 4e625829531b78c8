"""The link: one line that says where the edge dials for an app. Writing it is the commit."""

from __future__ import annotations

import re
from typing import Literal

from homeport.model import Web

#: where the edge and the slots see the folder of sockets
RUN = "/run/homeport"
SOCKET = "app.sock"
STANDBY = "standby"

Kind = Literal["release", "hold", "missing", "garbage"]


def address(app: str, slot: str, web: Web) -> str:
    """The dial address of a slot: its socket, or its web container by name where it has a port."""
    if web.port is None:
        return f"unix/{RUN}/{app}/{slot}/{SOCKET}"
    return f"{web_container(app, slot, web.service)}:{web.port}"


def web_container(app: str, slot: str, service: str) -> str:
    """The name Compose gives the one container of a service in a slot."""
    return f"{app}-{slot}-{service}-1"


def hold(app: str) -> str:
    """The address nobody ever listens on: requests wait while the link names it."""
    return f"unix/{RUN}/{app}/hold.sock"


def read(app: str, text: str | None) -> tuple[Kind, str]:
    """What a link says: its kind, and the slot (``r0042``) where it names one."""
    if text is None:
        return "missing", ""
    text = text.strip()
    if text == hold(app):
        return "hold", ""
    name = re.escape(app)
    socket = re.fullmatch(rf"unix/{RUN}/{name}/(r\d{{4,}})/{re.escape(SOCKET)}", text)
    by_name = re.fullmatch(rf"{name}-(r\d{{4,}})-[A-Za-z0-9._-]+-1:\d{{1,5}}", text)
    found = socket or by_name
    return ("release", found.group(1)) if found else ("garbage", "")
