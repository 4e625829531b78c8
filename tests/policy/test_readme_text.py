"""What README and CONTRIBUTING say, held to what is there."""

from __future__ import annotations

import importlib
import json
import re
import shlex
import subprocess
import sys
from itertools import zip_longest
from pathlib import Path

import pytest

from homeport.control import cli, settings

TOP = Path(__file__).resolve().parents[2]
PAGES = (
    *(
        "ci",
        "cli",
        "compose",
        "concepts",
        "data",
        "deployment-guide",
        "homeport-toml",
        "https",
        "lab",
        "offsite",
        "security",
    ),
    *("myfoodbudget", "troubleshooting"),
)
GUIDES = tuple(f"docs/{name}.md" for name in PAGES)
DOCUMENTS = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", *GUIDES)
README, CONTRIBUTING = (TOP.joinpath(name).read_text("utf-8") for name in DOCUMENTS[:2])
STRANGER = TOP / "tests" / "e2e" / "strangerapp"
FENCE = re.compile(r"```.*?```", re.DOTALL)
#: quoted block → the module that measures it and writes build/evidence/BLOCK.json
QUOTED = {"demo": "bench.demo", "bench": "bench.compare", "image": "pipeline.image_bench"}
RELEASE = re.compile(r"r\d{4}-[0-9a-f]{7}")
NUMBER = re.compile(r"\d+(?:\.\d+)?")
MEASURE = re.compile(r"\d[\d.,]*\s?(?:ms|s|seconds?|minutes?|[KMG]B|%|×|requests|times)(?!\w)")


def block(name: str, text: str = README) -> str:
    """What stands between ``<!-- NAME -->`` and ``<!-- /NAME -->``, without its fence."""
    found = re.search(rf"<!-- {name} -->\n(.*?)<!-- /{name} -->", text, re.DOTALL)
    assert found, f"README has no block {name}"
    return "\n".join(line for line in found[1].splitlines() if not line.startswith("```"))


def shown(name: str) -> str:
    """The file that README shows under this name."""
    found = re.search(rf"<!-- file: {re.escape(name)} -->\n```\w+\n(.*?)```", README, re.DOTALL)
    assert found, f"README does not show {name}"
    return found[1]


def typed(text: str) -> list[str]:
    """Every command that the document's blocks of shell have people type."""
    blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    return [line for one in blocks for line in one.splitlines()]


def prose(text: str) -> str:
    """The document without its code, and without the blocks that are measured."""
    for name in QUOTED:
        text = re.sub(rf"<!-- {name} -->.*?<!-- /{name} -->", "", text, flags=re.DOTALL)
    return re.sub(r"`[^`\n]*`", "", FENCE.sub("", text))


def drift(quoted: str, measured: str) -> list[str]:
    """Where a quoted table says something else than a measured one.

    Two runs differ, so a time may differ by a second or by a factor of three; the words may not,
    and nought stays nought. Lines set in by two spaces are details of one run.
    """
    found = []
    pairs = zip_longest(*(_rows(text) for text in (quoted, measured)), fillvalue="")
    for ours, theirs in pairs:
        if NUMBER.sub("N", ours) != NUMBER.sub("N", theirs):
            found.append(f"quoted: {ours}\nmeasured: {theirs}")
            continue
        for one, other in zip(NUMBER.findall(ours), NUMBER.findall(theirs)):
            if not _alike(one, other):
                found.append(f"quoted: {ours}\nmeasured: {other} where it says {one}")
    return found


def _rows(text: str) -> list[str]:
    lines = (line for line in text.splitlines() if line.strip() and not line.startswith("  "))
    return [" ".join(RELEASE.sub("RELEASE", line).split()) for line in lines]


def _alike(one: str, other: str) -> bool:
    if "0" in (one, other):
        return one == other
    few, many = sorted((float(one), float(other)))
    return many - few <= 1 or many <= 3 * few


def test_the_verbs_are_those_of_the_command_line() -> None:
    """README lists the verbs that ``homeport --help`` lists, with the same sentences."""
    argv = [sys.executable, "-m", "homeport.control.cli", "--help"]
    text = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True).stdout
    listed = re.findall(r"^    ([a-z]+) +(\S.*)$", text, re.MULTILINE)
    assert len(listed) >= 12
    assert [tuple(line.split(None, 1)) for line in block("verbs").splitlines()] == listed


