"""Every plan there is: how it is brought about, and the steps it has.

Pure data. The steps are compared twice: with the plan functions of the core and the operations of
the host by a unit test, and with the journal of an undisturbed run before the first fault. So a
step that is added to a plan is one that faults are tried at, from that day on.

A step is written ``id:do``, or ``id`` where both are the same; without the slot that it may name.
"""

from __future__ import annotations

from bench.faults.way import Way

#: what a deploy does before it comes to its handover, and after its commit
_MAKE = "release:write-release backup verify"
_UP = "start:compose-up healthy:probe smoke"
_DOWN = "hold:link unpin:policy-off drain retire:stop"
_COMMIT = "handover:link"
_SEEN = "pin:policy-on watch"
_LAST = "mark prune prune-sets"
#: what recovery does for a release that was stopped already
_BACK = "start:start-kept healthy:probe handover:link pin:policy-on"


def _deploy(name: str, mode: str, steps: str, image: str = "{next}", **more: object) -> Way:
    words = ("deploy", image, "--json", "--monitor", "1s", "--force")
    return Way(name, (("deploy", steps),), words, mode=mode, **more)  # type: ignore[arg-type]


_WRITER = f"sockets standby:standby-on {_UP} {_DOWN} lift:standby-off {_COMMIT} workers:compose-up"
_MIGRATES = f"{_MAKE} rehearse sockets {_DOWN} snapshot migrate"
#: the same beside a database server that all releases share
_SERVED = "release:write-release shared:shared-wait backup verify"
_OVERLAP = "unpin:policy-off pin:policy-on watch drain retire:stop"
_RETURN = f"{_DOWN} snapshot restore:restore-data start:start-kept healthy:probe smoke {_COMMIT}"

_TAKEN = f"{_DOWN} start:start-kept healthy:probe {_COMMIT} pin:policy-on mark"
_UNDONE = f"clear:remove-slot data:restore-stake {_BACK}"

