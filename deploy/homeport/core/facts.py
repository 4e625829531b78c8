"""What was seen of a host, once, frozen. Plans are made from this and nothing else."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Mapping

from homeport.backups import Manifest, Verified
from homeport.core import link as links
from homeport.core.journal import History
from homeport.core.maintenance import Maintenance
from homeport.core.kept import Kept, Saving, State
from homeport.core.offsite import Offsite
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
    #: the image it was made from, and the one that this Homeport would make it from, by their ids
    image: str = ""
    pinned: str = ""
    #: whether its configuration is what this Homeport makes of its sites
    current: bool = True
    #: whether its configuration is there at all, which it starts with
    configured: bool = True
    #: a change of the edge was cut short
    leftover: bool = False


@dataclass(frozen=True)
class HostFacts:
    """The machine. Sizes in bytes; ``listeners`` maps a taken TCP port to who holds it.

    ``disk_free`` is where the app's folder lies, ``docker_free`` where images do.
    """

    docker: str = ""
    compose: str = ""
    arch: str = ""
    memory_limits: bool = True
    mem_available: int = 0
    disk_free: int = 0
    docker_root: str = "/var/lib/docker"
    docker_free: int = 0
    clock_synced: bool = True
    boot_hook: str = ""
    #: where a Raspberry Pi keeps its kernel's command line
    cmdline: str = "/boot/firmware/cmdline.txt"
    listeners: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Schema:
    """What the database has, and what it would have after the release's migration."""

    found: str
    wanted: str

    @property
    def pending(self) -> bool:
        """Whether there is something to migrate."""
        return self.found != self.wanted


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
    #: releases whose folder was deleted, and of which there is a spare
    lost: frozenset[str] = frozenset()
    standby: tuple[str, ...] = ()
    #: releases whose secrets have changed since their containers were made
    stale: frozenset[str] = frozenset()
    #: containers of a Compose project of the app's name that are not Homeport's
    strangers: tuple[str, ...] = ()
    #: folders that strangers write to beside their own compose file → where a slot looks for them
    left_behind: Mapping[str, str] = field(default_factory=dict)
    shared_running: str = ""
    networks: frozenset[str] = frozenset()
    volumes: frozenset[str] = frozenset()
    folders: frozenset[str] = frozenset()
    #: files and folders that the compose file needs and that are not there
    missing: frozenset[str] = frozenset()
    #: folders of declared data with files in them that still belong to the agent's own user
    ours: frozenset[str] = frozenset()
    #: folder or volume of declared data → the kind of filesystem it lies on
    filesystems: Mapping[str, str] = field(default_factory=dict)
    #: the other apps of the host; paths that the compose file names → where links lead from there;
    #: networks and volumes that it names → whose they are, if somebody else's
    neighbours: frozenset[str] = frozenset()
    leads: Mapping[str, str] = field(default_factory=dict)
    others: Mapping[str, str] = field(default_factory=dict)
    #: databases that are mounted as single files
    files: frozenset[str] = frozenset()
    edge: EdgeFacts = EdgeFacts()
    maintenance: Maintenance | None = None
    host: HostFacts = HostFacts()
    #: why what is committed does not answer well right now; empty where it does
    sick: str = ""
    #: as the release to be deployed sees the database; None where that was not asked
    schema: Schema | None = None
    #: the sets of copies that are kept on the host, the newest last, and what checks found
    sets: tuple[Manifest, ...] = ()
    verified: Mapping[str, Verified] = field(default_factory=dict)
    saving: Saving = Saving()

    @property
    def copies(self) -> tuple[Kept, ...]:
        """The sets with what their checks found, the newest last."""
        return tuple(Kept(one, self.verified.get(one.id)) for one in self.sets)

    def newest(self, state: State = "verified") -> Kept | None:
        """The newest set of that state."""
        return next((one for one in reversed(self.copies) if one.state == state), None)

    #: what is known of the sets off the box
    offsite: Offsite | None = None

    def release(self, name: str) -> Release | None:
        """The release by id, or by its number's slot (``r0042``)."""
        return next((one for one in self.releases if name in (one.id, one.slot)), None)

    @property
    def unrecorded(self) -> str:
        """The slot that the link names and that has containers, but no record; or nothing.

        It may serve, and nobody can tell what it is: it is left alone.
        """
        kind, slot = links.read(self.app, self.link)
        return slot if kind == "release" and not self.release(slot) and self.slot(slot) else ""

    @property
    def committed(self) -> Release | None:
        """The release that serves or is to serve: what the link says, else what was committed last.

        A link that names a release is the truth. A hold, a missing or a garbled link say nothing,
        so the journal's last commit counts, and after it the derived ``current``; neither does
        once the app was removed, nor while something serves that has no record.
        """
        kind, slot = links.read(self.app, self.link)
        if kind == "release":
            found = self.release(slot)
            if found:
                return found
        if self.history.removed or self.unrecorded:
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

    def way_back(self, release: Release) -> str:
        """How a release can be gone back to: start, recreate, pull, or no."""
        if release not in self.served or release.id in self.history.taken_back:
            return "no"
        if self.kept(release):
            return "start"
        if release.image in self.images:
            return "recreate"
        return "pull" if "@" in release.image else "no"

    def running(self, release: Release) -> bool:
        """Whether every moving service of the release runs, or is one that ran to its good end.

        That is what a service without a restart policy may do; the web service may not.
        """
        fine = {
            one.service for one in self.slot(release.slot) if one.running or _ran_once(release, one)
        }
        return bool(release.moving) and set(release.moving) <= fine


def _ran_once(release: Release, one: Container) -> bool:
    """Whether a service that need not run on was started, and ended with 0."""
    # Docker stamps what never started with the year 1
    started = bool(one.started) and not one.started.startswith("0001")
    rule = release.policies.get(one.service, "no").partition(":")[0]
    may = one.service != release.web and rule in ("no", "on-failure")
    return may and started and not one.running and one.exit_code == 0
