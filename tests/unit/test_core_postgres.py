"""PostgreSQL by tables: URLs, names, statements, what a dump tells, what came since, versions."""

from __future__ import annotations

import pytest

from homeport.core import postgres, postgres_check as checks, postgres_loss as loss
from homeport.core import postgres_major as majors
from homeport.core import postgres_sql as sql

# --- URLs
#: a URL, and its host, port, user, password, database, sslmode, options
URLS = [
    ("postgresql://u:p@db/food", "db 5432 u p food - -"),
    ("postgres://u:p@db:5433/food", "db 5433 u p food - -"),
    ("postgresql+psycopg://u:p@db/food", "db 5432 u p food - -"),
    ("postgresql+psycopg2://fo%40d:p%2Fw%3A%25@db/my%2Dfood", "db 5432 fo@d p/w:% my-food - -"),
    ("postgresql://u:p/q?r#s@db/food", "db 5432 u p/q?r#s food - -"),
    ("postgresql://u@db", "db 5432 u - u - -"),
    ("postgresql://u@db/", "db 5432 u - u - -"),
    ("postgresql://u:p@[fe80::1]:5433/food", "fe80::1 5433 u p food - -"),
    ("postgresql:///food?host=/run/pg&user=u&password=p", "/run/pg 5432 u p food - -"),
    ("postgresql://u:p@%2Frun%2Fpg/food", "/run/pg 5432 u p food - -"),
    ("postgresql://u:p@db/food?sslmode=require", "db 5432 u p food require -"),
    ("postgresql+asyncpg://u:p@db/food?ssl=true", "db 5432 u p food require -"),
    ("postgresql://u:p@db/food?sslmode=verify-full&sslrootcert=/x", "db 5432 u p food require -"),
    ("postgresql://u:p@db/food?options=-csearch_path%3Da", "db 5432 u p food - -csearch_path=a"),
    (" postgresql://u:p@db/f%C3%BCr\n", "db 5432 u p für - -"),
]


@pytest.mark.parametrize("url,said", URLS)
def test_urls_are_taken_apart(url: str, said: str) -> None:
    """Whatever SQLAlchemy and libpq understand names the same database here."""
    one = postgres.parse(url)
    words = (one.host, one.port, one.user, one.password, one.name, one.ssl, one.options)
    assert " ".join(str(word) or "-" for word in words) == said


@pytest.mark.parametrize("url", [url for url, _ in URLS])
def test_another_database_of_the_same_server(url: str) -> None:
    """Only the name differs, percent signs and question marks and all."""
    one, other = postgres.parse(url), postgres.parse(postgres.parse(url).elsewhere("home /?#%"))
    assert other.name == "home /?#%"
    assert (other.host, other.port, other.user, other.password) == (
        one.host,
        one.port,
        one.user,
        one.password,
    )
    assert (other.ssl, other.options) == (one.ssl, one.options)


@pytest.mark.parametrize(
    "url,why",
    [
        ("", "is no address like"),
        ("sqlite:////app/data/food.db", "is no address like"),
        ("postgresql://secret", "names no user"),
        ("postgresql://u:secret@/food", "names no host"),
        ("postgresql://u:secret@a,b/food", "names several hosts"),
        ("postgresql://u:secret@db:0/food", "a port that is none"),
        ("postgresql://u:secret@db:secret/food", "a port that is none"),
        ("postgresql://u:secret@db/x?dbname=food", "after the question mark"),
        ("postgresql://u:secret%ff@db/food", "is not UTF-8"),
        ("postgresql://u:secret%00@db/food", "NUL"),
    ],
)
def test_urls_that_are_none(url: str, why: str) -> None:
    """They are refused in words that hold nothing of the URL."""
    with pytest.raises(ValueError, match=why) as caught:
        postgres.parse(url)
    assert "secret" not in str(caught.value)


def test_a_password_is_in_no_repr() -> None:
    """An address can be printed; its environment is for libpq alone."""
    one = postgres.parse("postgresql://u:hidden@db/food?password=hidden2")
    assert "hidden" not in repr(one)
    assert postgres.parse("postgresql://u:p@db/f").environment() == {
        "PGHOST": "db",
        "PGPORT": "5432",
        "PGUSER": "u",
        "PGDATABASE": "f",
        "PGPASSWORD": "p",
    }


