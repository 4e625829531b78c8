"""What the database server is told: statements and scripts for psql, made from names. Pure."""

from __future__ import annotations

import calendar
import re
from typing import Any, Mapping, Sequence

#: databases of ours, beside the app's own: one that is checked, one that is to take its place
CHECK, FRESH = "homeport_check_", "homeport_new_"
#: PostgreSQL cuts names at so many bytes
LONGEST = 63
#: settings of every session of ours: no limit that somebody gave the role may end a backup
SESSION = (
    "-c statement_timeout=0 -c idle_in_transaction_session_timeout=0 -c lock_timeout=60000"
    " -c client_min_messages=warning -c default_transaction_read_only=off"
)
#: and while a database is filled that nobody uses yet: its last commit brings all to the disk
FILLING = f"{SESSION} -c synchronous_commit=off"
_WORD = re.compile(r"[^a-z0-9]+")
_STAMP = re.compile(r"(\d{4})(\d\d)(\d\d)t(\d\d)(\d\d)(\d\d)_")
#: kinds of locale by their letter in pg_database, and what names the locale of each
_PROVIDERS = {"i": ("icu", "ICU_LOCALE"), "b": ("builtin", "BUILTIN_LOCALE")}


def ident(name: str) -> str:
    """A name as SQL has it."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text as SQL has it, whatever ``standard_conforming_strings`` says."""
    quoted = text.replace("'", "''").replace("\\", "\\\\")
    return f" E'{quoted}'" if "\\" in text else f"'{quoted}'"


def named(kind: str, run: str, turn: str) -> str:
    """The name of a database of ours that a run makes."""
    return kind + _slug(f"{run}_{turn}")


def replaced(name: str, run: str) -> str:
    """What a database is called once a restore of that run took its place."""
    tail = f"_replaced_{_slug(run)}"
    head = name.encode()[: LONGEST - len(tail)].decode("utf-8", "ignore")
    return head + tail


def _slug(text: str) -> str:
    return _WORD.sub("_", text.lower()).strip("_")


def create(name: str, like: Mapping[str, Any]) -> str:
    """An empty database with the encoding, locale and owner of another.

    ``like`` is what ``ABOUT`` told of that one; the server's version decides which words there are.
    """
    words = [
        f"CREATE DATABASE {ident(name)} TEMPLATE template0",
        f"OWNER {ident(str(like['owner']))}",
        f"ENCODING {literal(str(like['charset']))}",
        f"LC_COLLATE {literal(str(like['datcollate']))}",
        f"LC_CTYPE {literal(str(like['datctype']))}",
    ]
    provider = _PROVIDERS.get(str(like.get("datlocprovider") or "c"))
    if provider:
        kind, word = provider
        locale = str(like.get("datlocale") or like.get("daticulocale") or "")
        words.append(f"LOCALE_PROVIDER {kind} {word} {literal(locale)}")
        if like.get("daticurules"):
            words.append(f"ICU_RULES {literal(str(like['daticurules']))}")
    if like.get("place"):
        words.append(f"TABLESPACE {ident(str(like['place']))}")
    return " ".join(words) + ";\n"


def about(live: str) -> str:
    """One line of JSON: a database, the server, and what the role may do.

    Where there is none of that name any more, somebody dropped it: it is told of the one that the
    session is in, whose name then differs.
    """
    return f"""\
SELECT row_to_json(one) FROM (
  SELECT d.*, pg_encoding_to_char(d.encoding) AS charset, pg_get_userbyid(d.datdba) AS owner,
    (SELECT nullif(spcname, 'pg_default') FROM pg_tablespace WHERE oid = d.dattablespace) AS place,
    current_setting('server_version') AS version, r.rolname AS role,
    r.rolsuper OR r.rolcreatedb AS may, pg_has_role(d.datdba, 'USAGE') AS mine,
    pg_database_size(d.oid) AS size
  FROM pg_database d, pg_roles r
  WHERE r.rolname = current_user AND d.datname = coalesce(
    (SELECT datname FROM pg_database WHERE datname = {literal(live)}), current_database())) one;
"""


#: the tables a dump holds the rows of: no partitioned parent, no other server's, no extension's
TABLES = """\
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND c.relpersistence <> 't'
  AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_(toast|temp)'
  AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass
    AND d.objid = c.oid AND d.deptype = 'e')
"""
#: how people name a table, and how it is told from all others
LABEL = (
    "CASE n.nspname WHEN 'public' THEN '' ELSE quote_ident(n.nspname) || '.' END"
    " || quote_ident(c.relname)"
)
#: one line of JSON a table: its label and its rows, and how many large objects there are
COUNTS = f"""\
SELECT format('SELECT json_build_array(%L, count(*)) FROM ONLY %I.%I', {LABEL},
  n.nspname, c.relname)
{TABLES}ORDER BY 1 \\gexec
SELECT json_build_array('(large objects)', count(*)) FROM pg_largeobject_metadata
HAVING count(*) > 0;
"""
#: bounds that only newer servers know, lifted where they are
_UNBOUND = (
    "SELECT set_config(name, '0', false) IS NULL FROM pg_settings"
    " WHERE name = 'transaction_timeout';"
)


def dump(live: str, file: str, code: str, said: str) -> str:
    """A script that counts and dumps one and the same instant.

    The rows are counted in the very snapshot that pg_dump is given, and by the same server:
    no write of the app comes between them. ``code`` and ``said`` are where pg_dump's exit code and
    words go; a dump that cannot be listed is none. It is packed lightly: people wait for it.
    """
    return (
        f"{_UNBOUND}\n"
        "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY;\n"
        "SET LOCAL row_security = off;\n"
        "SELECT pg_export_snapshot() AS snapshot \\gset\n"
        "\\setenv SNAPSHOT :snapshot\n"
        f"{about(live)}{COUNTS}"
        '\\! pg_dump --format=custom --compress=1 --snapshot="$SNAPSHOT" --lock-wait-timeout=60000'
        f" --file={file} 2>{said} && pg_restore --list {file} 2>>{said} >/dev/null;"
        f" echo $? >{code}\n"
        "COMMIT;\n"
    )