def test_what_people_type_is_understood() -> None:
    """Every homeport command that README has people type is one the command line takes."""
    commands = [shlex.split(line)[1:] for line in typed(README) if line.startswith("homeport ")]
    assert len(commands) >= 6
    for words in commands:
        assert cli.parse(words).verb == words[0]


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_verb_named_in_passing_exists(name: str) -> None:
    """No document names a verb of homeport or make that is not there."""
    text = (TOP / name).read_text("utf-8")
    verbs = {verb for verb, _, _ in cli.VERBS} | {"VERB"}
    assert set(re.findall(r"`homeport (\w+)", text)) <= verbs
    goals = dict(re.findall(r"^([a-z-]+):.*## (.*)$", (TOP / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"^`?make ([a-z-]+)|`make ([a-z-]+)", text, re.MULTILINE)) <= {
        pair for goal in goals for pair in ((goal, ""), ("", goal))
    }


def test_contributing_lists_the_verbs_of_make() -> None:
    """CONTRIBUTING lists what ``make help`` lists, with the same sentences."""
    makefile = (TOP / "Makefile").read_text("utf-8")
    goals = dict(re.findall(r"^([a-z-]+):.*## (.*)$", makefile, re.MULTILINE))
    del goals["help"]  # it is how one gets there
    assert dict(re.findall(r"^make ([a-z-]+) +(\S.*)$", CONTRIBUTING, re.MULTILINE)) == goals


def test_the_stranger_app_is_the_one_that_is_shown() -> None:
    """The compose file in README is that of the app which the path is tested with."""
    assert shown("docker-compose.yml") == (STRANGER / "docker-compose.yml").read_text("utf-8")


def test_the_settings_that_are_shown_are_accepted() -> None:
    """The homeport.toml in README is one that Homeport takes."""
    read = settings.parse(shown("homeport.toml"))
    assert (read.app, read.host.address, read.site.port) == ("flaskr", "pi.local", 5000)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_file_named_is_there(name: str) -> None:
    """Links and paths in the documents lead somewhere."""
    text = (TOP / name).read_text("utf-8")
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", text) if "://" not in link]
    code = re.findall(r"`((?:deploy|tests|docs|foodbudget|migrations)/[\w./-]*)`", text)
    beside = (TOP / name).parent
    missing = [link for link in links if not (beside / link).exists()]
    missing += [path for path in code if not (TOP / path).exists()]
    assert not missing


def test_readme_measures_nothing_by_itself() -> None:
    """A figure stands in a block that a measurement fills, never in README's own sentences."""
    assert MEASURE.findall("It took 3.5 s, and 40 MB.") == ["3.5 s", "40 MB"]
    assert not MEASURE.findall(prose(README))


@pytest.mark.parametrize("name", QUOTED)
def test_quoted_figures_are_the_measured_ones(name: str) -> None:
    """A table that README quotes says what the latest measurement on this machine says."""
    quoted, evidence = block(name), TOP / "build" / "evidence" / f"{name}.json"
    if quoted.strip() and evidence.exists():
        table = importlib.import_module(QUOTED[name]).table
        assert not drift(quoted, table(json.loads(evidence.read_text("utf-8"))))


@pytest.mark.parametrize(
    ("quoted", "measured", "good"),
    [
        ("deploy 4.0 s, r0001-1a2b3c4", "deploy 2.1  s, r0007-aaaaaaa", True),
        ("3100 requests: 0 failed", "4000 requests: 0 failed", True),
        ("3100 requests: 0 failed", "4000 requests: 1 failed", False),
        ("3100 requests: 1 failed", "4000 requests: 0 failed", False),
        ("deploy 1.0 s", "deploy 3.5 s", False),
        ("deploy 1.0 s", "rollback 1.0 s", False),
        ("deploy 1.0 s", "", False),
        ("", "deploy 1.0 s", False),
        ("failed 0 31\n  502 31", "failed 0 20\n  reset 20", True),
    ],
)
def test_drift_is_found(quoted: str, measured: str, good: bool) -> None:
    """The comparison lets two runs differ, and finds a wrong nought, a wrong time, a wrong word."""
    assert (drift(quoted, measured) == []) == good
