"""What a compose file reaches of the host beyond its own app: what is refused, and what is said.

What belongs to Homeport or to another app is refused to every service. What makes a container as
good as root on the host is refused to services that move with a release, since each deploy brings
them new code; of shared services, which only a plan of their own touches, it is said. Pure.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Iterable, Mapping

from homeport.core import service as services
from homeport.core.unsupported import APART, ROOT
from homeport.errors import Problem
from homeport.model import SHARED_LABEL

Table = dict[str, Any]

#: of the app's own folder what is Homeport's: releases, records, copies, and what they are made by
OWN = frozenset(
    (
        *("releases", "current", "journal.jsonl", "lock", "ballast", "backups", "scripts"),
        *("compose.yaml", "shared.json", "shared.hash", "restic.env", "plug.json"),
    )
)
#: the user's settings, which a service may read
SETTINGS = ("app.env", ".env")
#: a service that can talk to one of these, or see it in a folder, can ask it for anything
_SOCKETS = re.compile(r"/(?:docker|containerd|podman|crio)\.sock\Z")
_DAEMONS = ("/run/docker", "/run/containerd", "/run/podman", "/run/systemd", "/run/dbus")
#: what nobody may see, with all that is below it
_DEEP = (
    *(*_DAEMONS, "/run/user", "/proc", "/root", "/var/lib/docker", "/var/lib/containerd"),
    *("/etc/shadow", "/etc/gshadow", "/etc/sudoers", "/etc/ssh", "/dev/mem", "/dev/kmem"),
    *("/dev/port", "/dev/mapper", "/dev/disk", "/dev/block"),
)
#: what nobody may see whole, and nobody may write to
_SYSTEM = (
    *("/etc", "/boot", "/usr", "/bin", "/sbin", "/lib", "/lib64", "/sys/kernel", "/sys/fs"),
    *("/sys/firmware", "/sys/module", "/var/spool/cron"),
)
#: what nobody may see whole
_WHOLE = ("/sys", "/dev", "/run", "/home", "/var/lib", "/var/spool", "/var/log")
_DISK = re.compile(r"/dev/(?:sd|hd|vd|xvd|nvme|mmcblk|loop|dm-|md|sg|ram|nbd)[a-z0-9]*")
#: names by which the edge finds slots, and its own
_TAKEN = re.compile(r"(?:.*-r[0-9]{4,}-.*|homeport-edge.*)\Z")
EDGE_NETWORK = "homeport-edge"


@dataclass(frozen=True)
class Reached:
    """One path of the host that a compose file names. ``fixed``: it can only be read."""

    path: str
    where: str
    service: str
    moving: bool
    fixed: bool = False


def reached(
    resolved: Table, moving: Iterable[str], shared: Iterable[str], file: str
) -> tuple[Reached, ...]:
    """Every path of the host that these services mount or read, volumes' devices among them."""
    found: list[Reached] = []
    volumes, moves = resolved.get("volumes") or {}, frozenset(moving)
    for name in (*moves, *shared):
        one = (resolved.get("services") or {}).get(name) or {}
        at, mine = f"{file}: services.{name}", name in moves
        for mount in services.mounts(one):
            source, fixed = str(mount.get("source") or ""), bool(mount.get("read_only"))
            paths = [source] if mount.get("type") == "bind" else []
            if mount.get("type") == "volume":
                paths = _devices(volumes.get(source) or {})
            found += [Reached(path, f"{at}.volumes", name, mine, fixed) for path in paths]
        for entry in one.get("env_file") or []:
            path = entry if isinstance(entry, str) else entry.get("path")
            found.append(Reached(str(path or ""), f"{at}.env_file", name, mine, True))
        for key in ("secrets", "configs"):
            for entry in one.get(key) or []:
                said = (resolved.get(key) or {}).get(entry["source"]) or {}
                where = f"{file}: {key}.{entry['source']}"
                found.append(Reached(str(said.get("file") or ""), where, name, mine, True))
    return tuple(sorted({one for one in found if one.path.startswith("/")}, key=str))


def _devices(volume: Table) -> list[str]:
    """The paths of this host that a volume of Docker's own driver stands for."""
    options = volume.get("driver_opts") or {}
    kind = str(options.get("type") or "").lower()
    if volume.get("driver") not in (None, "", "local") or kind.startswith(("nfs", "cifs", "smb")):
        return []
    flags = [one.partition("=")[2] for one in str(options.get("o") or "").split(",")]
    return [str(options.get("device") or ""), *(one for flag in flags for one in flag.split(":"))]


def whose(path: str, folder: str, fixed: bool, neighbours: Iterable[str] = ()) -> str:
    """Whose a path of the host is, if it is Homeport's or another app's; "" for anybody's."""
    path, root = _plain(path), folder.rpartition("/")[0]
    if _under(path, f"{root}/homeport"):
        return "it is Homeport's own"
    if path == folder:
        return "it holds Homeport's records and all of the app's releases and copies"
    first, _, rest = path[len(folder) + 1 :].partition("/")
    if _under(path, folder):
        mine = first in OWN or (first in SETTINGS and not fixed)
        runs = first == "logs" and rest.split("/")[0] in ("", "runs") and not fixed
        return "it is Homeport's own" if mine or runs else ""
    for name in sorted(neighbours):
        if _under(path, f"{root}/{name}"):
            return f"it is the app {name}'s"
    return ""


