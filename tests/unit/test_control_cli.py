"""The command line: words in, exit code and text out; no host behind it."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from homeport.control import cli, init, survey
from homeport.control.context import Context, parse_host
from homeport.control.setup import read_public
from homeport.errors import Internal, UsageError
from homeport.model import HostAddress

BASE = HostAddress("pi.local", "homeport", 2222)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("x", HostAddress("x", "homeport", 22)),
        ("pi@x", HostAddress("x", "pi", 22)),
        ("pi@x:23", HostAddress("x", "pi", 23)),
        ("x:23", HostAddress("x", "homeport", 23)),
        ("fe80::1", HostAddress("fe80::1", "homeport", 22)),
        ("pi@[fe80::1]:23", HostAddress("fe80::1", "pi", 23)),
        ("[pi.local]:23", HostAddress("pi.local", "homeport", 23)),
        ("local", HostAddress("local", "homeport", 22)),
    ],
)
def test_hosts(text: str, meant: HostAddress) -> None:
    """``[user@]address[:port]``; the user of [host] where none is given."""
    assert parse_host(text, BASE) == meant


@pytest.mark.parametrize("text", ["@x", "x:0", "x:99999", "x:y", "-oProxyCommand=x", "a b", "-l@x"])
def test_what_is_no_host_is_refused(text: str) -> None:
    """Nothing that ssh could take for an option."""
    with pytest.raises(UsageError):
        parse_host(text, BASE)


def test_options_stand_before_or_after_the_verb() -> None:
    """Both orders mean the same, and a verb's own defaults do not undo the first."""
    for words in (["--host", "x", "--json", "status"], ["status", "--host", "x", "--json"]):
        options = cli.parse(words)
        assert (options.verb, options.host, options.json, options.yes) == (
            "status",
            "x",
            True,
            False,
        )