def test_limits_of_a_migration() -> None:
    """They go where libpq looks: PGOPTIONS, and the URL's own options, which would win over it."""
    both = "-c lock_timeout=2500 -c statement_timeout=60000"
    assert postgres.limits("D", "postgresql://u@db/f", 2.5, 60) == {"PGOPTIONS": both}
    assert postgres.limits("D", "postgresql://u@db/f", 2.5, 60, "-c a=b") == {
        "PGOPTIONS": f"-c a=b {both}"
    }
    own = postgres.limits("D", "postgresql://u@db/f?x=1&options=-c%20a%3Db&y=2", 2.5, 60)
    assert own["PGOPTIONS"] == both
    assert own["D"].startswith("postgresql://u@db/f?x=1&y=2&options=")
    assert postgres.parse(own["D"]).options == f"-c a=b {both}"
    # none at all would be no limit
    assert "lock_timeout=1 " in postgres.limits("D", "postgresql://u@db/f", 0, 1)["PGOPTIONS"]


# --- names and statements
def test_names_are_quoted() -> None:
    """No name and no text gets out of its quotes."""
    assert sql.ident('a"b') == '"a""b"'
    assert sql.literal("it's") == "'it''s'"
    assert sql.literal("a\\'b") == " E'a\\\\''b'"


def test_databases_of_ours_are_named_by_run() -> None:
    """What a run makes is told from what others left, and no name is too long."""
    name = sql.named(sql.CHECK, "20261126T033000-ab12-recover", "3f3f")
    assert name == "homeport_check_20261126t033000_ab12_recover_3f3f"
    assert len(name) <= sql.LONGEST
    assert sql.replaced("food", "20261126T033000-ab12") == "food_replaced_20261126t033000_ab12"
    for long in ("x" * 63, "ü" * 31):
        found = sql.replaced(long, "20261126T033000-ab12-recover_3f3f")
        assert len(found.encode()) <= sql.LONGEST
        assert found.endswith("_replaced_20261126t033000_ab12_recover_3f3f")


LIKE = {"owner": "food", "charset": "UTF8", "datcollate": "C.UTF-8", "datctype": "C.UTF-8"}
HEAD = (
    'CREATE DATABASE "x" TEMPLATE template0 OWNER "food" ENCODING \'UTF8\''
    " LC_COLLATE 'C.UTF-8' LC_CTYPE 'C.UTF-8'"
)


@pytest.mark.parametrize(
    "more,tail",
    [
        ({}, ""),
        ({"datlocprovider": "c", "daticulocale": None}, ""),
        ({"datlocprovider": "i", "daticulocale": "de"}, " LOCALE_PROVIDER icu ICU_LOCALE 'de'"),
        (
            {"datlocprovider": "i", "datlocale": "de", "daticurules": "&a<b"},
            " LOCALE_PROVIDER icu ICU_LOCALE 'de' ICU_RULES '&a<b'",
        ),
        (
            {"datlocprovider": "b", "datlocale": "C.UTF-8"},
            " LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8'",
        ),
        ({"place": "big disk"}, ' TABLESPACE "big disk"'),
    ],
)
def test_a_database_like_another(more: dict[str, str | None], tail: str) -> None:
    """Servers from 12 on name the locale's provider each in its own columns."""
    assert sql.create("x", LIKE | more) == f"{HEAD}{tail};\n"


def test_replaced_databases_grow_old() -> None:
    """Only those that a restore of this very database replaced, and only after the days given."""
    names = (
        "food_replaced_20261120t000000_ab12_0001",
        "food_replaced_20261125t000000_ab12_0002",
        "other_replaced_20261120t000000_ab12_0003",
        "food_replaced_by_hand",
        "food_replaced_20261120t000000",
        f"{'x' * 20}_replaced_20261120t000000_ab12_0004",
    )
    # 2026-11-27 12:00
    noon = 1795780800.0
    assert sql.outdated(names, "food", noon, 7.0) == (names[0],)
    assert sql.outdated(names, "food", noon, 8.0) == ()
    assert sql.outdated(names, "food", noon, 2.0) == names[:2]
    long = "x" * 60
    old = sql.replaced(long, "20261120T000000-ab12_0001")
    assert sql.outdated([old], long, noon, 7.0) == (old,)


