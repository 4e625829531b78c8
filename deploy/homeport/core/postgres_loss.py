"""What going back would cost: two sorted lists of a table's rows, merged. Pure.

A row is a line: the checksum of its key, a tab, the checksum of its values in the columns that
both sides have. Sorted by bytes, so that two lists are compared in one pass and no memory.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any, Iterable, Iterator, Mapping

from homeport.core.postgres_sql import LABEL, TABLES, ident, literal


@dataclass(frozen=True)
class Table:
    """A table as the catalog of one side has it: its key, and its columns by name."""

    name: str
    where: str
    key: tuple[str, ...]
    columns: tuple[str, ...]


@dataclass(frozen=True)
class Difference:
    """What came to a table since then, in rows. ``least``: there may be more of each.

    ``only`` is "now" or "then" for a table that the other side does not have, ``note`` says why
    a number is not to be had.
    """

    table: str
    added: int = 0
    changed: int = 0
    removed: int = 0
    least: bool = False
    only: str = ""
    note: str = ""

    def plain(self) -> dict[str, Any]:
        """As a line of JSON has it."""
        return asdict(self)


#: one line of JSON a table: label, quoted name, columns of its key, columns that hold a value
CATALOG = f"""\
SELECT json_build_object('name', {LABEL}, 'where', format('%I.%I', n.nspname, c.relname),
  'key', (SELECT json_agg(a.attname ORDER BY k.ord) FROM pg_index i,
      unnest(i.indkey) WITH ORDINALITY k(num, ord), pg_attribute a
    WHERE i.indrelid = c.oid AND i.indisprimary AND a.attrelid = c.oid AND a.attnum = k.num
      AND k.ord <= i.indnkeyatts),
  'columns', (SELECT json_agg(a.attname ORDER BY a.attname) FROM pg_attribute a
    WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped))
{TABLES}ORDER BY 1::text;
"""
#: how values are written down, whatever the role has set
_ALIKE = (
    "SET timezone = 'UTC'; SET datestyle = 'ISO, YMD'; SET intervalstyle = 'postgres';"
    " SET bytea_output = 'hex'; SET extra_float_digits = 3; SET row_security = off;\n"
)


def tables(lines: Iterable[Mapping[str, Any]]) -> dict[str, Table]:
    """What ``CATALOG`` printed, by name."""
    found = {}
    for one in lines:
        key, columns = (tuple(map(str, one.get(part) or ())) for part in ("key", "columns"))
        found[str(one["name"])] = Table(str(one["name"]), str(one["where"]), key, columns)
    return found


def listing(side: Table, other: Table, path: str, cap: int) -> str:
    """A statement that writes a table's rows, sorted, to a file; one more than ``cap`` at most.

    Without a key that both sides have, a row's values are its key: one that changed is then one
    removed and one added.
    """
    common = sorted(set(side.columns) & set(other.columns))
    keys = side.key if set(side.key) <= set(common) and side.key == other.key else ()
    key = _checksum(keys or common)
    return (
        f"COPY (SELECT {key}, {_checksum(common)} FROM ONLY {side.where}"
        f' ORDER BY {key} COLLATE "C" LIMIT {cap + 1}) TO STDOUT \\g {path}\n'
    )


def _checksum(columns: Iterable[str]) -> str:
    return f"md5(ROW({', '.join(map(ident, columns))})::text)"


def script(listings: Iterable[str]) -> str:
    """All of a side's listings, of one and the same instant."""
    body = "".join(listings)
    return f"{_ALIKE}BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY;\n{body}COMMIT;\n"


def merged(name: str, then: Iterable[str], now: Iterable[str], cap: int) -> Difference:
    """The difference of a table by its two lists, which hold ``cap`` + 1 rows where cut off.

    Keys are checksums, so the rows before a cut are any of the table's; beyond the end of the
    shorter list nothing is known, and what was found is the least there is.
    """
    added = changed = removed = 0
    old, new = _Reader(then, cap), _Reader(now, cap)
    while old.key is not None or new.key is not None:
        if (old.cut and old.key is None) or (new.cut and new.key is None):
            break
        if old.key is None or (new.key is not None and new.key < old.key):
            added += 1
            new.advance()
        elif new.key is None or old.key < new.key:
            removed += 1
            old.advance()
        else:
            changed += old.value != new.value
            old.advance()
            new.advance()
    return Difference(name, added, changed, removed, old.cut or new.cut)


class _Reader:
    """A list, row by row: its key is None at the end, which may be a cut."""

    def __init__(self, lines: Iterable[str], cap: int) -> None:
        self._lines: Iterator[str] = iter(lines)
        self._left = cap
        self.key: str | None = None
        self.value, self.cut = "", False
        self.advance()

    def advance(self) -> None:
        """Go to the next row."""
        line = next(self._lines, None)
        self.key = None
        if line is None:
            return
        if not self._left:
            self.cut = True
            return
        self._left -= 1
        self.key, _, self.value = line.rstrip("\n").partition("\t")


def at_least(found: Difference, then: int, now: int) -> Difference:
    """A difference that a cut left open, raised to what the numbers of rows alone tell."""
    return replace(
        found, added=max(found.added, now - then), removed=max(found.removed, then - now)
    )


def counted(name: str, rows: int, only: str) -> Difference:
    """A table that one side alone has: each of its rows is the difference."""
    if only == "now":
        return Difference(name, added=rows, only=only)
    return Difference(name, removed=rows, only=only)


def count(one: Table) -> str:
    """A statement that tells the rows of a table, as a line of JSON."""
    return f"SELECT json_build_array({literal(one.name)}, count(*)) FROM ONLY {one.where};\n"
