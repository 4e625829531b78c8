"""How a container ended, in words, from what Docker says of it."""

from __future__ import annotations

from typing import Any

import pytest

from homeport.host import causes

LIMIT = {"Memory": 64 * causes.MIB}
LEAK = "raise deploy.resources.limits.memory in the compose file, or mend the leak"
LOOK = "`sudo dmesg | grep -i oom` says whether it was memory: raise its limit, or free some"
AGAIN = "mend the release, deploy again"


@pytest.mark.parametrize(
    "state, host, words, mend",
    [
        ({"ExitCode": 3}, LIMIT, "web ended with code 3", AGAIN),
        ({"ExitCode": 0}, {}, "web ended with code 0", AGAIN),
        (None, None, "web ended with code ?", AGAIN),
        (
            {"ExitCode": 137, "OOMKilled": True},
            LIMIT,
            "web ran out of memory at its limit of 64 MiB",
            LEAK,
        ),
        ({"ExitCode": 0, "OOMKilled": True}, {}, "web ran out of memory", LEAK),
        (
            {"ExitCode": 137, "OOMKilled": False},
            LIMIT,
            "web was killed (code 137), maybe for want of memory at its limit of 64 MiB",
            LOOK,
        ),
        (
            {"ExitCode": 137},
            {"Memory": 0},
            "web was killed (code 137), maybe for want of memory",
            LOOK,
        ),
    ],
)
def test_how_it_ended(
    state: dict[str, Any] | None, host: dict[str, Any] | None, words: str, mend: str
) -> None:
    """SIGKILL is told apart from a program's own end: Docker does not always hear of its cause."""
    seen = {"State": state, "HostConfig": host}
    assert (causes.ended("web", seen), causes.mend(seen)) == (words, mend)
    assert causes.killed(seen) == ("was killed" in words)
