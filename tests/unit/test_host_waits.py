"""What is waited for on a host has a bound, and who waits is told that somebody is there."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from homeport.core.render import Rendered
from homeport.core.verdicts import Probe
from homeport.errors import HostFault, RegistryError
from homeport.host import compose, doors, ops, read
from homeport.host.context import Context
from homeport.host.engine import Engine
from homeport.host.ops_health import until_healthy
from homeport.host.paths import Paths
from homeport.model import Request


@pytest.fixture
def told() -> list[dict[str, Any]]:
    """Every event that a context told."""
    return []


@pytest.fixture
def ctx(tmp_path: Path, told: list[dict[str, Any]]) -> Context:
    """The hands of a run on a host with no Docker."""
    (tmp_path / "kept").mkdir()
    paths = Paths("kept", tmp_path)
    engine = Engine(str(tmp_path / "no.sock"))
    return Context(paths, engine, Request("logs", "kept"), "", lambda one: told.append(dict(one)))


def test_a_log_that_says_nothing_is_no_lost_connection(
    ctx: Context, told: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the container is quiet the follower hears that somebody is there."""
    monkeypatch.setattr(read, "BEAT", 0.01)

    def quiet(container: str, lines: int) -> Iterator[bytes]:
        end = time.monotonic() + 10
        while sum(one["e"] == "alive" for one in told) < 3:
            assert time.monotonic() < end, "nothing is told while the container is quiet"
            time.sleep(0.01)
        yield b"at last\n"

    monkeypatch.setattr(ctx.engine, "follow", quiet)
    read._follow(ctx, "web", "one")
    assert [one["line"] for one in told if one["e"] == "log"] == ["at last"]


COMPOSE = """\
#!/bin/sh
echo "$*" >> "$HOME/asked"
case "$*" in *" pull "*) sleep 1.5;; esac
"""


def test_a_slow_line_is_not_a_compose_that_hangs(
    ctx: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The images of shared services are pulled first, with the patience that a pull needs."""
    plugin = tmp_path / ".docker" / "cli-plugins" / "docker-compose"
    plugin.parent.mkdir(parents=True)
    plugin.write_text(COMPOSE)
    plugin.chmod(0o755)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(compose, "PATIENCE", 1.0)
    ctx.rendered = Rendered(shared={"services": {"db": {"image": "postgres"}}})
    ops.OPS["shared-up"](ctx, {"hash": "abc"})
    first, second = (tmp_path / "asked").read_text().splitlines()
    assert " pull " in first and " up " in second
    assert (ctx.paths.folder / "shared.hash").read_text() == "abc"
    monkeypatch.setattr(compose, "PULL_PATIENCE", 0.2)
    with pytest.raises(HostFault, match="docker compose hangs"):
        ops.OPS["shared-up"](ctx, {"hash": "abd"})


def test_the_door_on_the_host_does_not_wait_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pull that stalls, and a machine without Docker, are told in words."""
    docker = tmp_path / "docker"
    docker.write_text("#!/bin/sh\nexec /bin/sleep 20\n")
    docker.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(doors, "PATIENCE", 0.2)
    with pytest.raises(RegistryError) as stalled:
        doors._pulled("r.io/a:1")
    assert "docker pull r.io/a:1" in stalled.value.problems[0].mend
    docker.unlink()
    with pytest.raises(HostFault, match="docker command is missing"):
        doors._pulled("r.io/a:1")
    assert isinstance(stalled.value.__cause__, subprocess.TimeoutExpired)


def test_what_ends_while_the_last_probe_is_good_is_not_healthy() -> None:
    """A worker that is gone by then must not go live with a web service that answers."""
    asked: list[float] = []

    def ask() -> Probe:
        asked.append(float(len(asked)))
        return Probe(asked[-1], True, "")

    def there(why: str) -> None:
        if len(asked) == 3:
            raise EOFError("worker")

    with pytest.raises(EOFError, match="worker"):
        until_healthy(ask, lambda left: "passed", there, 3, 60.0)
    assert len(asked) == 3
