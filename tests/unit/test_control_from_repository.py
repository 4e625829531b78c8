"""`homeport restore --from`: what opens the repository travels in the request and nowhere else."""

from __future__ import annotations

import argparse
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from homeport import wire
from homeport.backups import Backup
from homeport.control import cli, from_repository, setup_restic
from homeport.control.survey import Survey
from homeport.core import envfile
from homeport.errors import UsageError
from homeport.host import offsite_memory, ops_offsite, requests
from homeport.host.context import Context
from homeport.host.engine import Engine
from homeport.host.paths import Paths
from homeport.model import Request, Settings

NEW = "20260102T030000-bbbb"
ALL = {
    "RESTIC_PASSWORD": "a b'c",
    "AWS_ACCESS_KEY_ID": "id",
    "AWS_SECRET_ACCESS_KEY": "s/e+c=",
    "RESTIC_REST_USERNAME": "me",
    "RESTIC_REST_PASSWORD": "$x",
    "RESTIC_REPOSITORY": "/elsewhere",
    "B2_ACCOUNT_KEY": "b2",
    "PATH": "/bin",
}
PASSWORD = ("RESTIC_PASSWORD", "a b'c")
SENT = {
    "/mnt/usb": (PASSWORD,),
    "sftp:me@nas:/x": (PASSWORD,),
    "rest:https://nas/": (
        PASSWORD,
        ("RESTIC_REST_PASSWORD", "$x"),
        ("RESTIC_REST_USERNAME", "me"),
    ),
    "s3:https://s3/b": (
        PASSWORD,
        ("AWS_ACCESS_KEY_ID", "id"),
        ("AWS_SECRET_ACCESS_KEY", "s/e+c="),
    ),
    "b2:bucket": (PASSWORD, ("B2_ACCOUNT_KEY", "b2")),
}


