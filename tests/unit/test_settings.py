"""homeport.toml: what is accepted, what is refused and in which words, and the reference."""

from __future__ import annotations

import dataclasses
import re
import tomllib
from pathlib import Path

import pytest

from homeport.backups import Backup, Migrate
from homeport.control import readers, settings
from homeport.errors import SettingsError
from homeport.model import DeployRules, HostAddress, Settings, Site, Smoke, Web

TOP = Path(__file__).resolve().parents[2]
EXAMPLE = (TOP / "homeport.example.toml").read_text(encoding="utf-8")

#: wrong input → where it is, what is said, and what mends it
WRONG = [
    ("", "app", "it is missing", 'app = "NAME"'),
    ('app = "My App"', "app", "'My App' is not an app's name", "up to 32 characters"),
    ('app = "-a"', "app", "not an app's name", "up to 32"),
    (f'app = "{"a" * 33}"', "app", "not an app's name", "up to 32"),
    ("app = 7", "app", "7 is not text", "put it in quotes"),
    ('app = "a"\ncompose = ""', "compose", "'' is not a path of a file", ""),
    ('app = "a"\ncompsoe = "c"', "compsoe", "there is no such key", "did you mean compose?"),
    ('app = "a"\nport = 5000', "port", "there is no such key", "[host] or it belongs in [web]"),
    ('app = "a"\nwbe = {}', "wbe", "there is no such key", "did you mean web?"),
    ('app = "a"\nhost = "pi"', "host", "it is not a section", "[host]"),
    ('app = "a"\n[host]\naddress = "pi@pi"', "[host] address", "is not an address", "a name"),
    ('app = "a"\n[host]\naddress = "-oProxy"', "[host] address", "is not an address", "a name"),
    ('app = "a"\n[host]\nuser = "-l root"', "[host] user", "is not a user's name", ""),
    ('app = "a"\n[host]\nport = 0', "[host] port", "0 is not a whole number from 1", ""),
    ('app = "a"\n[host]\nport = "22"', "[host] port", "'22' is not a whole number", ""),
    ('app = "a"\n[web]\nport = true', "[web] port", "True is not a whole number", ""),
    ('app = "a"\n[web]\nport = 65536', "[web] port", "65536 is not a whole number", ""),
    ('app = "a"\n[web]\nservice = "a b"', "[web] service", "is not a service's name", "compose"),
    ('app = "a"\n[web]\nready = "health"', "[web] ready", "is not a path", "begin it with a slash"),
    ('app = "a"\n[web]\nstandby = "yes"', "[web] standby", "neither true nor false", "true or"),
    ('app = "a"\n[web]\nrady = "/"', "[web] rady", "there is no such key", "did you mean ready?"),
    ('app = "a"\n[web]\ndrain = "1s"', "[web] drain", "no such key", "it belongs in [deploy]"),
    ('app = "a"\n[site]\nname = "http://x"', "[site] name", "is not a host name", "without scheme"),
    ('app = "a"\n[site]\nname = "x"\nport = 80', "[site]", "name and port exclude", "keep one"),
    ('app = "a"\n[site]\nalso = "x"', "[site] also", "'x' is not a list", "write also = ["),
    ('app = "a"\n[site]\nname = "x"\nalso = ["y/z"]', "[site] also", "is not a host name", ""),
    ('app = "a"\n[site]\nalso = ["x"]', "[site]", "also needs a name", "call one of them name"),
    ('app = "a"\n[site]\nname = "x"\ntls = "on"', "[site] tls", "'on' is no way of", '"internal"'),
    ('app = "a"\n[site]\ntls = "internal"', "[site]", "HTTPS needs the name", "192.168.1.5"),
    (
        'app = "a"\n[site]\nname = "x.org"\nport = 8443\ntls = "acme"',
        "[site]",
        "acme and port exclude each other",
        "take port away",
    ),
    ('app = "a"\n[site]\nname = "pi.local"\ntls = "acme"', "[site]", "no public", '"internal"'),
    ('app = "a"\n[site]\nname = "192.168.1.5"\ntls = "acme"', "[site]", "no public", '"internal"'),
    (
        'app = "a"\n[site]\nname = "10.0.0.1"\nalso = ["10.0.0.2"]\ntls = "internal"',
        "[site]",
        "only one name may be an IP address",
        "keep one",
    ),
    ('app = "a"\n[site]\nemail = "a@b.c"', "[site] email", "it is for acme alone", 'tls = "acme"'),
    ('app = "a"\n[site]\nacme_ca = "http://x"', "[site] acme_ca", "not the address of", "https"),
    ('app = "a"\n[deploy]\nhandover = "overlp"', "[deploy] handover", "no way", '"overlap"?'),
    ('app = "a"\n[deploy]\ndrain = 10', "[deploy] drain", "10 has no unit", '"10s" or "10ms"'),
    ('app = "a"\n[deploy]\ndrain = "10"', "[deploy] drain", "'10' is not a duration", '"10s"'),
    ('app = "a"\n[deploy]\nhold = "1 s"', "[deploy] hold", "'1 s' is not a duration", '"10s"'),
    ('app = "a"\n[deploy]\nhold = "-1s"', "[deploy] hold", "'-1s' is not a duration", '"10s"'),
    ('app = "a"\n[deploy]\nstart = "0s"', "[deploy] start", "'0s' is too short", "at least 1s"),
    ('app = "a"\n[deploy]\nstart = "2d"', "[deploy] start", "'2d' is not a duration", '"10s"'),
    ('app = "a"\n[deploy]\nstart = "25h"', "[deploy] start", "longer than a day", "shorter"),
    ('app = "a"\n[deploy]\nkeep = 0', "[deploy] keep", "0 is not a whole number from 1", ""),
    ('app = "a"\n[smoke]\npath = "/"', "smoke", "it is not a list of checks", "[[smoke]]"),
    ('app = "a"\n[[smoke]]\nstatus = 200', "[[smoke]] 1 path", "it is missing", 'path = "/"'),
    ('app = "a"\n[[smoke]]\npath = "/"\nstatus = 99', "[[smoke]] 1 status", "99 is not", ""),
    ('app = "a"\n[[smoke]]\npath = "/"\nwithn = "1s"', "[[smoke]] 1 withn", "no such", "within?"),
    ('app = "a"\n[secrets]\nnames = "KEY"', "[secrets] names", "is not a list", 'names = ["SECR'),
    ('app = "a"\n[secrets]\nnames = ["A=b"]', "[secrets] names", "'A=b' is not the name", "never"),
]


