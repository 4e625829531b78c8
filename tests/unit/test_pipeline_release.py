"""What ships is what was asked for, by names that can't be something else."""

from __future__ import annotations

import hashlib
import stat
from pathlib import Path
from typing import Any

import pytest
from pipeline import base, builder, choose, cloudflared, release, sign, way_in
from pipeline.errors import PipelineError

COMMIT, OTHER = "a" * 40, "b" * 40
DIGEST = "sha256:" + "c" * 64
HOSTILE = ["$(id)", "a;b", "-oProxyCommand=x", "../x", f"{COMMIT}\n", "main", COMMIT[:7], " "]


@pytest.mark.parametrize("text", [*HOSTILE, COMMIT.upper()])
def test_no_commit(text: str) -> None:
    with pytest.raises(PipelineError, match="That is no commit"):
        choose.wanted(text, OTHER)


def test_the_commit_that_was_asked_for_else_the_newest() -> None:
    assert (choose.wanted(COMMIT, OTHER), choose.wanted("", OTHER)) == (COMMIT, OTHER)
    with pytest.raises(PipelineError):
        choose.wanted("", "")


def test_main_moves_only_where_nobody_chose() -> None:
    assert choose.tags(COMMIT, "") == f"sha-{COMMIT} main"
    assert choose.tags(COMMIT, COMMIT) == f"sha-{COMMIT}"


def test_the_repository_is_in_lower_case() -> None:
    assert choose.repository("Owner/Some.App") == "ghcr.io/owner/some.app"
    for text in ("", "owner", "a/b/c", "a/b\n", "a/$(id)"):
        with pytest.raises(PipelineError):
            choose.repository(text)


@pytest.mark.parametrize(
    ("tag", "ours", "says"),
    [
        ("v1.2.3", "1.2.3", "1.2.3"),
        ("v1.2.3-rc.1", "1.2.3-rc.1", "1.2.3-rc.1"),
        ("v1.2.3", "1.2.4", "disagree"),
        ("1.2.3", "1.2.3", "makes no release"),
        ("v1.2.3\n", "1.2.3", "makes no release"),
        ("v1.2.3;x", "1.2.3", "makes no release"),
        ("v1.2", "1.2", "makes no release"),
    ],
)
def test_the_version_of_a_tag(tag: str, ours: str, says: str) -> None:
    try:
        said = release.version(tag, ours)
    except PipelineError as refused:
        said = str(refused)
    assert says in said