@pytest.mark.parametrize("repository", SENT)
def test_what_opens_it_is_taken_from_the_environment(
    repository: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The password, and of the rest only what that kind of repository needs."""
    for name, value in ALL.items():
        monkeypatch.setenv(name, value)
    assert envfile.values(from_repository.keys(repository, None)) == SENT[repository]


def test_a_password_that_is_nowhere_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unseen; where nobody is there to ask, it says where it is looked for."""
    monkeypatch.delenv("RESTIC_PASSWORD", raising=False)
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    with pytest.raises(UsageError) as seen:
        from_repository.keys("/mnt/usb", None)
    assert "RESTIC_PASSWORD" in seen.value.problems[0].mend
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("getpass.getpass", lambda prompt: "typed")
    assert from_repository.keys("/mnt/usb", None) == "RESTIC_PASSWORD=typed\n"
    # whoever has written restic.env on the host already leaves it empty
    monkeypatch.setattr("getpass.getpass", lambda prompt: "")
    assert from_repository.keys("/mnt/usb", None) == ""


UNFIT = ("both ' and \"", "a new\nline", "a \\")


@pytest.mark.parametrize("value", UNFIT)
def test_a_value_that_no_line_carries_is_said(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Instead of arriving as another password."""
    monkeypatch.setenv("RESTIC_PASSWORD", value)
    with pytest.raises(UsageError) as seen:
        from_repository.keys("/mnt/usb", None)
    assert seen.value.problems[0].where == "RESTIC_PASSWORD"


def test_keys_from_a_file(tmp_path: Path) -> None:
    """As it stands: the copy of restic.env that somebody kept."""
    file = tmp_path / "restic.env"
    with pytest.raises(UsageError):
        from_repository.keys("/mnt/usb", str(file))
    file.write_text("RESTIC_PASSWORD=x\n")
    assert from_repository.keys("/mnt/usb", str(file)) == "RESTIC_PASSWORD=x\n"


TYPED = {
    "restore yesterday --from /mnt/usb": "that is no set of copies",
    f"restore {NEW} --from rest:https://me:secret@nas/": "a password stands in the address",
}


@pytest.mark.parametrize("words", TYPED)
def test_a_wrong_command_line_is_said(
    words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before anything is looked at; a secret in it is not repeated."""
    (tmp_path / "homeport.toml").write_text('app = "food"\n[host]\naddress = "local"\n')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RESTIC_PASSWORD", "x")
    assert cli.main(words.split()) == 2
    said = capsys.readouterr().err
    assert TYPED[words] in said and "secret" not in said


# --- on the host ---------------------------------------------------------------------------------
ASKED = Request(
    "restore-from", "food", set=NEW, source="/mnt/usb", opens="RESTIC_PASSWORD=long-one"
)


def test_the_request_shows_its_secret_in_no_repr_and_names_a_set() -> None:
    """A traceback would tell it; a path in place of a set is refused."""
    assert "long-one" not in repr(ASKED)
    assert requests.parse(wire.encode(ASKED)) == ASKED
    for name in ("", "latest"):
        assert requests.parse(wire.encode(replace(ASKED, set=name))).set == name
    for name in ("../../etc", f"{NEW}/..", "r0001"):
        with pytest.raises(wire.WireError, match="not a set"):
            requests.parse(wire.encode(replace(ASKED, set=name)))


@pytest.fixture
def context(tmp_path: Path) -> Context:
    """A run on a host that was set up, telling into ``told``."""
    paths = Paths("food", tmp_path)
    paths.folder.mkdir()
    paths.sockets.mkdir(parents=True)
    told: list[str] = []
    made = Context(paths, Engine(), ASKED, "run-1", lambda event: told.append(str(event)))
    made.figures["told"] = told
    return made


def mode(path: Path) -> int:
    """The permissions of a file."""
    return stat.S_IMODE(path.stat().st_mode)


def test_what_opened_the_repository_is_kept_for_the_host_alone(context: Context) -> None:
    """It goes on saving there; what was there before is kept, and said."""
    keys = context.paths.restic_env
    ops_offsite._keys(context, ASKED.opens)
    assert keys.read_text() == ASKED.opens and mode(keys) == 0o600
    assert context.figures["told"] == []
    ops_offsite._keys(context, "RESTIC_PASSWORD=another\n")
    before = keys.with_name("restic.env.before")
    assert before.read_text() == ASKED.opens and mode(before) == 0o600
    assert "restic.env.before" in context.figures["told"][0]
    ops_offsite._keys(context, "")
    assert keys.read_text() == "RESTIC_PASSWORD=another\n"


SAVED = "SECRET_KEY=old-and-secret\nSIGNUP=open\n"
SETTINGS = {
    "none yet": (None, SAVED, ()),
    "empty": ("# yours\n", SAVED, ()),
    "the same": (SAVED, SAVED, ()),
    "others": ("SECRET_KEY=written-here\n", "SECRET_KEY=written-here\n", ("SECRET_KEY, SIGNUP",)),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_settings_that_somebody_wrote_on_the_host_stay(name: str, context: Context) -> None:
    """The set's come where there are none; a difference is told by names, never by values."""
    here, after, said = SETTINGS[name]
    path, saved = context.paths.settings_env, context.paths.folder / "saved"
    saved.write_text(SAVED)
    if here is not None:
        path.write_text(here)
    ops_offsite._settings(context, saved)
    assert path.read_text() == after
    told = " ".join(context.figures["told"])
    assert all(one in told for one in said) and bool(told) is bool(said)
    assert "secret" not in told and "written" not in told
    if here is None:
        assert mode(path) == 0o600


def test_no_event_tells_what_opens_the_repository(context: Context) -> None:
    """Neither what came with the request nor what is in restic.env, even once that is written."""
    context.paths.restic_env.write_text(
        "RESTIC_PASSWORD=on-the-host\nAWS_SECRET_ACCESS_KEY=aws-one\n"
    )
    context.notice("long-one on-the-host aws-one")
    assert context.figures["told"] == ["{'e': 'notice', 'text': '••• ••• •••'}"]
    context.paths.settings_env.write_text("API_TOKEN=came-later\n")
    assert "came-later" in context.masked("came-later")
    context.learn_secrets()
    assert context.masked("came-later") == "•••"


def test_what_is_remembered_of_a_repository_is_not_taken_for_another(tmp_path: Path) -> None:
    """Copies of one, a drill of the same; a new address begins anew."""
    paths = Paths("food", tmp_path)
    assert offsite_memory.known(paths) is None
    offsite_memory.remember(paths, "/mnt/usb", set=NEW, at=1.0)
    offsite_memory.remember(paths, "/mnt/usb", drilled=2.0, drilled_set=NEW)
    known = offsite_memory.known(paths)
    assert known and (known.set, known.at, known.drilled) == (NEW, 1.0, 2.0)
    offsite_memory.remember(paths, "/mnt/other", drilled=3.0)
    known = offsite_memory.known(paths)
    assert known and (known.set, known.drilled) == ("", 3.0)
    offsite_memory.path(paths).write_text("{")
    assert offsite_memory.known(paths) is None


# --- setup ---------------------------------------------------------------------------------------
APT = "  the package restic, by apt-get"
BY_HAND = "  restic 0.12 or newer is missing: install it with this system's packages"
SETUPS = {
    "Debian without": ({"apt": "yes"}, APT),
    "another system without": ({}, BY_HAND),
    "there": ({"apt": "yes", "restic": "restic 0.14.0 compiled with go1.19.8"}, None),
    "too old": ({"apt": "yes", "restic": "restic 0.9.4 compiled with go1.11"}, BY_HAND),
}


@pytest.mark.parametrize("name", SETUPS)
def test_setup_says_what_it_does_about_restic(name: str) -> None:
    """Only where copies go off the box."""
    facts, line = SETUPS[name]
    app = Settings("food", backup=Backup(offsite="/mnt/usb"))
    told = setup_restic.tell(Survey(facts), app)
    assert [one for one in told if one in (APT, BY_HAND)] == ([line] if line else [])
    assert any("restic.env" in one for one in told)
    assert setup_restic.tell(Survey(facts), Settings("food", backup=Backup())) == []


def test_the_verb_is_the_hosts_to_carry_out() -> None:
    """Its words are known, before and after."""
    options = cli.parse(["restore", NEW, "--from", "/mnt/usb"])
    assert isinstance(options, argparse.Namespace)
    assert (options.set, options.source, options.keys) == (NEW, "/mnt/usb", None)
