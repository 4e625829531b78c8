"""The machine as read from literal /proc and /sys trees: a Pi that is well, one that is not, a
laptop, a container.
"""

from __future__ import annotations

import platform
from dataclasses import replace
from pathlib import Path
from typing import Mapping

import pytest
from builders import facts
from homeport.core import doctor
from homeport.core.checkup import Checkup, Machine
from homeport.core.facts import HostFacts
from homeport.host import look, machine
from homeport.host.paths import Paths

MEMINFO = "MemTotal:  {0} kB\nMemFree: 9 kB\nMemAvailable: {1} kB\nSwapTotal: {2} kB\n"
MODEL = "proc/device-tree/model"
MOUNTS = "proc/self/mountinfo"
THROTTLED = "sys/devices/platform/soc/soc:firmware/get_throttled"
HEAT = "sys/class/thermal/thermal_zone0/temp"
ARCH = "proc/sys/kernel/arch"

PI_4 = {
    MODEL: "Raspberry Pi 4 Model B Rev 1.5\0",
    ARCH: "aarch64\n",
    "proc/meminfo": MEMINFO.format(3884396, 3000000, 524284),
    MOUNTS: "24 1 179:2 / / rw,noatime shared:1 - ext4 /dev/mmcblk0p2 rw\n"
    "30 24 179:1 / /boot/firmware rw - vfat /dev/mmcblk0p1 rw\n",
    "sys/fs/ext4/mmcblk0p2/errors_count": "0\n",
    THROTTLED: "0\n",
    HEAT: "48686\n",
    "boot/firmware/cmdline.txt": "console=tty1\n",
}
PI_3 = {
    "sys/firmware/devicetree/base/model": "Raspberry Pi 3 Model B Plus Rev 1.3\0",
    ARCH: "armv7l\n",
    "proc/meminfo": MEMINFO.format(948000, 90000, 0),
    MOUNTS: "24 1 179:2 / / ro,noatime - ext4 /dev/root ro\n"
    "31 24 0:22 / /run rw - tmpfs tmpfs rw\n",
    "sys/dev/block/179:2/uevent": "MAJOR=179\nMINOR=2\nDEVNAME=mmcblk0p2\nDEVTYPE=partition\n",
    "sys/block/mmcblk0/device/life_time": "0x03 0x0b\n",
    "sys/fs/ext4/mmcblk0p2/errors_count": "7\n",
    THROTTLED: "50005\n",
    HEAT: "84230\n",
    "boot/cmdline.txt": "console=tty1\n",
}
LAPTOP = {
    ARCH: "x86_64\n",
    "proc/meminfo": MEMINFO.format(16000000, 9000000, 8000000),
    MOUNTS: "24 1 259:2 / / rw - btrfs /dev/nvme0n1p2 rw\n"
    "40 24 259:3 / /opt/my\\040apps rw - xfs /dev/nvme0n1p3 rw\n",
    "dev/rtc0": "",
    HEAT: "51000\n",
}
CONTAINER = {
    "proc/meminfo": MEMINFO.format(2000000, 1000000, 0),
    MOUNTS: "700 600 0:55 / / rw,relatime - overlay overlay rw,lowerdir=/a\n"
    "701 700 0:60 / /proc rw - proc proc rw\n",
}


def tree(root: Path, files: Mapping[str, str]) -> Path:
    """Lay the files out below ``root``."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def read(root: Path, *folders: str) -> Machine:
    """What is read there; sizes of the test's own disk left out."""
    found = machine.look_at(root, folders or ("/opt/shop", "/var/lib/docker"))
    places = tuple(replace(one, size=0, free=0, inodes=0, inodes_free=0) for one in found.places)
    return replace(found, places=places, python="", bits=64)


def told(found: Machine) -> dict[str, list[str]]:
    """Check → what the doctor says of it, but for what is well."""
    seen = Checkup(facts(now=1_770_000_000.0, host=HostFacts(mem_available=1)), machine=found)
    said: dict[str, list[str]] = {}
    for one in doctor.examine(seen):
        if one.state != "ok":
            said.setdefault(one.id, []).append(one.what)
    return said


def test_a_pi_that_is_well(tmp_path: Path) -> None:
    """Board, memory, card, power and heat, and no word of trouble."""
    found = read(tree(tmp_path, PI_4))
    (place,) = found.places
    assert (place.path, place.kind, place.device) == ("/opt/shop", "ext4", "/dev/mmcblk0p2")
    assert replace(found, places=()) == Machine(
        model="Raspberry Pi 4 Model B Rev 1.5",
        arch="aarch64",
        mem_total=3884396 * 1024,
        swap=524284 * 1024,
        throttled=0,
        celsius=48.686,
        battery=False,
    )
    assert not {"64-bit", "power", "heat", "card", "filesystem", "swap"} & set(told(found))
    assert look.cmdline(tmp_path) == "/boot/firmware/cmdline.txt"


