"""Which builder makes the image, on which base: GitHub's, a person's, or the lab's own."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lab.shell import command
from pipeline import layout
from pipeline.errors import PipelineError

Talk = Callable[[str], None]
TOP = Path(__file__).resolve().parents[2]
PLATFORMS = ("linux/amd64", "linux/arm64", "linux/arm/v7")
DOCKERFILE = TOP / "Dockerfile"
#: where names without a registry are
HUB = "docker.io"
OWN = "homeport"
#: drivers that build for any platform and write archives, whatever the engine's store is
CAPABLE = ("docker-container", "kubernetes", "remote", "cloud")
#: a build's longest time, in seconds; under QEMU it is a long one
LIMIT = 3600.0


@dataclass(frozen=True)
class Builder:
    """A builder that is ready.

    Attributes:
        kind: `current` (the one that is chosen here), `own` (made for this), `lab`.
        env: the environment in which docker uses it.
        arguments: what `docker buildx build` needs besides.
        base: the base image, by digest.
        base_layers: platform → the base's layers.
    """

    kind: str
    env: Mapping[str, str]
    arguments: tuple[str, ...]
    base: str
    base_layers: Mapping[str, tuple[layout.Layer, ...]]


def choose(driver: str, containerd: bool, hub: bool) -> str:
    """Which builder to take.

    Args:
        driver: of the builder that is chosen here; empty where there is none.
        containerd: whether the engine keeps images in containerd's store.
        hub: whether Docker Hub answers.

    Returns:
        `current` where that one builds for several platforms; else `own`, whose BuildKit comes
        from Docker Hub; `lab` where Docker Hub does not answer: official bases are there only.
    """
    if not hub:
        return "lab"
    return "current" if driver in CAPABLE or (driver == "docker" and containerd) else "own"


def driver(said: str) -> str:
    """The driver that `docker buildx inspect` tells of; empty where it tells none."""
    for line in said.splitlines():
        word, _, rest = line.partition(":")
        if word.strip() == "Driver":
            return rest.strip()
    return ""


def base_name(dockerfile: str) -> str:
    """The base image that a Dockerfile's ``ARG BASE=`` names, with its registry and a tag.

    Raises:
        PipelineError: it names none, or pins one by digest: such a base never moves.
    """
    found = re.search(r"^ARG BASE=([^\s@]+)$", dockerfile, re.MULTILINE)
    if not found:
        why = "Dockerfile has no line ARG BASE=NAME:TAG"
        raise PipelineError("Which base image?", why, "write one")
    name = found[1] if ":" in found[1].rpartition("/")[2] else f"{found[1]}:latest"
    first, _, rest = name.partition("/")
    if rest and (first == "localhost" or "." in first or ":" in first):
        return name
    return f"{HUB}/{name}" if rest else f"{HUB}/library/{name}"


def ready(talk: Talk) -> Builder:
    """Make sure of a builder for all three platforms, and of the base image.

    Raises:
        LabError: there is none, and none can be made here; what is missing.
    """
    from lab.docker import ensure_engine
    from lab.images import hub_answers

    ensure_engine(talk)
    inspected = command(["docker", "buildx", "inspect"], check=False).stdout.decode()
    store = command(["docker", "info", "--format", "{{json .DriverStatus}}"], check=False).stdout
    kind = choose(driver(inspected), b"io.containerd.snapshotter" in store, hub_answers())
    env: Mapping[str, str] = dict(os.environ)
    arguments: tuple[str, ...] = ()
    name = base_name(DOCKERFILE.read_text(encoding="utf-8"))
    if kind == "own":
        _make_own(talk)
        arguments = ("--builder", OWN)
    if kind == "lab":
        from lab import builder, foreign

        talk("Docker Hub does not answer: building with the lab's builder and base")
        env = builder.ensure(talk)
        if name.startswith(f"{HUB}/"):
            name = foreign.ensure_bases(talk)
        # names are looked up by the builder's own network: Docker's resolver is only there
        arguments = ("--network", "host")
    base, layers = _resolve(name)
    return Builder(kind, env, arguments, base, layers)


def _make_own(talk: Talk) -> None:
    if command(["docker", "buildx", "inspect", OWN], check=False).returncode == 0:
        return
    talk(f"making the buildx builder {OWN}")
    command(
        ["docker", "buildx", "create", "--name", OWN, "--driver", "docker-container"],
        mend=f"docker buildx rm {OWN}, then the same again",
    )


def _raw(reference: str) -> bytes:
    argv = ["docker", "buildx", "imagetools", "inspect", "--raw", reference]
    return command(
        argv, timeout=120, mend="docker login, or see whether the registry answers"
    ).stdout


def _resolve(name: str) -> tuple[str, dict[str, tuple[layout.Layer, ...]]]:
    """A base's name by digest, and its layers on each of our platforms."""
    raw = _raw(name)
    there = layout.platforms(json.loads(raw))
    missing = [one for one in PLATFORMS if one not in there]
    if missing:
        why = f"{name} has no {', '.join(missing)}"
        raise PipelineError("The base image lacks a platform.", why, "choose another base image")
    repository = name.rpartition(":")[0]
    layers = {
        one: layout.layers(json.loads(_raw(f"{repository}@{there[one]}"))) for one in PLATFORMS
    }
    # with its tag before it, which nobody looks at: people can read what it is
    return f"{name}@sha256:{hashlib.sha256(raw).hexdigest()}", layers


def build(
    builder: Builder, arguments: Sequence[str], archive: Path, platforms: Sequence[str] = PLATFORMS
) -> None:
    """One buildx call: all platforms into one archive.

    Args:
        builder: who builds.
        arguments: build arguments, attestations and the like.
        archive: the tar that is written; its folder is made.
        platforms: for which.

    Raises:
        PipelineError: the build failed; buildx has shown why on stderr.
    """
    archive.parent.mkdir(parents=True, exist_ok=True)
    argv = ["docker", "buildx", "build", "--platform", ",".join(platforms)]
    argv += ["--progress", "plain", "--build-arg", f"BASE={builder.base}", *builder.arguments]
    argv += [*arguments, "--output", f"type=oci,dest={archive},rewrite-timestamp=true", str(TOP)]
    try:
        done = subprocess.run(argv, env=dict(builder.env), stdout=2, timeout=LIMIT, check=False)
    except subprocess.TimeoutExpired as late:
        why = f"no end after {LIMIT:.0f} s"
        raise PipelineError("The image was not built.", why, "make image") from late
    if done.returncode:
        why = f"docker buildx ended with exit code {done.returncode}; what it said stands above"
        raise PipelineError("The image was not built.", why, "mend what it names, then make image")
