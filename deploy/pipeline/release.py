"""`make release`: a version's tag on the image that is published already, and GitHub's release."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

from pipeline import github
from pipeline.choose import on_main
from pipeline.errors import PipelineError, told

DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
REPOSITORY = re.compile(r"[a-z0-9][a-z0-9.-]*(:[0-9]{1,5})?(/[a-z0-9]+([._-][a-z0-9]+)*)+")
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


def checked_repository() -> str:
    """REPOSITORY in lower case; raises PipelineError for anything that is none."""
    text = os.environ.get("REPOSITORY", "").lower()
    if not REPOSITORY.fullmatch(text):
        raise PipelineError(
            "Which repository?", f"REPOSITORY is {text[:80]!r}", "set it, as ghcr.io/owner/name"
        )
    return text


def checked_digest() -> str:
    """DIGEST; raises PipelineError for anything that is none."""
    text = os.environ.get("DIGEST", "")
    if not DIGEST.fullmatch(text):
        raise PipelineError(
            "Which image?", f"DIGEST is {text[:80]!r}", "set it, as sha256: and 64 digits"
        )
    return text


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


def main() -> int:
    """Tags the commit's published image and makes the release; reads TAG and REPOSITORY."""
    tag, place = os.environ.get("TAG", ""), checked_repository()
    project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
    number = version(tag, project["version"])
    commit = asked("git", "rev-parse", "HEAD")
    if not on_main(commit):
        raise PipelineError("That tag is not on main.", commit, "tag a commit of main")
    try:
        digest = asked(
            "skopeo", "inspect", "--format", "{{.Digest}}", f"docker://{place}:sha-{commit}"
        )
    except PipelineError as missing:
        raise PipelineError(
            "There is no image to release.",
            f"{place}:sha-{commit} does not answer: {missing.why}",
            "wait until CD has published this commit, then run this job again",
        ) from missing
    source, to = f"docker://{place}@{digest}", f"docker://{place}:{number}"
    asked("skopeo", "copy", "--all", "--preserve-digests", source, to)
    image = f"{place}@{digest}"
    text = notes(number, image)
    asked("gh", "release", "create", tag, "--verify-tag", "--generate-notes", "--notes", text)
    github.summary(f"Released {tag}.\n\n{text}")
    return 0


if __name__ == "__main__":
    sys.exit(told(main))
