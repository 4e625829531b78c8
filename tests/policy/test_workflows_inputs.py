"""What people type into GitHub's forms reaches `homeport` as one word, or not at all."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
STEPS = {
    step["id"]: step["run"]
    for step in yaml.safe_load((ROOT / ".github/actions/deploy/action.yml").read_text())["runs"][
        "steps"
    ]
    if "id" in step
}
HOSTILE = [
    "$(touch hit)",
    "a;touch hit",
    "`touch hit`",
    "-oProxyCommand=touch hit",
    "--json",
    "../x",
    "r0001-1a2b3c4\n",
    "a b  c",
    "*",
    "'\"",
    "${HOME}",
]


def argv(line: str, folder: Path, **inputs: str) -> list[str]:
    """The words that a `homeport` on PATH gets where GitHub's bash runs the line."""
    program = folder / "homeport"
    program.write_text(
        "#!/usr/bin/env python3\nimport json, sys\nprint(json.dumps(sys.argv[1:]))\n"
    )
    program.chmod(0o755)
    env = {"PATH": f"{folder}:{os.environ['PATH']}", "HOME": "/", **inputs}
    shell = ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", "-c", line]
    done = subprocess.run(shell, env=env, cwd=folder, capture_output=True, text=True, check=True)
    assert not (folder / "hit").exists()
    return [str(word) for word in json.loads(done.stdout)]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_deploy(text: str, tmp_path: Path) -> None:
    """Every input stays one word; the image can't become an option."""
    got = argv(STEPS["deploy"], tmp_path, SETTINGS=text, MONITOR=text, REASON=text, IMAGE=text)
    options = [f"--settings={text}", f"--monitor={text}", f"--why={text}"]
    assert got == ["deploy", *options, "--", text]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_rollback(text: str, tmp_path: Path) -> None:
    """Every input stays one word; the release can't become an option."""
    got = argv(STEPS["rollback"], tmp_path, SETTINGS=text, REASON=text, RELEASE=text)
    assert got == ["rollback", f"--settings={text}", f"--why={text}", "--", text]


def test_what_is_empty_is_left_out(tmp_path: Path) -> None:
    """GitHub gives what nobody filled in as an empty text."""
    nothing = dict.fromkeys(("SETTINGS", "MONITOR", "REASON", "IMAGE", "RELEASE", "FREEZE"), "")
    assert argv(STEPS["deploy"], tmp_path, **nothing) == ["deploy"]
    assert argv(STEPS["rollback"], tmp_path, **nothing) == ["rollback"]
    assert argv(STEPS["rollback"], tmp_path, FREEZE="yes") == ["rollback", "--freeze"]
    assert argv(STEPS["deploy"], tmp_path, UNFREEZE="yes") == ["deploy", "--unfreeze"]
