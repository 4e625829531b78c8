"""The workflows are right without GitHub at hand; and each rule that says so can say no."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline import workflows
from pipeline.workflows import DEPLOY, PUBLISH, RULES
from policy_workflows import KNOWN, PATHS, ROOT, parse


def test_the_workflows_were_found() -> None:
    """A rule over nothing would hold for ever."""
    names = {path.name for path in PATHS}
    assert {"ci.yml", "cd.yml", "rollback.yml", "release.yml", "scheduled.yml"} < names
    assert sum(path.name == "action.yml" for path in PATHS) == 2


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
@pytest.mark.parametrize("path", PATHS, ids=lambda path: str(path.relative_to(ROOT / ".github")))
def test_rule(path: Path, rule: Any) -> None:
    """Every rule holds of every workflow and action."""
    assert rule(parse(path.read_text(), path.name)) == []


def test_every_rule_is_in_the_table() -> None:
    """A rule that nobody calls would hold for ever too."""
    assert {rule.__name__ for rule in RULES} == {case[0] for case in BROKEN}


CHECKOUT = f"actions/checkout@{KNOWN['actions/checkout']['commit']} # v7.0.1"
GOOD = f"""name: Good
on: push
permissions: {{}}
concurrency: {{ group: good, cancel-in-progress: false }}
jobs:
  ci:
    name: CI
    permissions: {{ contents: read }} # what it asks for
    uses: ./.github/workflows/ci.yml
  publish:
    name: Publish
    needs: ci
    runs-on: ubuntu-24.04
    timeout-minutes: 5
    permissions:
      packages: write # to push
    environment: registry
    steps:
      - uses: {CHECKOUT}
        with: {{ persist-credentials: false }}
      - uses: {PUBLISH}
        with:
          digest: ${{{{ needs.ci.outputs.digest }}}}
          cosign-private-key: ${{{{ secrets.COSIGN_PRIVATE_KEY }}}}
  production:
    name: Deploy
    needs: [ci, publish]
    runs-on: ubuntu-24.04
    timeout-minutes: 5
    permissions: {{ contents: read }} # to check the code out
    environment: production
    concurrency: {{ group: homeport-production, cancel-in-progress: false, queue: max }}
    steps:
      - uses: {DEPLOY}
        id: ship
        with:
          image: r@${{{{ needs.ci.outputs.digest }}}}
          url: ${{{{ steps.ship.outputs.url }}}}
      - run: make test
"""
SUCCESS = """name: CI
on: { pull_request: }
permissions: {}
jobs:
  a: { name: A }
  b: { name: B }
  success: { name: S, needs: [a, b], if: always() }
