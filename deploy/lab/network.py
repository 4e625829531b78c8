"""The lab's own network, and the label by which everything of the lab is found again."""

from __future__ import annotations

from lab import state
from lab.errors import LabError
from lab.shell import docker

NAME = "homeport-lab"
LABEL = "homeport.lab=1"
# Far from what Docker gives out by itself, and from what the Docker inside a host gives out.
PREFIX = "10.211.77"
FIRST, LAST = 10, 126


def ensure_network() -> None:
    """Make sure that the lab's bridge network is there."""
    if docker("network", "inspect", NAME, check=False).returncode == 0:
        return
    with state.lock("network"):
        if docker("network", "inspect", NAME, check=False).returncode != 0:
            span = ["--subnet", f"{PREFIX}.0/24", "--ip-range", f"{PREFIX}.128/25"]
            docker("network", "create", "--label", LABEL, *span, NAME)


def free_address() -> str:
    """An address of the lab's network that no container has, running or not.

    Hosts keep it over a power cut, as a machine with a lease of its own does. Call it under the
    lock of the hosts.

    Raises:
        LabError: all of them are given away.
    """
    listed = docker("ps", "-aq", "--filter", f"label={LABEL}").stdout.decode().split()
    show = '{{with index .NetworkSettings.Networks "%s"}}{{.IPAMConfig.IPv4Address}}{{end}}' % NAME
    label = '{{index .Config.Labels "homeport.lab.address"}}'
    taken: set[str] = set()
    if listed:
        said = docker("inspect", "--format", f"{label} {show}", *listed, check=False).stdout
        taken.update(said.decode().split())
    for number in range(FIRST, LAST):
        if f"{PREFIX}.{number}" not in taken:
            return f"{PREFIX}.{number}"
    why = f"all of {PREFIX}.{FIRST} to .{LAST - 1} are taken"
    raise LabError("No address is left on the lab's network.", why, "homeport lab down --all")
