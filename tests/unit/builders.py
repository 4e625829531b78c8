"""Small builders of facts and releases, for the tables of the core's tests."""

from __future__ import annotations

import json
from typing import Any, Mapping

from homeport.core import journal, link
from homeport.core.facts import Facts
from homeport.model import Container, DeployRules, Mode, Release, Settings, Smoke, Web

APP = "shop"
HOLD = "unix//run/homeport/shop/hold.sock"


def settings(
    port: int | None = None, standby: bool = True, smoke: tuple[Smoke, ...] = (), **rules: Any
) -> Settings:
    """The settings of the app ``shop``; ``rules`` are those of [deploy]."""
    web = Web(port=port, standby=standby)
    return Settings(APP, web=web, deploy=DeployRules(**rules), smoke=smoke)


def release(
    number: int,
    mode: Mode = "single-writer",
    moving: tuple[str, ...] = ("web", "worker"),
    said: Settings | None = None,
    schema: str = "",
) -> Release:
    """Release 3 is ``r0003-3333333`` with the image ``reg/shop@sha256:3333333``."""
    said = said or settings()
    slot = f"r{number:04d}"
    mark = str(number % 10) * 7
    return Release(
        id=f"{slot}-{mark}",
        image=f"reg/shop@sha256:{mark}",
        digest=f"sha256:{mark}",
        fingerprint=f"print-{number}",
        link=link.address(APP, slot, said.web),
        mode=mode,
        web="web",
        moving=moving,
        created=float(number),
        settings=said,
        schema=schema,
        policies={name: "unless-stopped" for name in moving},
    )


def slot(
    one: Release, running: bool = True, pinned: bool = False, only: tuple[str, ...] = ()
) -> tuple[Container, ...]:
    """The containers of a release's slot, all alike; ``only`` names those that are there."""
    names = only or one.moving
    return tuple(
        Container(
            id=f"{one.slot}-{name}",
            name=f"{APP}-{one.slot}-{name}-1",
            service=name,
            slot=one.slot,
            running=running,
            policy="unless-stopped" if pinned else "no",
        )
        for name in names
    )


def line(kind: str, run: str = "a", at: float = 1.0, /, **rest: Any) -> str:
    """One line of a journal."""
    return json.dumps({"v": 1, "k": kind, "run": run, "t": at, **rest})


def history(*committed: Release) -> journal.History:
    """The history of deploys that all went well, one a release, in this order."""
    lines = []
    for one in committed:
        at = float(one.number)
        lines.append(line("begin", f"run-{one.slot}", at, verb="deploy", release=one.id))
        lines.append(line("done", f"run-{one.slot}", at, step="handover", committed=one.id))
        lines.append(line("done", f"run-{one.slot}", at, step="watch"))
        lines.append(line("end", f"run-{one.slot}", at, outcome="deployed"))
    return journal.fold(lines)


def facts(
    *releases: Release,
    live: Release | None = None,
    containers: tuple[Container, ...] = (),
    **rest: Any,
) -> Facts:
    """Facts about ``shop``: ``live`` has the link and ``current``; every release here served."""
    common: Mapping[str, Any] = {
        "app": APP,
        "releases": releases,
        "link": live.link if live else None,
        "current": live.id if live else "",
        "history": history(*(one for one in releases if one != live), *([live] if live else [])),
        "containers": containers,
        "images": frozenset(one.image for one in releases),
    }
    return Facts(**{**common, **rest})
