"""`make lint`: every check of form, types, images, shell and workflows, in one run."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from pipeline import github, tools
from pipeline.errors import PipelineError

CODE = "deploy foodbudget migrations app_factory.py config.py gunicorn.conf.py tests".split()
TYPED = ("deploy/homeport", "deploy/pipeline")
WORKFLOWS = ".github/workflows"
ACTION = re.compile(r"\.github/actions/[^/]+/action\.yml")
COMPOSE = ("docker-compose.yml", "docker-compose.prod.yml")
# what the lab's own images may do and the app's may not: they are thrown away after a test, take
# whatever version their Debian suite has, and are one copied file system on purpose
LAB_IMAGES = "--ignore DL3008 --ignore DL4006 --ignore DL3067".split()
# GitHub knows `queue` since May 2026; this release of actionlint does not (its issue 657)
UNKNOWN_TO_ACTIONLINT = 'unexpected key "queue" for "concurrency" section'

AT_LINE = re.compile(r"^(?P<file>[^\s:]+):(?P<line>\d+)(?::\d+)?:? (?P<text>.+)$")
WOULD_REFORMAT = re.compile(r"^would reformat (?P<file>.+)$")
ZIZMOR = re.compile(r"^\s+--> (?P<file>\S+?):(?P<line>\d+):\d+$")


@dataclass(frozen=True)
class Check:
    """One tool: how it is asked, and where it runs. No command: it cannot be had here."""

    name: str
    command: tuple[str, ...]
    absent: str = ""


@dataclass(frozen=True)
class Found:
    """What one check said: its exit code (-1: it did not run), its output, its findings."""

    name: str
    code: int
    text: str
    problems: tuple[tuple[str, int, str], ...]


def problems(text: str) -> tuple[tuple[str, int, str], ...]:
    """The (file, line, message) triples in a tool's output; line 0 is the whole file."""
    found: list[tuple[str, int, str]] = []
    headline = ""
    for line in re.sub(r"\x1b\[[0-9;]*m", "", text).splitlines():
        if at := AT_LINE.match(line):
            # mypy's notes explain the error above them
            if not at["text"].startswith("note:"):
                found.append((at["file"], int(at["line"]), at["text"]))
        elif form := WOULD_REFORMAT.match(line):
            found.append((form["file"], 0, "black would write this otherwise: make format"))
        elif place := ZIZMOR.match(line):
            found.append((place["file"], int(place["line"]), headline))
        elif line and not line.startswith(" "):
            headline = line
    return tuple(found)


def shell_scripts(top: Path, tracked: list[str]) -> list[str]:
    """The tracked files that a shell runs, by their first line."""
    found = []
    for name in tracked:
        try:
            with open(top / name, "rb") as stream:
                first = stream.readline(80)
        except (FileNotFoundError, IsADirectoryError):
            continue  # removed, and not committed yet
        if re.match(rb"#!\s*/\S*(/|env )(ba|da)?sh\b", first):
            found.append(name)
    return found


def checks(top: Path, tracked: list[str]) -> list[Check]:
    """Every check there is, for a tree with those tracked files.

    Raises:
        PipelineError: the tree has nothing to check.
    """
    workflows = [name for name in tracked if name.startswith(WORKFLOWS + "/")]
    actions = [name for name in tracked if ACTION.fullmatch(name)]
    dockerfiles = [name for name in tracked if name.endswith(".dockerfile")]
    scripts = shell_scripts(top, tracked)
    if not (workflows and actions and scripts):
        raise PipelineError(
            "There is nothing to lint.", f"git knows no workflows in {top}", "run it in a checkout"
        )
    # its remarks are matters of taste: a word list that is meant to be split, for one
    hadolint = [tools.beside("hadolint"), "--failure-threshold", "warning"]
    schema = [tools.beside("check-jsonschema"), "--builtin-schema"]
    made = [
        Check("black", (tools.beside("black"), "--check", "--quiet", *CODE)),
        Check("flake8", (tools.beside("flake8"), *CODE)),
        Check("mypy", (tools.beside("mypy"), "--strict", "--no-error-summary", *TYPED)),
        Check("hadolint", (*hadolint, "Dockerfile")),
        Check("hadolint (lab)", (*hadolint, *LAB_IMAGES, *dockerfiles)),
        _shellcheck(scripts),
        Check("zizmor", (tools.beside("zizmor"), *ZIZMOR_OPTIONS, ".github")),
        Check("workflow schema", (*schema, "vendor.github-workflows", *workflows)),
        Check("action schema", (*schema, "vendor.github-actions", *actions)),
        Check("dependabot schema", (*schema, "vendor.dependabot", ".github/dependabot.yml")),
        _actionlint(),
    ]
    return made + [_compose(name) for name in COMPOSE]