def test_a_pi_with_every_trouble(tmp_path: Path) -> None:
    """32 bits, too little power, too hot, no swap, a worn card that is read-only with errors."""
    found = read(tree(tmp_path, PI_3))
    (place,) = found.places
    assert (place.device, place.read_only) == ("/dev/mmcblk0p2", True)
    assert (found.worn, found.throttled, found.faults) == (11, 0x50005, {"mmcblk0p2": 7})
    said = told(found)
    assert said["64-bit"] == ["a 32-bit system on a board that can do 64"]
    assert said["power"] == [
        "the power supply is too weak right now",
        "the processor slowed itself down right now",
    ]
    assert said["heat"] == ["the processor has 84 °C"]
    assert said["card"] == ["/dev/mmcblk0p2 has outlived what it was made for"]
    assert said["swap"] == ["there is no swap"]
    assert said["filesystem"] == [
        "the disk of /opt/shop can only be read",
        "the kernel counted 7 errors on mmcblk0p2",
    ]
    assert look.cmdline(tmp_path) == "/boot/cmdline.txt"


def test_a_laptop(tmp_path: Path) -> None:
    """No board, a clock with a battery; two folders on two disks, a blank in a mount's name."""
    found = read(tree(tmp_path, LAPTOP), "/opt/my apps/shop", "/var/lib/docker")
    assert (found.model, found.arch, found.battery) == ("", "x86_64", True)
    kinds = [(one.path, one.kind, one.device) for one in found.places]
    assert kinds == [
        ("/opt/my apps/shop", "xfs", "/dev/nvme0n1p3"),
        ("/var/lib/docker", "btrfs", "/dev/nvme0n1p2"),
    ]
    assert found.throttled is None
    assert not {"card", "power", "heat", "swap", "64-bit"} & set(told(found))


def test_a_container(tmp_path: Path) -> None:
    """It has next to nothing in /sys, and that is no fault."""
    found = read(tree(tmp_path, CONTAINER))
    assert [(one.kind, one.device) for one in found.places] == [("overlay", "overlay")]
    assert (found.arch, found.celsius, found.worn) == (platform.machine(), None, 0)
    assert set(told(found)) & {"card", "power", "heat", "filesystem"} == set()


def test_nothing_to_read_at_all(tmp_path: Path) -> None:
    """An empty tree gives what is unknown and raises nothing."""
    found = read(tmp_path)
    assert (found.mem_total, found.faults, found.throttled, found.celsius) == (0, {}, None, None)


def test_sizes_are_the_disks_own(tmp_path: Path) -> None:
    """Bytes and inodes of a folder that is there, nothing of one that is not."""
    (tmp_path / "opt/shop").mkdir(parents=True)
    here, gone = machine.look_at(tree(tmp_path, LAPTOP), ("/opt/shop", "/opt/my apps/x")).places
    assert here.size >= here.free > 0
    assert (gone.size, gone.inodes) == (0, 0)


@pytest.mark.parametrize(
    ("files", "bits"),
    [
        ({"sys/class/hwmon/hwmon0/name": "cpu_thermal\n"}, None),
        (
            {
                "sys/class/hwmon/hwmon1/name": "rpi_volt\n",
                "sys/class/hwmon/hwmon1/in0_lcrit_alarm": "1\n",
            },
            0x10000,
        ),
        (
            {
                "sys/class/hwmon/hwmon1/name": "rpi_volt\n",
                "sys/class/hwmon/hwmon1/in0_lcrit_alarm": "0\n",
            },
            0,
        ),
        ({THROTTLED: "e0000\n"}, 0xE0000),
        ({THROTTLED.replace("soc/soc", "soc@107c000000/soc@107c000000"): "1\n"}, 1),
        ({THROTTLED: "no number\n"}, None),
    ],
)
def test_every_door_to_the_firmwares_bits(
    tmp_path: Path, files: dict[str, str], bits: int | None
) -> None:
    """The file of Raspberry Pi's kernel, the alarm of Linux' own driver, or nothing."""
    found = machine.look_at(tree(tmp_path, {MODEL: PI_4[MODEL], **files}), ())
    assert found.throttled == bits


def test_each_root_has_an_edge_of_its_own() -> None:
    """Two roots on one machine do not fight for one container; below /opt the name is the docs'."""
    here, there, third = (Paths("shop", Path(one)) for one in ("/opt", "/srv/a", "/srv/b"))
    assert (here.edge_name, here.edge_next) == ("homeport-edge", "homeport-edge-next")
    names = {here.edge_name, there.edge_name, third.edge_name}
    assert len(names) == 3 and all(one.startswith("homeport-edge") for one in names)
    assert Paths("other", there.root).edge_name == there.edge_name