@pytest.mark.parametrize(("text", "where", "what", "mend"), WRONG)
def test_a_mistake_is_named_with_its_place_and_its_mend(
    text: str, where: str, what: str, mend: str
) -> None:
    """Each wrong input gives exactly one problem, at its place, with what would do."""
    with pytest.raises(SettingsError) as caught:
        settings.parse(text)
    (problem,) = caught.value.problems
    assert problem.where == f"homeport.toml: {where}"
    assert what in problem.what
    assert mend in problem.mend


def test_all_mistakes_are_told_at_once() -> None:
    """Three mistakes in three sections come as three problems."""
    with pytest.raises(SettingsError) as caught:
        settings.parse('app = "A"\n[web]\nport = 0\n[deploy]\ndrain = 1\n')
    places = [problem.where for problem in caught.value.problems]
    assert places == [f"homeport.toml: {key}" for key in ("app", "[web] port", "[deploy] drain")]


def test_what_is_no_toml_is_refused_with_its_line() -> None:
    """A syntax error names the line."""
    with pytest.raises(SettingsError) as caught:
        settings.parse('app = "a"\n[web\n')
    assert "line 2" in caught.value.problems[0].why


def test_a_missing_file_says_how_to_get_one(tmp_path: Path) -> None:
    """No file: homeport init."""
    with pytest.raises(SettingsError) as caught:
        settings.load(tmp_path / "homeport.toml")
    assert "homeport init" in caught.value.problems[0].mend


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("10s", 10.0), ("500ms", 0.5), ("2m", 120.0), ("1m30s", 90.0), ("1.5s", 1.5), ("1h", 3600.0)],
)
def test_durations(text: str, seconds: float) -> None:
    """Numbers with units, alone or in a row."""
    assert readers.duration(text) == seconds


def test_only_the_name_is_needed() -> None:
    """Every other key has the model's own default."""
    assert settings.parse('app = "a"') == Settings("a")


def uncommented(other: bool) -> str:
    """The reference with every example in use; ``other``: with the other choices instead."""
    lines: list[str] = []
    for line in EXAMPLE.splitlines():
        if line.startswith("#| "):
            if other:
                while not lines[-1].startswith("["):
                    lines.pop()
                lines.append(line.removeprefix("#| "))
        else:
            lines.append(re.sub(r"^#(?=\[|\w+ = )", "", line))
    return "\n".join(lines)


