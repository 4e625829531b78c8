"""Settings: what is taken, what is refused, and how that is said."""

from __future__ import annotations

import sys
import sysconfig
from dataclasses import replace
from datetime import UTC, timedelta
from pathlib import Path

import pytest

from config import SETTINGS, Production, read_config
from foodbudget.address import Server
from foodbudget.errors import ConfigError

KEY = "k" * 32


def test_production_needs_only_a_key() -> None:
    """With a key alone production starts, with the documented defaults."""
    config = read_config({"SECRET_KEY": KEY})
    assert isinstance(config, Production)
    assert config.database == Path("/app/data/myfoodbudget.db")
    assert (config.release, config.standby, config.trusted_proxies) == ("dev", None, 1)
    assert config.session_lifetime == timedelta(days=30)
    assert config.timezone is UTC


def test_development_needs_nothing() -> None:
    """A developer starts with no setting at all."""
    assert (
        read_config({"FLASK_ENV": "development"}).database == Path("data/development.db").absolute()
    )


SECRET = "p%40ss%2Fw%25rd"
SERVER = Server(host="db", port=5432, name="food", user="ada", password="p@ss/w%rd")


@pytest.mark.parametrize(
    ("text", "server"),
    [
        (f"postgresql://ada:{SECRET}@db:5432/food", SERVER),
        (f"postgresql+psycopg://ada:{SECRET}@db/food", SERVER),
        ("postgresql://ada@db/food", replace(SERVER, password="")),
        ("postgresql://ada:@db/food", replace(SERVER, password="")),
        (
            f"postgresql://ada:{SECRET}@[fd00::1]:6432/f-1",
            replace(SERVER, host="fd00::1", port=6432, name="f-1"),
        ),
        (f"postgresql://%61da:{SECRET}@pi.local/food", replace(SERVER, host="pi.local")),
    ],
)
def test_postgresql(text: str, server: Server) -> None:
    """The parts of an address, %xx read; its password is in no text that is made of it."""
    config = read_config({"SECRET_KEY": KEY, "DATABASE_URL": text})
    assert config.database == server
    assert not server.password or server.password not in f"{config!r} {server}"


@pytest.mark.parametrize(
    ("rest", "said"),
    [
        ("ada:s3cret@db:5432", "is not such an address"),
        ("ada:s3cret@db/", "is not such an address"),
        (":s3cret@db/food", "is not such an address"),
        ("ada:s3cret/food", "is not such an address"),
        ("ada:s3cret@/food", "is not such an address"),
        ("ada:s3cret@one,two/food", "is not such an address"),
        ("ada:s3cret@db/food?sslmode=disable", "is not such an address"),
        ("ada:s3cret@db/food/more", "is not such an address"),
        ("ada:s3cret@db/food\n", "is not such an address"),
        ("ada:s3cret@db:54 32/food", "is not such an address"),
        ("ada:s3cret#1@db/food", "is not such an address"),
        ("ada:s3c/ret@db/food", "is not such an address"),
        ("ada:s3c@ret@db/food", "is not such an address"),
        ("ada:s3cret%@db/food", "is not such an address"),
        ("ada:s3cret%ff@db/food", "is not UTF-8 once its %xx are read"),
        ("ada:s3cret%00@db/food", "holds a NUL character (%00)"),
        ("ada:s3cret@db:0/food", "names a port that is not from 1 to 65535"),
        ("ada:s3cret@db:65536/food", "names a port that is not from 1 to 65535"),
    ],
)
def test_what_is_no_postgresql(rest: str, said: str) -> None:
    """Refused with the form it must have, and without a piece of the password."""
    with pytest.raises(ConfigError) as caught:
        read_config({"SECRET_KEY": KEY, "DATABASE_URL": f"postgresql://{rest}"})
    (problem,) = caught.value.problems
    assert problem.startswith(f"DATABASE_URL {said}; it accepts: sqlite:////absolute")
    assert "postgresql://user:password@host:port/name" in problem
    assert "s3c" not in problem and "ret@" not in problem


