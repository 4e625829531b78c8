"""What was seen of a host, once, frozen. Plans are made from this and nothing else."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Mapping

from homeport.core import link as links
from homeport.core.journal import History
from homeport.model import Container, Release


@dataclass(frozen=True)
class EdgeFacts:
    """The edge: whether it runs, what it was told, and on which ports and networks it stands."""

    exists: bool = False
    running: bool = False
    version: str = ""
    ports: tuple[int, ...] = ()
    networks: tuple[str, ...] = ()
    #: app name → what the edge was told of its site
    sites: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class HostFacts:
    """The machine. Sizes in bytes; ``listeners`` maps a taken TCP port to who holds it."""

    docker: str = ""
    compose: str = ""
    arch: str = ""
    memory_limits: bool = True
    mem_available: int = 0
    disk_free: int = 0
    clock_synced: bool = True
    boot_hook: str = ""
    listeners: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Facts:
    """Everything a plan may rest on, about one app on one host."""

    app: str
    now: float = 0.0
    releases: tuple[Release, ...] = ()
    link: str | None = None
    current: str = ""
    history: History = History()
    containers: tuple[Container, ...] = ()
    images: frozenset[str] = frozenset()
    standby: tuple[str, ...] = ()
    #: releases whose secrets have changed since their containers were made
    stale: frozenset[str] = frozenset()
    #: containers of a Compose project of the app's name that are not Homeport's
    strangers: tuple[str, ...] = ()
    shared_running: str = ""
    networks: frozenset[str] = frozenset()
    volumes: frozenset[str] = frozenset()
    folders: frozenset[str] = frozenset()
    #: folders of declared data with files in them that still belong to the agent's own user
    ours: frozenset[str] = frozenset()
    #: folder of declared data → the kind of filesystem it lies on
    filesystems: Mapping[str, str] = field(default_factory=dict)
    edge: EdgeFacts = EdgeFacts()
    host: HostFacts = HostFacts()

    def release(self, name: str) -> Release | None:
        """The release by id, or by its number's slot (``r0042``)."""
        return next((one for one in self.releases if name in (one.id, one.slot)), None)

    @property
    def committed(self) -> Release | None:
        """The release that serves or is to serve: what the link says, else what was committed last.

        A link that names a release is the truth. A hold, a missing or a garbled link say nothing,
        so the journal's last commit counts, and after it the derived ``current``; neither does
        once the app was removed.
        """
        kind, slot = links.read(self.app, self.link)
        if kind == "release":
            found = self.release(slot)
            if found:
                return found
        if self.history.removed:
            return None
        return self.release(self.history.committed) or self.release(self.current)

    @property
    def served(self) -> tuple[Release, ...]:
        """Releases that were committed at some time and are still here, the latest served last."""
        found = [self.release(one) for one in self.history.served]
        known = [one for one in found if one is not None]
        live = self.committed
        if live and live not in known:
            known.append(live)
        return tuple(known)

    def slot(self, slot: str) -> tuple[Container, ...]:
        """The containers of one slot."""
        return tuple(one for one in self.containers if one.slot == slot)

    def kept(self, release: Release) -> bool:
        """Whether every moving service of the release still has its container."""
        names = {one.service for one in self.slot(release.slot)}
        return (
            bool(release.moving) and set(release.moving) <= names and release.id not in self.stale
        )

    def running(self, release: Release) -> bool:
        """Whether every moving service of the release runs."""
        names = {one.service for one in self.slot(release.slot) if one.running}
        return bool(release.moving) and set(release.moving) <= names