def test_nothing_is_signed_under_a_name_that_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both halves of what is signed are matched whole before cosign is called."""
    monkeypatch.setenv("COSIGN_PRIVATE_KEY", "x")
    monkeypatch.setattr(sign, "command", lambda image: pytest.fail(f"would sign {image}"))
    for place, digest in (("ghcr.io/o/r;id", DIGEST), ("ghcr.io/o/r", DIGEST + "\n"), ("", "")):
        monkeypatch.setenv("REPOSITORY", place)
        monkeypatch.setenv("DIGEST", digest)
        with pytest.raises(PipelineError):
            sign.main()


def test_the_summary_says_what_vouches() -> None:
    image = f"ghcr.io/o/r@{DIGEST}"
    assert "Nothing vouches" in sign.vouched(image, "", False)
    both = sign.vouched(image, "https://x", True)
    assert "gh attestation verify" in both and "--repo o/r" in both and "cosign verify" in both
    assert "Nothing" not in both


def test_a_key_is_not_on_the_command_line() -> None:
    assert "env://COSIGN_PRIVATE_KEY" in sign.command("x") and sign.command("x")[-1] == "x"


@pytest.mark.parametrize(
    ("labels", "layers", "moved"),
    [
        ({base.LABEL: DIGEST}, [], False),
        ({base.LABEL: "sha256:old"}, ["1", "2", "3"], True),
        ({}, ["1", "2", "3"], False),
        ({}, ["1", "x", "3"], True),
        ({}, ["1"], True),
    ],
)
def test_whether_the_base_has_moved(labels: dict[str, Any], layers: list[str], moved: bool) -> None:
    assert base.moved(labels, layers, {"Digest": DIGEST, "Layers": ["1", "2"]})[0] is moved


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("ARG BASE=python:3.13-slim", "docker.io/library/python:3.13-slim"),
        ("ARG BASE=python", "docker.io/library/python:latest"),
        ("ARG BASE=me/python:1", "docker.io/me/python:1"),
        ("ARG BASE=ghcr.io/me/python:1", "ghcr.io/me/python:1"),
        ("ARG BASE=ghcr.io/me/python", "ghcr.io/me/python:latest"),
        ("ARG BASE=localhost/python:1", "localhost/python:1"),
        ("ARG BASE=127.0.0.1:5010/python", "127.0.0.1:5010/python:latest"),
    ],
)
def test_the_base_is_the_one_the_dockerfile_names(line: str, name: str) -> None:
    """One line of the Dockerfile says what is built on and what is watched."""
    assert builder.base_name(f"# base\n{line}\n\nFROM ${{BASE}}\n") == name


@pytest.mark.parametrize("text", ["FROM x\n", "ARG BASE=\n", f"ARG BASE=python@{DIGEST}\n", ""])
def test_no_base_to_watch(text: str) -> None:
    """What is pinned by digest cannot move, so nobody would ever be told."""
    with pytest.raises(PipelineError, match="Which base image"):
        builder.base_name(text)


def test_our_dockerfile_names_a_base_and_its_label_the_same() -> None:
    """What an image says that it stands on is right where nobody tells it otherwise, too."""
    text = (Path(__file__).parents[2] / "Dockerfile").read_text()
    assert f"ARG BASE_NAME={builder.base_name(text)}\n" in text


@pytest.mark.parametrize(
    ("verb", "way", "says"),
    [
        ("deploy", "", ("deploy", "direct")),
        ("rollback", "cloudflare", ("rollback", "cloudflare")),
        ("rolback", "", "the verb is 'rolback'"),
        ("", "", "the verb is ''"),
        ("deploy", "tunnel", "HOMEPORT_WAY_IN is 'tunnel'"),
        ("deploy", "direct\n", "HOMEPORT_WAY_IN is"),
    ],
)
def test_a_word_that_is_none_of_ours(verb: str, way: str, says: Any) -> None:
    """A wrong word would skip every step and look like a success."""
    try:
        assert way_in.words({"VERB": verb, "WAY_IN": way}) == says
    except PipelineError as refused:
        assert str(says) in str(refused)


def test_a_program_with_another_checksum_is_not_kept(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"program")
    good = hashlib.sha256(b"program").hexdigest()
    for wrong in ("0" * 64, "", good.upper(), good + "\n"):
        with pytest.raises(PipelineError):
            cloudflared.fetch("", wrong, tmp_path / "bin", source.as_uri())
    assert not (tmp_path / "bin").exists()
    program = cloudflared.fetch("", good, tmp_path / "bin", source.as_uri())
    assert program.read_bytes() == b"program" and program.stat().st_mode & stat.S_IXUSR


def test_where_cloudflared_lies() -> None:
    assert cloudflared.address("2026.1.0", "aarch64").endswith("/2026.1.0/cloudflared-linux-arm64")
    for version, machine in (("latest", "x86_64"), ("../x", "x86_64"), ("2026.1.0", "sparc")):
        with pytest.raises(PipelineError):
            cloudflared.address(version, machine)


@pytest.mark.parametrize(
    "host", ["pi@a.example.org;id", "x@$(id).org", "pi", "pi@-oX=y.org", "a.b\n"]
)
def test_no_name_for_ssh_config(host: str) -> None:
    with pytest.raises(PipelineError, match="Which host"):
        cloudflared.host_name(host)


@pytest.mark.parametrize("before", [None, "", "Host other\n  User me\n"])
def test_ssh_config_is_as_before_afterwards(before: str | None, tmp_path: Path) -> None:
    """Ours stands first, is written twice without a trace, is private, and goes again."""
    path = tmp_path / ".ssh" / "config"
    if before is not None:
        path.parent.mkdir()
        path.write_text(before)
    ours = cloudflared.entry(cloudflared.host_name("pi@pi.example.org:22"), Path("/x/cloudflared"))
    for _ in range(2):
        cloudflared.configure(path, ours)
        assert path.read_text() == ours + (before or "")
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    cloudflared.configure(path, "")
    assert (path.read_text() if path.exists() else "") == (before or "")


def test_fabric_takes_the_tunnel_from_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine's SSH connection reads that file, and goes through the program named in it."""
    import fabric

    monkeypatch.setenv("HOME", str(tmp_path))
    program = Path("/x/cloudflared")
    cloudflared.configure(
        tmp_path / ".ssh" / "config", cloudflared.entry("pi.example.org", program)
    )
    through = fabric.Connection("pi.example.org", user="pi").gateway
    assert through == "/x/cloudflared access ssh --hostname pi.example.org"
    assert fabric.Connection("other.example.org", user="pi").gateway is None


@pytest.mark.parametrize(
    ("tag", "short"), [("v1.2.3", "v1"), ("v0.1.0", "v0"), ("v2.0.0-rc.1", "")]
)
def test_the_tag_that_people_name_the_action_by(tag: str, short: str) -> None:
    assert release.major(tag) == short


@pytest.mark.parametrize(("tag", "candidate"), [("v1.2.3", False), ("v1.2.3-rc.1", True)])
def test_a_candidate_is_no_latest_release(tag: str, candidate: bool) -> None:
    words = release.wording(tag, "text")
    assert words[:4] == ["release", "create", tag, "--verify-tag"] and words[-1] == "text"
    assert ("--prerelease" in words) is candidate


@pytest.mark.parametrize(
    ("tag", "tags", "leads"),
    [
        ("v1.2.3", ["v1.2.3"], True),
        ("v1.2.3", ["v1.2.3", "v1.2.2", "v0.9.9", "v2.0.0", "v1", "nightly"], True),
        ("v1.2.3", ["v1.2.3", "v1.10.0"], False),
        ("v1.10.0", ["v1.2.3", "v1.10.0", "v1.11.0-rc.1"], True),
    ],
)
def test_an_older_line_does_not_take_the_short_tag_back(
    tag: str, tags: list[str], leads: bool
) -> None:
    """v1 names the newest release of version 1, whichever was tagged last."""
    assert release.newest(tag, tags) is leads


@pytest.mark.parametrize("there", [True, False])
def test_it_moves_whether_it_is_there_or_not(
    there: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """GitHub's own program is played: it refuses to change what does not exist."""
    log, program = tmp_path / "log", tmp_path / "gh"
    refuse = "" if there else 'case "$*" in *PATCH*) exit 1;; esac\n'
    program.write_text(f'#!/bin/sh\necho "$*" >> {log}\n{refuse}')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    release.move("v1", COMMIT, "o/r")
    told = [f"api -X PATCH repos/o/r/git/refs/tags/v1 -f sha={COMMIT} -F force=true"]
    told += [] if there else [f"api -X POST repos/o/r/git/refs -f ref=refs/tags/v1 -f sha={COMMIT}"]
    assert log.read_text().splitlines() == told
