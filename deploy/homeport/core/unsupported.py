"""What a compose file can ask for that a release's slot cannot be given, or only in part.

What stands in none of the tables is obeyed. `make docs` makes a page of them; what it says of when
a row applies is the docstring of its test. A slot is a Compose project of its own, made anew for
every release; what ties a service to something outside of it cannot come along.
"""

from __future__ import annotations

import re
from typing import Any, Callable, Mapping

from homeport.errors import Problem
from homeport.model import SHARED_LABEL

Table = dict[str, Any]
#: a service's value for a key, and the services that run in the same project → does the row apply
Test = Callable[[Any, frozenset[str]], bool]

ROOT = "whoever breaks into it is root on the host"
APART = f'or give what needs it a service of its own with labels: {{{SHARED_LABEL}: "true"}}'
#: capabilities that reach past a container; Docker gives none of them by itself
_CAPABILITIES = frozenset(
    (
        *("ALL", "SYS_ADMIN", "SYS_MODULE", "SYS_RAWIO", "SYS_BOOT", "SYS_TIME", "SYS_PTRACE"),
        *("DAC_READ_SEARCH", "MAC_ADMIN", "MAC_OVERRIDE", "BPF", "PERFMON"),
    )
)
#: devices that hold the host's disks or memory; "/dev" is all of them
_DEVICES = re.compile(
    r"/dev(?:/?|/(?:mem|kmem|port|(?:mapper|disk|block)(?:/.*)?"
    r"|(?:sd|hd|vd|xvd|nvme|mmcblk|loop|dm-|md|sg|ram|nbd)[a-z0-9]*))\Z"
)


def _there(value: Any, mine: frozenset[str]) -> bool:
    """It is set."""
    return bool(value)


def _elsewhere(value: Any, mine: frozenset[str]) -> bool:
    """It is `container:NAME`, or `service:NAME` of one that is not in the same project."""
    kind, _, name = str(value or "").partition(":")
    return kind == "container" or (kind == "service" and name not in mine)


def _from_elsewhere(value: Any, mine: frozenset[str]) -> bool:
    """It names a container, or a service that is not in the same project."""
    words = [str(one).split(":") for one in value or []]
    return any(one[0] not in mine or (one[0] == "container" and len(one) > 1) for one in words)


def _ends(value: Any, mine: frozenset[str]) -> bool:
    """Its condition is `service_completed_successfully`."""
    rules = value.values() if isinstance(value, dict) else ()
    return any((one or {}).get("condition") == "service_completed_successfully" for one in rules)


def _of_the_host(value: Any, mine: frozenset[str]) -> bool:
    """It is `host`."""
    return bool(value == "host")


def _global(value: Any, mine: frozenset[str]) -> bool:
    """Its `mode` is `global`."""
    return bool((value or {}).get("mode") == "global")


def _mighty(value: Any, mine: frozenset[str]) -> bool:
    """One of them reaches past the container: `ALL`, `SYS_ADMIN`, `SYS_MODULE` and their like."""
    return any(str(one).upper().removeprefix("CAP_") in _CAPABILITIES for one in value or [])


def _disks(value: Any, mine: frozenset[str]) -> bool:
    """A disk or the memory of the host is among them."""
    paths = [one.get("source") if isinstance(one, dict) else one for one in value or []]
    return any(_DEVICES.match(str(one).split(":")[0]) for one in paths)


def _every_device(value: Any, mine: frozenset[str]) -> bool:
    """One of them is for disks (`b`) or for everything (`a`, or `*` as the number)."""
    rules = [str(one).split() for one in value or []]
    return any(one[:1] in (["a"], ["b"]) or one[1:2] and one[1][0] == "*" for one in rules)


def _unconfined(value: Any, mine: frozenset[str]) -> bool:
    """One of them ends with `unconfined`, or is `label:disable`."""
    return any(str(one).endswith(("unconfined", "disable")) for one in value or [])


