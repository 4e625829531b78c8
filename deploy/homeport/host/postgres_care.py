"""Upkeep of the app's PostgreSQL database: dead rows, statistics, and a look at its pages."""

from __future__ import annotations

import time
from typing import Any

from homeport.core import postgres_sql as sql
from homeport.host.context import Context
from homeport.host.postgres_client import Client
from homeport.host.postgres_fill import about
from homeport.model import Release

#: pg_amcheck's exit code where it found damage
_DAMAGED = 2
#: so many lines of damage are told
SHOWN = 10


def vacuum(ctx: Context, release: Release, within: float) -> dict[str, Any]:
    """Clear dead rows away and gather statistics; the app goes on meanwhile."""
    return _tend(ctx, release, "VACUUM (ANALYZE);\n", within)


def analyze(ctx: Context, release: Release, within: float) -> dict[str, Any]:
    """Gather the planner's statistics."""
    return _tend(ctx, release, "ANALYZE;\n", within)


def _tend(ctx: Context, release: Release, statement: str, within: float) -> dict[str, Any]:
    """Run a statement of upkeep: sizes before and after in bytes, seconds, the server's version."""
    with Client(ctx, release, ctx.paths.folder) as client:
        before, begun = about(client), time.monotonic()
        client.sql(statement, client.live, within)
        seconds, after = round(time.monotonic() - begun, 3), about(client)
        server = str(before.like["version"])
        return {"before": before.size, "after": after.size, "seconds": seconds, "server": server}


def look(ctx: Context, release: Release, within: float) -> dict[str, Any]:
    """Look for damage in the database: problems, and a note on what could not be looked at."""
    with Client(ctx, release, ctx.paths.folder) as client:
        [[checked, failures, amcheck, off]] = client.told(sql.SOUND, client.live)
        problems = [f"{failures} pages had a wrong checksum"] if failures else []
        notes = [f"{one}=off: a power cut takes acknowledged writes along" for one in off]
        notes += [] if checked == "on" else ["its pages have no checksums (initdb -k)"]
        if not amcheck:
            notes.append("indexes and rows are not compared: CREATE EXTENSION amcheck")
            return {"problems": problems, "note": "; ".join(notes)}
        words = ["pg_amcheck", "--heapallindexed", f"--database={client.live}"]
        said = client.run(words, client.live, within)
        if said.code == _DAMAGED:
            problems += [ctx.masked(line) for line in said.out.splitlines()[:SHOWN]]
        elif said.code:
            notes.append(client.fault("indexes and rows could not be compared", said).text())
        return {"problems": problems, "note": "; ".join(notes)}
