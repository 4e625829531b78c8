"""`make image`: build for every platform, start and probe each, hold the size to its bound.

python -m pipeline.image      → build/image/image.tar, build/image/image.json
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

from pipeline import builder, github, layout, probe, skopeo
from pipeline.builder import PLATFORMS, TOP, Builder
from pipeline.errors import PipelineError, told

Talk = Callable[[str], None]
ARCHIVE = TOP / "build" / "image" / "image.tar"
RECORD = ARCHIVE.with_name("image.json")
#: compressed bytes that the image may have above its base, on each platform
LARGEST = 30_000_000
NAME = "myfoodbudget"


def git(*argv: str) -> str:
    """What git says of this checkout; else PipelineError."""
    done = subprocess.run(["git", "-C", str(TOP), *argv], capture_output=True, text=True)
    if done.returncode:
        why = done.stderr.strip()
        raise PipelineError("git does not tell which commit this is.", why, "run it in a checkout")
    return done.stdout.strip()


def told_of_commit() -> dict[str, str]:
    """The build arguments that say what the image is made of: all from the commit.

    A checkout with changes gets `+changes` behind its revision: such an image is for trying.
    """
    epoch = git("show", "-s", "--format=%ct", "HEAD")
    changes = "+changes" if git("status", "--porcelain", "--untracked-files=no") else ""
    created = datetime.fromtimestamp(int(epoch), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    about = {
        "SOURCE_DATE_EPOCH": epoch,
        "REVISION": git("rev-parse", "HEAD") + changes,
        "VERSION": probe.app_version(),
        "CREATED": created,
    }
    server, name = os.environ.get("GITHUB_SERVER_URL"), os.environ.get("GITHUB_REPOSITORY")
    if server and name:
        about["SOURCE"] = f"{server}/{name}"
    return about


def arguments(made_by: Builder, about: Mapping[str, str], attest: bool) -> list[str]:
    """What `docker buildx build` gets for this image besides platforms, base and output.

    Args:
        made_by: the builder.
        about: of the commit.
        attest: whether provenance and an SBOM are attached: they carry the time of the build.
    """
    base, _, digest = made_by.base.rpartition("@")
    pairs = {**about, "BASE_NAME": base, "BASE_DIGEST": digest}
    found = [word for name, text in pairs.items() for word in ("--build-arg", f"{name}={text}")]
    if not attest:
        return [*found, "--provenance=false"]
    found += ["--attest", "type=provenance,mode=max"]
    # whoever makes the SBOM is an image on Docker Hub
    return found if made_by.kind == "lab" else [*found, "--attest", "type=sbom"]


def record(
    index: layout.Index,
    base: Mapping[str, tuple[layout.Layer, ...]],
    answered: Mapping[str, int],
    about: Mapping[str, str],
) -> dict[str, Any]:
    """What image.json says of an image that was built and probed; sizes in bytes, times in ms."""
    platforms = {
        name: {
            "digest": one.digest,
            "size": one.size,
            "added": layout.above(one.layers, base[name]),
            "answered_ms": answered[name],
        }
        for name, one in index.platforms.items()
    }
    return {
        "digest": index.digest,
        "version": about["VERSION"],
        "revision": about["REVISION"],
        "platforms": platforms,
    }


def too_large(made: Mapping[str, Any]) -> list[str]:
    """The platforms of a record that lie above the bound, each in a sentence."""
    return [
        f"{name} adds {one['added'] / 1e6:.1f} MB to its base, and {LARGEST / 1e6:.0f} are allowed"
        for name, one in made["platforms"].items()
        if one["added"] > LARGEST
    ]


def check_platforms(index: layout.Index) -> None:
    """Raise PipelineError unless an index has exactly the platforms that were asked for."""
    if set(index.platforms) != set(PLATFORMS):
        why = f"it has {', '.join(index.platforms) or 'none'}, not {', '.join(PLATFORMS)}"
        raise PipelineError("The image lacks a platform.", why, "make image")


def table(made: Mapping[str, Any], notes: list[str]) -> str:
    """The job's summary, in Markdown."""
    lines = [
        f"### Image {made['version']}",
        "",
        f"`{made['digest']}` of `{made['revision']}`",
        "",
        "| platform | added to the base | whole | ready after | manifest |",
        "|---|---:|---:|---:|---|",
    ]
    for name, one in made["platforms"].items():
        sizes = f"{one['added'] / 1e6:.1f} MB | {one['size'] / 1e6:.1f} MB"
        short = one["digest"][7:19]
        lines.append(f"| {name} | {sizes} | {one['answered_ms'] / 1000:.1f} s | `{short}` |")
    return "\n".join([*lines, *(f"\n{note}" for note in notes)])


def make(talk: Talk) -> dict[str, Any]:
    """Build, start and probe; the record, which is also in build/image/image.json.

    Raises:
        LabError: something is missing here, the build failed, or a platform does not answer.
    """
    from lab.foreign import ensure_emulation

    skopeo.ensure(talk)
    about = told_of_commit()
    made_by = builder.ready(talk)
    ensure_emulation(talk)
    # what an earlier build left must not be taken for this one's
    RECORD.unlink(missing_ok=True)
    ARCHIVE.unlink(missing_ok=True)
    with github.group("docker buildx build"):
        builder.build(made_by, arguments(made_by, about, attest=True), ARCHIVE)
    index = layout.read(ARCHIVE)
    check_platforms(index)
    # side by side: what is foreign starts slowly, and mostly waits for one core
    with ThreadPoolExecutor() as pool:
        found = index.platforms
        took = pool.map(lambda name: probe.run(ARCHIVE, name, found[name], talk), found)
        answered = dict(zip(found, took))
    made = record(index, made_by.base_layers, answered, about)
    notes = [f"Built on `{made_by.base}`."]
    if made_by.kind == "lab":
        notes.append("No SBOM: what makes it is on Docker Hub, which does not answer here.")
    for note in notes:
        talk(note.replace("`", ""))
    github.summary(table(made, notes))
    return made


def main() -> int:
    """0: built, probed and small enough; 1: not, with what mends it."""
    made = make(github.say)
    large = too_large(made)
    if large:
        raise PipelineError("The image has grown too large.", "; ".join(large), "make it smaller")
    RECORD.write_text(json.dumps(made, indent=2) + "\n", encoding="utf-8")
    github.output("digest", made["digest"])
    github.output("version", made["version"])
    print(json.dumps(made, indent=2))
    if not os.environ.get("CI"):
        _to_lab(made)
    return 0


def _to_lab(made: Mapping[str, Any]) -> None:
    """Put it into the lab's registry, for whoever wants to try it on a lab host."""
    from lab.registry import ensure_registry
    from pipeline import publish

    repository = f"{ensure_registry(github.say)}/{NAME}"
    publish.publish(repository, made["digest"], ["main"], ARCHIVE, github.say)
    github.say(f"to try it: homeport deploy {repository}@{made['digest']} --host USER@ADDRESS")


if __name__ == "__main__":
    sys.exit(told(main))