@pytest.mark.parametrize(
    ("pointer", "mend"),
    [
        (4, "32-bit). Use a 64-bit system and its image, or"),
        (8, "64-bit). Install requirements.txt, or"),
    ],
)
def test_postgresql_without_its_driver(
    monkeypatch: pytest.MonkeyPatch, pointer: int, mend: str
) -> None:
    """Where the image has no driver (32-bit ARM) the settings say so, among all other mistakes."""
    # what an import of a package that is not installed finds
    monkeypatch.setitem(sys.modules, "psycopg", None)
    monkeypatch.setattr("struct.calcsize", lambda _: pointer)
    with pytest.raises(ConfigError) as caught:
        read_config({"DATABASE_URL": f"postgresql://ada:{SECRET}@db/food", "LOG_LEVEL": "loud"})
    key, driver, level = caught.value.problems
    assert key.startswith("SECRET_KEY") and level.startswith("LOG_LEVEL")
    assert driver.startswith("DATABASE_URL asks for PostgreSQL, and there is no PostgreSQL driver")
    assert f"({sysconfig.get_platform()}, " in driver
    assert driver.endswith(f"{mend} use SQLite: sqlite:////app/data/myfoodbudget.db")
    assert "ss%2Fw" not in driver and "p@ss" not in driver
    assert read_config({"SECRET_KEY": KEY}).database == Path("/app/data/myfoodbudget.db")


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("FLASK_ENV", "prod", "FLASK_ENV is 'prod'; it accepts: development, testing, production"),
        ("SECRET_KEY", "", "SECRET_KEY is not set; it accepts: a random text of at least 32"),
        ("SECRET_KEY", "short", "SECRET_KEY has 5 characters; it accepts: a random text"),
        (
            "DATABASE_URL",
            "postgres://u:pw@h/d",
            "DATABASE_URL is not such an address; it accepts: s",
        ),
        ("DATABASE_URL", "sqlite:///:memory:", "DATABASE_URL is not such an address"),
        ("DATABASE_URL", "sqlite:///", "DATABASE_URL is not such an address"),
        ("DATABASE_URL", "sqlite:////a.db?mode=ro", "DATABASE_URL is not such an address"),
        ("SESSION_LIFETIME_MINUTES", "0", "SESSION_LIFETIME_MINUTES is '0'; it accepts: a whole"),
        ("SESSION_LIFETIME_MINUTES", "525601", "SESSION_LIFETIME_MINUTES is '525601'"),
        ("SESSION_LIFETIME_MINUTES", "30m", "SESSION_LIFETIME_MINUTES is '30m'"),
        ("SESSION_LIFETIME_MINUTES", "٣", "SESSION_LIFETIME_MINUTES is '٣'"),
        ("SESSION_LIFETIME_MINUTES", "10000000001", "SESSION_LIFETIME_MINUTES is '10000000001'"),
        ("LOG_LEVEL", "loud", "LOG_LEVEL is 'loud'; it accepts: DEBUG, INFO, WARNING, ERROR"),
        ("CURRENCY", "XXX", "CURRENCY is 'XXX'; it accepts: AUD, "),
        (
            "TIMEZONE",
            "Mars/Olympus",
            "TIMEZONE is 'Mars/Olympus', which this machine does not know",
        ),
        ("TIMEZONE", "../etc", "TIMEZONE is '../etc', which this machine does not know"),
        ("SIGNUP", "yes", "SIGNUP is 'yes'; it accepts: open (anybody"),
        ("TRUSTED_PROXIES", "6", "TRUSTED_PROXIES is '6'; it accepts: how many proxies"),
        ("TRUSTED_NETWORKS", "edge", "TRUSTED_NETWORKS is 'edge' ('edge' does not appear to be an"),
        ("TRUSTED_NETWORKS", "10.0.0.1/8", "TRUSTED_NETWORKS is '10.0.0.1/8' (10.0.0.1/8 has host"),
        ("HOMEPORT_RELEASE", "r1\nSet-Cookie: a", "HOMEPORT_RELEASE is 'r1\\nSet-Cookie: a'"),
        ("SECRET_KEY_FILE", "/nowhere", "SECRET_KEY and SECRET_KEY_FILE are both set, keep one"),
    ],
)
def test_wrong_setting(variable: str, value: str, said: str) -> None:
    """Each wrong setting is refused in a line of its own that names it."""
    with pytest.raises(ConfigError) as caught:
        read_config({"SECRET_KEY": KEY, variable: value})
    (problem,) = caught.value.problems
    assert problem.startswith(said)
    assert "pw" not in problem


def test_all_mistakes_at_once() -> None:
    """Three mistakes make three lines and one exit code."""
    with pytest.raises(ConfigError) as caught:
        read_config({"LOG_LEVEL": "loud", "CURRENCY": "XXX"})
    assert [line.split()[0] for line in caught.value.problems] == [
        "SECRET_KEY",
        "LOG_LEVEL",
        "CURRENCY",
    ]
    assert caught.value.exit_code == 78
    assert caught.value.format_message().count("\n  - ") == 3


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.variable)
def test_every_setting_from_a_file(setting: object, tmp_path: Path) -> None:
    """`NAME_FILE` works for every setting, and a missing file is a mistake of its own."""
    variable = getattr(setting, "variable")
    environ = {"SECRET_KEY": KEY} if variable != "SECRET_KEY" else {}
    with pytest.raises(ConfigError, match=f"{variable} can not be read from .*No such file"):
        read_config(environ | {f"{variable}_FILE": str(tmp_path / "none")})
    file = tmp_path / "value"
    good = {
        "SECRET_KEY": KEY,
        "CURRENCY": "JPY",
        "DATABASE_URL": "sqlite:////x.db",
        "SIGNUP": "closed",
    }
    good |= {"LOG_LEVEL": "ERROR", "TRUSTED_PROXIES": "2", "SESSION_LIFETIME_MINUTES": "5"}
    good |= {"TRUSTED_NETWORKS": "10.0.0.0/8, fd00::1"}
    file.write_text(good.get(variable, "UTC") + "\n")
    read = read_config(environ | {f"{variable}_FILE": str(file)})
    expected = read_config({"SECRET_KEY": KEY, variable: file.read_text().strip()})
    assert read == expected
    assert (
        variable == "SECRET_KEY"
        or variable == "TIMEZONE"
        or read != read_config({"SECRET_KEY": KEY})
    )


@pytest.mark.parametrize(("content", "cause"), [(b"\xff\xfe", "UTF-8"), (b" \n", "it is empty")])
def test_secret_file_that_says_nothing(content: bytes, cause: str, tmp_path: Path) -> None:
    """A file without a usable text fails loudly instead of falling back."""
    file = tmp_path / "key"
    file.write_bytes(content)
    with pytest.raises(ConfigError, match=cause):
        read_config({"SECRET_KEY_FILE": str(file)})
