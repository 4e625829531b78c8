"""Pulls of a real Engine from a registry that will not: each ends, as what it is."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from homeport.errors import ImageMissing, RegistryError
from homeport.host import engine as engines
from homeport.host.engine import Engine
from lab.images import Images
from tinyapp.driver import wait

pytestmark = pytest.mark.docker
DOUBLE = Path(__file__).resolve().parents[1] / "e2e" / "registry_double.py"
#: how the registry behaves → the error, and what the Engine says of it
PULLS = {
    "401": (RegistryError, "unauthorized"),
    "403": (ImageMissing, "denied"),
    "404": (ImageMissing, "manifest unknown"),
    "429": (RegistryError, "toomanyrequests"),
    "500": (RegistryError, "500 Internal Server Error"),
    "garbage": (RegistryError, ""),
    "digest": (RegistryError, ""),
    "stall": (RegistryError, "no progress for 3 s"),
    "late": (RegistryError, "no progress for 3 s"),
    "nobody": (RegistryError, "connection refused"),
}


@pytest.fixture(scope="module")
def registry(images: Images) -> Iterator[str]:
    """The address of a registry that misbehaves as the image's path says."""
    child = subprocess.Popen(
        [sys.executable, str(DOUBLE), "0", "bad"], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    yield f"127.0.0.1:{child.stdout.readline().strip()}"
    child.kill()
    child.wait()


@pytest.mark.parametrize("how", PULLS)
def test_a_pull_that_cannot_be(registry: str, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No pull hangs, and none fails without the Engine's own words and the next command."""
    monkeypatch.setattr(engines, "PULL_SILENCE", 3.0)
    kind, why = PULLS[how]
    name = "127.0.0.1:1" if how == "nobody" else registry
    ref, begun = f"{name}/{how}/app@sha256:{'a' * 64}", time.monotonic()
    if how == "late":
        ref = ref.replace("@sha256:" + "a" * 64, ":1")
    with pytest.raises(RegistryError) as caught:
        Engine().pull(ref, "", lambda done, total: None)
    assert time.monotonic() - begun < 30
    assert type(caught.value) is kind, caught.value.text()
    (problem,) = caught.value.problems
    assert problem.where == ref and "deploy again" in problem.mend
    assert why in problem.why and problem.why, problem.why


def test_the_engine_goes_on_after_a_stall(registry: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pull that was given up is over in the Engine too: the same image can be asked for."""
    monkeypatch.setattr(engines, "PULL_SILENCE", 1.0)
    for _ in range(2):
        with pytest.raises(RegistryError, match="cannot be pulled"):
            Engine().pull(f"{registry}/stall/app:1", "", lambda done, total: None)
    wait(lambda: Engine().info(), "the Engine answers")
