"""What an image archive (OCI layout in a tar) holds: its index, and a manifest per platform."""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.errors import PipelineError

INDEXES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
#: reads the JSON document of a digest
Read = Callable[[str], Any]


@dataclass(frozen=True)
class Layer:
    """A layer as it travels: its digest, and its size in compressed bytes."""

    digest: str
    size: int


@dataclass(frozen=True)
class Manifest:
    """The image of one platform.

    Attributes:
        digest: of its manifest.
        layers: from the base's first to the last.
        diff_ids: the digests of the same layers unpacked; an engine that runs it knows these.
        labels: name → text.
        user: who the container runs as.
    """

    digest: str
    layers: tuple[Layer, ...]
    diff_ids: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    user: str = ""

    @property
    def size(self) -> int:
        """Compressed bytes of all its layers."""
        return sum(layer.size for layer in self.layers)


@dataclass(frozen=True)
class Index:
    """An image for several platforms: the index's digest, and platform → its manifest."""

    digest: str
    platforms: Mapping[str, Manifest]


def name(platform: Mapping[str, str]) -> str:
    """A platform of an index as Docker writes it: `linux/arm/v7`.

    arm64 has only the variant v8, which Docker leaves out.
    """
    parts = [platform.get("os", ""), platform.get("architecture", "")]
    variant = platform.get("variant", "")
    if variant and (parts[1], variant) != ("arm64", "v8"):
        parts.append(variant)
    return "/".join(parts)


def platforms(index: Any) -> dict[str, str]:
    """Platform → digest of its manifest, from an index's JSON; attestations are none."""
    found = {}
    for entry in index.get("manifests", []):
        platform = entry.get("platform") or {}
        if platform.get("os", "unknown") != "unknown":
            found[name(platform)] = str(entry["digest"])
    return found


def layers(manifest: Any) -> tuple[Layer, ...]:
    """The layers that a manifest's JSON names."""
    return tuple(Layer(str(one["digest"]), int(one["size"])) for one in manifest["layers"])


def above(image: Sequence[Layer], base: Sequence[Layer]) -> int:
    """Compressed bytes of an image's layers above its base's.

    Raises:
        PipelineError: the image does not begin with the base's layers.
    """
    if [one.digest for one in image[: len(base)]] != [one.digest for one in base]:
        raise PipelineError(
            "The image is not built on the base it was to be built on.",
            "its first layers are not the base's, so what it adds cannot be told",
            "make image",
        )
    return sum(one.size for one in image[len(base) :])


def understand(top: Any, read: Read) -> Index:
    """The index of an archive's ``index.json`` and of the documents it names.

    Raises:
        PipelineError: it holds not exactly one image.
    """
    entries = top.get("manifests", [])
    if len(entries) != 1 or entries[0].get("mediaType") not in INDEXES:
        raise PipelineError(
            "The archive holds not exactly one image for several platforms.",
            f"its index.json names {len(entries)} documents",
            "make image",
        )
    digest = str(entries[0]["digest"])
    found = {}
    for platform, one in platforms(read(digest)).items():
        manifest = read(one)
        config = read(str(manifest["config"]["digest"]))
        inner = config.get("config") or {}
        found[platform] = Manifest(
            one,
            layers(manifest),
            tuple(config["rootfs"]["diff_ids"]),
            dict(inner.get("Labels") or {}),
            str(inner.get("User") or ""),
        )
    return Index(digest, dict(sorted(found.items())))


def read(archive: Path) -> Index:
    """Read an archive; every document is checked against its digest.

    Raises:
        PipelineError: there is no such archive, or it is damaged.
    """
    try:
        with tarfile.open(archive, "r:") as tar:

            def document(digest: str) -> Any:
                data = _bytes(tar, "blobs/" + digest.replace(":", "/", 1))
                if "sha256:" + hashlib.sha256(data).hexdigest() != digest:
                    raise KeyError(f"what lies at {digest} has another digest")
                return json.loads(data)

            return understand(json.loads(_bytes(tar, "index.json")), document)
    except FileNotFoundError:
        raise PipelineError(
            "There is no image yet.", f"{archive} is not there", "make image"
        ) from None
    except (OSError, tarfile.TarError, KeyError, ValueError, TypeError) as error:
        why = f"{archive}: {error}"
        raise PipelineError("The image's archive cannot be read.", why, "make image") from error


def _bytes(tar: tarfile.TarFile, path: str) -> bytes:
    member = tar.extractfile(path)
    if member is None:
        raise KeyError(f"{path} is no file")
    return member.read()
