"""What is decided, and how it ended: steps, plans, verdicts, frozen. The rest of the vocabulary."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, Mapping

from homeport.model import Mode


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
    "restored",
    "taken-back",
    "recovered",
    "nothing-to-do",
    "refused",
    "failed",
    "cancelled",
    "removed",
    "shared-changed",
    "frozen",
    "unfrozen",
    "edge-changed",
    "maintenance",
    "backed-up",
    "verified",
    "pruned",
    "checked",
    "cared-for",
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
