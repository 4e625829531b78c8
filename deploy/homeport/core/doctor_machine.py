"""Judgements about the machine itself: clock, memory, disks, and a Raspberry Pi's own troubles."""

from __future__ import annotations

import re
from typing import Iterable

from homeport.core import policy
from homeport.core.checkup import Checkup, Place
from homeport.core.finding import Judge, Said, bad, cautioned, ok, problems, unknown, warn
from homeport.core.policy import MIB
from homeport.model import Image

GIB = 1024 * MIB
#: 2025-01-01: no release of Homeport is older
_BORN = 1735689600.0
#: seconds that two clocks may differ; a minute is what certificates and logs stand
_APART = 60.0
#: from here on a Pi slows itself down
_HOT = 80.0
_PRUNE = "docker image prune -a, or delete what is not needed"
#: a board whose processor knows 64 bits
_WIDE = re.compile(r"Raspberry Pi (?:[3-9]|\d{3}|Zero 2|Compute Module [3-9])")


def _python(seen: Checkup) -> Iterable[Said]:
    machine = seen.machine
    yield ok(f"{machine.model or machine.arch or 'a machine'}, Python {machine.python}")


def _clock(seen: Checkup) -> Iterable[Said]:
    now, said = seen.facts.now, cautioned(seen, "clock")
    if not said and not seen.machine.battery and "Raspberry" in seen.machine.model:
        said.append(ok("the clock is synchronised; it has no battery and starts wrong at a boot"))
    apart = now - seen.asked_at if seen.asked_at else 0.0
    why = "certificates look invalid, and the history's times are wrong"
    mend = "sudo timedatectl set-ntp true"
    if now < _BORN:
        said = [bad("the clock stands before 2025", why, mend)]
    elif abs(apart) > _APART:
        way = "ahead of" if apart > 0 else "behind"
        what = f"the host's clock is {abs(apart):.0f} s {way} this machine's"
        said = [bad(what, why, f"{mend}   (or mend the clock of this machine)")]
    yield from said or [ok("the clock is right")]


def _memory(seen: Checkup) -> Iterable[Said]:
    free = seen.facts.host.mem_available
    if not free:
        yield unknown("how much memory is free")
        return
    has = f"{free // MIB} MiB of {seen.machine.mem_total // MIB} MiB of memory are free"
    if seen.settings and seen.rendered:
        choice = policy.choose(seen.settings, seen.rendered, seen.facts)
        # the other notice of a choice is about ports
        short = [one for one in choice.notices if "slots side by side" in one]
        for one in short:
            why = "the old release ends before the new one starts, and requests wait longer"
            yield warn(one, why, "sudo systemctl stop what is not needed, or a smaller limit")
        if short:
            return
    yield ok(f"{has}: enough for two slots" if seen.rendered else has)


def _swap(seen: Checkup) -> Iterable[Said]:
    machine = seen.machine
    if not machine.mem_total:
        return
    if machine.swap or machine.mem_total >= 2 * GIB:
        yield ok(f"{machine.swap // MIB} MiB of swap" if machine.swap else "no swap is needed")
        return
    why = "the kernel ends a container at the first peak of memory"
    yield warn("there is no swap", why, "sudo apt-get install zram-tools")


def _disk(seen: Checkup) -> Iterable[Said]:
    if not seen.machine.places:
        return
    found = policy.full(seen.facts, next_image(seen))
    yield from problems(found, "room for a deploy")
    for one in seen.machine.places:
        has = f"{one.free // MIB} MiB of {one.size // MIB} MiB are free on the disk of {one.path}"
        if one.inodes and one.inodes_free < one.inodes // 20:
            what = f"only {one.inodes_free} files more fit on the disk of {one.path}"
            yield bad(what, "it is full for new files though space is left", _PRUNE)
        elif one.size and not found and one.free < one.size // 10:
            yield warn(has, "the last tenth goes quickly", _PRUNE)
        elif one.size and not found:
            yield ok(has)


def next_image(seen: Checkup) -> Image:
    """An image as large as the one that serves, which is not on the host yet."""
    live = seen.facts.committed
    return Image("", size=live.size if live else 0)