def gives_root(path: str, folder: str, fixed: bool) -> str:
    """Why who is given a path of the host is as good as root there; "" where that is not so."""
    path, root = _plain(path), folder.rpartition("/")[0]
    if _SOCKETS.search(path) or any(_under(path, one) for one in _DAEMONS):
        return f"who may ask the host's own programs can do anything: {ROOT}"
    if _under(root, path) or any(_under(one, path) for one in (*_DEEP, *_SYSTEM, *_WHOLE)):
        return f"it is so much of the host that {ROOT}"
    below = any(_under(path, one) for one in _DEEP)
    if below or _DISK.match(path) or not fixed and any(_under(path, one) for one in _SYSTEM):
        return f"it is a part of the host's system: {ROOT}"
    return ""


def _straight(path: str) -> str:
    """A path without the ways around that it may be written with."""
    found: list[str] = []
    for part in path.split("/"):
        if part == "..":
            del found[-1:]
        elif part not in ("", "."):
            found.append(part)
    return "/" + "/".join(found)


def _plain(path: str) -> str:
    path = _straight(path)
    return path[len("/var") :] if _under(path, "/var/run") else path


def _under(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def problems(
    paths: Iterable[Reached],
    folder: str,
    neighbours: Iterable[str] = (),
    leads: Mapping[str, str] = {},
) -> list[Problem]:
    """The paths that are refused; ``leads``: where a path's links lead to on the host."""
    found, known = [], tuple(neighbours)
    for one in paths:
        to = _straight(leads.get(one.path, one.path))
        by = f", where {one.path} leads" if one.path in leads else ""
        why = whose(to, folder, one.fixed, known)
        if why:
            mend = f"take it away, or keep what {one.service} needs in ./data"
            found.append(Problem(f"{one.service} may not have {to}{by}", one.where, why, mend))
        elif one.moving and gives_root(to, folder, one.fixed):
            why, mend = gives_root(to, folder, one.fixed), f"take it away, {APART}"
            found.append(Problem(f"{one.service} may not have {to}{by}", one.where, why, mend))
    return found


def notices(paths: Iterable[Reached], folder: str) -> list[str]:
    """What shared services are given of the host, and what that means."""
    found = [(one, gives_root(one.path, folder, one.fixed)) for one in paths if not one.moving]
    return [f"{one.service}: {one.path}: {why}" for one, why in found if why]


def look(
    resolved: Table, moving: Iterable[str], shared: Iterable[str], folder: str, file: str
) -> tuple[tuple[Reached, ...], tuple[Problem, ...], list[str]]:
    """What the file alone tells: the paths that it reaches, what is refused, and what is said."""
    paths = reached(resolved, moving, shared, file)
    used = (str((one or {}).get("name")) for one in (resolved.get("networks") or {}).values())
    edge = {name: "the edge's own" for name in used if name.startswith(EDGE_NETWORK)}
    found = [*problems(paths, folder), *names(resolved, moving, shared, file), *taken(edge, file)]
    return paths, tuple(found), notices(paths, folder)


def names(
    resolved: Table, moving: Iterable[str], shared: Iterable[str], file: str
) -> list[Problem]:
    """Names and labels by which a service would be taken for Homeport's own, or for another's."""
    found, moves = [], frozenset(moving)
    for name in (*moves, *shared):
        one = (resolved.get("services") or {}).get(name) or {}
        at = f"{file}: services.{name}"
        said = [(name, at), (str(one.get("hostname") or ""), f"{at}.hostname")]
        if name not in moves:
            said.append((str(one.get("container_name") or ""), f"{at}.container_name"))
        for network, rule in (one.get("networks") or {}).items():
            aliases = (rule or {}).get("aliases") or ()
            said += [(str(alias), f"{at}.networks.{network}.aliases") for alias in aliases]
        why = "by such names the edge finds slots, and requests of another app could come here"
        for text, where in said:
            if _TAKEN.match(text.lower()):
                found.append(Problem(f"{text} is a name of Homeport's", where, why, "rename it"))
        why = "by its labels Homeport knows whose a container is"
        for label in services.as_map(one.get("labels")):
            ours = label.startswith("homeport.") and label != SHARED_LABEL
            if ours or label.startswith("com.docker.compose."):
                what = f"the label {label} is not for a compose file"
                found.append(Problem(what, f"{at}.labels", why, "take it away"))
    return found


def taken(others: Mapping[str, str], file: str) -> list[Problem]:
    """Networks and volumes that are somebody else's: name → whose."""
    return [
        Problem(
            f"{name} is {owner}",
            file,
            "what is on a network can pass for all others there, and data has one owner",
            "take name: and external: away; apps that are to meet need a network made by hand:"
            " docker network create NAME",
        )
        for name, owner in sorted(others.items())
    ]
