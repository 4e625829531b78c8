"""Decisions about images: builders, sizes, names from outside, indexes, and markers."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from lab.foreign import foreign, lacking
from pipeline import builder, image, image_bench, layout, markers, names, probe, publish
from pipeline.errors import PipelineError

A, B = "sha256:" + "a" * 64, "sha256:" + "b" * 64


@pytest.mark.parametrize(
    "driver,containerd,hub,kind",
    [
        ("docker-container", False, True, "current"),
        ("remote", False, True, "current"),
        ("kubernetes", True, True, "current"),
        ("docker", True, True, "current"),
        ("docker", False, True, "own"),
        ("", False, True, "own"),
        ("", True, True, "own"),
        ("docker-container", True, False, "lab"),
        ("docker", True, False, "lab"),
        ("docker", False, False, "lab"),
    ],
)
def test_builder_choice(driver: str, containerd: bool, hub: bool, kind: str) -> None:
    """A capable builder is taken, else one is made; without Docker Hub the lab's is left."""
    assert builder.choose(driver, containerd, hub) == kind


def test_driver() -> None:
    """The driver is read from what buildx says of its builder, and nothing like it."""
    said = "Name:          default\nDriver:        docker-container\n\nDriver Options: x\n"
    assert builder.driver(said) == "docker-container"
    assert builder.driver("ERROR: no builder\n") == ""


HOSTILE = ["", " ", "$(id)", "a;b", "-oProxyCommand=x", "../x", "x\n", "a b", "`id`", "x\0", "é"]


@pytest.mark.parametrize("text", [*HOSTILE, A + "\n", "\n" + A, A[:-1], A.upper(), "a" * 64])
def test_no_digest(text: str) -> None:
    """Whatever is not wholly a digest is refused, with what it was."""
    with pytest.raises(PipelineError) as refused:
        names.digest(text)
    assert repr(text[:100]) in refused.value.why and "image.json" in refused.value.mend


@pytest.mark.parametrize("text", [*HOSTILE, "main\n", ".x", "a/b", "a:b", "a@b", "a" * 129])
def test_no_tag(text: str) -> None:
    """Whatever is not wholly a tag is refused."""
    with pytest.raises(PipelineError):
        names.tag(text)


@pytest.mark.parametrize(
    "text", ["", "  ", "main\n", "main\nother", "main -x", "main $(id)", "a\tb"]
)
def test_no_tags(text: str) -> None:
    """One wrong tag among good ones refuses them all, and so does none."""
    with pytest.raises(PipelineError):
        names.tags(text)


def test_tags() -> None:
    """Tags stay in order, each once."""
    assert names.tags("main  0.1.0 main v1_x-2") == ["main", "0.1.0", "v1_x-2"]


@pytest.mark.parametrize(
    "text",
    [
        *HOSTILE,
        "ghcr.io",
        "owner/name",
        "ghcr.io/owner/name\n",
        "ghcr.io/owner/name:tag",
        f"ghcr.io/owner/name@{A}",
        "ghcr.io/../name",
        "ghcr.io//name",
        "ghcr.io/owner/name/",
        "ghcr.io/-owner/name",
        "-ghcr.io/owner/name",
        "https://ghcr.io/owner/name",
        "user@ghcr.io/owner/name",
        "127.0.0.1:99999/name",
        "ghcr.io:/owner/name",
        "ghcr.io/own$(id)er/name",
        "ghcr.io/" + "a" * 300,
    ],
)
def test_no_repository(text: str) -> None:
    """Whatever is not wholly a repository with its registry is refused."""
    with pytest.raises(PipelineError):
        names.repository(text)


@pytest.mark.parametrize(
    "text,found",
    [
        ("ghcr.io/Owner/My-App", "ghcr.io/owner/my-app"),
        ("127.0.0.1:5010/myfoodbudget", "127.0.0.1:5010/myfoodbudget"),
        ("localhost/a/b/c", "localhost/a/b/c"),
        ("registry.example.org/a__b/c.d", "registry.example.org/a__b/c.d"),
    ],
)
def test_repository(text: str, found: str) -> None:
    """A repository is taken in lower case."""
    assert names.repository(text) == found


