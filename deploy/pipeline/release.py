"""`make release`: a version's tag on the image that is published already, and GitHub's release.

The tag of its major version, as ``v1``, moves along: other repositories name the action by it.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

from pipeline import github, names, skopeo
from pipeline.choose import on_main
from pipeline.errors import PipelineError, told

TAG = re.compile(r"v(\d+\.\d+\.\d+(?:-[0-9A-Za-z.]+)?)")


def version(tag: str, ours: str) -> str:
    """The version that a git tag names.

    Args:
        tag: as ``v1.2.3``.
        ours: the version that pyproject.toml says.

    Raises:
        PipelineError: no version, or another one.
    """
    found = TAG.fullmatch(tag)
    if not found:
        raise PipelineError(
            "That tag makes no release.", f"{tag!r} is not of the form v1.2.3", "tag it v1.2.3"
        )
    if found[1] != ours:
        raise PipelineError(
            "The tag and the code disagree.",
            f"the tag says {found[1]}, pyproject.toml says {ours}",
            "change the version in pyproject.toml, merge that, and tag the merge",
        )
    return found[1]


def asked(*argv: str) -> str:
    """What a program prints; raises PipelineError with its last words where it fails."""
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=300)
    except FileNotFoundError:
        mend = f"install {argv[0]}"
        raise PipelineError(f"{argv[0]} is needed.", "it is not here", mend) from None
    except subprocess.TimeoutExpired:
        raise PipelineError(f"{argv[0]} gave no answer.", "300 s went by", "try again") from None
    if done.returncode:
        why = done.stderr.strip()[-600:] or f"exit code {done.returncode}"
        raise PipelineError(f"`{' '.join(argv[:3])}` failed.", why, "see what it says")
    return done.stdout.strip()


def notes(number: str, image: str) -> str:
    """The release's text: the image by digest, and how to ship it."""
    return f"Image: `{image}`\n\n```\nhomeport deploy {image}\n```\n\nVersion {number}."


def major(tag: str) -> str:
    """The short tag that people name the action by: ``v1`` for ``v1.2.3``, none for a candidate."""
    return "" if "-" in tag else tag.split(".")[0]


def move(tag: str, commit: str, repository: str) -> None:
    """Let a tag of the repository on GitHub point to a commit, whether it is there yet or not.

    Raises:
        PipelineError: GitHub does not let us.
    """
    place = f"repos/{repository}/git/refs"
    try:
        asked(
            "gh",
            "api",
            "-X",
            "PATCH",
            f"{place}/tags/{tag}",
            "-f",
            f"sha={commit}",
            "-F",
            "force=true",
        )
    except PipelineError:
        # the first of its kind; if that is not why, this fails too and says so
        asked("gh", "api", "-X", "POST", place, "-f", f"ref=refs/tags/{tag}", "-f", f"sha={commit}")


def main() -> int:
    """Tags the commit's published image and makes the release; reads TAG and REPOSITORY."""
    tag, place = os.environ.get("TAG", ""), names.repository(os.environ.get("REPOSITORY", ""))
    project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
    number = version(tag, project["version"])
    commit = asked("git", "rev-parse", "HEAD")
    if not on_main(commit):
        raise PipelineError("That tag is not on main.", commit, "tag a commit of main")
    digest = skopeo.digest(f"{place}:sha-{commit}")
    if not digest:
        raise PipelineError(
            "There is no image to release.",
            f"the registry holds nothing as {place}:sha-{commit}",
            "wait until CD has published this commit, then run this job again",
        )
    source, to = f"{place}@{digest}", f"{place}:{number}"
    skopeo.copy(skopeo.registry(source), skopeo.registry(to), "--all", "--preserve-digests")
    image = f"{place}@{digest}"
    text = notes(number, image)
    if short := major(tag):
        try:
            move(short, commit, os.environ.get("GITHUB_REPOSITORY", ""))
        except PipelineError as refused:
            # GitHub may not let a job move a tag past changed workflows; a person can
            by_hand = f"git push --force origin {commit}:refs/tags/{short}"
            github.notice(f"The tag {short} was not moved ({refused}). By hand: {by_hand}")
    asked("gh", "release", "create", tag, "--verify-tag", "--generate-notes", "--notes", text)
    github.summary(f"Released {tag}.\n\n{text}")
    return 0


if __name__ == "__main__":
    sys.exit(told(main))
