"""The lines of a requirements file that hold on another machine: `markers.py MACHINE < in > out`.

pip takes wheels for another platform, but asks the build machine whether a marker such as
`platform_machine != "armv7l"` holds. So the markers are settled here, for the target. Runs in the
image's build, where there is only Python and pip: hence pip's own reading of markers.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator

from pip._vendor.packaging.markers import Marker

#: what `uname -m` says on the machines that the image is built for
MACHINES = ("x86_64", "aarch64", "armv7l")
# name==version ; marker, then options of the line as --hash=…
ENTRY = re.compile(r"(?P<pin>[^;\s]+)\s*;\s*(?P<marker>.*?)(?P<options>(?:\s+--\S.*)?)", re.DOTALL)


def entries(text: str) -> Iterator[str]:
    """The entries of a requirements file, each in one line; comments are left out."""
    lines = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    for line in lines.replace("\\\n", " ").splitlines():
        if line.strip():
            yield " ".join(line.split())


def for_machine(text: str, machine: str) -> str:
    """The entries whose markers hold on that machine, without the markers.

    Args:
        text: of a requirements file.
        machine: one of MACHINES. All else that a marker can ask is taken from this Python, which
            is the target's: both are from the same base image.

    Returns:
        a requirements file, an entry a line.

    Raises:
        ValueError: the machine is none of MACHINES, or a marker cannot be read.
    """
    if machine not in MACHINES:
        raise ValueError(f"{machine!r} is none of the machines that have wheels: {MACHINES}")
    kept = []
    for entry in entries(text):
        found = ENTRY.fullmatch(entry)
        if found is None:
            kept.append(entry)
        elif Marker(found["marker"]).evaluate({"platform_machine": machine}):
            kept.append(found["pin"] + found["options"])
    return "".join(f"{entry}\n" for entry in kept)


if __name__ == "__main__":
    sys.stdout.write(for_machine(sys.stdin.read(), sys.argv[1]))
