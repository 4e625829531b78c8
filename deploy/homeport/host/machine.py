"""The machine as /proc and /sys tell, below a ``root`` that tests lay out as literal files."""

from __future__ import annotations

import os
import platform
import re
import struct
import subprocess
from pathlib import Path
from typing import Iterable

from homeport.core.checkup import Machine, Place
from homeport.host import proc
from homeport.host.proc import text

_MODELS = ("proc/device-tree/model", "sys/firmware/devicetree/base/model")
#: a Pi 5 has its address in the name: soc@107c000000
_THROTTLED = "sys/devices/platform/soc*/soc*:firmware/get_throttled"


def look_at(root: Path, folders: Iterable[str]) -> Machine:
    """What is known of the machine and of the disks that these folders lie on."""
    memory = proc.memory(root)
    model = next((found for one in _MODELS if (found := text(root / one).strip("\0 \n"))), "")
    places = _places(root, folders)
    return Machine(
        model=model,
        arch=text(root / "proc/sys/kernel/arch") or platform.machine(),
        bits=struct.calcsize("P") * 8,
        python=platform.python_version(),
        mem_total=memory.get("MemTotal", 0),
        swap=memory.get("SwapTotal", 0),
        places=places,
        faults=_faults(root),
        worn=_worn(root, places),
        throttled=_throttled(root) if "Raspberry" in model else None,
        celsius=_celsius(root),
        battery=(root / "dev/rtc0").exists(),
    )


def said(*argv: str) -> str:
    """What a program of the host prints; nothing where it is missing, fails or takes too long."""
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=5)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""


def _places(root: Path, folders: Iterable[str]) -> tuple[Place, ...]:
    """The disks of the folders, each once, under the first folder's name."""
    found: dict[tuple[str, str], Place] = {}
    for folder in folders:
        point, kind, device, read_only = _mount(root, folder)
        size = free = inodes = inodes_free = 0
        try:
            seen = os.statvfs(root / folder.lstrip("/"))
            size, free = seen.f_blocks * seen.f_frsize, seen.f_bavail * seen.f_frsize
            inodes, inodes_free = seen.f_files, seen.f_favail
        except OSError:
            kind = kind or ""
        place = Place(folder, kind, device, read_only, size, free, inodes, inodes_free)
        found.setdefault((point, device), place)
    return tuple(found.values())


def _mount(root: Path, folder: str) -> tuple[str, str, str, bool]:
    """Mount point, kind, device and whether it is read-only, of the filesystem below a path."""
    point, words, what = proc.mount(root, folder)
    if not point:
        return "", "", "", False
    only = "ro" in words[5].split(",") or "ro" in what[2].split(",")
    return point, what[0], _device(root, words[2], what[1]), only


def _device(root: Path, number: str, name: str) -> str:
    """The device by its number where the kernel calls the first disk only ``/dev/root``."""
    if name != "/dev/root":
        return name
    for line in text(root / "sys/dev/block" / number / "uevent").splitlines():
        if line.startswith("DEVNAME="):
            return "/dev/" + line.partition("=")[2]
    return name


def _faults(root: Path) -> dict[str, int]:
    """ext4 filesystems with errors that the kernel has counted since they were last checked."""
    found = {}
    for path in sorted(root.glob("sys/fs/ext4/*/errors_count")):
        count = text(path)
        if count.isdigit() and int(count):
            found[path.parent.name] = int(count)
    return found


def _worn(root: Path, places: Iterable[Place]) -> int:
    """The tenth of its life that the eMMC of a place is in, the worse of its two kinds of cells;
    11: past it, 0: it does not say. Source: the kernel's ``life_time`` of MMC devices.
    """
    worst = 0
    for one in places:
        disk = re.match(r"/dev/(mmcblk\d+)", one.device)
        told = text(root / f"sys/block/{disk[1]}/device/life_time") if disk else ""
        for word in told.split():
            worst = max(worst, int(word, 16) if re.fullmatch(r"0x[0-9a-fA-F]+", word) else 0)
    return worst


def _throttled(root: Path) -> int | None:
    """The firmware's bits about power and heat, from whichever door this system has.

    The file of Raspberry Pi's kernel (hexadecimal, without 0x), the alarm of Linux' own driver
    (bit 16 alone), or the firmware's tool, which wants more rights than a deploy has.
    """
    told = next((text(one) for one in sorted(root.glob(_THROTTLED))), "")
    for alarm in sorted(root.glob("sys/class/hwmon/hwmon*/in0_lcrit_alarm")):
        if not told and text(alarm.parent / "name") == "rpi_volt":
            told = "10000" if text(alarm) == "1" else "0"
    if not told:
        told = said("vcgencmd", "get_throttled").strip().rpartition("0x")[2]
    return int(told, 16) if re.fullmatch(r"[0-9a-fA-F]+", told) else None


def _celsius(root: Path) -> float | None:
    told = text(root / "sys/class/thermal/thermal_zone0/temp")
    return int(told) / 1000 if re.fullmatch(r"-?\d+", told) else None