# --- what a dump tells
LISTED = """\
;
; Archive created at 2026-11-26 03:30:05 UTC
;     dbname: food
;     TOC Entries: 12
"""
THEN = 1795663805.0


@pytest.mark.parametrize(
    "name,began,ended,said",
    [
        ("food", THEN - 10, THEN + 10, ()),
        ("food", THEN + 4, THEN + 10, ()),
        ("food", 0, 0, ()),
        ("other", 0, 0, ("it is a dump of the database 'food', not of 'other'",)),
        ("food", THEN + 60, THEN + 70, ("it is a dump from another time than its set",)),
        ("food", THEN - 70, THEN - 60, ("it is a dump from another time than its set",)),
    ],
)
def test_whose_dump_it_is(name: str, began: float, ended: float, said: tuple[str, ...]) -> None:
    """A dump says of which database it is and when it was begun."""
    found = checks.archive(LISTED)
    assert (found.name, found.created) == ("food", THEN)
    assert checks.foreign(found, name, began, ended) == said


def test_a_dump_without_a_head() -> None:
    """What lists nothing is no dump of anything."""
    found = checks.archive("")
    assert checks.foreign(found, "food", THEN, THEN) == (
        "it is a dump of the database '', not of 'food'",
        "it is a dump from another time than its set",
    )


def test_lines_of_the_server() -> None:
    """Objects are told from rows per table, and other lines are nobody's."""
    text = '{"version": "17.1"}\n["a", 3]\n\nt\n["b \\"x", 0]\n'
    assert checks.rows(text) == ([{"version": "17.1"}], {"a": 3, 'b "x': 0})


@pytest.mark.parametrize(
    "then,now,said",
    [
        ({}, {}, ()),
        ({"a": 1}, {"a": 1}, ()),
        ({"a": 1}, {"a": 2}, ("a has 2 rows, and had 1",)),
        ({"a": 1}, {}, ("the table a is missing",)),
        ({}, {"a": 0}, ("the table a was not in the database",)),
        (
            {str(one): 1 for one in range(8)},
            {},
            (*(f"the table {one} is missing" for one in range(5)), "and 3 tables more"),
        ),
    ],
)
def test_rows_compared(then: dict[str, int], now: dict[str, int], said: tuple[str, ...]) -> None:
    """Each table that differs is named, the first of many."""
    assert checks.differing(then, now) == said


# --- what came since
def rows(text: str) -> list[str]:
    """`a1 b2` as lines of a listing: key a with value 1, key b with value 2."""
    return [f"{one[0]}\t{one[1:]}\n" for one in text.split()]


@pytest.mark.parametrize(
    "then,now,cap,numbers",
    [
        ("", "", 9, (0, 0, 0, False)),
        ("a1 b1", "a1 b1", 9, (0, 0, 0, False)),
        ("a1", "a1 b1 c1", 9, (2, 0, 0, False)),
        ("a1 b1 c1", "b1", 9, (0, 0, 2, False)),
        ("a1 b1 c1", "a2 b1 c2", 9, (0, 2, 0, False)),
        ("a1 c1 e1", "b1 c2 d1", 9, (2, 1, 2, False)),
        # one value twice is two rows
        ("a1 a1", "a1", 9, (0, 0, 1, False)),
        # beyond a cut nothing is known: c may be on both sides
        ("a1 b1 c1", "a1 b1 c1", 2, (0, 0, 0, True)),
        ("a1 b1 c1", "b1 c1", 2, (0, 0, 1, True)),
        ("b1", "a1 b1 c1", 2, (1, 0, 0, True)),
        # as many as the cap is not cut
        ("a1 b1", "a2 b1", 2, (0, 1, 0, False)),
    ],
)
def test_two_sorted_lists(
    then: str, now: str, cap: int, numbers: tuple[int, int, int, bool]
) -> None:
    """Added, changed, removed, and whether there may be more."""
    found = loss.merged("t", rows(then), rows(now), cap)
    assert (found.added, found.changed, found.removed, found.least) == numbers


