"""A database beside the app's own: made like it, filled from a dump, counted, dropped."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, Mapping

from homeport.core import postgres_check as checks
from homeport.core import postgres_sql as sql
from homeport.errors import HostFault
from homeport.host.postgres_client import LONGEST, Client

#: programs that restore side by side: each has its own share of a small board's memory
JOBS = min(2, os.cpu_count() or 1)
TRIES = 3


@dataclass(frozen=True)
class About:
    """What the server tells of the app's database, and of the role that the app has."""

    like: Mapping[str, Any]
    live: str

    @property
    def role(self) -> str:
        """Who the app is there."""
        return str(self.like["role"])

    @property
    def may(self) -> bool:
        """Whether that role may make a database."""
        return bool(self.like["may"])

    @property
    def there(self) -> bool:
        """Whether the app's database is there at all: somebody may have dropped it."""
        return bool(self.like["datname"] == self.live)

    @property
    def mine(self) -> bool:
        """Whether the app's database is that role's own, as far as renaming it goes."""
        return bool(self.like["mine"]) or not self.there

    @property
    def size(self) -> int:
        """What the database takes on the disk, in bytes."""
        return int(self.like["size"])


def about(client: Client) -> About:
    """Ask about the app's own database, and drop others of ours that a dead run left."""
    script = sql.about(client.live) + sql.leftovers(client.ctx.run)
    found, *left = client.told(script, client.beside)
    if left:
        client.ctx.notice(f"dropping databases of a run that died: {', '.join(left)}")
        drop(client, *left)
    if found["datname"] != client.live:
        # made like another one, it is the role's own all the same
        found["owner"] = found["role"]
    return About(found, client.live)


def fill(client: Client, seen: About, name: str, file: str, whole: bool) -> str:
    """Make a database like the app's own and restore a dump into it; a note, or nothing.

    What takes part in replication is restored only where the ``whole`` is to be used.

    Owners and privileges are restored too. Where that fails it is done once more without: on a new
    host roles may be missing that the dump only names.
    """
    words = ["pg_restore", "--exit-on-error", f"--jobs={JOBS}", f"--dbname={name}"]
    words += [] if whole else ["--no-publications", "--no-subscriptions"]
    words.append(f"/set/{file}")
    what = "the dump cannot be restored"
    client.sql(sql.create(name, seen.like), client.beside, LONGEST, what=what)
    if client.run(words, name, LONGEST, sql.FILLING).code == 0:
        return ""
    drop(client, name)
    client.sql(sql.create(name, seen.like), client.beside, LONGEST, what=what)
    words[1:1] = ["--no-owner", "--no-privileges"]
    client.do(words, what, LONGEST, sql.FILLING)
    return f"all belongs to {seen.role}, and no privileges of others were restored; "


def copies(client: Client, name: str, analyze: bool = False) -> dict[str, int]:
    """The rows of each table of a database; statistics are gathered too where it is to be used."""
    script = sql.COUNTS + "ANALYZE;\n" * analyze
    _, counts = checks.rows(client.sql(script, name, LONGEST, sql.FILLING))
    return counts


def drop(client: Client, *names: str) -> None:
    """Drop databases of ours; what cannot be dropped is told and left to the next run."""
    for name in names:
        try:
            _drop(client, name)
        except HostFault as error:
            client.ctx.notice(error.text())


def _drop(client: Client, name: str) -> None:
    for left in reversed(range(TRIES)):
        said = client.psql(sql.drop([name]), client.beside)
        if said.code == 0:
            return
        if not left:
            raise client.fault(f"the database {name} could not be dropped", said)
