"""PostgreSQL: a dump of the app's database, the proof that it restores, and putting it back.

Nothing here touches the app's own database but the one transaction of ``restore`` that lets a
restored one take its place, and what is read of it.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable, Iterator, Mapping

from homeport.backups import Item
from homeport.core import postgres, postgres_check as checks, postgres_sql as sql
from homeport.errors import HostFault, Problem, Refused
from homeport.host import postgres_find
from homeport.host.context import Context
from homeport.host.paths import sync
from homeport.host.postgres_client import LONGEST, Client, Said, copying
from homeport.host.postgres_fill import About, about, copies, drop, fill
from homeport.host.postgres_find import Elsewhere, variable
from homeport.model import Release

__all__ = ["Elsewhere", "dump", "limits", "problems", "prune", "restore", "scratch", "variable"]
#: how often the place of a database is tried to be taken whose users keep coming back
TRIES = 3
Check = Callable[[Mapping[str, str]], str]


@dataclass(frozen=True)
class Scratch:
    """A database that a dump was restored into, and the variables that point the app at it."""

    name: str
    env: Mapping[str, str] = field(repr=False)
    client: Client = field(repr=False)


def dump(ctx: Context, release: Release, folder: Path, file: str) -> Item:
    """Dump the release's database into a file of a folder; what the dump holds.

    Rows are counted in the dump's own snapshot. The file has its name only once it is whole and on
    the disk. Raises Elsewhere for a database that is none of the app's own services.
    """
    with copying(ctx, release, folder) as (client, seen):
        temp = folder / f".{file}.new"
        try:
            version, counts = _dumped(client, f"{seen}/{temp.name}")
            size, digest = _keep(temp, folder / file)
        finally:
            temp.unlink(missing_ok=True)
        return Item(
            kind="postgres",
            source=variable(release),
            file=file,
            size=size,
            sha256=digest,
            tables=counts,
            version=version,
        )


def _dumped(client: Client, file: str) -> tuple[str, dict[str, int]]:
    """Dump into a file, as the client sees it; the server's version, and the rows of each table."""
    script = sql.dump(client.live, file, "/scratch/dump.code", "/scratch/dump.err")
    what = f"the database {client.live} could not be dumped"
    objects, counts = checks.rows(client.sql(script, client.live, LONGEST, what=what))
    # psql itself does not heed how a program that it called ended
    said = Said(int(client.left("dump.code") or -1), "", client.left("dump.err"))
    if said.code:
        raise client.fault(what, said)
    return str(objects[0]["version"]).split(" ")[0], counts


def _keep(temp: Path, final: Path) -> tuple[int, str]:
    """Give a written file its name once it lasts; its size and its SHA-256."""
    with open(temp, "rb") as stream:
        size, digest = _digest(stream.fileno())
        os.fsync(stream.fileno())
    os.chmod(temp, 0o600)
    os.replace(temp, final)
    sync(final.parent)
    return size, digest


def _digest(handle: int) -> tuple[int, str]:
    found, size = hashlib.sha256(), 0
    while part := os.read(handle, 1 << 20):
        found.update(part)
        size += len(part)
    return size, found.hexdigest()


def problems(
    ctx: Context,
    release: Release,
    item: Item,
    folder: Path,
    check: Check | None = None,
    began: float = 0.0,
    ended: float = 0.0,
) -> tuple[str, ...]:
    """Why a dump does not count as a backup; empty where it was restored and found good.

    Its file is what was written, it is a dump of this database from the time of its set (where
    ``began`` and ``ended`` say that), it restores, each table has the rows it had, and ``check``
    finds nothing: that is given the variables that point the app at the copy, and answers why the
    app does not like it.
    """
    said = damaged(folder / item.file, item)
    if said:
        return said
    try:
        with scratch(ctx, release, item, folder) as copy:
            client = copy.client
            listed = client.do(["pg_restore", "--list", f"/set/{item.file}"], "it cannot be read")
            wrong = checks.foreign(checks.archive(listed.out), client.live, began, ended)
            wrong += checks.differing(item.tables, copies(client, copy.name))
            if not wrong and check is not None:
                why = check(copy.env)
                wrong = (why,) if why else ()
            return tuple(ctx.masked(one) for one in wrong)
    except NotRestored as error:
        return tuple(f"{one.what}: {one.why}" if one.why else one.what for one in error.problems)


def damaged(path: Path, item: Item) -> tuple[str, ...]:
    """Whether a file is not the one that was written, told by its size and its checksum."""
    try:
        with open(path, "rb") as stream:
            size, digest = _digest(stream.fileno())
    except OSError as error:
        return (f"{item.file} cannot be read: {error.strerror}",)
    if size != item.size:
        return (f"{item.file} has {size} bytes, and had {item.size}",)
    if digest != item.sha256:
        return (f"{item.file} has changed since it was written: its checksum differs",)
    return ()


