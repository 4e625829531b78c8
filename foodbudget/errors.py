"""What stops MyFoodBudget, in words for the person who starts it.

StartError            the app can not start; exit code 78 (EX_CONFIG)
├── ConfigError       settings are wrong: all of them, one line each
└── DatabaseError     the database can not be opened, created or migrated
    └── ServerError   its server does not answer or does not let us in; it may come back
UnsoundError          the data can not be read or does not add up; exit code 1
StandbyError          a write was tried in standby; answered 503, worth a retry
BusyError             the database stayed locked; answered 503, worth a retry
DownError             the database server does not answer; answered 503, worth a retry
LimitedError          tried too often; answered 429, worth a retry after its seconds
"""

from __future__ import annotations

from collections.abc import Sequence

import click

EX_CONFIG = 78


class StartError(click.ClickException):
    """The app can not start. A click exception, so that `flask` prints it without a traceback.

    Args:
        problems: one line for each thing that is wrong, each with what mends it.
    """

    exit_code = EX_CONFIG
    heading = "MyFoodBudget can not start"

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        lines = "".join(f"\n  - {problem}" for problem in self.problems)
        super().__init__(f"{self.heading}:{lines}")


class ConfigError(StartError):
    """Settings are missing or wrong; `problems` names every one of them."""

    heading = "MyFoodBudget can not start, settings are wrong"


class DatabaseError(StartError):
    """The database can not be used; `problems` says which one and what mends it."""


class ServerError(DatabaseError):
    """The database's server can not be reached; a process that saw it before may wait for it."""


class UnsoundError(click.ClickException):
    """The data can not be read, or does not add up; exit code 1.

    Args:
        problems: a sentence for each thing that is wrong.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__(f"the data is not sound: {'; '.join(problems)}")


class StandbyError(Exception):
    """This release is in standby: another one writes. Retry after a second."""


class BusyError(Exception):
    """Another writer held the database for longer than a request may wait."""


class DownError(Exception):
    """The database server can not be reached, or went away before anything was stored.

    Its text is for the log: it may name the host and the user, never the password.
    """


class LimitedError(Exception):
    """Something was tried too often.

    Args:
        seconds: until it may be tried again.
    """

    def __init__(self, seconds: int) -> None:
        super().__init__(f"tried too often; again in {seconds} s")
        self.seconds = seconds
