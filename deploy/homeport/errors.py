"""What can go wrong, as one tree.

HomeportError
├── UsageError          the command line itself                                   2
├── SettingsError       homeport.toml                                             10
├── ComposeError        the compose file, or what it asks for                     11
├── ConnectError        the host cannot be reached                                20
│   ├── LoginRefused    it answers but does not let us in                         21
│   ├── HostKeyUnknown  never seen before                                         22
│   ├── HostKeyChanged  not the one that was pinned                               23
│   └── NotSetUp        reached, but `homeport setup` has not been run            24
├── Refused             a check before the first change said no                   30
│   ├── Busy            another run holds the app                                 31
│   ├── NoSuchRelease   nothing by that name, or nothing to go back to            32
│   ├── Frozen          deploys wait until somebody lifts the freeze              33
│   ├── NeedsData       code and data do not fit, and go back together or not     34
│   ├── Unverified      a backup does not hold, or there is none fresh enough     35
│   ├── Damaged         a live database is damaged                                36
│   └── NeedsMending    a check-up found what a person must mend                  39
├── RegistryError       the registry or its answer                                40
│   └── ImageMissing    it has no such image, or none for this machine            41
├── ReleaseFailed       the new release was not good; the old one serves          50
│   ├── StartFailed     a container of it did not start                           51
│   ├── NeverHealthy    it started and did not become healthy                     52
│   ├── SmokeFailed     a check of the user's own failed                          53
│   ├── TakenBack       it went bad in the watch and was taken back               54
│   ├── LeftBad         it went bad in the watch, with nothing to take it back to 55
│   ├── RehearsalFailed it was not good on a copy of the data; nobody was touched 56
│   └── MigrationFailed its migration failed; what served before serves           57
├── HostFault           Docker, Compose, the edge or the disk of the host         60
├── RunLost             the run's verdict could not be learnt                     70
├── Cancelled           somebody stopped the run before its commit                80
├── TooLate             asked to stop after its commit, or when it was over       81
└── Internal            a mistake of ours                                         99

Every error carries problems: what, where, why, and the command that mends it. Recognise errors by
type or exit code, never by text.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Iterable, Mapping


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: what, where, why, and the command or edit that mends it."""

    what: str
    where: str = ""
    why: str = ""
    mend: str = ""

    def text(self) -> str:
        """The problem in a few lines, for a person."""
        head = f"{self.where}: {self.what}" if self.where else self.what
        lines = [head]
        if self.why:
            lines.append(f"  why:  {self.why}")
        if self.mend:
            lines.append(f"  mend: {self.mend}")
        return "\n".join(lines)


class HomeportError(Exception):
    """Anything expected that ends a command. ``problems`` holds all of them at once."""

    code: ClassVar[int] = 1
    meaning: ClassVar[str] = "something went wrong"
    #: whether the same command may succeed later with nothing changed by a person
    retry: ClassVar[bool] = False

    def __init__(self, *problems: Problem) -> None:
        super().__init__(problems[0].what if problems else self.meaning)
        self.problems: tuple[Problem, ...] = problems

    @classmethod
    def of(cls, what: str, where: str = "", why: str = "", mend: str = "") -> HomeportError:
        """An error of one problem."""
        return cls(Problem(what, where, why, mend))

    def text(self) -> str:
        """Every problem, for a person."""
        return "\n".join(problem.text() for problem in self.problems) or self.meaning


class UsageError(HomeportError):
    code = 2
    meaning = "the command line is wrong"


class SettingsError(HomeportError):
    code = 10
    meaning = "homeport.toml is wrong"


class ComposeError(HomeportError):
    code = 11
    meaning = "the compose file is wrong, or asks for what Homeport cannot do"


class ConnectError(HomeportError):
    code = 20
    meaning = "the host cannot be reached"
    retry = True


class LoginRefused(ConnectError):
    code = 21
    meaning = "the host refused the login"
    retry = False


class HostKeyUnknown(ConnectError):
    code = 22
    meaning = "the host's key is not known yet"
    retry = False