@pytest.mark.parametrize(
    ("words", "mend"),
    [
        (["deplyo"], "did you mean homeport deploy?"),
        (["--host", "status", "stats"], "did you mean homeport status?"),
        (["fly"], "homeport --help"),
        (["status", "--jsn"], "homeport status: --jsn: there is no such option\n  mend: did you"),
        (["deploy", "x", "--forc=1", "-q"], "did you mean --force?"),
        (["deploy", "x", "--forc=1", "-q"], "homeport deploy: -q: there is no such option"),
        (["rollback", "r1", "r2"], "homeport rollback: r2: that is one word too many"),
        (["deploy", "--monitor"], "homeport deploy --help"),
        (["freeze"], "homeport freeze --help"),
        ([], "homeport --help"),
    ],
)
def test_a_wrong_command_line(
    words: list[str], mend: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2, the near verb, nothing on stdout."""
    assert cli.main(words) == 2
    out, err = capsys.readouterr()
    assert out == "" and mend in err.replace("\n    mend", "\n  mend")


def test_a_mistake_of_ours_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """No traceback unless it is asked for; the exit code is that of a mistake of ours."""

    def broken(name: str) -> Any:
        raise ZeroDivisionError("by\nzero")

    monkeypatch.setattr(cli, "_verb", broken)
    assert cli.main(["status"]) == Internal.code
    out, err = capsys.readouterr()
    assert out == "" and "ZeroDivisionError: by zero" in err and "Traceback" not in err
    assert cli.main(["status", "-v"]) == Internal.code
    assert "Traceback" in capsys.readouterr().err


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_missing_file_as_json(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """--json: the failure is one object on stdout, words go to stderr."""
    assert cli.main(["status", "--json"]) == 10
    out, err = capsys.readouterr()
    assert json.loads(out)["code"] == 10 and "homeport init" in err


def test_no_host_is_said_before_a_registry_is_asked(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """homeport deploy without a host: usage, with both ways to name one."""
    (folder / "homeport.toml").write_text('app = "a"\ncompose = "c.yml"')
    (folder / "c.yml").write_text("services: {}")
    assert cli.main(["deploy", "nowhere.invalid/a"]) == 2
    assert "--host" in capsys.readouterr().err


def test_a_monitor_without_unit_is_refused(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Durations on the command line have units too."""
    (folder / "homeport.toml").write_text('app = "a"\ncompose = "c.yml"')
    (folder / "c.yml").write_text("services: {}")
    assert cli.main(["deploy", "a", "--monitor", "1"]) == 2
    assert "--monitor" in capsys.readouterr().err


def test_nothing_is_removed_unasked(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """remove without --yes and without a person ends before any connection."""
    (folder / "homeport.toml").write_text('app = "a"\n[host]\naddress = "nowhere.invalid"')
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    assert cli.main(["remove"]) == 2


def test_help_is_quick() -> None:
    """``homeport --help`` names every verb within 300 ms (best of five) and loads no Fabric."""
    words = [sys.executable, "-m", "homeport.control.cli", "--help"]
    bare = {key: value for key, value in os.environ.items() if not key.startswith("COV")}
    took = []
    for _ in range(5):
        began = time.monotonic()
        done = subprocess.run(words, capture_output=True, text=True, env=bare)
        took.append(time.monotonic() - began)
        assert done.returncode == 0
        assert all(name in done.stdout for name, _, _ in cli.VERBS)
    assert min(took) <= 0.3
    loaded = subprocess.run(
        [sys.executable, "-X", "importtime", *words[1:]], capture_output=True, text=True, env=bare
    )
    assert not {"fabric", "paramiko", "rich"} & set(loaded.stderr.split())


def test_who_asks_in_ci(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A workflow's actor and run stand in the cause."""
    (folder / "homeport.toml").write_text('app = "a"\n[host]\naddress = "pi.local"')
    for key, value in {
        "GITHUB_ACTOR": "octo",
        "GITHUB_SERVER_URL": "https://git.example",
        "GITHUB_REPOSITORY": "me/app",
        "GITHUB_RUN_ID": "7",
    }.items():
        monkeypatch.setenv(key, value)
    cause = Context(cli.parse(["rollback", "--why", "bad colours"])).request("rollback").cause
    assert (cause.who, cause.why) == ("octo", "bad colours")
    assert cause.url == "https://git.example/me/app/actions/runs/7"


COMPOSE: dict[str, Any] = {
    "name": "My_Shop",
    "services": {
        "db": {"image": "postgres:17"},
        "shop": {
            "build": {"context": "."},
            "ports": [{"target": 5000, "published": "8080", "protocol": "tcp"}],
            "healthcheck": {"test": ["CMD", "curl", "-f", "http://localhost:5000/up?x=1"]},
        },
        "worker": {"build": {"context": "."}},
    },
}


def test_what_a_compose_file_tells() -> None:
    """The service with the port, its port and the site's, the healthcheck's path, a good name."""
    name = init.choose_web(COMPOSE["services"], init.Asker(yes=True))
    draft = init.draft_from(COMPOSE, "c.yml", name, HostAddress("pi"), Path("."))
    assert vars(draft) == {
        "app": "my-shop",
        "compose": "c.yml",
        "host": HostAddress("pi"),
        "service": "shop",
        "port": 5000,
        "ready": "/up",
        "site_port": 8080,
        "data": False,
        "postgres": "",
    }
    assert "[backup]" not in draft.text()
    told = "\n".join(init.advice(COMPOSE["services"], "shop"))
    assert 'db:   # outlives releases\n    labels:\n      homeport.shared: "true"' in told
    assert 'worker:   # moves with a release\n    labels:\n      homeport.shared: "false"' in told
    strange = {
        "web": {"image": "me/shop"},
        "look": {"image": "adminer"},
        "job": {"image": "me/shop"},
    }
    told = "\n".join(init.advice(strange, "web"))
    assert "look:   # outlives releases" in told and "job:   # moves with a release" in told


def drafted(web: dict[str, Any], **others: dict[str, Any]) -> str:
    """The homeport.toml for a compose file of these services."""
    data = {"name": "shop", "services": {"web": {"image": "me/shop", **web}, **others}}
    return init.draft_from(data, "c.yml", "web", HostAddress("pi"), Path(".")).text()


def test_init_saves_what_can_be_lost() -> None:
    """Whoever declares data gets backups of it, a database in PostgreSQL too; others get none."""
    volume = {"type": "volume", "source": "data", "target": "/data"}
    backup = '\n[backup]\nschedule = "03:30"\n'
    assert drafted({"volumes": [volume]}).endswith(backup)
    assert drafted({}, worker={"build": {}, "volumes": [volume]}).endswith(backup)
    assert "[backup]" not in drafted({"volumes": [{**volume, "read_only": True}]})
    assert "[backup]" not in drafted({}, db={"image": "postgres:17", "volumes": [volume]})
    asked = {"A": "x", "DATABASE_URL": "postgresql+psycopg://u:p@db/shop"}
    assert drafted({"environment": asked}).endswith(backup + 'postgres = "DATABASE_URL"\n')
    assert "u:p" not in drafted({"environment": asked})


GOOD_HOST = {
    "machine": "aarch64",
    "docker": "Docker version 28.5.2",
    "compose": "2.40.3",
    "group": "1",
    "python": "3.11",
    "hook": "systemd",
    "sudo": "yes",
    "uid": "1000",
}


@pytest.mark.parametrize(
    ("change", "what", "mend"),
    [
        ({"docker": ""}, "Docker is not installed", "| sudo sh"),
        ({"docker": "", "os": "alpine"}, "Docker is not installed", "apk add docker"),
        ({"compose": "2.34.9"}, "Compose 2.35", "| sudo sh"),
        ({"compose": ""}, "Compose 2.35", "| sudo sh"),
        ({"python": "3.9"}, "Python 3.10", "python3"),
        ({"python": ""}, "Python 3.10", "python3"),
        ({"hook": ""}, "neither systemd nor cron", "cron"),
        ({"sudo": ""}, "no sudo", "root@"),
        ({"group": "0"}, "no group docker", "| sudo sh"),
        ({"machine": "mips"}, "mips", "64-bit"),
    ],
)
def test_a_host_that_will_not_do(change: dict[str, str], what: str, mend: str) -> None:
    """One thing amiss gives one problem with the command; a good host gives none."""
    assert survey.Survey(GOOD_HOST).problems("pi") == []
    (problem,) = survey.Survey({**GOOD_HOST, **change}).problems("pi")
    assert what in problem.what and mend in problem.mend


def test_a_private_key_is_never_sent(tmp_path: Path) -> None:
    """--key with the wrong half of a pair is refused."""
    private = tmp_path / "id"
    private.write_text("-----BEGIN OPENSSH PRIVATE KEY-----\nx\n")
    with pytest.raises(UsageError):
        read_public(private)
