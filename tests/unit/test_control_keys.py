"""The private key in HOMEPORT_SSH_KEY: what is taken for one, and what is said of the rest."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from homeport.control import job, keys, ssh
from homeport.errors import LoginRefused

#: what ssh-keygen is told → the kind of the key
KINDS = {
    ("ed25519",): "ed25519",
    ("ecdsa",): "ecdsa",
    ("ecdsa", "-m", "PEM"): "ecdsa",
    ("ecdsa", "-m", "PKCS8"): "ecdsa",
    ("rsa", "-b", "2048"): "rsa",
    ("rsa", "-b", "2048", "-m", "PEM"): "rsa",
    ("rsa", "-b", "2048", "-m", "PKCS8"): "rsa",
}


def make(folder: Path, *words: str, phrase: str = "") -> tuple[str, str]:
    """The private and the public half of a new key."""
    path = folder / "key"
    path.unlink(missing_ok=True)
    argv = ["ssh-keygen", "-q", "-N", phrase, "-f", str(path), "-t", *words]
    subprocess.run(argv, check=True, capture_output=True)
    return path.read_text(), path.with_name("key.pub").read_text()


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """The two halves of an Ed25519 key."""
    return make(tmp_path_factory.mktemp("key"), "ed25519")


@pytest.mark.parametrize("words", KINDS, ids=" ".join)
def test_every_kind_and_form(words: tuple[str, ...], tmp_path: Path) -> None:
    """OpenSSH's form and both of PEM's are read, and give the key whose public half it is."""
    private, public = make(tmp_path, *words)
    kind, text = keys.load(private)
    assert kind == KINDS[words] and text.startswith("-----BEGIN OPENSSH PRIVATE KEY-----\n")
    made = ssh._in_memory(private)
    assert f"{made.get_name()} {made.get_base64()}" == " ".join(public.split()[:2])


SHAPES = {
    "as it is": lambda text: text,
    "no last newline": lambda text: text.rstrip("\n"),
    "Windows' line ends": lambda text: text.replace("\n", "\r\n"),
    "old Macs' line ends": lambda text: text.replace("\n", "\r"),
    "set in": lambda text: "".join(f"    {line}\n" for line in text.splitlines()),
    "line breaks turned into spaces": lambda text: text.replace("\n", " "),
    "blank lines around": lambda text: f"\n\n{text}\n\n",
}


@pytest.mark.parametrize("name", SHAPES)
def test_what_a_text_field_does_to_a_key(name: str, pair: tuple[str, str]) -> None:
    """Line ends and spaces that a copy adds or loses are forgiven."""
    shaped = SHAPES[name](pair[0])
    assert keys.is_text(shaped)
    assert ssh._in_memory(shaped).get_base64() == pair[1].split()[1]


BROKEN = {
    "a public key": lambda private, public: public,
    "a public key of PEM": lambda private, public: (
        "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----"
    ),
    "cut off": lambda private, public: private[: len(private) // 2],
    "damaged": lambda private, public: private[:90] + "AAAA" + private[94:],
    "lost its line breaks": lambda private, public: private.replace("\n", "\\n"),
    "PuTTY": lambda private, public: "PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: none",
    "another kind": lambda private, public: (
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    ),
    "nothing that is known": lambda private, public: "hello\nworld",
}


@pytest.mark.parametrize("name", BROKEN)
@pytest.mark.parametrize("job", [False, True])
def test_what_is_no_private_key(
    name: str, job: bool, pair: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it looks like is said, and where to put the right one; nothing of it is repeated."""
    monkeypatch.setenv("GITHUB_ACTIONS", "true" if job else "false")
    text = BROKEN[name](*pair)
    assert keys.is_text(text)
    with pytest.raises(LoginRefused) as caught:
        keys.load(text)
    (problem,) = caught.value.problems
    assert name.removesuffix(" of PEM") in problem.why and problem.where == "HOMEPORT_SSH_KEY"
    assert ("secret HOMEPORT_SSH_KEY" in problem.mend) == job
    told = problem.text()
    parts = [line for line in text.split() if len(line) > 12 and "KEY" not in line]
    assert not [part for part in parts if part in told]


@pytest.mark.parametrize("words", [("ed25519",), ("rsa", "-m", "PEM"), ("ecdsa", "-m", "PKCS8")])
def test_a_key_with_a_passphrase(words: tuple[str, ...], tmp_path: Path) -> None:
    """Nobody can type it: how to make one without."""
    locked, _ = make(tmp_path, *words, phrase="a secret phrase")
    with pytest.raises(LoginRefused) as caught:
        keys.load(locked)
    (problem,) = caught.value.problems
    assert "passphrase" in problem.what and "ssh-keygen" in problem.mend


def test_unset_and_empty_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """A job has "" for a secret that is not there."""
    for value in (None, "", " \n"):
        monkeypatch.delenv(keys.VARIABLE, raising=False)
        if value is not None:
            monkeypatch.setenv(keys.VARIABLE, value)
        assert keys.given() == "" and keys.file() is None


def test_a_path_is_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file is taken as ever; one that is not there is named, a key's inside never is."""
    (tmp_path / "id").write_text("x")
    monkeypatch.setenv(keys.VARIABLE, str(tmp_path / "id"))
    assert keys.file() == tmp_path / "id"
    monkeypatch.setenv(keys.VARIABLE, "/nowhere/key")
    with pytest.raises(LoginRefused) as caught:
        keys.file()
    assert caught.value.problems[0].where == f"{keys.VARIABLE}=/nowhere/key"
    inside = "b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZW"
    for value in (inside, f"/{inside}", "my secret words", "x" * 300):
        monkeypatch.setenv(keys.VARIABLE, value)
        with pytest.raises(LoginRefused) as caught:
            keys.file()
        assert value not in caught.value.text() and "no private key" in caught.value.text()


def test_no_program_that_is_started_inherits_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """The text leaves the environment and is still known; a path stays where it is."""
    text = f"{keys.BEGIN} OPENSSH PRIVATE KEY-----\nAAAA\n"
    monkeypatch.setenv(keys.VARIABLE, text)
    keys.take()
    assert keys.VARIABLE not in os.environ and keys.given() == text
    monkeypatch.setenv(keys.VARIABLE, "~/.ssh/id")
    keys.take()
    assert os.environ[keys.VARIABLE] == keys.given() == "~/.ssh/id"
    monkeypatch.delenv(keys.VARIABLE)
    keys.take()
    assert keys.given() == ""


def test_an_image_that_was_sent_by_hand_has_no_digest_in_a_registry() -> None:
    """What marks are moved by is a digest that a registry may know, never an image's id."""
    sent = {"id": "r0001-1111111", "image": "sha256:11", "digest": "sha256:11"}
    pulled = {"id": "r0002-2222222", "image": "r.io/a@sha256:22", "digest": "sha256:22"}
    told = job.outputs({"figures": {"serves": pulled, "previous": sent}}, "")
    assert (told["digest"], told["previous-digest"]) == ("sha256:22", "")