"""

# rule, what is replaced in GOOD (or in SUCCESS), by what, and what the rule says then
BROKEN = [
    ("pins", CHECKOUT, "actions/checkout@v7", "not pinned to"),
    ("pins", CHECKOUT, CHECKOUT[:-10] + " # v7.0.1", "not pinned to"),
    ("pins", "# v7.0.1", "", "comment is missing"),
    ("pins", "# v7.0.1", "# v6", "comment is v6"),
    ("pins", CHECKOUT, f"some/body@{'a' * 40} # v1", "not among the known"),
    ("inputs", "persist-credentials: false", "persist: false", "no input persist"),
    ("inputs", "digest: $", "digset: $", "no input digset"),
    ("inputs", "outputs.url", "outputs.adress", "no output adress"),
    ("permissions", "permissions: {}\n", "permissions: { contents: read } # all\n", "the top"),
    ("permissions", "permissions: {}\n", "permissions: write-all\n", "the top"),
    ("permissions", "permissions: {}\n", "", "the top"),
    ("permissions", " # to push", "", "no reason beside packages: write"),
    ("permissions", " # to check the code out", "", "no reason beside permissions: {"),
    ("permissions", "permissions: { contents: read } # to check the code out", "", "production"),
    ("bounded", "    name: Deploy\n", "", "production: no name"),
    ("bounded", "    timeout-minutes: 5\n", "", "no timeout"),
    ("bounded", "name: Good\n", "", "no name"),
    ("commands", "make test", "make test ${{ inputs.x }}", "inside run"),
    ("commands", "make test", "echo hello", "neither make nor homeport"),
    ("commands", "make test", "make test; curl x", "neither make nor homeport"),
    ("commands", "make test", "|\n          make test\n          echo x", "neither make"),
    ("commands", "make test", "make tset", "no verb tset"),
    ("credentials", "persist-credentials: false", "persist-credentials: true", "keeps its"),
    ("credentials", "with: { persist-credentials: false }", "with: {}", "keeps its"),
    ("triggers", "on: push", "on: workflow_run", "workflow_run"),
    ("triggers", "on: push", "on: [push, pull_request_target]", "pull_request_target"),
    ("triggers", "on: push", "on: { workflow_run: { workflows: [CI] } }", "workflow_run"),
    ("secrets", "    environment: registry\n", "", "COSIGN_PRIVATE_KEY without"),
    ("secrets", "ci.yml", "ci.yml\n    secrets: inherit", "every secret"),
    ("secrets", "ci.yml", "ci.yml\n    env: { X: '${{ toJSON(secrets) }}' }", "every secret"),
    ("clean_rooms", "make test", "make scan", "scanner scan"),
    ("clean_rooms", f"uses: {CHECKOUT}", "uses: actions/cache@x", "keeps a cache"),
    ("clean_rooms", "make test", "make test\n        with: { cache: pip }", "keeps a cache"),
    ("clean_rooms", f"uses: {CHECKOUT}", "uses: docker/setup-buildx-action@x", "cache-binary"),
    ("clean_rooms", f"uses: {CHECKOUT}", "uses: docker/setup-qemu-action@x", "cache-image"),
    ("queue", "group: homeport-production", "group: deploy", "not {'group': 'homeport-prod"),
    ("queue", "cancel-in-progress: false, queue", "cancel-in-progress: true, queue", "not {"),
    ("queue", ", queue: max", "", "not {"),
    ("queue", "good, cancel-in-progress: false", "good, cancel-in-progress: true", "cancels"),
    ("queue", "concurrency: { group: good, cancel-in-progress: false }\n", "", "cancels"),
    ("order", "needs: [ci, publish]", "needs: [ci]", "does not need publish"),
    ("order", "needs: ci\n", "needs: []\n", "does not need ci"),
    ("order", "r@${{ needs.ci.outputs.digest }}", "r:main", "another image"),
    ("order", "digest: ${{ needs.ci.outputs.digest }}", "digest: ${{ inputs.d }}", "another dig"),
    ("gate", "needs: [a, b]", "needs: [a]", "does not look at b"),
    ("gate", ", if: always()", "", "does not run where"),
    ("short", "jobs:\n", "jobs:\n" + "  # talk\n" * 150, "lines"),
]


@pytest.mark.parametrize(
    ("rule", "old", "new", "says"), BROKEN, ids=[f"{one[0]}-{i}" for i, one in enumerate(BROKEN)]
)
def test_a_breach_is_caught(rule: str, old: str, new: str, says: str) -> None:
    """The rule is content with the good workflow, and names what was broken in it."""
    good = SUCCESS if rule == "gate" else GOOD
    assert old in good
    judge = getattr(workflows, rule)
    assert judge(parse(good)) == []
    assert says in "\n".join(judge(parse(good.replace(old, new))))


def test_ci_puts_out_the_digest_of_the_image_that_it_built_and_probed() -> None:
    """The thread from build to production begins at the step that runs `make image`."""
    ci = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())
    assert ci[True]["workflow_call"]["outputs"]["digest"]["value"] == (
        "${{ jobs.build.outputs.digest }}"
    )
    build = ci["jobs"]["build"]
    made = [step["id"] for step in build["steps"] if step.get("run") == "make image"]
    assert [build["outputs"]["digest"]] == [
        f"${{{{ steps.{one}.outputs.digest }}}}" for one in made
    ]
    assert build["steps"][-1]["with"]["path"] == "build/image"


def test_rollback_and_deploy_share_the_group_of_production() -> None:
    """Whatever the two files call their jobs, their groups are one text."""
    cd = yaml.safe_load((ROOT / ".github/workflows/cd.yml").read_text())["jobs"]
    back = yaml.safe_load((ROOT / ".github/workflows/rollback.yml").read_text())
    job = back["jobs"]["rollback"]
    choices = back[True]["workflow_dispatch"]["inputs"]["environment"]["options"]
    groups = [job["concurrency"]["group"].replace("${{ inputs.environment }}", x) for x in choices]
    assert groups == [cd[x]["concurrency"]["group"] for x in choices]


def test_every_required_input_of_our_actions_is_given() -> None:
    """GitHub itself does not check that."""
    known = {path.parent.name: yaml.safe_load(path.read_text()) for path in PATHS[-2:]}
    for path in PATHS:
        for _, step in parse(path.read_text()).steps():
            name = str(step.get("uses", ""))
            if name in (DEPLOY, PUBLISH):
                wanted = known[name.rpartition("/")[2]]["inputs"].items()
                missing = {key for key, about in wanted if about.get("required")}
                assert missing <= set(step["with"])
