"""What one run has in its hands: the app's files, the Engine, the edge, and somebody to tell."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any, Callable, Mapping

from homeport.core.edge import Wanted
from homeport.core.facts import Facts
from homeport.core.render import Rendered
from homeport.errors import HostFault, NoSuchRelease, Problem
from homeport.host import look
from homeport.host.edge import Edge
from homeport.host.engine import Engine
from homeport.host.paths import Paths
from homeport.host.store import Store
from homeport.model import Release, Request

Tell = Callable[[Mapping[str, Any]], None]


@dataclass
class Context:
    """A run's hands. ``wanted``, ``rendered`` and ``fresh`` are what its plan was made from."""

    paths: Paths
    engine: Engine
    request: Request
    run: str
    tell: Tell
    store: Store = field(init=False)
    edge: Edge = field(init=False)
    rendered: Rendered = Rendered()
    wanted: Wanted = Wanted()
    fresh: Release | None = None
    env: str = field(default="", repr=False)
    figures: dict[str, Any] = field(default_factory=dict)
    began: float = field(default_factory=time.time)

    def __post_init__(self) -> None:
        self.store = Store(self.paths)
        self.edge = Edge(self.paths, self.engine)

    def facts(self) -> Facts:
        """A fresh look at the host."""
        known = look.facts(self.paths, self.engine, self.store, self.edge)
        return look.named(known, self.engine, self.rendered)

    def release(self, name: str) -> Release:
        """The release by id: the one being made, or one on the disk."""
        if self.fresh is not None and self.fresh.id == name:
            return self.fresh
        for one in self.store.releases():
            if one.id == name:
                return one
        raise NoSuchRelease(Problem(f"there is no release {name}", "host", "", "homeport history"))

    def containers(self, slot: str) -> list[dict[str, Any]]:
        """The containers of a slot as Docker lists them."""
        return self.engine.containers(f"{look.APP}={self.paths.app}", f"{look.SLOT}={slot}")

    def notice(self, text: str) -> None:
        """Tell a person something."""
        self.tell({"e": "notice", "text": text})

    def progress(self, step: str, text: str, done: int = 0, total: int = 0) -> None:
        """Tell how far a long step is."""
        self.tell({"e": "progress", "id": step, "text": text, "done": done, "total": total})

    def journal(self, kind: str, **fields: Any) -> None:
        """Add a record of this run to the journal."""
        self.store.append(self.record(kind, **fields))

    def record(self, kind: str, **fields: Any) -> dict[str, Any]:
        """A record of this run, not yet written."""
        return {"k": kind, "run": self.run, **fields}


def until(condition: Callable[[], bool], within: float, what: str, pause: float = 0.05) -> None:
    """Wait for a condition; raises HostFault naming ``what`` when the time is over."""
    end = time.monotonic() + within
    while not condition():
        if time.monotonic() >= end:
            raise HostFault(Problem(f"{what} within {within:g} s", "host", "", "docker ps -a"))
        time.sleep(pause)