class HostKeyChanged(ConnectError):
    code = 23
    meaning = "the host's key is not the one that was pinned"
    retry = False


class NotSetUp(ConnectError):
    code = 24
    meaning = "the host has not been set up for this app"
    retry = False


class Refused(HomeportError):
    code = 30
    meaning = "a check said no before anything was changed"


class Busy(Refused):
    code = 31
    meaning = "another run holds the app"
    retry = True


class NoSuchRelease(Refused):
    code = 32
    meaning = "no such release, or nothing to go back to"


class Frozen(Refused):
    code = 33
    meaning = "the app is frozen: no deploy until somebody lifts it"


class NeedsData(Refused):
    code = 34
    meaning = "that code cannot use that data: they go back together, or neither does"


class Unverified(Refused):
    code = 35
    meaning = "a backup does not hold, or there is none that is fresh enough"


class Damaged(Refused):
    code = 36
    meaning = "a live database is damaged"


class NeedsMending(Refused):
    code = 39
    meaning = "a check-up found what a person must mend"


class RegistryError(HomeportError):
    code = 40
    meaning = "the registry refused or failed"
    retry = True


class ImageMissing(RegistryError):
    code = 41
    meaning = "no such image, or none for this machine"
    retry = False


class ReleaseFailed(HomeportError):
    code = 50
    meaning = "the new release was not good; what served before serves"


class StartFailed(ReleaseFailed):
    code = 51
    meaning = "a container of the new release did not start"


class NeverHealthy(ReleaseFailed):
    code = 52
    meaning = "the new release did not become healthy"


class SmokeFailed(ReleaseFailed):
    code = 53
    meaning = "a smoke check failed"


class TakenBack(ReleaseFailed):
    code = 54
    meaning = "the new release went bad after the handover and was taken back"


class LeftBad(ReleaseFailed):
    code = 55
    meaning = "the new release went bad after the handover and there is nothing to take it back to"


class RehearsalFailed(ReleaseFailed):
    code = 56
    meaning = "the new release failed on a copy of the data; nothing was touched"


class MigrationFailed(ReleaseFailed):
    code = 57
    meaning = "the migration of the new release failed; what served before serves"


class HostFault(HomeportError):
    code = 60
    meaning = "Docker, Compose, the edge or the disk of the host failed"
    retry = True


class RunLost(HomeportError):
    code = 70
    meaning = "the verdict of the run could not be learnt"
    retry = True


class Cancelled(HomeportError):
    code = 80
    meaning = "somebody stopped the run; what it began was taken back"


class TooLate(HomeportError):
    code = 81
    meaning = "it was too late to stop the run: it was finished, or is over"


class Internal(HomeportError):
    code = 99
    meaning = "a mistake in Homeport itself"


def every(kind: type[HomeportError] = HomeportError) -> Iterable[type[HomeportError]]:
    """The tree below ``kind``, itself first, ordered by exit code.

    A class without a code of its own is its parent's in a module's private words.
    """
    found = {kind} if "code" in vars(kind) else set()
    for child in kind.__subclasses__():
        found.update(every(child))
    return sorted(found, key=lambda one: one.code)


def to_wire(error: HomeportError) -> dict[str, Any]:
    """``{"code": …, "problems": […]}``, what an event carries of an error."""
    return {"code": error.code, "problems": [asdict(problem) for problem in error.problems]}


def from_wire(data: Mapping[str, Any]) -> HomeportError:
    """The error an event carries; an unknown code becomes ``HomeportError`` of that code."""
    problems = tuple(
        Problem(*(str(one.get(key, "")) for key in ("what", "where", "why", "mend")))
        for one in data.get("problems", ())
    )
    code = int(data.get("code", HomeportError.code))
    for kind in every():
        if kind.code == code:
            return kind(*problems)
    error = HomeportError(*problems)
    error.code = code  # type: ignore[misc]  # a newer agent's code, kept as it came
    return error
