"""`make publish` and `make mark`: an image that was built goes to a registry, and gets its marks.

    REPOSITORY=ghcr.io/owner/name DIGEST=sha256:… TAGS='main 0.1.0' python -m pipeline.publish
    REPOSITORY=ghcr.io/owner/name DIGEST=sha256:… PREVIOUS=sha256:… python -m pipeline.publish mark

Nothing is built here: what CI built and probed is copied byte for byte, and tags point to digests.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from pipeline import github, layout, names, skopeo
from pipeline.errors import PipelineError, told

Talk = Callable[[str], None]
ARCHIVE = Path(__file__).resolve().parents[2] / "build" / "image" / "image.tar"


def publish(repository: str, digest: str, tags: Sequence[str], archive: Path, talk: Talk) -> None:
    """Push an archive unchanged and tag it; a second time changes nothing.

    Args:
        repository: with its registry.
        digest: what the archive's index must be, and what the registry must have afterwards.
        tags: one or more.
        archive: what `make image` made.
        talk: gets a line for each tag.

    Raises:
        LabError: the archive is another one, or the registry refuses or has something else.
    """
    found = layout.read(archive).digest
    if found != digest:
        raise PipelineError(
            "This archive is not the image that is to be published.",
            f"{archive.name} holds {found}, and DIGEST is {digest}",
            "take both from the same run of `make image`",
        )
    skopeo.ensure(talk)
    first, *others = tags
    tag(skopeo.archive(archive), repository, digest, first, talk)
    for one in others:
        tag(skopeo.registry(f"{repository}@{digest}"), repository, digest, one, talk)


def mark(repository: str, digest: str, previous: str, talk: Talk) -> None:
    """Let the tag `production` point to a digest, and `previous` to the one before it.

    Args:
        repository: with its registry.
        digest: what serves now; the repository has it.
        previous: what served before; where it is empty, or the repository has it not (an image
            that was sent by hand), the tag `previous` stays as it is.

    Raises:
        LabError: the repository has no such image, or refuses.
    """
    skopeo.ensure(talk)
    if not skopeo.digest(f"{repository}@{digest}"):
        why = f"{repository} has no {digest}"
        raise PipelineError("Nothing can be marked production.", why, "make publish")
    marks = {"production": digest}
    if previous and previous != digest:
        if skopeo.digest(f"{repository}@{previous}"):
            marks["previous"] = previous
        else:
            talk(f"{repository} has no {previous}: the tag previous stays as it is")
    for name, one in marks.items():
        tag(skopeo.registry(f"{repository}@{one}"), repository, one, name, talk)


def tag(source: str, repository: str, digest: str, name: str, talk: Talk) -> None:
    """Copy to a tag, and see that the registry has exactly that digest under it.

    Raises:
        LabError: the registry refuses, or has something else.
    """
    skopeo.copy(source, skopeo.registry(f"{repository}:{name}"), *skopeo.WHOLE)
    there = skopeo.digest(f"{repository}:{name}")
    if there != digest:
        why = f"{repository}:{name} is {there or 'nothing'}, and {digest} was copied"
        raise PipelineError("The registry has another image.", why, "run it again")
    talk(f"{repository}:{name} is {digest}")


def main(argv: Sequence[str]) -> int:
    """Read the inputs from the environment and do what is asked.

    0: done; 1: not, with what mends it; 2: a verb that there is not.
    """
    if list(argv) not in ([], ["mark"]):
        github.say("usage: python -m pipeline.publish [mark]")
        return 2
    repository = names.repository(os.environ.get("REPOSITORY", ""))
    if argv and not os.environ.get("DIGEST"):
        text = "What serves was sent by hand and is in no registry: the marks stay as they are."
        github.notice(text)
        github.summary(text)
        return 0
    digest = names.digest(os.environ.get("DIGEST", ""))
    if argv:
        before = os.environ.get("PREVIOUS", "")
        previous = names.digest(before, "PREVIOUS") if before else ""
        mark(repository, digest, previous, github.say)
        told_ = f"`{repository}`: `production` is `{digest}`"
        github.summary(told_ + (f", `previous` is `{previous}`" if previous else ""))
        return 0
    tags = names.tags(os.environ.get("TAGS", ""))
    publish(repository, digest, tags, ARCHIVE, github.say)
    github.summary(f"Published `{repository}@{digest}` as {', '.join(f'`{one}`' for one in tags)}")
    print(f"{repository}@{digest}")
    return 0


if __name__ == "__main__":
    sys.exit(told(lambda: main(sys.argv[1:])))
