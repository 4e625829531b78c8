"""`make choose`: which commit ships, where its image goes, and what it is called there."""

from __future__ import annotations

import os
import re
import subprocess
import sys

from pipeline import github
from pipeline.errors import PipelineError, told

COMMIT = re.compile(r"[0-9a-f]{40}")
OFF = (
    "The image is published and nothing is deployed. To deploy too: fill in the environment "
    "`production` (HOMEPORT_HOST, HOMEPORT_HOST_KEY, the secret HOMEPORT_SSH_KEY), then set the "
    "repository variable HOMEPORT_DEPLOY to `true` (Settings > Secrets and variables > Actions)."
)


def wanted(asked: str, newest: str) -> str:
    """The commit to ship: the one asked for, else the newest.

    Args:
        asked: what a person typed; empty for none.
        newest: the commit that started the run.

    Raises:
        PipelineError: that is no commit's whole name. Names and short forms can change their
            meaning between this check and the checkout.
    """
    commit = asked or newest
    if not COMMIT.fullmatch(commit):
        raise PipelineError(
            "That is no commit.",
            f"{commit[:60]!r} is not 40 digits of 0-9 and a-f",
            "take it from the commit's page, or leave it empty for the newest",
        )
    return commit


def repository(name: str) -> str:
    """The image's repository for GitHub's ``Owner/Name``; registries take lower case only.

    Raises:
        PipelineError: that is no repository of GitHub's.
    """
    if not re.fullmatch(r"[A-Za-z0-9-]+/[A-Za-z0-9._-]+", name):
        raise PipelineError(
            "Where does the image go?", f"GITHUB_REPOSITORY is {name!r}", "set it to OWNER/NAME"
        )
    return f"ghcr.io/{name.lower()}"


def tags(commit: str, asked: str) -> str:
    """The tags of a commit's image, space separated; ``main`` moves only when nobody chose."""
    return f"sha-{commit}" if asked else f"sha-{commit} main"


def on_main(commit: str) -> bool:
    """Whether the commit is one of main's: a chosen one may come from a stranger's fork."""
    done = subprocess.run(
        ["git", "merge-base", "--is-ancestor", commit, "origin/main"], capture_output=True
    )
    return done.returncode == 0


def main() -> int:
    """Checks the choice; gives the outputs ``commit``, ``repository`` and ``tags``."""
    asked = os.environ.get("COMMIT", "")
    commit = wanted(asked, os.environ.get("GITHUB_SHA", ""))
    if not on_main(commit):
        raise PipelineError(
            "That commit is not one of main.",
            f"{commit} is not in the history of origin/main",
            "merge it first; only what was reviewed ships",
        )
    place = repository(os.environ.get("GITHUB_REPOSITORY", ""))
    for name, value in (
        ("commit", commit),
        ("repository", place),
        ("tags", tags(commit, asked)),
    ):
        github.output(name, value)
        print(f"{name} {value}")
    deploys = os.environ.get("DEPLOY", "") == "true"
    github.summary(f"Ships `{commit[:12]}` as `{place}`." + ("" if deploys else f"\n\n{OFF}"))
    return 0


if __name__ == "__main__":
    sys.exit(told(main))
