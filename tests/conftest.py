"""What all suites share: tests see none of what GitHub or a person has set for the run itself."""

from __future__ import annotations

import os
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
#: modules that share what there is one of: the machine's edge; the lab's registry and builder,
#: which some of them take away to try; a lab host that the session brings up
TOGETHER = {
    "edge": {f"test_host_{name}" for name in ("deploy", "doors", "edge", "freeze", "recovery")},
    "registry": {f"test_{name}" for name in ("lab", "pipeline", "pipeline_image", "setup")},
    "stages": {f"test_{name}" for name in ("by_hand", "github", "volumes")},
}


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
    from xdist.scheduler import LoadScopeScheduling

    scheduler = LoadScopeScheduling(config, log)
    scheduler._split_scope = group  # type: ignore[method-assign]
    return scheduler


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
