"""What is said and nothing is stopped for, as a table: each with why and what mends it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from builders import facts
from homeport.core import cautions, journal
from homeport.core.facts import Facts, HostFacts

GOOD = facts(host=HostFacts(boot_hook="systemd"))


def host(**rest: Any) -> Facts:
    """A good host but for these."""
    return replace(GOOD, host=replace(GOOD.host, **rest))


WARNINGS: dict[str, tuple[Facts, str, str]] = {
    "no boot hook": (
        host(boot_hook=""),
        "boot-hook",
        "the boot hook is missing: after a power cut nothing mends itself"
        " (homeport setup --host USER@ADDRESS)",
    ),
    "no memory cgroup": (
        host(memory_limits=False),
        "memory-limits",
        "memory limits have no effect on this kernel: one leaking container takes the whole"
        " machine down (add cgroup_enable=memory cgroup_memory=1 to the line in"
        " /boot/firmware/cmdline.txt, then sudo reboot)",
    ),
    "no memory cgroup on an older system": (
        host(memory_limits=False, cmdline="/boot/cmdline.txt"),
        "memory-limits",
        "memory limits have no effect on this kernel: one leaking container takes the whole"
        " machine down (add cgroup_enable=memory cgroup_memory=1 to the line in"
        " /boot/cmdline.txt, then sudo reboot)",
    ),
    "the clock": (
        host(clock_synced=False),
        "clock",
        "the clock is not synchronised: certificates and logs depend on the time"
        " (sudo timedatectl set-ntp true)",
    ),
    "files copied into a data folder by hand": (
        replace(GOOD, ours=frozenset({"/opt/shop/data"})),
        "data-owner",
        "/opt/shop/data holds files of the user homeport: an app that runs as another one cannot"
        " write there (sudo chown -R UID:GID /opt/shop/data)",
    ),
    "what serves is sick": (
        replace(GOOD, sick="GET /: refused"),
        "healthy",
        "what serves is not well (GET /: refused): if a new release fails, there is nothing good"
        " to take back to (homeport logs)",
    ),
    "a journal with holes": (
        replace(GOOD, history=journal.History(garbled=2)),
        "journal",
        "2 lines of the journal cannot be read: they are skipped; a power cut leaves one, more of"
        " them speak of a bad disk (cp -p /opt/shop/journal.jsonl ~ keeps what is left)",
    ),
}


@pytest.mark.parametrize("name", WARNINGS)
def test_each_is_said_once_in_a_line(name: str) -> None:
    """The check it belongs to, and the line that plan and status show."""
    seen, check, text = WARNINGS[name]
    assert [one for one, _ in cautions.cautions(seen)] == [check]
    assert cautions.warnings(seen) == (text,)


def test_nothing_to_say_and_everything() -> None:
    """A good host is quiet; a bad one is told all of it."""
    assert cautions.warnings(GOOD) == ()
    bad = host(boot_hook="", memory_limits=False, clock_synced=False)
    assert len(cautions.warnings(replace(bad, history=journal.History(garbled=1)))) == 4
