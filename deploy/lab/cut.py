"""What cuts a lab host's power, while it is paused: a program for a container beside it.

Run as ``python3 -I -c SOURCE PID FOLDER`` among all processes of the machine, it tells the kernel
to write nothing more of the filesystem that the host has at FOLDER, not even its journal, and kills
all of the container that PID is the first process of, before any runs on: a program that did would
see a disk that fails. It imports only the standard library.
"""

import fcntl
import os
import signal
import struct
import sys
from contextlib import suppress
from pathlib import Path
from typing import Dict, List

#: ext4's ioctl that ends all writing: EXT4_IOC_SHUTDOWN, EXT4_GOING_FLAGS_NOLOGFLUSH
SHUTDOWN, NO_LOG_FLUSH = 0x8004587D, 2


def tree(top: int) -> List[int]:
    """All processes of the container that ``top`` is the first of, the innermost first.

    What was begun by ``docker exec`` does not descend from it, and those in containers within are
    in a namespace of their own: so all that descend from whoever shares its namespace.
    """
    children: Dict[int, List[int]] = {}
    found, space = [top], os.readlink(f"/proc/{top}/ns/pid")
    for folder in Path("/proc").glob("[0-9]*"):
        # one that ended meanwhile is none of a container that stands still
        with suppress(OSError):
            words = (folder / "stat").read_text().rpartition(")")[2].split()
            children.setdefault(int(words[1]), []).append(int(folder.name))
            if os.readlink(folder / "ns" / "pid") == space and int(folder.name) != top:
                found.append(int(folder.name))
    for one in found:
        found += sorted(set(children.get(one, ())) - set(found))
    return found[::-1]


def stop_writing(folder: str) -> None:
    """Have the kernel drop what a filesystem has not written yet, and write no more of it."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.ioctl(handle, SHUTDOWN, struct.pack("I", NO_LOG_FLUSH))
    finally:
        os.close(handle)


def main() -> None:
    """Cut it."""
    pid, folder = int(sys.argv[1]), sys.argv[2]
    everybody = tree(pid)
    stop_writing(f"/proc/{pid}/root{folder}")
    for one in everybody:
        with suppress(ProcessLookupError):
            os.kill(one, signal.SIGKILL)


if __name__ == "__main__":
    main()
