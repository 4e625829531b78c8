"""What a person should know of a host and nothing is stopped for, each judged here and only here.

A deploy's plan and ``status`` say it in a line; ``doctor`` says it with why and what mends it.
"""

from __future__ import annotations

from homeport.core import freshness, offsite, recovery
from homeport.core.facts import Facts
from homeport.core.words import SETUP
from homeport.errors import Problem


def cautions(facts: Facts) -> list[tuple[str, Problem]]:
    """What is not as it should be: the check it belongs to, and the problem."""
    host = facts.host
    found: list[tuple[str, Problem]] = []

    def say(check: str, what: str, why: str, mend: str) -> None:
        found.append((check, Problem(what, "host", why, mend)))

    if not host.boot_hook:
        why = "after a power cut nothing mends itself"
        say("boot-hook", "the boot hook is missing", why, SETUP)
    if not host.memory_limits:
        say(
            "memory-limits",
            "memory limits have no effect on this kernel",
            "one leaking container takes the whole machine down",
            f"add cgroup_enable=memory cgroup_memory=1 to the line in {host.cmdline}, then"
            " sudo reboot",
        )
    if not host.clock_synced:
        why = "certificates and logs depend on the time"
        say("clock", "the clock is not synchronised", why, "sudo timedatectl set-ntp true")
    for path in sorted(facts.ours):
        say(
            "data-owner",
            f"{path} holds files of the user homeport",
            "an app that runs as another one cannot write there",
            f"sudo chown -R UID:GID {path}",
        )
    if facts.sick:
        say(
            "healthy",
            f"what serves is not well ({facts.sick})",
            "if a new release fails, there is nothing good to take back to",
            "homeport logs",
        )
    if facts.edge.exists and not facts.edge.current:
        say(
            "edge",
            "the edge was configured by another version of Homeport",
            "it knows nothing of what this one asks of it, such as the maintenance page",
            "homeport edge apply",
        )
    found += [(one.check, one.problem) for one in freshness.judge(facts)]
    live = facts.committed
    wanted = live.settings.backup if live else None
    for one in offsite.cautions(facts.offsite, wanted, facts.now):
        say("offsite", f"{one.where}: {one.what}", one.why, one.mend)
    unknown = recovery.not_understood(facts)
    if unknown is not None:
        say("live", unknown.what, unknown.why, unknown.mend)
    lost = facts.history.garbled
    if lost:
        say(
            "journal",
            f"{lost} line{'s' if lost > 1 else ''} of the journal cannot be read",
            "they are skipped; a power cut leaves one, more of them speak of a bad disk",
            f"cp -p /opt/{facts.app}/journal.jsonl ~ keeps what is left",
        )
    return found


def warnings(facts: Facts) -> tuple[str, ...]:
    """The same, a line each."""
    return tuple(line(one) for _, one in cautions(facts))


def line(one: Problem) -> str:
    """A problem that stops nothing, in one line."""
    return f"{one.what}: {one.why} ({one.mend})"
