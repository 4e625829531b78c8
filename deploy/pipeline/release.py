"""`make release`: a version's tag on the image that is published already, and GitHub's release.

The tag of its major version, as ``v1``, moves along: other repositories name the action by it.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path

from pipeline import github, names, publish, skopeo
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


def wording(tag: str, text: str) -> list[str]:
    """What `gh` is told to make a release; a candidate must not become "the latest"."""
    candidate = [] if major(tag) else ["--prerelease"]
    return [
        "release",
        "create",
        tag,
        "--verify-tag",
        "--generate-notes",
        *candidate,
        "--notes",
        text,
    ]


def newest(tag: str, tags: Iterable[str]) -> bool:
    """Whether none of the tags names a later release of the same major version.

    Args:
        tag: a release's, as ``v1.2.3``.
        tags: any; what names no release, or a candidate, does not count.
    """

    def number(one: str) -> list[int]:
        return [int(part) for part in one[1:].split(".")]

    others = [one for one in tags if TAG.fullmatch(one) and major(one) == major(tag)]
    return all(number(one) <= number(tag) for one in others)


def move(tag: str, commit: str, repository: str) -> None:
    """Let a tag of the repository on GitHub point to a commit, whether it is there yet or not.

    Raises:
        PipelineError: GitHub does not let us.
    """
    place, to = f"repos/{repository}/git/refs", ("-f", f"sha={commit}")
    try:
        asked("gh", "api", "-X", "PATCH", f"{place}/tags/{tag}", *to, "-F", "force=true")
    except PipelineError:
        # the first of its kind; if that is not why, this fails too and says so
        asked("gh", "api", "-X", "POST", place, "-f", f"ref=refs/tags/{tag}", *to)


def lead(tag: str, commit: str) -> None:
    """Move the short tag to a release; where GitHub refuses, say how a person does it."""
    short = major(tag)
    if not short or not newest(tag, asked("git", "tag", "--list").splitlines()):
        return
    try:
        move(short, commit, os.environ.get("GITHUB_REPOSITORY", ""))
    except PipelineError as refused:
        # GitHub may not let a job move a tag past changed workflows; a person can
        by_hand = f"git push --force origin {commit}:refs/tags/{short}"
        text = f"The tag {short} was not moved ({refused.why}). By hand: {by_hand}"
        github.notice(text)
        github.summary(text)


def published(place: str, commit: str, number: str) -> str:
    """The digest of the image that CD has published for a commit.

    Raises:
        PipelineError: there is none, or the version is another image's already: what people have
            pulled by a version stays what it was.
    """
    digest = skopeo.digest(f"{place}:sha-{commit}")
    if not digest:
        raise PipelineError(
            "There is no image to release.",
            f"the registry holds nothing as {place}:sha-{commit}",
            "wait until CD has published this commit, then run this job again",
        )
    there = skopeo.digest(f"{place}:{number}")
    if there not in ("", digest):
        raise PipelineError(
            f"{number} is another image already.",
            f"{place}:{number} is {there}, and this commit's image is {digest}",
            "raise the version in pyproject.toml, merge that, and tag the merge",
        )
    return digest


def is_made(tag: str) -> bool:
    """Whether GitHub has a release of that tag: an attempt before this one may have made it."""
    try:
        asked("gh", "release", "view", tag, "--json", "tagName")
    except PipelineError:
        return False
    return True


def main() -> int:
    """Tags the commit's published image and makes the release; reads TAG and REPOSITORY.

    Running it again for the same tag finds what is there and changes nothing.
    """
    tag, place = os.environ.get("TAG", ""), names.repository(os.environ.get("REPOSITORY", ""))
    project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
    number = version(tag, project["version"])
    commit = asked("git", "rev-parse", "HEAD")
    if not on_main(commit):
        raise PipelineError("That tag is not on main.", commit, "tag a commit of main")
    skopeo.ensure(github.say)
    digest = published(place, commit, number)
    image = f"{place}@{digest}"
    publish.tag(skopeo.registry(image), place, digest, number, github.say)
    text = notes(number, image)
    if is_made(tag):
        github.say(f"the release {tag} is there already")
    else:
        asked("gh", *wording(tag, text))
    lead(tag, commit)
    github.summary(f"Released {tag}.\n\n{text}")
    return 0


if __name__ == "__main__":
    sys.exit(told(main))
