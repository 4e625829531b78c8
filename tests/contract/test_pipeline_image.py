"""The image on real parts: built, started on each platform, published by digest, and marked."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lab import builder as lab_builder
from lab.docker import ensure_engine
from lab.registry import ensure_registry
from lab.shell import docker
from pipeline import builder, image, layout, publish, skopeo
from pipeline.errors import PipelineError

pytestmark = pytest.mark.docker
ABSENT = "sha256:" + "0" * 64


@pytest.fixture(scope="module")
def made() -> dict[str, Any]:
    """The record of one run of `make image`, as CI runs it."""
    ensure_engine(print)
    env = {**os.environ, "CI": os.environ.get("CI") or "1"}
    argv = [sys.executable, "-m", "pipeline.image"]
    done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=1200)
    assert done.returncode == 0, done.stderr[-3000:]
    record = json.loads(done.stdout)
    assert record == json.loads(image.RECORD.read_text())
    return dict(record)


@pytest.fixture(scope="module")
def repository() -> Iterator[str]:
    """A repository of this test's own in the lab's registry."""
    yield f"{ensure_registry(print)}/homeport-image-test/run-{os.getpid()}"


def test_every_platform_answers(made: dict[str, Any]) -> None:
    """One call builds three platforms; each was started and answered, and none is large."""
    assert list(made["platforms"]) == sorted(builder.PLATFORMS)
    for one in made["platforms"].values():
        assert one["answered_ms"] > 0 and 1_000_000 < one["added"] <= image.LARGEST < one["size"]
    assert made["revision"].startswith(image.git("rev-parse", "HEAD"))
    left = docker("ps", "-aq", "--filter", "name=homeport-probe-").stdout
    assert left == b"", "a probe left its container behind"


def test_what_does_not_depend_on_the_platform_is_made_once(made: dict[str, Any]) -> None:
    """App and standard library are the very same layers on all platforms."""
    found = [set(one.diff_ids) for one in layout.read(image.ARCHIVE).platforms.values()]
    shared = set.intersection(*found)
    assert len(shared) >= 3


def test_the_digest_travels_unchanged(made: dict[str, Any], repository: str) -> None:
    """What was built and started is, byte for byte, what the registry gives under each tag."""
    digest = made["digest"]
    publish.publish(repository, digest, ["main", "0.1.0"], image.ARCHIVE, print)
    assert [skopeo.digest(f"{repository}:{tag}") for tag in ("main", "0.1.0")] == [digest] * 2
    # again changes nothing
    publish.publish(repository, digest, ["main"], image.ARCHIVE, print)
    assert skopeo.digest(f"{repository}:main") == digest
    for platform, one in made["platforms"].items():
        assert skopeo.digest(f"{repository}@{one['digest']}") == one["digest"], platform


def test_marks_move(made: dict[str, Any], repository: str) -> None:
    """Marks point to digests that are there; one that is absent moves none of them."""
    digest = made["digest"]
    older = made["platforms"]["linux/amd64"]["digest"]
    publish.publish(repository, digest, ["main"], image.ARCHIVE, print)
    publish.mark(repository, older, "", print)
    assert skopeo.digest(f"{repository}:production") == older
    assert skopeo.digest(f"{repository}:previous") == ""
    publish.mark(repository, digest, older, print)
    with pytest.raises(PipelineError, match="Nothing can be marked"):
        publish.mark(repository, ABSENT, digest, print)
    said: list[str] = []
    publish.mark(repository, digest, ABSENT, said.append)
    assert "previous stays" in said[0]
    assert skopeo.digest(f"{repository}:production") == digest
    assert skopeo.digest(f"{repository}:previous") == older


def test_the_builder_comes_up_again(made: dict[str, Any]) -> None:
    """The lab's builder is there after a kill, with what it had built before."""
    env = lab_builder.ensure(print)
    docker("kill", "-s", "KILL", lab_builder.CONTAINER)
    assert lab_builder.ensure(print) == env
    one = subprocess.run(["docker", "info"], env=env, capture_output=True, timeout=30)
    assert one.returncode == 0 and b"io.containerd.snapshotter" in one.stdout


def test_the_verbs_refuse(tmp_path: Path) -> None:
    """`make publish` with a hostile tag ends with a message and exit code 1, not a traceback."""
    env = {**os.environ, "REPOSITORY": "ghcr.io/a/b", "DIGEST": ABSENT, "TAGS": "main;id"}
    argv = [sys.executable, "-m", "pipeline.publish"]
    done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=60, cwd=tmp_path)
    assert done.returncode == 1 and "This is no tag" in done.stderr
    assert "Traceback" not in done.stderr and "main;id" in done.stderr