WAYS = (
    _deploy("single-writer", "single-writer", f"{_MAKE} {_WRITER} {_SEEN} {_LAST}"),
    _deploy("recreate", "recreate", f"{_MAKE} sockets {_DOWN} {_UP} {_COMMIT} {_SEEN} {_LAST}"),
    _deploy(
        "exclusive",
        "exclusive",
        f"{_MAKE} sockets {_DOWN} snapshot {_UP} {_COMMIT} {_SEEN} {_LAST}",
    ),
    _deploy(
        "exclusive, migration",
        "single-writer",
        f"{_MIGRATES} {_UP} schema {_COMMIT} {_SEEN} mark prune",
        "{later}",
        ready=("schema_of_today",),
    ),
    Way(
        "failed deploy",
        (
            ("deploy", f"{_MIGRATES} start:compose-up healthy:probe"),
            ("recover", _UNDONE),
        ),
        ("deploy", "{ill}", "--json", "--monitor", "1s", "--force"),
        tries=(
            "deploy/healthy",
            *(f"recover/{one.partition(':')[0]}" for one in _UNDONE.split()),
        ),
        ready=("schema_of_today",),
        settings=(("start", "6s"),),
        code=52,
    ),
    Way(
        "taken back",
        (
            ("deploy", f"{_MAKE} {_WRITER} {_SEEN}"),
            ("take-back", _TAKEN),
        ),
        ("deploy", "{turns}", "--json", "--monitor", "20s", "--force"),
        tries=tuple(f"take-back/{one.partition(':')[0]}" for one in _TAKEN.split()),
        errors=("answered_5xx",),
        code=54,
    ),
    Way(
        "rollback",
        (
            (
                "rollback",
                f"sockets standby:standby-on start:start-kept healthy:probe smoke {_DOWN}"
                f" lift:standby-off {_COMMIT} workers:start-kept {_SEEN} mark prune",
            ),
        ),
        ("rollback", "{other}", "--json", "--monitor", "1s"),
    ),
    Way(
        "rollback with data",
        (("rollback", f"sockets {_RETURN} {_SEEN} mark prune"),),
        ("rollback", "{other}", "--with-data", "{set}", "--json", "--monitor", "1s"),
        ready=("saved",),
        errors=("failed_edge",),
        writes=False,
    ),
    Way(
        "restore",
        (("restore", f"{_RETURN} pin:policy-on"),),
        ("restore", "{set}", "--json"),
        ready=("saved",),
        writes=False,
    ),
    Way("backup", (("backup", "backup verify prune-sets"),), ("backup", "--json")),
    Way(
        "backup, held",
        (("backup", "hold:link drain backup serve:link verify prune-sets"),),
        ("backup", "--hold", "--json"),
    ),
    Way(
        "backup prune",
        (("backup-prune", "prune-sets"),),
        ("backup", "prune", "--json"),
        ready=("one_set_too_many",),
    ),
    Way(
        "backup verify",
        (("backup-verify", "verify:verify-sets"),),
        ("backup", "verify", "--json"),
    ),
    Way(
        "look after the data",
        (("data-vacuum", "hold:link drain care:data-care resume:link"),),
        ("data", "vacuum", "--json"),
    ),
    Way(
        "edge change",
        (("edge-apply", "edge:edge-apply"),),
        ("edge", "apply", "--json"),
        ready=("another_hold",),
        errors=("failed_edge",),
    ),
    Way("edge upgrade", (("edge-upgrade", "pull:edge-pull"),), ("edge", "upgrade", "--json")),
    Way(
        "maintenance on",
        (("maintenance", "page:page-up"),),
        ("maintenance", "on", "--json"),
        ready=("no_page",),
        errors=("failed_edge",),
    ),
    Way(
        "maintenance off",
        (("maintenance", "page:page-down"),),
        ("maintenance", "off", "--json"),
        ready=("page",),
        errors=("failed_edge",),
    ),
    Way(
        "deploy with the page",
        (
            ("deploy", f"{_MAKE} rehearse sockets page:page-up {_DOWN} snapshot migrate {_UP}"),
            ("deploy", f"schema {_COMMIT} unpage:page-down {_SEEN} mark prune"),
        ),
        ("deploy", "{later}", "--json", "--monitor", "1s", "--force"),
        tries=("deploy/page", "deploy/unpage"),
        ready=("schema_of_today",),
        settings=(("hold", "6s"),),
        errors=("failed_edge",),
    ),
    Way(
        "recovery of a hold",
        (("recover", f"clear:remove-slot {_BACK}"),),
        ("deploy", "{next}", "--json", "--monitor", "1s", "--force"),
        mode="recreate",
        # in its middle there may be no container yet that has to be cleared
        first=("deploy", "start", "after"),
        code=1,
    ),
    Way(
        "recovery of a rollback",
        (("recover", "unpin:policy-off stop lift:standby-off"),),
        ("rollback", "{other}", "--json", "--monitor", "1s"),
        first=("rollback", "healthy", "after"),
        code=1,
    ),
    Way(
        "recovery of a handover",
        (("recover", "start:compose-up healthy:probe handover:link pin:policy-on mark"),),
        ("deploy", "{next}", "--json", "--monitor", "1s", "--force"),
        first=("deploy", "handover", "after"),
    ),
    Way(
        "first deploy",
        (
            (
                "deploy",
                f"release:write-release pull data edge:edge-apply sockets migrate {_UP} {_COMMIT}"
                f" {_SEEN} mark prune",
            ),
        ),
        ("deploy", "{next}", "--json", "--monitor", "1s"),
        ready=("nothing",),
        errors=("failed_edge", "answered_5xx", "answered_4xx"),
        writes=False,
    ),
    _deploy(
        "overlap",
        "overlap",
        f"{_SERVED} sockets {_UP} {_COMMIT} {_OVERLAP} {_LAST}",
        host="postgres",
    ),
    _deploy(
        "overlap, migration",
        "overlap",
        f"{_SERVED} rehearse sockets migrate {_UP} {_COMMIT} {_OVERLAP} mark prune",
        "{compatible}",
        host="postgres",
        ready=("schema_of_today",),
        settings=(("compatible", "true"),),
    ),
    _deploy(
        "exclusive, migration, server",
        "overlap",
        f"{_SERVED} rehearse sockets {_DOWN} snapshot migrate {_UP} schema {_COMMIT} {_SEEN}"
        " mark prune",
        "{later}",
        host="postgres",
        ready=("schema_of_today",),
    ),
    Way(
        "restore, server",
        (("restore", f"{_RETURN} pin:policy-on"),),
        ("restore", "{set}", "--json"),
        host="postgres",
        mode="overlap",
        ready=("saved",),
        writes=False,
    ),
    Way(
        "backup, server",
        (("backup", "backup verify prune-sets replaced:prune-replaced"),),
        ("backup", "--json"),
        host="postgres",
        mode="overlap",
    ),
    Way(
        "recovery of an overlap",
        (("recover", "unpin:policy-off stop handover:link pin:policy-on mark"),),
        ("deploy", "{next}", "--json", "--monitor", "1s", "--force"),
        host="postgres",
        mode="overlap",
        first=("deploy", "handover", "after"),
    ),
    Way(
        "shared services",
        (("shared", "shared:shared-up"),),
        ("deploy", "--shared", "--json"),
        host="postgres",
        mode="overlap",
        ready=("another_server",),
        errors=("answered_5xx", "failed_edge"),
    ),
    Way(
        "remove, server",
        (("remove", "link:unlink clear:remove-slot shared:shared-down edge:edge-apply"),),
        ("remove", "--yes", "--json"),
        host="postgres",
        mode="overlap",
        ready=("something",),
        errors=("failed_edge", "answered_5xx", "answered_4xx"),
        writes=False,
    ),
    Way(
        "remove",
        (("remove", "link:unlink clear:remove-slot edge:edge-apply"),),
        ("remove", "--yes", "--json"),
        ready=("something",),
        errors=("failed_edge", "answered_5xx", "answered_4xx"),
        writes=False,
    ),
)

#: no plan: the agent itself is taken in, by the first lines that run on a host
UPGRADE = Way(
    "agent upgrade", (("agent", "take-in point"),), ("deploy", "{next}", "--json", "--force")
)

#: operations that only plans off the list have, and what shows that those survive a death
ELSEWHERE = {
    "offsite": "goes on after its run has ended: tests/contract/test_offsite_aside.py",
    "offsite-prune": "the same",
    "drill": "needs a repository off the box: tests/contract/test_host_offsite.py",
    "fetch": "the same: a restore onto a new host",
    "record-back": "needs releases that were deleted by hand: bench.faults.others",
}


def way(name: str) -> Way:
    """The way by its name; raises KeyError."""
    return {one.name: one for one in WAYS}[name]
