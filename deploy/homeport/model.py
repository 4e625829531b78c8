"""The vocabulary: what a host, an app, a release, a plan and an event are, frozen.

Nothing here does anything; every other module speaks in these words. Times are seconds, instants
are seconds since the epoch, sizes are bytes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Literal, Mapping

APP_NAME = re.compile(r"\A[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?\Z")
RELEASE_ID = re.compile(r"\Ar(\d{4,})-([0-9a-f]{7})\Z")

Mode = Literal["overlap", "single-writer", "recreate"]
MODES: tuple[Mode, ...] = ("overlap", "single-writer", "recreate")
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
    """Where the edge answers for the app: a host name, or a port of the host."""

    name: str | None = None
    port: int | None = None


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
    key: str = ""
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


# --- what is decided -----------------------------------------------------------------------------
@dataclass(frozen=True)
class Step:
    """One thing to do. ``do`` names the operation; ``args`` is all it is told."""

    id: str
    do: str
    cause: str
    args: Mapping[str, Any] = field(default_factory=dict)
    #: the one step of a plan after which there is no way back but a plan of its own
    commit: bool = False


@dataclass(frozen=True)
class Skip:
    """A step that is left out, and why."""

    id: str
    reason: str


@dataclass(frozen=True)
class Plan:
    """Steps in order, what is left out, and what is to be said beforehand."""

    verb: str
    release: str = ""
    steps: tuple[Step, ...] = ()
    skips: tuple[Skip, ...] = ()
    notices: tuple[str, ...] = ()
    mode: Mode | None = None

    def text(self) -> str:
        """The plan as lines: what ``homeport plan`` prints and what tests compare."""
        lines = []
        for step in self.steps:
            mark = "*" if step.commit else "-"
            args = " ".join(f"{key}={_short(step.args[key])}" for key in sorted(step.args))
            lines.append(f"{mark} {step.id}: {step.do}{' ' + args if args else ''}  # {step.cause}")
        lines.extend(f"  skip {skip.id}: {skip.reason}" for skip in self.skips)
        lines.extend(f"  note: {notice}" for notice in self.notices)
        return "\n".join(lines)


def _short(value: object) -> str:
    if isinstance(value, (list, tuple)):
        return ",".join(_short(one) for one in value) or "none"
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{key}={_short(value[key])}" for key in sorted(value)) + "}"
    if isinstance(value, float):
        return f"{value:g}s"
    return str(value)


Outcome = Literal[
    "deployed",
    "already-live",
    "rolled-back",
    "taken-back",
    "recovered",
    "nothing-to-do",
    "refused",
    "failed",
    "removed",
    "shared-changed",
    "frozen",
    "unfrozen",
]


@dataclass(frozen=True)
class Verdict:
    """How a run ended: the outcome in one word, exit code and sentence."""

    outcome: Outcome
    code: int
    sentence: str
    release: str = ""
    run: str = ""
    problems: tuple[Mapping[str, str], ...] = ()
    figures: Mapping[str, Any] = field(default_factory=dict)