@pytest.mark.parametrize(
    "variables,said",
    [
        ({}, "REPOSITORY is no repository"),
        ({"REPOSITORY": "ghcr.io/a/b"}, "DIGEST is no digest"),
        ({"REPOSITORY": "ghcr.io/a/b", "DIGEST": A}, "TAGS is empty"),
        ({"REPOSITORY": "ghcr.io/a/b", "DIGEST": A, "TAGS": "main $(id)"}, "no tag"),
        ({"REPOSITORY": "ghcr.io/a/b", "DIGEST": A, "PREVIOUS": "../x"}, "PREVIOUS is no digest"),
    ],
)
def test_inputs_are_refused_first(
    variables: dict[str, str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wrong inputs of `make publish` and `make mark` are told before anything is looked for."""
    for name in ("REPOSITORY", "DIGEST", "TAGS", "PREVIOUS"):
        monkeypatch.setenv(name, variables.get(name, ""))
    with pytest.raises(PipelineError) as refused:
        publish.main(["mark"] if "PREVIOUS" in variables else [])
    assert said in refused.value.what


def layers(*sizes: int, start: int = 0) -> tuple[layout.Layer, ...]:
    """Layers of these sizes with digests of their own."""
    return tuple(layout.Layer(f"sha256:{start + n}", size) for n, size in enumerate(sizes))


def test_what_an_image_adds() -> None:
    """Only the layers above the base count; another base is an error, not a large image."""
    assert layout.above(layers(100, 20, 3), layers(100)) == 23
    assert layout.above(layers(100), layers(100)) == 0
    for base in (layers(100, start=7), layers(100, 20, 3, 4)):
        with pytest.raises(PipelineError, match="not built on the base"):
            layout.above(layers(100, 20, 3), base)


@pytest.mark.parametrize(
    "added,said",
    [
        ((30_000_000, 1, 0), []),
        ((1, 30_000_001, 0), ["linux/arm64 adds 30.0 MB to its base, and 30 are allowed"]),
        (
            (45_000_000, 1, 31_000_000),
            [
                "linux/amd64 adds 45.0 MB to its base, and 30 are allowed",
                "linux/arm/v7 adds 31.0 MB to its base, and 30 are allowed",
            ],
        ),
    ],
)
def test_size_gate(added: tuple[int, ...], said: list[str]) -> None:
    """The bound holds on each platform, and all that break it are named."""
    sizes = {name: {"added": size} for name, size in zip(builder.PLATFORMS, added, strict=True)}
    assert image.too_large({"platforms": sizes}) == said


INDEX = {
    "manifests": [
        {"digest": "sha256:1", "platform": {"os": "linux", "architecture": "amd64"}},
        {
            "digest": "sha256:2",
            "platform": {"os": "linux", "architecture": "arm64", "variant": "v8"},
        },
        {"digest": "sha256:3", "platform": {"os": "linux", "architecture": "arm", "variant": "v7"}},
        {"digest": "sha256:4", "platform": {"os": "linux", "architecture": "arm", "variant": "v6"}},
        {"digest": "sha256:5", "platform": {"os": "unknown", "architecture": "unknown"}},
        {"digest": "sha256:6"},
    ]
}


def test_platforms_of_an_index() -> None:
    """Attestations are no platform, and arm64 has one name."""
    assert layout.platforms(INDEX) == {
        "linux/amd64": "sha256:1",
        "linux/arm64": "sha256:2",
        "linux/arm/v7": "sha256:3",
        "linux/arm/v6": "sha256:4",
    }


def blob(document: Any) -> tuple[str, bytes]:
    """A JSON document and its digest."""
    data = json.dumps(document).encode()
    return "sha256:" + hashlib.sha256(data).hexdigest(), data


def archive(path: Path, spoil: bool = False, tops: int = 1) -> tuple[Path, str, str]:
    """Write an archive of one platform; it, the index's digest, and the manifest's."""
    config, config_data = blob(
        {
            "rootfs": {"diff_ids": ["sha256:d1", "sha256:d2"]},
            "config": {"Labels": {"x": "y"}, "User": "1:1"},
        }
    )
    sizes = [{"digest": "sha256:1", "size": 5}, {"digest": "sha256:2", "size": 6}]
    manifest, manifest_data = blob({"config": {"digest": config}, "layers": sizes})
    platform = {"os": "linux", "architecture": "amd64"}
    index, index_data = blob({"manifests": [{"digest": manifest, "platform": platform}]})
    if spoil:
        manifest_data += b" "
    top = json.dumps({"manifests": [{"mediaType": layout.INDEXES[0], "digest": index}] * tops})
    files = {"index.json": top.encode()}
    for digest, data in ((config, config_data), (manifest, manifest_data), (index, index_data)):
        files["blobs/" + digest.replace(":", "/")] = data
    with tarfile.open(path, "w") as tar:
        for name, data in files.items():
            about = tarfile.TarInfo(name)
            about.size = len(data)
            tar.addfile(about, io.BytesIO(data))
    return path, index, manifest


def test_reading_an_archive(tmp_path: Path) -> None:
    """An archive tells its index's digest and what each platform has."""
    path, index, manifest = archive(tmp_path / "image.tar")
    found = layout.read(path)
    one = found.platforms["linux/amd64"]
    assert (found.digest, list(found.platforms), one.digest) == (index, ["linux/amd64"], manifest)
    assert (one.size, one.diff_ids) == (11, ("sha256:d1", "sha256:d2"))
    assert (one.labels, one.user) == ({"x": "y"}, "1:1")
    with pytest.raises(PipelineError, match="lacks a platform"):
        image.check_platforms(found)


def test_wrong_archives(tmp_path: Path) -> None:
    """A missing, damaged, or ambiguous archive is said to be so."""
    with pytest.raises(PipelineError, match="no image yet"):
        layout.read(tmp_path / "absent.tar")
    with pytest.raises(PipelineError, match="cannot be read"):
        layout.read(archive(tmp_path / "spoilt.tar", spoil=True)[0])
    with pytest.raises(PipelineError, match="not exactly one"):
        layout.read(archive(tmp_path / "two.tar", tops=2)[0])
    (tmp_path / "text.tar").write_text("no tar")
    with pytest.raises(PipelineError, match="cannot be read"):
        layout.read(tmp_path / "text.tar")


def test_another_digest_is_not_published(tmp_path: Path) -> None:
    """What is not the image that was tested does not leave this machine."""
    path, index, _ = archive(tmp_path / "image.tar")
    with pytest.raises(PipelineError, match="not the image that is to be published") as refused:
        publish.publish("127.0.0.1:1/x", A, ["main"], path, print)
    assert index in refused.value.why and A in refused.value.why


BUILT = layout.Manifest(A, (), ("sha256:d1",), {}, "10001:10001")
SHOWN: dict[str, Any] = {
    "Architecture": "arm",
    "RootFS": {"Layers": ["sha256:d1"]},
    "Config": {"User": "10001:10001"},
}


@pytest.mark.parametrize(
    "change,said",
    [
        ({}, []),
        ({"Architecture": "amd64"}, ["it is for amd64, not for arm"]),
        ({"RootFS": {"Layers": ["sha256:d2"]}}, ["its layers are not those that were built"]),
        ({"RootFS": {}}, ["its layers are not those that were built"]),
        ({"Config": {"User": ""}}, ["it does not run as 10001:10001"]),
    ],
)
def test_the_probe_runs_what_was_built(change: dict[str, Any], said: list[str]) -> None:
    """An engine's image that is not the archive's is found out before it is started."""
    assert probe.wrong({**SHOWN, **change}, "linux/arm/v7", BUILT) == said


def test_override() -> None:
    """skopeo is told the variant where a platform has one."""
    assert probe.override("linux/arm64") == ("--override-os=linux", "--override-arch=arm64")
    assert probe.override("linux/arm/v7")[1:] == ("--override-arch=arm", "--override-variant=v7")


LOCK = """\
# a comment ; platform_machine == "armv7l"
flask==3.1.3 \\
    --hash=sha256:1 \\
    --hash=sha256:2
    # via -r requirements.in
psycopg-binary==3.3.0 ; implementation_name != "pypy" and platform_machine != "armv7l" \\
    --hash=sha256:3
only-there==1 ; platform_machine == "armv7l" \\
    --hash=sha256:4
tzdata==2025.2 ; sys_platform == "win32"
plain==2 ; python_full_version >= "3.11"
"""


@pytest.mark.parametrize(
    "machine,kept",
    [
        (
            "x86_64",
            [
                "flask==3.1.3 --hash=sha256:1 --hash=sha256:2",
                "psycopg-binary==3.3.0 --hash=sha256:3",
                "plain==2",
            ],
        ),
        (
            "armv7l",
            [
                "flask==3.1.3 --hash=sha256:1 --hash=sha256:2",
                "only-there==1 --hash=sha256:4",
                "plain==2",
            ],
        ),
    ],
)
def test_markers(machine: str, kept: list[str]) -> None:
    """Markers are settled for the target, whatever machine this is, and hashes stay."""
    assert markers.for_machine(LOCK, machine).splitlines() == kept


def test_wrong_machine_and_marker() -> None:
    """A machine without wheels and a marker that is none are errors, never an empty image."""
    with pytest.raises(ValueError, match="riscv64"):
        markers.for_machine(LOCK, "riscv64")
    with pytest.raises(ValueError):
        markers.for_machine("x==1 ; platform_machine ~ 2\n", "x86_64")


READY = "enabled\ninterpreter /usr/bin/qemu\nflags: POCF\noffset 0\n"


@pytest.mark.parametrize(
    "text,wrong",
    [
        (READY, []),
        (None, ["qemu-arm"]),
        ("", ["qemu-arm"]),
        (READY.replace("enabled", "disabled"), ["qemu-arm"]),
        (READY.replace("POCF", "OC"), ["qemu-arm"]),
    ],
)
def test_emulation(text: str | None, wrong: list[str]) -> None:
    """An emulator counts when it is on and also works inside containers."""
    assert lacking({"qemu-arm": text}) == wrong


@pytest.mark.parametrize("kind,sbom", [("lab", False), ("own", True), ("current", True)])
def test_attestations(kind: str, sbom: bool) -> None:
    """Provenance always, an SBOM where Docker Hub is; neither where builds are compared."""
    one = builder.Builder(kind, {}, (), f"docker.io/library/python:3.13-slim@{A}", {})
    said = image.arguments(one, {"REVISION": "r"}, attest=True)
    assert ("type=sbom" in said) is sbom and "type=provenance,mode=max" in said
    assert f"BASE_DIGEST={A}" in said and "REVISION=r" in said
    assert "--attest" not in image.arguments(one, {}, attest=False)


def index(*digests: str) -> layout.Index:
    """A build's index with these manifests, each of a base layer and 16 MB above it."""
    own = layout.Layer("sha256:own", 16_000_000)
    return layout.Index(
        A,
        {
            name: layout.Manifest(digest, (*layers(5), own))
            for name, digest in zip(builder.PLATFORMS, digests, strict=True)
        },
    )


BASES = {name: layers(5) for name in builder.PLATFORMS}


def test_figures() -> None:
    """The slowest of our builds is compared, and manifests are counted per platform."""
    made = image_bench.figures([10.0, 8.0], 120.0, 25.0, [index("a", "b", "c")] * 2, BASES, 3)
    assert (made["speedup"], made["speedup_tuned_qemu"]) == (12.0, 2.5)
    assert made["added_mb"]["arm_v7"] == 16.0
    assert made["distinct_digests"] == {"amd64": 1, "arm64": 1, "arm_v7": 1}
    assert image_bench.broken(made) == []


def test_broken_promises() -> None:
    """Each promise that a run does not keep is named."""
    builds = [index("a", "b", "c"), index("a", "x", "c")]
    made = image_bench.figures([20.0, 8.0], 120.0, 25.0, builds, BASES, 2)
    assert image_bench.broken({**made, "added_mb": {"amd64": 30.01}}) == [
        "speedup is 6.0, and 10 is promised",
        "amd64 adds 30.01 MB to its base",
        "only 2 platforms answer",
        "2 builds of arm64 gave 2 manifests",
    ]


@pytest.mark.parametrize(
    "machine,others",
    [
        ("x86_64", ["linux/arm64", "linux/arm/v7"]),
        ("aarch64", ["linux/amd64", "linux/arm/v7"]),
        ("riscv64", ["linux/amd64", "linux/arm64", "linux/arm/v7"]),
    ],
)
def test_foreign_processors(machine: str, others: list[str]) -> None:
    """A machine emulates all but its own processor."""
    assert [one.platform for one in foreign(machine)] == others


def test_a_rollback_to_what_was_sent_by_hand_moves_no_mark(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It serves and is in no registry: that is said, and the job after a good rollback is green."""
    summary = tmp_path / "summary"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("REPOSITORY", "ghcr.io/o/r")
    monkeypatch.setenv("DIGEST", "")
    monkeypatch.setattr(publish, "mark", lambda *given: pytest.fail("a mark was moved"))
    assert publish.main(["mark"]) == 0
    assert "sent by hand" in summary.read_text()
