"""Names of images as the pipeline takes them from outside: matched whole, or refused."""

from __future__ import annotations

import re

from pipeline.errors import PipelineError

DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_HOST = r"(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)*[a-z0-9](?:[a-z0-9-]*[a-z0-9])?"
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
REPOSITORY = re.compile(rf"(?P<host>{_HOST})(?::(?P<port>[0-9]{{1,5}}))?(?:/{_PART})+")
LONGEST = 255


def digest(text: str, what: str = "DIGEST") -> str:
    """The text, where it is a whole sha256 digest; else PipelineError."""
    if DIGEST.fullmatch(text):
        return text
    raise PipelineError(
        f"{what} is no digest.",
        f"it is {text[:100]!r}, and a digest is sha256: and 64 characters of 0-9a-f",
        "the digest of the image that was built: build/image/image.json",
    )


def tag(text: str) -> str:
    """The text, where it is a whole tag; else PipelineError."""
    if TAG.fullmatch(text):
        return text
    raise PipelineError(
        "This is no tag of an image.",
        f"it is {text[:150]!r}, and a tag is at most 128 of A-Z a-z 0-9 _ . - and begins with "
        "a letter, a digit or _",
        "TAGS='main 0.1.0'",
    )


def tags(text: str) -> list[str]:
    """Tags between single spaces, each once, in their order; else PipelineError.

    Only spaces part them: a line break is part of a tag, and so is refused with it.
    """
    found = list(dict.fromkeys(tag(one) for one in text.split(" ") if one))
    if found:
        return found
    raise PipelineError(
        "TAGS is empty.", "an image without a tag is never found again", "TAGS='main'"
    )


def repository(text: str) -> str:
    """The text in lower case, where it is a whole repository with its registry.

    Registries take no capitals, but owners on GitHub may have them: ghcr.io/Me/App is
    ghcr.io/me/app.

    Raises:
        PipelineError: it is none.
    """
    small = text.lower()
    found = REPOSITORY.fullmatch(small)
    if found and len(small) <= LONGEST and _is_registry(found["host"], found["port"]):
        return small
    raise PipelineError(
        "REPOSITORY is no repository of a registry.",
        f"it is {text[:150]!r}, and a repository is REGISTRY/OWNER/NAME without a tag",
        "REPOSITORY=ghcr.io/owner/name",
    )


def _is_registry(host: str, port: str | None) -> bool:
    """Whether a first part names a registry and not an owner on Docker Hub."""
    if port is not None:
        return 0 < int(port) < 65536
    return "." in host or host == "localhost"