def leftovers(run: str) -> str:
    """Names of databases of ours that no run uses any more: all but this run's."""
    kinds = [
        f"starts_with(datname, {literal(kind)})"
        f" AND NOT starts_with(datname, {literal(kind + _slug(run))})"
        for kind in (CHECK, FRESH)
    ]
    return f"SELECT to_json(datname) FROM pg_database WHERE {' OR '.join(kinds)};\n"


def cut(name: str) -> str:
    """End everybody's sessions in a database, as far as the role may."""
    return (
        "SELECT pg_terminate_backend(pid) IS NULL FROM pg_stat_activity"
        f" WHERE datname = {literal(name)} AND pid <> pg_backend_pid()"
        " AND pg_has_role(usesysid, 'MEMBER');\n"
    )


def who(name: str) -> str:
    """Who is in a database, one line of JSON each."""
    return (
        "SELECT json_build_array(usename, application_name, client_addr) FROM pg_stat_activity"
        f" WHERE datname = {literal(name)} AND pid <> pg_backend_pid();\n"
    )


def drop(names: Sequence[str]) -> str:
    """Make an end of databases and of whoever is in them."""
    return "".join(f"{cut(name)}DROP DATABASE IF EXISTS {ident(name)};\n" for name in names)


def swap(live: str, fresh: str, old: str) -> str:
    """Let a database take another's place, in one transaction: both renames or none.

    A rename waits 5 s for those who are just leaving, and fails where somebody stays. Without an
    ``old`` name there is no database to give way.
    """
    away = f"ALTER DATABASE {ident(live)} RENAME TO {ident(old)};\n" if old else ""
    return (
        f"{cut(live)}{cut(fresh)}BEGIN;\n{away}"
        f"ALTER DATABASE {ident(fresh)} RENAME TO {ident(live)};\n"
        "COMMIT;\n"
    )


#: settings whose value is a list of names that stands as it is; all others are one text
_LISTS = "'search_path', 'temp_tablespaces', 'session_preload_libraries', 'local_preload_libraries'"


def properties(live: str, fresh: str) -> str:
    """Give a database what a dump does not hold: settings, privileges, comment of another.

    What fails is passed over.
    """
    old, new = literal(live), literal(fresh)
    return f"""\
\\set ON_ERROR_STOP off
SELECT CASE WHEN s.setrole = 0 THEN format('ALTER DATABASE %I SET ', {new})
  ELSE format('ALTER ROLE %I IN DATABASE %I SET ', pg_get_userbyid(s.setrole), {new}) END
  || format('%I TO ', split_part(one, '=', 1))
  || CASE WHEN split_part(one, '=', 1) IN ({_LISTS}) THEN substr(one, strpos(one, '=') + 1)
    ELSE quote_literal(substr(one, strpos(one, '=') + 1)) END
FROM pg_db_role_setting s, unnest(s.setconfig) one
WHERE s.setdatabase = (SELECT oid FROM pg_database WHERE datname = {old}) \\gexec
SELECT format('REVOKE ALL ON DATABASE %I FROM PUBLIC', {new}) FROM pg_database
WHERE datname = {old} AND datacl IS NOT NULL \\gexec
SELECT format('GRANT %s ON DATABASE %I TO %s %s', a.privilege_type, {new},
  CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END,
  CASE WHEN a.is_grantable THEN 'WITH GRANT OPTION' END)
FROM pg_database d, aclexplode(d.datacl) a WHERE d.datname = {old} \\gexec
SELECT format('ALTER DATABASE %I CONNECTION LIMIT %s', {new}, datconnlimit) FROM pg_database
WHERE datname = {old} AND datconnlimit >= 0 \\gexec
SELECT format('COMMENT ON DATABASE %I IS %L', {new}, shobj_description(oid, 'pg_database'))
FROM pg_database WHERE datname = {old} AND shobj_description(oid, 'pg_database') IS NOT NULL \\gexec
\\set ON_ERROR_STOP on
"""


#: whether pages have checksums, how many were found wrong, whether amcheck is there: a JSON line
SOUND = (
    "SELECT json_build_array(current_setting('data_checksums'), coalesce(checksum_failures, 0),"
    " EXISTS (SELECT FROM pg_extension WHERE extname = 'amcheck'),"
    # with any of these off, a power cut takes commits along
    " ARRAY(SELECT name FROM pg_settings WHERE setting = 'off' AND name IN"
    " ('fsync', 'full_page_writes', 'synchronous_commit') ORDER BY name))"
    " FROM pg_stat_database WHERE datname = current_database();\n"
)
#: names of databases that look like replaced ones, one line of JSON each
REPLACED = (
    "SELECT to_json(datname) FROM pg_database WHERE datname ~ '_replaced_[0-9]{8}t[0-9]{6}_';\n"
)


def outdated(names: Sequence[str], live: str, now: float, days: float) -> tuple[str, ...]:
    """Of databases that restores of ``live`` replaced, those older than so many days."""
    found = []
    for name in names:
        run = name.rpartition("_replaced_")[2]
        stamp = _STAMP.match(run)
        if stamp is None or replaced(live, run) != name:
            continue
        if now - calendar.timegm(tuple(map(int, stamp.groups()))) > days * 86400:
            found.append(name)
    return tuple(sorted(found))
