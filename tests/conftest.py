"""What all suites share: tests see none of what GitHub or a person has set for the run itself."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

#: read by the code under test, so that a job's own values would change what it does
OWN = ("HOMEPORT_HOST", "HOMEPORT_HOST_KEY", "HOMEPORT_SSH_KEY", "HOMEPORT_URL")
SET_ASIDE = {
    name: os.environ.pop(name)
    for name in list(os.environ)
    if name.startswith("GITHUB_") or name in OWN
}
#: suites on real parts, whose modules each set up what they need
REAL = {"contract", "e2e"}
#: modules that use the one registry and the one builder of the lab, or take them away to try
ONE_REGISTRY = {"test_lab", "test_setup", "test_pipeline_image", "test_pipeline"}


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known where xdist does not."""
    config.addinivalue_line("markers", "xdist_group(name): tests of a group run on one worker")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep a module on real parts together where tests run in parallel, and some modules too."""
    for item in items:
        path = Path(item.path)
        if path.parent.name in REAL and item.get_closest_marker("xdist_group") is None:
            group = "registry" if path.stem in ONE_REGISTRY else path.stem
            item.add_marker(pytest.mark.xdist_group(group))


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
