"""What all suites share: tests see none of what GitHub or a person has set for the run itself."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

#: read by the code under test, so that a job's own values would change what it does
OWN = ("HOMEPORT_HOST", "HOMEPORT_HOST_KEY", "HOMEPORT_SSH_KEY", "HOMEPORT_URL")
SET_ASIDE = {
    name: os.environ.pop(name)
    for name in list(os.environ)
    if name.startswith("GITHUB_") or name in OWN
}


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