_JOIN = "it would join something that outlives the release, or dies before it"
_NAMES = "put both on one network; there each is reached by its service's name"
#: key → when it is refused, why, and what to write instead; for every service of a project
REFUSED: Mapping[str, tuple[Test, str, str]] = {
    "network_mode": (_elsewhere, _JOIN, _NAMES),
    "ipc": (_elsewhere, _JOIN, "remove ipc:; share a volume instead"),
    "pid": (_elsewhere, _JOIN, "remove pid:"),
    "volumes_from": (_from_elsewhere, _JOIN, "name the volumes under volumes: of both services"),
    "provider": (_there, "no container stands behind it", "remove it from this file"),
}
#: the same for services that move with a release
REFUSED_IN_SLOTS: Mapping[str, tuple[Test, str, str]] = {
    "links": (
        _there,
        "a slot is not in one project with what it links to",
        f"remove links: and {_NAMES}, or by networks: {{default: {{aliases: [NAME]}}}}",
    ),
    "external_links": (_there, _JOIN, f"remove external_links: and {_NAMES} (external: true)"),
    "post_start": (
        _there,
        "only the compose command runs it, and after a boot or a rollback Docker starts slots",
        "do it in the image's entrypoint",
    ),
    "pre_stop": (
        _there,
        "only the compose command runs it, and slots are stopped by Docker",
        "do it in the app when SIGTERM comes (stop_signal, stop_grace_period)",
    ),
    "models": (_there, "models are started by the compose command alone", "remove models:"),
    "depends_on": (
        _ends,
        "after a boot or a rollback, and in some handovers, nobody would wait for its end",
        "do its work in the entrypoint of the service that waits for it",
    ),
}
#: the same for shared services
REFUSED_SHARED: Mapping[str, tuple[Test, str, str]] = {
    "build": (
        _there,
        "the host has none of its sources",
        "push it to a registry, name it with image: and remove build:",
    ),
}
#: what makes a container as good as root on the host: refused to services that move with a release,
#: since every deploy brings them new code; of shared services it is said
MIGHTY: Mapping[str, tuple[Test, str, str]] = {
    "privileged": (_there, ROOT, f"devices: and cap_add: name what it needs; {APART}"),
    "use_api_socket": (_there, ROOT, f"remove it, {APART}"),
    "pid": (_of_the_host, "it sees the host's processes and can end them", f"remove it, {APART}"),
    "ipc": (_of_the_host, "it shares memory with the host's programs", f"remove it, {APART}"),
    "userns_mode": (_of_the_host, "its root is the host's own", f"remove it, {APART}"),
    "cap_add": (_mighty, ROOT, f"few programs need such a one: remove it, {APART}"),
    "devices": (_disks, f"it reads and writes all that is there: {ROOT}", f"remove it, {APART}"),
    "device_cgroup_rules": (_every_device, ROOT, f"name one under devices:, {APART}"),
}
#: what is left out of a slot, and what is said about it
DROPPED: Mapping[str, str] = {
    "container_name": "two slots cannot share a name",
    "develop": "it is for work on the app",
}
#: what is obeyed, and what should be known about it
NOTED: Mapping[str, tuple[Test, str]] = {
    "deploy": (_global, "mode: global means nothing on one host: one container is started"),
    "security_opt": (_unconfined, "the kernel's usual bounds of a container are off"),
    "cgroup_parent": (_there, "what is said about Docker's containers in all does not hold for it"),
}
#: other files, of which only their names would reach the host
_INCLUDE = re.compile(r"^(?:\{[^\n]*?)?[\"']?\binclude[\"']?[ \t]*:", re.MULTILINE)
_LABEL_FILE = re.compile(r"^[ \t]+label_file[ \t]*:", re.MULTILINE)
_EXTENDS = re.compile(
    r"\bextends[ \t]*:[ \t]*\{[^}]*\bfile[ \t]*:"
    r"|^([ \t]+)extends[ \t]*:[ \t]*\n(?:\1[ \t]+.*\n)*?\1[ \t]+file[ \t]*:",
    re.MULTILINE,
)


def other_files(text: str, name: str, app: str) -> tuple[Problem, ...]:
    """What a compose file's text takes from other files: it goes to the host alone."""
    found = [
        key
        for key, pattern in (
            ("include", _INCLUDE),
            ("extends: file", _EXTENDS),
            ("label_file", _LABEL_FILE),
        )
        if pattern.search(text)
    ]
    mend = (
        f"docker compose -p {app} -f {name} config --no-interpolate --no-path-resolution"
        " --no-env-resolution -o compose.homeport.yaml; then in homeport.toml:"
        ' compose = "compose.homeport.yaml"'
    )
    return tuple(
        Problem(f"{key} takes part of it from another file", name, "one file is sent", mend)
        for key in found
    )


def problems(
    services: Mapping[str, Table], moving: tuple[str, ...], shared: tuple[str, ...], file: str
) -> list[Problem]:
    """What no slot, or no project of shared services, can be given, each by its key."""
    found = []
    for names, tables in (
        (moving, (REFUSED, REFUSED_IN_SLOTS, MIGHTY)),
        (shared, (REFUSED, REFUSED_SHARED)),
    ):
        mine = frozenset(names)
        for name in names:
            one = services.get(name) or {}
            for key, (test, why, mend) in ((k, row) for rows in tables for k, row in rows.items()):
                if test(one.get(key), mine):
                    what = f"{name}: {key} cannot be had here"
                    found.append(Problem(what, f"{file}: services.{name}.{key}", why, mend))
    return found


def notices(
    services: Mapping[str, Table], moving: tuple[str, ...], shared: tuple[str, ...] = ()
) -> list[str]:
    """What is obeyed and should be known about."""
    found = []
    mighty = {key: (test, why) for key, (test, why, _) in MIGHTY.items()}
    for names, rows in ((moving, NOTED), (shared, mighty)):
        for name in names:
            one = services.get(name) or {}
            for key, (test, text) in rows.items():
                if test(one.get(key), frozenset(names)):
                    found.append(f"{name}: {key}: {text}")
    return found


def outside(resolved: Table, used: Mapping[str, set[str]], file: str) -> list[Problem]:
    """Secrets and configs that only Swarm could have."""
    return [
        Problem(
            f"{key}.{name} is external",
            f"{file}: {key}.{name}",
            "only Swarm keeps such, and this is no Swarm",
            f"{key}: {{{name}: {{file: ./{name}.txt}}}}, or environment: NAME",
        )
        for key in ("secrets", "configs")
        for name in sorted(used[key])
        if ((resolved.get(key) or {}).get(name) or {}).get("external")
    ]
