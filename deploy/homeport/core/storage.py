"""Whether an app's data is safe where it lies: what is refused, and what is warned of. Pure."""

from __future__ import annotations

import re
from typing import Mapping

from homeport.core import adopt, saving
from homeport.core.facts import Facts
from homeport.core.mounts import Mount, Named
from homeport.core.render import Rendered
from homeport.errors import Problem
from homeport.model import Settings

#: filesystems on which SQLite's locks or its shared memory do not work
UNSAFE = frozenset(
    (
        *("nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "virtiofs", "vboxsf", "prl_fs"),
        *("afs", "ceph", "davfs", "glusterfs", "fakeowner", "fuse.ceph-fuse", "fuse.curlftpfs"),
        *("fuse.davfs", "fuse.gcsfuse", "fuse.glusterfs", "fuse.grpcfuse", "fuse.rclone"),
        *("fuse.s3fs", "fuse.sshfs", "fuse.vmhgfs-fuse"),
    )
)
#: volume drivers of others that keep data on another machine
_DISTANT = re.compile(r"nfs|cifs|smb|sshfs|ceph|gluster|rclone|s3", re.IGNORECASE)
#: a connection that checkpoints and one that writes at the same instant can lose a commit in
#: SQLite before these, by the minor version that was mended; the last one and all after it are good
_MENDED: Mapping[tuple[int, int], int] = {(3, 44): 6, (3, 50): 7, (3, 51): 3}
_BEGAN = (3, 7, 0)


def kind_of(driver: str, options: Mapping[str, str]) -> tuple[str, str]:
    """The kind of filesystem that a volume is on; or "" and the path that tells, if one does."""
    if driver not in ("", "local"):
        return f"the volume driver {driver}", ""
    kind, flags = str(options.get("type", "")).lower(), str(options.get("o", "")).split(",")
    if kind in ("", "none") or "bind" in flags or "rbind" in flags:
        return "", str(options.get("device", ""))
    return kind, ""


def spoils(kind: str) -> bool:
    """Whether a SQLite database on this kind of filesystem can be damaged."""
    return kind in UNSAFE or (
        kind.startswith("the volume driver ") and bool(_DISTANT.search(kind.split()[-1]))
    )


def problems(settings: Settings, rendered: Rendered, facts: Facts) -> list[Problem]:
    """What stops a deploy because data would be damaged, or lost with the container."""
    return [
        *unsafe(settings, rendered, facts),
        *_single_files(settings, rendered, facts),
        *_in_the_image(settings, rendered, facts),
        *_two_writers(settings, rendered, facts),
        *_uncovered(settings, rendered, facts),
        *_not_stopped(settings, rendered),
    ]


def unsafe(settings: Settings, rendered: Rendered, facts: Facts) -> list[Problem]:
    """Data on a filesystem that damages a SQLite database.

    An app whose database is a PostgreSQL server may keep its files on a share.
    """
    if settings.backup is not None and settings.backup.postgres:
        return []
    return [
        Problem(
            f"{place(where)} lies on {facts.filesystems[where]}",
            "host",
            "a SQLite database there would be damaged",
            "move the app's data to a local disk; if its database is PostgreSQL, say so:"
            ' [backup] postgres = "DATABASE_URL"',
        )
        for where in (*rendered.data, *rendered.kept)
        if spoils(facts.filesystems.get(where, ""))
    ]


def place(where: str) -> str:
    """A folder or a volume, as a sentence names it."""
    return where if where.startswith("/") else f"the volume {where}"


def _single_files(settings: Settings, rendered: Rendered, facts: Facts) -> list[Problem]:
    """A database that is mounted by itself: what SQLite keeps beside it is not."""
    found = {}
    for one in rendered.mounts:
        if one.kind != "bind" or one.read_only or one.source not in facts.files:
            continue
        at, inside = one.source.rpartition("/")[0], one.target.rpartition("/")[0]
        found[one.source] = Problem(
            f"{one.source} is a database, mounted by itself",
            f"{settings.compose}: services.{one.service}.volumes",
            "SQLite keeps rows in files beside it (-wal, -journal), and those would stay in the"
            " container and be lost with it",
            f"mount its folder instead: {at}:{inside or '/'}",
        )
    return [found[path] for path in sorted(found)]


def _in_the_image(settings: Settings, rendered: Rendered, facts: Facts) -> list[Problem]:
    """A database in the container's own layer."""
    found = []
    for one in rendered.databases:
        if not _ends(one, rendered):
            continue
        folder, _, file = one.path.rpartition("/")
        better = f"{folder or '/app'}/data"
        mend = f"volumes: [./data:{better}] for {one.service}, and {better}/{file} as its path"
        live = facts.committed
        for container in facts.slot(live.slot) if live else ():
            if container.service == one.service and one.path.startswith("/"):
                copy = f"docker cp {container.name}:{one.path} ."
                mend += f"; first save what is there: {adopt.on_host(settings.host, copy)}"
        found.append(
            Problem(
                f"{one.variable} leads to {one.path}, which lies in no volume",
                f"{settings.compose}: services.{one.service}",
                "the data would end with the container, and every deploy makes a new one",
                mend,
            )
        )
    return found


def _ends(one: Named, rendered: Rendered) -> bool:
    """Whether a database ends with its container; a tmpfs is somebody's own word for that.

    Where a relative path leads is the app's to know: it is let be as long as anything is kept.
    """
    if not one.path.startswith("/"):
        return not any(mount.source and not mount.read_only for mount in _mine(one, rendered))
    nearest = _nearest(one, rendered)
    return nearest is None or (nearest.kind == "volume" and not nearest.source)


def _mine(one: Named, rendered: Rendered) -> list[Mount]:
    return [mount for mount in rendered.mounts if mount.service == one.service]


def _nearest(one: Named, rendered: Rendered) -> Mount | None:
    """The mount that a database lies in: the innermost one."""
    over = [mount for mount in _mine(one, rendered) if mount.covers(one.path)]
    return max(over, key=lambda mount: len(mount.target), default=None)


def sqlite(rendered: Rendered, facts: Facts) -> str:
    """A SQLite database of the app's, as far as one is known; "" where none is."""
    saved = facts.sets[-1].items if facts.sets else ()
    known = [one.source for one in saved if one.kind == "sqlite"]
    known += [one.path for one in rendered.databases]
    return known[0] if known else ""


def _two_writers(settings: Settings, rendered: Rendered, facts: Facts) -> list[Problem]:
    file = sqlite(rendered, facts)
    if settings.deploy.handover != "overlap" or not rendered.writable or not file:
        return []
    why = f"{file} is a SQLite database, and two releases would write to it at the same time"
    mend = 'remove handover, or set "single-writer" for an app that can stand by, else "recreate"'
    where = "homeport.toml: [deploy] handover"
    return [Problem("overlap is not possible with SQLite", where, why, mend)]


def _uncovered(settings: Settings, rendered: Rendered, facts: Facts) -> list[Problem]:
    """A migration of a database of which nothing could be saved: it cannot be put back."""
    due = facts.committed and facts.schema and facts.schema.pending
    if not settings.migrate or not due or saving.has_data(settings, rendered):
        return []
    what, where = "the database that would be migrated is in no backup", "[migrate] command"
    why = "no service has a mount to write to, and [backup] names no PostgreSQL database"
    return [Problem(what, where, why, saving.UNCOVERED)]


def _not_stopped(settings: Settings, rendered: Rendered) -> list[Problem]:
    """A shared service that writes to data of a moving one: it runs on while that is put back."""
    if not saving.asked(settings):
        return []
    mine = {one.source for one in rendered.mounts if one.source and not one.read_only}
    found = {}
    for one in rendered.beside:
        if one.read_only or not any(_meet(one.source, other) for other in mine):
            continue
        found[one.service, one.source] = Problem(
            f"{one.service} is shared and writes to {place(one.source)}, as moving services do",
            f"{settings.compose}: services.{one.service}.volumes",
            "nobody may write there while its data is migrated or put back, and no deploy stops"
            " a shared service",
            "mount it read-only there (:ro), or take the label homeport.shared away",
        )
    return list(found.values())


def _meet(one: str, other: str) -> bool:
    """Whether two sources are the same, or one folder lies in the other."""
    one, other = f"{one}/", f"{other}/"
    return one != "/" and (one.startswith(other) or other.startswith(one))


# --- what is only said
def warnings(settings: Settings, rendered: Rendered, facts: Facts) -> list[Problem]:
    """What costs data only on a bad day."""
    found = []
    for one in rendered.loose:
        found.append(
            Problem(
                f"{one.service} runs with {one.setting}",
                settings.compose,
                "a power cut takes writes along that were acknowledged, or the whole database",
                "remove it; a local disk is quick enough for what it costs",
            )
        )
    for name in rendered.databases:
        nearest = _nearest(name, rendered)
        if nearest and nearest.kind == "tmpfs":
            found.append(
                Problem(
                    f"{name.variable} leads to {name.path} in memory",
                    f"{settings.compose}: services.{name.service}.tmpfs",
                    "it is gone with the container",
                    "lead it into a volume unless that is meant",
                )
            )
    old = old_library(facts)
    if old:
        found.append(old)
    bare = unsaved(settings, rendered, facts)
    return [*found, *([bare] if bare else [])]


def old_library(facts: Facts) -> Problem | None:
    """The SQLite library that read the last set has a bug that loses commits."""
    saved = facts.sets[-1].items if facts.sets else ()
    bad = [one.version for one in saved if one.kind == "sqlite" and loses_commits(one.version)]
    if not bad:
        return None
    return Problem(
        f"the app's SQLite {bad[0]} can lose a commit (the WAL-reset bug)",
        "image",
        "when one connection writes and another checkpoints at the same instant; so no two"
        " releases write at once",
        "a base image with SQLite 3.51.3, 3.50.7 or 3.44.6, or newer",
    )


def loses_commits(version: str) -> bool:
    """Whether this version of SQLite has the WAL-reset bug; False where it is no version."""
    parts = version.split(".")
    if len(parts) < 2 or not all(one.isdigit() for one in parts[:3]):
        return False
    major, minor, patch = (*(int(one) for one in parts[:3]), 0)[:3]
    if (major, minor, patch) < _BEGAN or (major, minor) > max(_MENDED):
        return False
    return patch < _MENDED.get((major, minor), patch + 1)


def unsaved(settings: Settings, rendered: Rendered, facts: Facts) -> Problem | None:
    """The app writes somewhere and nobody saves it; what serves already is judged elsewhere."""
    live, places = facts.committed, (*rendered.data, *rendered.kept)
    if saving.asked(settings) or not places or (live and not saving.asked(live.settings)):
        return None
    what = f"nothing is saved of {', '.join(_short(one, facts.app) for one in places)}"
    why = "homeport.toml has no [backup]: a dead disk takes it along"
    return Problem(what, "homeport.toml", why, "[backup] in homeport.toml, then homeport deploy")


def _short(where: str, app: str) -> str:
    return where.removeprefix(f"/opt/{app}/")
