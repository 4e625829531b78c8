"""What came to the app's database since a dump of it: row by row, told in numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from homeport.backups import Item
from homeport.core import postgres_check as checks
from homeport.core import postgres_loss as loss
from homeport.host.context import Context
from homeport.host.postgres import scratch
from homeport.host.postgres_client import Client
from homeport.model import Release


def differences(
    ctx: Context, release: Release, item: Item, folder: Path, *, cap: int, within: float
) -> list[dict[str, Any]]:
    """Per table: rows added, changed and removed since the dump, by primary key.

    At most ``cap`` rows of a table are compared: beyond it the numbers are the least there is.
    Raises HostFault where it takes longer than ``within`` seconds.
    """
    with scratch(ctx, release, item, folder) as copy:
        client = copy.client
        sides = {"then": copy.name, "now": client.live}
        known = {side: loss.tables(client.told(loss.CATALOG, name)) for side, name in sides.items()}
        found = [*_alone(client, sides, known, within)]
        both = sorted(known["then"].keys() & known["now"].keys())
        for side, other in (("then", "now"), ("now", "then")):
            listings = [
                loss.listing(known[side][name], known[other][name], f"/scratch/{side}.{turn}", cap)
                for turn, name in enumerate(both)
            ]
            client.sql(loss.script(listings), sides[side], within)
        merged = [_merge(client, name, turn, cap) for turn, name in enumerate(both)]
        open_ = [one.table for one in merged if one.least]
        rows = {side: _rows(client, sides[side], known[side], open_, within) for side in sides}
        for one in merged:
            name = one.table
            told = loss.at_least(one, rows["then"][name], rows["now"][name]) if one.least else one
            found.append(told)
        return [one.plain() for one in sorted(found, key=lambda one: one.table)]


def _merge(client: Client, name: str, turn: int, cap: int) -> loss.Difference:
    with open(client.work / f"then.{turn}") as then, open(client.work / f"now.{turn}") as now:
        return loss.merged(name, then, now, cap)


def _alone(
    client: Client,
    sides: dict[str, str],
    known: dict[str, dict[str, loss.Table]],
    within: float,
) -> list[loss.Difference]:
    """The tables that only one side has, such as a migration made or dropped."""
    found = []
    for side, other in (("then", "now"), ("now", "then")):
        names = sorted(known[side].keys() - known[other].keys())
        counts = _rows(client, sides[side], known[side], names, within)
        found += [loss.counted(name, counts[name], side) for name in names]
    return found


def _rows(
    client: Client, database: str, known: dict[str, loss.Table], names: list[str], within: float
) -> dict[str, int]:
    """How many rows these tables have."""
    script = "".join(loss.count(known[name]) for name in names)
    return checks.rows(client.sql(script, database, within) if names else "")[1]