def _filesystem(seen: Checkup) -> Iterable[Said]:
    found = []
    for one in seen.machine.places:
        if one.read_only:
            what = f"the disk of {one.path} can only be read"
            why = "the kernel stopped writing after an error, or it is mounted so"
            found.append(bad(what, why, _check(one, seen)))
    for name, count in sorted(seen.machine.faults.items()):
        what = f"the kernel counted {count} errors on {name}"
        why = "files there may be damaged: copy what matters to another machine first"
        where = next((one for one in seen.machine.places if name in one.device), Place("/"))
        found.append(bad(what, why, _check(where, seen)))
    yield from found or [ok("the disks take writes and report no errors")]


def _check(place: Place, seen: Checkup) -> str:
    if "Raspberry" in seen.machine.model:
        return f"add fsck.mode=force to the line in {seen.facts.host.cmdline}, then sudo reboot"
    return f"sudo fsck -f {place.device or 'the disk'} with the disk not in use"


def _card(seen: Checkup) -> Iterable[Said]:
    name = next((one.device for one in seen.machine.places if "mmcblk" in one.device), "")
    if not name:
        return
    why = "flash forgets when it is worn out, and takes the database along"
    mend = "copy the data to another machine, then to a new disk"
    if seen.machine.worn > 10:
        yield bad(f"{name} has outlived what it was made for", why, mend)
    elif seen.machine.worn > 8:
        used = f"{(seen.machine.worn - 1) * 10} to {seen.machine.worn * 10} %"
        yield warn(f"{used} of the life of {name} is used up", why, mend)
    else:
        yield ok(f"the app lies on a card or eMMC ({name}): keep a copy of its data elsewhere")


def _bits(seen: Checkup) -> Iterable[Said]:
    machine = seen.machine
    if not _WIDE.search(machine.model):
        return
    if machine.bits == 64 and machine.arch not in ("armv7l", "armv6l"):
        yield ok("a 64-bit system")
        return
    why = "many images and Python packages are no longer built for 32 bits"
    mend = "write a 64-bit system to the card with Raspberry Pi Imager, then homeport setup"
    yield warn("a 32-bit system on a board that can do 64", why, mend)


def _power(seen: Checkup) -> Iterable[Said]:
    """The firmware's bits: 0 too little voltage now, 16 since the boot; 1 and 2 slowed down now,
    17 and 18 since the boot. Source: Raspberry Pi documentation, ``vcgencmd get_throttled``.
    """
    bits = seen.machine.throttled
    if bits is None:
        return
    why = "a board without enough power damages what it writes, and resets without a word"
    mend = "use the power supply made for this board, with a short cable"
    if bits & 1:
        yield bad("the power supply is too weak right now", why, mend)
    elif bits & 1 << 16:
        yield warn("the power supply was too weak since the last boot", why, mend)
    slow, was = bits & 0b110, bits & 0b110 << 16
    if slow or was:
        when = "right now" if slow else "at some time since the boot"
        why = "too hot or too little power: requests and deploys take longer"
        yield warn(f"the processor slowed itself down {when}", why, "give it a heat sink or a fan")
    if not bits & 0x70007:
        yield ok("enough power since the last boot")


def _heat(seen: Checkup) -> Iterable[Said]:
    celsius = seen.machine.celsius
    if celsius is None:
        return
    if celsius > _HOT:
        why = "it slows itself down now, and lives shorter"
        yield warn(f"the processor has {celsius:.0f} °C", why, "give it a heat sink or a fan")
    else:
        yield ok(f"the processor has {celsius:.0f} °C")


def _limits(seen: Checkup) -> Iterable[Said]:
    if not seen.docker.fault:
        yield from cautioned(seen, "memory-limits") or [ok("memory limits have effect")]


CHECKS: tuple[tuple[str, Judge], ...] = (
    ("machine", _python),
    ("clock", _clock),
    ("memory", _memory),
    ("swap", _swap),
    ("disk", _disk),
    ("filesystem", _filesystem),
    ("card", _card),
    ("64-bit", _bits),
    ("power", _power),
    ("heat", _heat),
    ("memory-limits", _limits),
)
