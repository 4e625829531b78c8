"""The deployment guide: its workflows keep our own rules, its tables name all there is to set."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pipeline import workflows
from pipeline.workflows import DEPLOY
from policy_workflows import ROOT, parse

GUIDE = ROOT / "docs/deployment-guide.md"
#: what a reader puts their own repository's name into
OURS = re.compile(r"OWNER/homeport/\.github/actions/deploy@v0")
#: `order` knows our own jobs by name; that a digest is deployed is looked at below
HELD = [rule for rule in workflows.RULES if rule is not workflows.order]
#: a variable or secret that a workflow asks for
ASKED = re.compile(r"\b(?:vars|secrets|fromJSON\(inputs\.variables\))\.([A-Z][A-Z0-9_]+)")


def blocks() -> dict[str, str]:
    """File name → what the guide says is in it."""
    text = GUIDE.read_text()
    found = re.findall(r"<!-- file: (\S+) -->\n```yaml\n(.*?)```", text, re.DOTALL)
    return dict(found)


def as_ours(text: str) -> str:
    """A workflow of the guide as it would stand in this repository."""
    text, changed = OURS.subn(DEPLOY, text)
    assert changed == 1, "it does not use Homeport's action, once"
    return text


@pytest.mark.parametrize("rule", HELD, ids=lambda rule: rule.__name__)
@pytest.mark.parametrize("name", ["cd.yml", "rollback.yml"])
def test_its_workflows_keep_our_rules(name: str, rule: Any) -> None:
    """What people copy is held to what we hold ourselves to."""
    text = as_ours(blocks()[f".github/workflows/{name}"])
    assert rule(parse(text, name)) == []


def test_it_deploys_by_digest_what_it_built() -> None:
    """The very image of this run, not whatever a tag means by then."""
    text = blocks()[".github/workflows/cd.yml"]
    assert "image: ${{ needs.image.outputs.name }}@${{ needs.image.outputs.digest }}" in text
    assert "digest: ${{ steps.build.outputs.digest }}" in text


@pytest.mark.parametrize("name", ["cd.yml", "rollback.yml"])
def test_its_workflows_pass_the_checks_from_elsewhere(name: str, tmp_path: Path) -> None:
    """zizmor's strictest persona and the schema of workflows."""
    folder = tmp_path / ".github" / "workflows"
    folder.mkdir(parents=True)
    file = folder / name
    file.write_text(as_ours(blocks()[f".github/workflows/{name}"]))
    (tmp_path / ".github" / "zizmor.yml").write_text((ROOT / ".github/zizmor.yml").read_text())
    beside = Path(sys.executable).parent
    options = "--offline --no-progress --quiet --persona auditor --color never".split()
    for command in (
        [beside / "zizmor", *options, str(tmp_path / ".github")],
        [beside / "check-jsonschema", "--builtin-schema", "vendor.github-workflows", file],
    ):
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr


def test_every_variable_and_secret_is_in_its_tables() -> None:
    """Both ways: nothing that is asked for is missing, nothing is described that is not."""
    files = [*ROOT.glob(".github/workflows/*.yml"), *ROOT.glob(".github/actions/*/action.yml")]
    asked = {name for file in files for name in ASKED.findall(file.read_text())}
    told = set(re.findall(r"^\| `([A-Z][A-Z0-9_]+)` \|", GUIDE.read_text(), re.MULTILINE))
    assert told == asked - {"GITHUB_TOKEN"}
