"""A browser for the tests: found by any of its names, or one message says how to get it."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab import browser
from lab.errors import LabError


def machine(monkeypatch: pytest.MonkeyPatch, folder: Path, install: bool) -> list[str]:
    """A machine with nothing but what is in the folder; returns what gets installed on it."""
    installed: list[str] = []
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr("lab.packages.may_install", lambda: install)
    monkeypatch.setattr(
        "lab.debian.install", lambda packages, newer: installed.extend([*packages, str(newer)])
    )
    return installed


@pytest.mark.parametrize("name", browser.NAMES)
def test_it_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str) -> None:
    """Whatever it is called, and without a word or an installation."""
    (tmp_path / name).touch(0o755)
    installed = machine(monkeypatch, tmp_path, install=True)
    assert browser.ensure_browser(pytest.fail) == str(tmp_path / name)
    assert installed == []


@pytest.mark.parametrize(("install", "packages"), [(False, []), (True, ["chromium", "False"])])
def test_it_is_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, install: bool, packages: list[str]
) -> None:
    """Installed where we may, and said with the command that mends it where we may not."""
    installed = machine(monkeypatch, tmp_path, install)
    with pytest.raises(LabError, match="apt-get install chromium"):
        browser.ensure_browser(lambda text: None)
    assert installed == packages
