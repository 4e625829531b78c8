"""What all suites share: tests see none of what GitHub or a person has set for the run itself."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

#: read by the code under test, so that a job's own values would change what it does
OWN = ("HOMEPORT_HOST", "HOMEPORT_HOST_KEY", "HOMEPORT_SSH_KEY", "HOMEPORT_URL")
SET_ASIDE = {
    name: os.environ.pop(name)
    for name in list(os.environ)
    if name.startswith("GITHUB_") or name in OWN
}
#: modules that share what there is one of: the lab's registry and builder, which some of them take
#: away to try
TOGETHER = {
    "registry": {f"test_{name}" for name in ("lab", "pipeline", "pipeline_image", "setup")},
}
#: groups that take minutes begin first, longest first: one that begins last is waited for alone
LONGEST = (
    "registry",
    # this one waits for the most part, and the one before has both processors busy
    "test_schedule",
    *(f"test_{name}" for name in ("data_dead_host", "broken", "data_guide", "data_postgres")),
    *(f"test_{name}" for name in ("wrong_input", "host_offsite", "host_watch", "github", "readme")),
    *(f"test_{name}" for name in ("faults", "doctor", "people", "host_cancel", "volumes")),
)


def group(nodeid: str) -> str:
    """What a test runs together with: its module, and what that shares something with.

    The marker xdist_group would say the same, but pytest 9.2 has no place where xdist 3.8 puts it:
    such groups are torn apart without a word.
    """
    stem = Path(nodeid.split("::")[0]).stem
    return next((name for name, modules in TOGETHER.items() if stem in modules), stem)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """`--dist loadfile` means by group, here. (The agent's own venv has no xdist.)"""
    if config.getvalue("dist") != "loadfile":
        return None
    # by number of tests, that is; the longest have few
    config.option.loadscopereorder = False
    from xdist.scheduler import LoadScopeScheduling

    scheduler = LoadScopeScheduling(config, log)
    scheduler._split_scope = group  # type: ignore[method-assign]
    return scheduler


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Where several processes share the tests, the longest groups come first."""
    if hasattr(config, "workerinput"):
        rank = {name: place for place, name in enumerate(LONGEST)}
        items.sort(key=lambda item: rank.get(group(item.nodeid), len(LONGEST)))


def first_words(report: pytest.TestReport) -> str:
    """What failed and the line that says why: a run that hangs afterwards tells no more."""
    crash = getattr(report.longrepr, "reprcrash", None)
    why = crash.message if crash else str(report.longrepr)
    line = next((one for one in why.splitlines() if one.strip()), "")
    return f"{report.when} of {report.nodeid} failed: {line[:300]}"


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Tell of each failure when it happens, where several processes share the tests."""
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Teller(config), "teller")


class Teller:
    """Writes the first words of each failure as it comes, and in the end where the time went."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.seconds: Counter[str] = Counter()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A line of its own beside the dots."""
        self.seconds[group(report.nodeid)] += report.duration
        terminal = self.config.pluginmanager.get_plugin("terminalreporter")
        if report.failed and terminal:
            terminal.write_line("")
            terminal.write_line(first_words(report))

    def pytest_terminal_summary(self) -> None:
        """The groups that took longest: the longest of all bounds what runs side by side."""
        terminal = self.config.pluginmanager.get_plugin("terminalreporter")
        longest = [(name, took) for name, took in self.seconds.most_common(12) if took >= 10]
        if longest and terminal:
            terminal.section("seconds by group", sep="=")
            for name, took in longest:
                terminal.write_line(f"{took:7.0f}  {name}")


@pytest.fixture(autouse=True)
def _signals() -> Iterator[None]:
    """The agent gives SIGPIPE its default; a test's own process wants Python's way back.

    Else a later test's server dies, and all with it, of a client that has hung up.
    """
    before = signal.getsignal(signal.SIGPIPE)
    yield
    signal.signal(signal.SIGPIPE, before)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_logreport() -> Iterator[None]:
    """Give the variables back to the plugin that makes annotations of failures."""
    now = {name: os.environ.get(name) for name in SET_ASIDE}
    os.environ.update(SET_ASIDE)
    try:
        yield
    finally:
        for name, value in now.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