ZIZMOR_OPTIONS = "--offline --no-progress --quiet --persona auditor --color never".split()


def _shellcheck(scripts: list[str]) -> Check:
    program = tools.shellcheck()
    if program is None:
        return Check("shellcheck", (), "apt-get install shellcheck")
    return Check("shellcheck", (program, "--format", "gcc", "--external-sources", *scripts))


def _actionlint() -> Check:
    if not shutil.which("go"):
        return Check("actionlint", (), "install Go (https://go.dev/dl/)")
    options = ["-no-color", "-oneline", "-ignore", UNKNOWN_TO_ACTIONLINT]
    return Check("actionlint", (*tools.go(tools.ACTIONLINT), *options))


def _compose(name: str) -> Check:
    title = f"compose config {name}"
    if not tools.compose_is_there():
        return Check(title, (), "install Docker Compose (https://docs.docker.com/compose/install/)")
    return Check(title, ("docker", "compose", "-f", name, "config", "--quiet"))


def run(check: Check, top: Path) -> Found:
    """Asks one tool; bounded by ten minutes, since the first run of one may compile it."""
    if not check.command:
        return Found(check.name, -1, f"not here: {check.absent}", ())
    env = {**os.environ, "NO_COLOR": "1", "GOFLAGS": ""}
    try:
        done = subprocess.run(
            check.command, cwd=top, env=env, capture_output=True, text=True, timeout=600
        )
    except (OSError, subprocess.TimeoutExpired) as failed:
        return Found(check.name, 1, str(failed), ())
    text = (done.stdout + done.stderr).strip()
    if check.name == "black" and done.returncode:
        # --quiet hides the names, without it every good file is named too
        again = tuple(word for word in check.command if word != "--quiet")
        text = subprocess.run(again, cwd=top, capture_output=True, text=True).stderr.strip()
    return Found(check.name, done.returncode, text, problems(text) if done.returncode else ())


def verdict(found: list[Found], strict: bool) -> int:
    """0 where every check is content; one that could not run counts only where `strict`."""
    bad = [one for one in found if one.code > 0 or (one.code < 0 and strict)]
    return 1 if bad else 0


def report(found: list[Found], strict: bool, talk: Callable[[str], None]) -> None:
    """Tells people everything, GitHub's page where the findings stand, the summary what ran."""
    rows = ["| check | |", "|---|---|"]
    for one in found:
        word = "clean" if one.code == 0 else "left out" if one.code < 0 else "findings"
        rows.append(f"| {one.name} | {word} |")
        if one.code == 0:
            continue
        talk(f"{one.name}: {word}\n{one.text}\n")
        for file, line, text in one.problems:
            github.error(f"{one.name}: {text}", file, line)
        if (one.code > 0 and not one.problems) or (one.code < 0 and strict):
            github.error(f"{one.name}: {one.text[-1000:]}")
    clean = [one.name for one in found if one.code == 0]
    talk(f"lint: {len(clean)} of {len(found)} checks ran and are clean")
    github.summary("\n".join(rows))


def main() -> int:
    """Runs them all; 1 where one has findings, or cannot run where it must (``CI`` is set)."""
    top = Path.cwd()
    strict = os.environ.get("CI", "") not in ("", "0", "false")
    tracked = tools.tracked(top)
    asked = checks(top, tracked)
    with ThreadPoolExecutor(max_workers=2) as pool:
        found = list(pool.map(lambda check: run(check, top), asked))
    report(found, strict, github.say)
    return verdict(found, strict)


if __name__ == "__main__":
    from pipeline.errors import told

    sys.exit(told(main))