def test_the_reference_stands_as_it_is() -> None:
    """homeport.example.toml is a good homeport.toml that sets nothing but the name."""
    assert settings.parse(EXAMPLE) == Settings("myapp")


def test_every_example_in_the_reference_is_good() -> None:
    """With all examples uncommented, each key has the example's value."""
    assert settings.parse(uncommented(other=False)) == Settings(
        "myapp",
        "compose.yaml",
        HostAddress("pi.local", "homeport", 2222),
        Web("app", 8000, "/health/ready", True),
        Site(
            name="food.example.org",
            also=("www.food.example.org",),
            tls="acme",
            email="me@example.org",
            acme_ca="https://ca.example.org/acme/acme/directory",
            acme_root="company-ca.pem",
        ),
        DeployRules("single-writer", 20.0, 15.0, 90.0, 3),
        Backup(
            "DATABASE_URL",
            ("data/cache",),
            ("python", "-m", "flask", "check"),
            "03:30",
            14,
            60,
            "sftp:me@nas.local:/backups/myapp",
            14,
            8,
            24,
        ),
        Migrate(
            ("python", "-m", "flask", "migrate"), ("python", "-m", "flask", "schema"), True, 300.0
        ),
        (Smoke("/login", 200, "Sign in", 2.0),),
        ("SECRET_KEY", "DATABASE_URL"),
    )
    assert settings.parse(uncommented(other=True)).site == Site(port=5000)


def test_the_reference_names_every_key_of_the_model() -> None:
    """No key of the model is missing from the reference, and each has a type and a default."""
    shown = tomllib.loads(uncommented(other=False))
    shown["site"] |= tomllib.loads(uncommented(other=True))["site"]
    for one in dataclasses.fields(Settings):
        assert one.name in shown
    for section, kind in (
        ("host", HostAddress),
        ("web", Web),
        ("site", Site),
        ("deploy", DeployRules),
        ("backup", Backup),
        ("migrate", Migrate),
    ):
        assert set(shown[section]) == {one.name for one in dataclasses.fields(kind)}
        assert set(settings.KEYS[section]) == set(shown[section])
    assert set(shown["smoke"][0]) == {one.name for one in dataclasses.fields(Smoke)}
    for key in re.findall(r"^#?\|? ?(\w+) = ", EXAMPLE, re.MULTILINE):
        before = re.split(rf"^#?\|? ?{key} = ", EXAMPLE, maxsplit=1, flags=re.MULTILINE)[0]
        about = before.rsplit("\n\n", 1)[-1]
        assert re.search(r"must be given|default|not together", about), key


GOOD = [
    ('name = "food.lan"\ntls = "internal"', Site("food.lan", tls="internal")),
    ('name = "10.0.0.1"\nport = 8443\ntls = "internal"', Site("10.0.0.1", 8443, tls="internal")),
    ('name = "x.org"\nalso = ["y.org"]', Site("x.org", also=("y.org",))),
    ('name = "x.org"\ntls = "acme"', Site("x.org", tls="acme")),
    (
        'name = "pi.lan"\ntls = "acme"\nacme_ca = "https://ca.lan/d"',
        Site("pi.lan", tls="acme", acme_ca="https://ca.lan/d"),
    ),
]


@pytest.mark.parametrize(("text", "site"), GOOD)
def test_sites(text: str, site: Site) -> None:
    """Names and HTTPS as people write them."""
    assert settings.parse(f'app = "a"\n[site]\n{text}').site == site


def test_the_root_of_an_acme_server_travels_along(tmp_path: Path) -> None:
    """acme_root names a file beside homeport.toml; what is no certificate is refused."""
    file, root = tmp_path / "homeport.toml", tmp_path / "ca.pem"
    site = 'app = "a"\n[site]\nname = "x.org"\ntls = "acme"\nacme_root = "ca.pem"\n'
    file.write_text(site)
    with pytest.raises(SettingsError) as caught:
        settings.load(file)
    assert caught.value.problems[0].where == "homeport.toml: [site] acme_root"
    root.write_text("-----BEGIN PRIVATE KEY-----\n")
    with pytest.raises(SettingsError) as caught:
        settings.load(file)
    assert "no certificate" in caught.value.problems[0].what
    root.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    assert settings.load(file).site.acme_root == root.read_text()


def test_our_own_file_is_good() -> None:
    """MyFoodBudget's homeport.toml is accepted, and declares its standby."""
    ours = settings.load(TOP / "homeport.toml")
    assert (ours.app, ours.web.standby, ours.site.port) == ("myfoodbudget", True, 8080)
