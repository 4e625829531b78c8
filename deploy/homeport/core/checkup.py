"""What a check-up saw of a host: facts for ``core.doctor``, frozen, and no judgement.

Every reading stands for itself: None or "" is what could not be read, and ends no other.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Mapping

from homeport.core.facts import Facts
from homeport.core.render import Rendered
from homeport.errors import Problem
from homeport.model import Settings


@dataclass(frozen=True)
class Place:
    """A folder's filesystem. Sizes in bytes; ``device`` as the kernel names it."""

    path: str
    kind: str = ""
    device: str = ""
    read_only: bool = False
    size: int = 0
    free: int = 0
    inodes: int = 0
    inodes_free: int = 0


@dataclass(frozen=True)
class Machine:
    """The machine as /proc and /sys tell. ``model`` is a board's name, ``bits`` its programs'.

    ``throttled`` has the firmware's bits; ``worn`` is the tenth of its life that an eMMC is in;
    ``faults`` are filesystems with the errors the kernel counted on them.
    """

    model: str = ""
    arch: str = ""
    bits: int = 64
    python: str = ""
    mem_total: int = 0
    swap: int = 0
    places: tuple[Place, ...] = ()
    faults: Mapping[str, int] = field(default_factory=dict)
    worn: int = 0
    throttled: int | None = None
    celsius: float | None = None
    battery: bool = True


@dataclass(frozen=True)
class Owned:
    """A path that setup made or a deploy wrote: who owns it, and its mode; "" if it is missing."""

    path: str
    owner: str = ""
    mode: int = 0


@dataclass(frozen=True)
class Setup:
    """What ``homeport setup`` left, as it is today.

    ``hook_runs`` and the like are None where the system has no such thing.
    """

    user: str = ""
    groups: tuple[str, ...] = ()
    systemd: bool = False
    hook_runs: bool | None = None
    lingers: bool | None = None
    docker_at_boot: bool | None = None
    folders: tuple[Owned, ...] = ()
    secrets: tuple[Owned, ...] = ()
    ballast: bool = True


@dataclass(frozen=True)
class Docker:
    """The Engine. ``fault`` says why nothing more is known of it; "" if it answers.

    ``unbounded`` are containers whose log grows for ever, ``killed`` those the kernel ended for
    their memory, ``strays`` what carries the app's label and belongs to no release: name → the
    command that takes it away.
    """

    fault: str = ""
    mend: str = ""
    storage: str = ""
    cgroup: str = ""
    unbounded: tuple[str, ...] = ()
    killed: tuple[str, ...] = ()
    strays: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Checkup:
    """All of it. Without Docker ``facts`` hold what the app's own files say.

    ``asked``: the live release was asked how it is, and ``facts.sick`` tells; ``rendered`` is None
    where the compose file could not be read on the host, for the reason in ``refused``.
    """

    facts: Facts
    asked_at: float = 0.0
    machine: Machine = Machine()
    setup: Setup = Setup()
    docker: Docker = Docker()
    settings: Settings | None = None
    rendered: Rendered | None = None
    refused: tuple[Problem, ...] = ()
    #: the names that app.env sets; never a value
    env: frozenset[str] = frozenset()
    #: variables in which app.env and the live release differ
    differing: tuple[str, ...] = ()
    asked: bool = False
    #: name of the site → when its certificate ends; None where it has none yet
    certificates: Mapping[str, float | None] = field(default_factory=dict)
    #: the version of restic, empty if it is missing; None where nothing is to go off the box
    restic: tuple[int, ...] | None = None
    #: whether restic.env says what its password is
    opens: bool = False
    #: who holds the app's lock right now
    holder: Mapping[str, str] = field(default_factory=dict)