class NotRestored(HostFault):
    """The dump is no good; all else about the server is."""

    meaning = "a dump could not be restored"


@contextmanager
def scratch(ctx: Context, release: Release, item: Item, folder: Path) -> Iterator[Scratch]:
    """A database of its own on the app's server, with what the dump holds; dropped at the end.

    What dead runs left is dropped first. Raises NotRestored where the dump cannot be restored.
    """
    with Client(ctx, release, folder) as client:
        seen = _may(client)
        name = sql.named(sql.CHECK, ctx.run, secrets.token_hex(2))
        try:
            _fill(client, seen, name, item, whole=False)
            address = client.server.address
            yield Scratch(name, {variable(release): address.elsewhere(name)}, client)
        finally:
            drop(client, name)


def _fill(client: Client, seen: About, name: str, item: Item, whole: bool) -> str:
    try:
        return fill(client, seen, name, item.file, whole)
    except HostFault as error:
        raise NotRestored(*error.problems) from error


def _may(client: Client) -> About:
    """The database and its role; raises Refused where that may not make another one beside it."""
    seen = about(client)
    if seen.may and seen.mine:
        return seen
    user, live = sql.ident(seen.role), sql.ident(client.live)
    right = (
        f"ALTER ROLE {user} CREATEDB" if not seen.may else f"ALTER DATABASE {live} OWNER TO {user}"
    )
    what = f"the role {seen.role} may not make databases"
    if seen.may:
        what = f"the database {client.live} is not the role {seen.role}'s own"
    why = "a backup counts once it was restored into a database beside the app's own"
    where = f"the database server {client.server.service}"
    box, root = client.server.container[:12], client.server.superuser
    mend = f"docker exec {box} psql -U {root} -d postgres -c '{right}'"
    raise Refused(Problem(what, where, why, mend))


def restore(ctx: Context, release: Release, item: Item, folder: Path) -> str:
    """Let the database be what the dump holds, all or nothing; how, in a few words.

    The dump is restored into a new database, counted, and given the live one's settings. Then one
    transaction renames both, so that whoever looks sees the old or the new, whole. The app must be
    stopped. The replaced database is kept under another name until ``prune``. Doing it again does
    it again, whatever became of the first time.
    """
    wrong = damaged(folder / item.file, item)
    if wrong:
        raise NotRestored(Problem(wrong[0], str(folder), "", "homeport backup list"))
    with Client(ctx, release, folder) as client:
        seen, live = _may(client), client.live
        fresh = sql.named(sql.FRESH, ctx.run, secrets.token_hex(2))
        try:
            note = _fill(client, seen, fresh, item, whole=True)
            wrong = checks.differing(item.tables, copies(client, fresh, analyze=True))
            if wrong:
                raise NotRestored(Problem(wrong[0], f"the database {fresh}", "; ".join(wrong[1:])))
            old = _swap(client, live, fresh, seen.there)
        except BaseException:
            drop(client, fresh)
            raise
        return f"{note}{f'the database of before is {old}' if old else 'there was none before'}"


def _swap(client: Client, live: str, fresh: str, there: bool) -> str:
    """Let it have the other's settings, then its name; what the replaced one is called now.

    Settings that the role may not set are told; they stop nothing, since people wait.
    """
    old = sql.replaced(live, f"{client.ctx.run}_{secrets.token_hex(2)}") if there else ""
    for left in reversed(range(TRIES)):
        script = sql.properties(live, fresh) + sql.swap(live, fresh, old)
        said = client.psql(script, client.beside)
        if said.code == 0 and said.err:
            what = f"not all settings of the database {live} could be carried over"
            client.ctx.notice(client.fault(what, said).text())
        if said.code == 0:
            return old
        if not left:
            break
        time.sleep(0.2)
    inside = client.told(sql.who(live), client.beside)
    users = ", ".join(
        f"{who} ({what or 'no name'}, {where or 'a socket'})" for who, what, where in inside
    )
    what = f"the database {live} cannot be replaced"
    what += f": it is in use by {users}" if users else ""
    raise client.fault(what, said, "end those sessions, then the same command again")


def prune(ctx: Context, release: Release, days: float) -> tuple[str, ...]:
    """Drop databases that restores replaced more than so many days ago; their names."""
    with Client(ctx, release, ctx.paths.folder) as client:
        known = client.told(sql.REPLACED, client.beside)
        gone = sql.outdated(known, client.live, time.time(), days)
        drop(client, *gone)
        return gone


def limits(ctx: Context, release: Release, lock: float, statement: float) -> dict[str, str]:
    """What a migration of the release's database is to have in its environment besides."""
    name = variable(release)
    if not name:
        return {}
    env = postgres_find.environment(ctx, release)
    try:
        return postgres.limits(name, env.get(name, ""), lock, statement, env.get("PGOPTIONS", ""))
    except ValueError:
        postgres_find.address(ctx, release)
        raise
