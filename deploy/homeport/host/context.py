"""What one run has in its hands: the app's files, the Engine, the edge, and somebody to tell."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Callable, Mapping

from homeport.core import envfile, tails
from homeport.core.edge import Wanted
from homeport.core.facts import Facts
from homeport.core.render import Rendered
from homeport.core.verdicts import Count
from homeport.errors import HostFault, NoSuchRelease, Problem
from homeport.host import look, stop as stops
from homeport.host.begun import Begun
from homeport.host.edge import Edge
from homeport.host.engine import Engine
from homeport.host.paths import Paths
from homeport.host.store import Store
from homeport.model import Release, Request
from homeport.planned import Plan

if TYPE_CHECKING:
    from homeport.host.postgres_client import Client

#: fields of events that may hold an app's own words; lines of its log are asked for by name
_SAID = ("text", "note", "bad", "smoke")

Tell = Callable[[Mapping[str, Any]], None]


@dataclass(frozen=True)
class Asking:
    """A release whose schema is being asked, and what its migration said."""

    release: Release
    begun: Begun
    said: str


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
    #: whether somebody asked the run to stop
    stop: stops.Stop = field(init=False)
    rendered: Rendered = Rendered()
    wanted: Wanted = Wanted()
    fresh: Release | None = None
    #: what is still to be done once the app's lock is free, where no other run need wait for it
    away: Plan | None = None
    env: str = field(default="", repr=False)
    figures: dict[str, Any] = field(default_factory=dict)
    #: what the edge had counted for the app's site at the run's begin and at its handover
    answers: dict[str, Count] = field(default_factory=dict)
    #: why what served when the run began was not well itself; empty where it was
    sick: str = ""
    began: float = field(default_factory=time.time)
    #: called before and after each step where a test has told the run to die; plan, step, moment
    plug: Callable[[str, str, str], None] | None = None
    #: the same by a clock that does not jump: what a run took is measured by it
    started: float = field(default_factory=time.monotonic)
    #: containers that one-shot ones are made like, by release and service
    likes: dict[tuple[str, str], Mapping[str, Any]] = field(default_factory=dict)
    #: whose schema is being asked while its containers start
    asking: Asking | None = None
    #: whether a container with a database's own programs is kept for the next set, and that one
    keeps: bool = False
    client: Client | None = None

    def __post_init__(self) -> None:
        self.store = Store(self.paths)
        self.edge = Edge(self.paths, self.engine)
        self.stop = stops.Stop(stops.path(self.paths, self.run))
        raw = self.tell
        self.tell = lambda event: raw(self._clean(event))

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

    def count(self, moment: str) -> None:
        """Note what the edge has counted up to now, where it can be asked."""
        settings = self.fresh.settings if self.fresh else self.request.settings
        found = self.edge.answers(self.edge.site(settings)) if settings else None
        if found is not None:
            self.answers[moment] = found

    def masked(self, text: str) -> str:
        """``text`` without the values of the app's secrets, whichever release has them.

        Before anything is cut from it: a part of a secret would not be found any more.
        """
        return tails.masked(text, self._secrets)

    @cached_property
    def _secrets(self) -> tuple[str, ...]:
        releases = self.store.releases()
        files = (*map(self.store.env_file, releases), self.paths.settings_env)
        files = (*files, self.paths.restic_env)
        texts = (self.request.opens, *(look.text(path, strip=False) for path in files))
        known = [one for text in texts for one in envfile.values(text)]
        asked = [one.settings for one in releases]
        asked += [self.request.settings] if self.request.settings else []
        return tails.private(known, (name for one in asked for name in one.secrets))

    def learn_secrets(self) -> None:
        """Look again what must not be told, after a file with secrets was written."""
        self.__dict__.pop("_secrets", None)

    def _clean(self, event: Mapping[str, Any]) -> dict[str, Any]:
        """An event without secrets in what people are to read of it."""
        said: dict[str, Any] = {
            key: self.masked(event[key]) for key in _SAID if isinstance(event.get(key), str)
        }
        if event.get("notices"):
            said["notices"] = [self.masked(str(one)) for one in event["notices"]]
        return {**event, **said}

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