def test_a_cut_is_raised_to_what_the_counts_tell() -> None:
    """A thousand more rows are a thousand added, however few were compared."""
    found = loss.merged("t", rows("a1 b1"), rows("a2 b1 c1"), 2)
    assert loss.at_least(found, 10, 1010).plain() == {
        "table": "t",
        "added": 1000,
        "changed": 1,
        "removed": 0,
        "least": True,
        "only": "",
        "note": "",
    }
    assert loss.at_least(found, 10, 4).removed == 6


def table(key: str, columns: str) -> loss.Table:
    return loss.Table("t", '"public"."t"', tuple(key.split()), tuple(columns.split()))


@pytest.mark.parametrize(
    "then,now,key",
    [
        (table("id", "id a"), table("id", "id a b"), '"id"'),
        (table("id x", "id x a"), table("id x", "id x a"), '"id", "x"'),
        # without a key of both sides the values are it
        (table("", "a b"), table("", "b a"), '"a", "b"'),
        (table("id", "id a"), table("nr", "nr a"), '"a"'),
        (table("id", "id a"), table("id x", "id a x"), '"a", "id"'),
    ],
)
def test_rows_are_listed_by_key(then: loss.Table, now: loss.Table, key: str) -> None:
    """Both sides are listed by the same key and the columns that both have."""
    for side, other in ((then, now), (now, then)):
        text = loss.listing(side, other, "/scratch/x", 9)
        assert text.startswith(f"COPY (SELECT md5(ROW({key})::text), md5(ROW(")
        assert text.endswith('COLLATE "C" LIMIT 10) TO STDOUT \\g /scratch/x\n')
        assert '"b"' not in text or key == '"a", "b"'


# --- major versions
@pytest.mark.parametrize(
    "image,major",
    [
        ("postgres:16", 16),
        ("postgres:16.4-alpine3.20", 16),
        ("docker.io/library/postgres:9.6", 9),
        ("postgres:latest", 0),
        ("postgres", 0),
        ("registry.lan:5000/postgres", 0),
        ("registry.lan:5000/team/postgres:17@sha256:0123", 17),
        ("pgvector/pgvector:pg17", 17),
        ("pgvector/pgvector:0.8.0-pg16", 16),
        ("pgvector/pgvector:0.8.0", 0),
        ("postgis/postgis:16-3.4", 16),
        ("timescale/timescaledb-ha:pg15.8-ts2.16", 15),
        ("redis:7", 0),
        ("ghcr.io/owner/app:16", 0),
    ],
)
def test_majors_by_name(image: str, major: int) -> None:
    """Official images and those that are made from them say it in their tags, or say nothing."""
    assert majors.of_name(image) == major


@pytest.mark.parametrize(
    "env,major",
    [
        (["PG_MAJOR=17", "PG_VERSION=17.2-1.pgdg"], 17),
        (["PG_VERSION=16.4"], 16),
        (["PATH=/bin"], 0),
        ([], 0),
    ],
)
def test_majors_by_environment(env: list[str], major: int) -> None:
    """The official image has it in its environment."""
    assert majors.of_env(env) == major


VOLUMES = {"volumes": {"pg": {"name": "food_pg", "external": True}}}


@pytest.mark.parametrize(
    "mounts,held,kept",
    [
        ([{"type": "volume", "source": "pg", "target": "/d"}], "food_pg", True),
        ([{"type": "volume", "source": "pg", "target": "/d"}], "food_pg15", False),
        ([{"type": "bind", "source": "/opt/food/pg", "target": "/d"}], "/opt/food/pg", True),
        ([], "food_pg", False),
        # no name: Compose hands it on to the new container
        ([], "0" * 64, True),
    ],
)
def test_what_a_new_image_would_find(mounts: list[dict[str, str]], held: str, kept: bool) -> None:
    """A new image on a new volume is the way to go; on the old one it is refused."""
    assert majors.keeps({"volumes": mounts}, VOLUMES, held) is kept
