"""The vocabulary: what a host, an app, a release, a plan and an event are, frozen.

Nothing here does anything; every other module speaks in these words. Times are seconds, instants
are seconds since the epoch, sizes are bytes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal, Mapping

from homeport.backups import Backup, Migrate

#: an app's name; Homeport's own folder and containers, and those of another app's slots, are taken
APP_NAME = re.compile(
    r"\A(?!homeport(?:-edge.*)?\Z)(?!.*-r[0-9]{4,}\Z)[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?\Z"
)
RELEASE_ID = re.compile(r"\Ar(\d{4,})-([0-9a-f]{7})\Z")

Mode = Literal["overlap", "single-writer", "exclusive", "recreate"]
MODES: tuple[Mode, ...] = ("overlap", "single-writer", "exclusive", "recreate")
Tls = Literal["off", "internal", "acme"]
TLS: tuple[Tls, ...] = ("off", "internal", "acme")
#: the label that says what a service is: "true" outlives releases, "false" moves with them
SHARED_LABEL = "homeport.shared"


# --- what a person wrote -------------------------------------------------------------------------
@dataclass(frozen=True)
class HostAddress:
    """Where the host is. An empty address means: given with ``--host``."""

    address: str = ""
    user: str = "homeport"
    port: int = 22


@dataclass(frozen=True)
class Web:
    """The service that answers requests. Without a port it listens on the socket it is told."""

    service: str = "web"
    port: int | None = None
    ready: str = "/"
    standby: bool = False


@dataclass(frozen=True)
class Site:
    """Where the edge answers: names, or a port. ``acme_root`` is the certificate, in PEM."""

    name: str | None = None
    port: int | None = None
    also: tuple[str, ...] = ()
    tls: Tls = "off"
    email: str = ""
    acme_ca: str = ""
    acme_root: str = ""


@dataclass(frozen=True)
class DeployRules:
    """How a release takes over. Times in seconds."""

    handover: Mode | None = None
    drain: float = 10.0
    hold: float = 30.0
    start: float = 60.0
    keep: int = 5


@dataclass(frozen=True)
class Smoke:
    """One check of the user's own, asked of a new slot before any user reaches it."""

    path: str
    status: int = 200
    contains: str = ""
    within: float = 5.0


@dataclass(frozen=True)
class Settings:
    """All of ``homeport.toml``."""

    app: str
    compose: str = "docker-compose.prod.yml"
    host: HostAddress = HostAddress()
    web: Web = Web()
    site: Site = Site()
    deploy: DeployRules = DeployRules()
    backup: Backup | None = None
    migrate: Migrate | None = None
    smoke: tuple[Smoke, ...] = ()
    secrets: tuple[str, ...] = ()


# --- what is asked of the agent ------------------------------------------------------------------
@dataclass(frozen=True)
class Image:
    """What to run. ``digest`` for a registry's image; without one it is on the host by ``ref``.

    ``platforms`` are ``os/arch`` or ``os/arch/variant`` as the registry lists them, ``size`` is the
    compressed size to pull where known.
    """

    ref: str
    digest: str = ""
    platforms: tuple[str, ...] = ()
    size: int = 0

    @property
    def pinned(self) -> str:
        """The reference that can only ever mean this very image."""
        if not self.digest:
            return self.ref
        name = self.ref.split("@")[0]
        head, _, tail = name.rpartition(":")
        if head and "/" not in tail:
            name = head
        return f"{name}@{self.digest}"


@dataclass(frozen=True)
class Cause:
    """Who asked, from where, why: shown in history, never used to decide."""

    who: str = ""
    why: str = ""
    url: str = ""


@dataclass(frozen=True)
class Request:
    """One request to the agent. ``auth`` is the registry token, held in memory only.

    ``key`` names what is asked, once: a second request of the same key joins the run of the first.
    """

    verb: str
    app: str
    settings: Settings | None = None
    compose: str = ""
    image: Image | None = None
    release: str = ""
    force: bool = False
    shared: bool = False
    yes: bool = False
    monitor: float | None = None
    follow: bool = False
    lines: int = 100
    cause: Cause = Cause()
    freeze: bool = False
    unfreeze: bool = False
    minutes: int = 0
    #: a set of copies, by its id or the start of it, and what is done about sets
    set: str = ""
    hold: bool = False
    check_compatible: bool = False
    #: put a set back whatever its check found, or without one
    unverified: bool = False
    #: the repository that a set comes from, and what opens it: lines of restic.env, in memory only
    source: str = ""
    opens: str = field(default="", repr=False)
    key: str = ""
    #: how long the run waits for another that holds the app, in seconds
    wait: float = 0.0
    #: the asker's own clock, where two clocks are compared
    at: float = 0.0
    auth: str = field(default="", repr=False)


# --- what is on a host ---------------------------------------------------------------------------
@dataclass(frozen=True)
class Release:
    """A release as its ``release.json`` tells. ``link`` is the dial address of its slot.

    ``size`` is the compressed image in bytes; 0 in records from before it was kept, and for an
    image that no registry has.
    """

    id: str
    image: str
    digest: str
    fingerprint: str
    link: str
    mode: Mode
    web: str
    moving: tuple[str, ...]
    created: float
    settings: Settings
    monitor: float = 30.0
    env_hash: str = ""
    policies: Mapping[str, str] = field(default_factory=dict)
    cause: Cause = Cause()
    size: int = 0
    #: what the database has with this release and had before it; whether the one before can use it
    schema: str = ""
    came_from: str = ""
    compatible: bool = False

    @property
    def number(self) -> int:
        """42 for ``r0042-1a2b3c4``."""
        return release_number(self.id)

    @property
    def slot(self) -> str:
        """``r0042``: what its containers, its folder of sockets and its tag are named by."""
        return self.id.split("-")[0]


def release_number(release: str) -> int:
    """42 for ``r0042-1a2b3c4``; raises ValueError for anything else."""
    found = RELEASE_ID.match(release)
    if not found:
        raise ValueError(f"not a release: {release!r}")
    return int(found.group(1))


@dataclass(frozen=True)
class Container:
    """A container of a slot, or of the edge, as Docker tells."""

    id: str
    name: str
    service: str
    slot: str
    running: bool
    policy: str
    image: str = ""
    started: str = ""
    restarts: int = 0
    health: str = ""
    exit_code: int = 0
