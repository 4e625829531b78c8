"""An installation that worked yesterday works today: nothing that is locked is resolved again."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
#: what a person's own app does is the person's own business
THEIRS = ("tests/e2e/strangerapp/", "tests/contract/tinyapp/")
#: where commands stand; documents are for people, and requirements only speak of them
KINDS = re.compile(r"(Makefile|.*Dockerfile|.*\.(dockerfile|sh|py|ya?ml)|\.ci/run)")
INSTALL = re.compile(r"(?:-m )?\b(?:uv )?pip3? install\b[^\n]*")


def commands(text: str) -> list[str]:
    """Every `pip install` of a file, each in one line, with what the Makefile calls LOCKED."""
    locked = re.search(r"^LOCKED := (.*)$", text, re.MULTILINE)
    whole = re.sub(r"\\\n\s*", " ", text).replace("$(LOCKED)", locked[1] if locked else "")
    whole = re.sub(r" (&&|\|\|) ", "\n", whole)
    return [found.strip("` ") for found in INSTALL.findall(whole)]


def breaches(command: str) -> list[str]:
    """What a `pip install` leaves to chance, each in a few words."""
    words = set(shlex.split(command, comments=True))
    bad = [] if "--no-deps" in words else ["pip resolves again"]
    if "-r" in words and "--require-hashes" not in words:
        bad.append("what comes is not compared with the lock")
    if "-r" not in words and "-e" not in words:
        bad.append("it is in no lock")
    if "-e" in words and "--no-build-isolation" not in words:
        bad.append("what builds it is fetched anew")
    return bad


def tracked() -> dict[str, str]:
    """File → text, for all that hold commands of ours."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
    names = [one for one in listed.stdout.decode().split("\0") if KINDS.fullmatch(one)]
    names = [one for one in names if not one.startswith((*THEIRS, "tests/policy/"))]
    return {name: (ROOT / name).read_text() for name in names if (ROOT / name).is_file()}


FOUND = [(name, one) for name, text in tracked().items() for one in commands(text)]


def test_the_commands_were_found() -> None:
    """A rule over nothing would hold for ever."""
    assert {"Makefile", "Dockerfile", "deploy/pipeline/usual.dockerfile"} <= {n for n, _ in FOUND}
    assert sum(name == "Makefile" for name, _ in FOUND) == 8


@pytest.mark.parametrize(
    ("name", "command"), FOUND, ids=[f"{n}-{i}" for i, (n, _) in enumerate(FOUND)]
)
def test_what_is_locked_is_installed_as_it_stands(name: str, command: str) -> None:
    """A newer release of what a lock does not name by itself cannot break an installation."""
    assert breaches(command) == [], f"{name}: {command}"


def test_every_environment_is_looked_at_when_it_is_made() -> None:
    """Where pip does not resolve, only `pip check` tells that a lock lacks something."""
    text = (ROOT / "Makefile").read_text()
    assert text.count("-m venv --clear") == text.count("-m pip check >/dev/null") == 3


@pytest.mark.parametrize("program", ["uv tool run", "uvx", "pipx run", "npx"])
def test_no_tool_is_fetched_as_it_is_today(program: str) -> None:
    """A pinned tool's own dependencies are not pinned by that; the one there is has a day."""
    spelt = re.compile(r"[\s\"',)]+".join(program.split()) + r"\b")
    files = [name for name, text in tracked().items() if spelt.search(text)]
    assert files == (["deploy/pipeline/audit.py"] if program == "uv tool run" else [])


def test_the_tool_that_is_fetched_has_a_day() -> None:
    """uv takes no release that came after it."""
    from pipeline.audit import SAFETY

    assert SAFETY[0] == "--exclude-newer" and re.fullmatch(r"\d{4}-\d\d-\d\d", SAFETY[1])
    assert re.fullmatch(r"safety@[\d.]+", SAFETY[2])


def test_programs_of_go_are_pinned() -> None:
    """A Go module's own file names all that it needs, so its version is enough."""
    from pipeline import tools

    for module in (tools.ACTIONLINT, tools.GITLEAKS, tools.OSV_SCANNER):
        assert re.fullmatch(r"[\w./-]+@v\d+\.\d+\.\d+", module)


BROKEN = [
    ("LOCKED := --require-hashes --no-deps\n\tx -m pip install $(LOCKED) -r a.txt", []),
    ("LOCKED := --require-hashes\n\tx -m pip install $(LOCKED) -r a.txt", ["pip resolves again"]),
    ("x -m pip install $(LOCKED) -r a.txt", ["pip resolves again", "what comes is not compared"]),
    ("RUN pip install --no-deps \\\n    -r a.txt && x", ["what comes is not compared"]),
    ("pip install --no-deps --no-build-isolation -e .", []),
    ("pip install --no-deps -e .", ["what builds it is fetched anew"]),
    ("pip3 install black", ["pip resolves again", "it is in no lock"]),
    ("uv pip install black", ["pip resolves again", "it is in no lock"]),
    (
        "uv pip install --no-deps -r a \\\n || pip install -r a",
        ["what", "pip resolves again", "what"],
    ),
]


@pytest.mark.parametrize(("text", "says"), BROKEN)
def test_a_breach_is_caught(text: str, says: list[str]) -> None:
    """Each rule can say no."""
    found = [bad for command in commands(text) for bad in breaches(command)]
    assert [bad[: len(says[i])] for i, bad in enumerate(found)] == says
