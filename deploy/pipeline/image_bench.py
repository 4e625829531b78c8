"""`make image-bench`: this build of three platforms against the usual one under emulation.

    python -m pipeline.image_bench      → build/evidence/image.json

Both without a cache, by the same builder, from the same base and lock file, to an archive. The
usual way is `usual.dockerfile`: every platform installs and compiles for itself. It is built twice.
`speedup` compares with QEMU as it is installed. What an old one plays by default on arm64 computes
pointer authentication very slowly, and that alone can be most of the difference: so
`speedup_tuned_qemu` compares with a QEMU told to play a processor that it is quick at. Who quotes
the one quotes the other.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline import builder, github, image, layout, probe, skopeo
from pipeline.builder import PLATFORMS, Builder
from pipeline.errors import PipelineError, told

USUAL = Path(__file__).with_name("usual.dockerfile")
SPEEDUP = 10.0
#: platform → its name in the figures
SHORT = {"linux/amd64": "amd64", "linux/arm64": "arm64", "linux/arm/v7": "arm_v7"}


def timed(made_by: Builder, arguments: Sequence[str], archive: Path) -> float:
    """Wall seconds of one build without a cache."""
    began = time.monotonic()
    builder.build(made_by, ["--no-cache", *arguments], archive)
    return time.monotonic() - began


def figures(
    ours: Sequence[float],
    usual: float,
    tuned: float,
    builds: Sequence[layout.Index],
    base: Mapping[str, tuple[layout.Layer, ...]],
    answering: int,
) -> dict[str, Any]:
    """What image.json of the evidence says.

    Args:
        ours: seconds of each of our builds; the slowest is compared.
        usual: seconds of the usual build, with QEMU as it is installed.
        tuned: seconds of the same with a processor that QEMU is quick at.
        builds: what our builds made, all of one commit.
        base: platform → the base's layers.
        answering: how many platforms answered.
    """
    first = builds[0].platforms
    return {
        "speedup": round(usual / max(ours), 2),
        "speedup_tuned_qemu": round(tuned / max(ours), 2),
        "ours_s": [round(one, 2) for one in ours],
        "usual_s": round(usual, 2),
        "usual_tuned_qemu_s": round(tuned, 2),
        "added_mb": {
            SHORT[name]: round(layout.above(first[name].layers, base[name]) / 1e6, 2)
            for name in PLATFORMS
        },
        "answering_platforms": answering,
        "distinct_digests": {
            SHORT[name]: len({one.platforms[name].digest for one in builds}) for name in PLATFORMS
        },
    }


def table(made: Mapping[str, Any]) -> str:
    """The figures for people: what README quotes."""
    ours = max(made["ours_s"])
    rows = [
        ("on the build machine's own platform", ours, ""),
        ("each platform for itself, under QEMU", made["usual_s"], made["speedup"]),
        ("the same, QEMU tuned", made["usual_tuned_qemu_s"], made["speedup_tuned_qemu"]),
    ]
    lines = ["one image for amd64, arm64 and arm/v7, built without a cache"]
    for name, seconds, ratio in rows:
        times = f"  {ratio:.1f} times as long" if ratio else ""
        lines.append(f"{name:<37} {seconds:6.1f} s{times}")
    sizes = ", ".join(f"{name} {size:.1f} MB" for name, size in made["added_mb"].items())
    lines.append(f"added to the base, compressed: {sizes}")
    one = all(count == 1 for count in made["distinct_digests"].values())
    lines.append(
        f"{made['answering_platforms']} of {len(PLATFORMS)} platforms start and answer; "
        f"two builds of a commit {'are the same' if one else 'DIFFER'} on each"
    )
    return "\n".join(lines)


def broken(made: Mapping[str, Any]) -> list[str]:
    """The promises that figures don't keep, each in a sentence."""
    found = []
    if made["speedup"] < SPEEDUP:
        found.append(f"speedup is {made['speedup']}, and {SPEEDUP:.0f} is promised")
    for name, size in made["added_mb"].items():
        if size * 1e6 > image.LARGEST:
            found.append(f"{name} adds {size} MB to its base")
    if made["answering_platforms"] != len(PLATFORMS):
        found.append(f"only {made['answering_platforms']} platforms answer")
    for name, count in made["distinct_digests"].items():
        if count != 1:
            found.append(f"{len(made['ours_s'])} builds of {name} gave {count} manifests")
    return found


def measure() -> dict[str, Any]:
    """Build, start, and compare; raises LabError where one of it fails."""
    from lab.foreign import ensure_emulation

    talk = github.say
    skopeo.ensure(talk)
    made_by = builder.ready(talk)
    ensure_emulation(talk)
    ours = image.arguments(made_by, image.told_of_commit(), attest=False)
    usual = ["-f", str(USUAL), "--provenance=false"]
    tune = ["--build-arg", f"ARM64_CPU={probe.ARM64_CPU}"]
    with tempfile.TemporaryDirectory(prefix="homeport-bench-") as folder:
        one, two, other = (Path(folder) / f"{name}.tar" for name in ("one", "two", "usual"))
        # uncounted: it fetches the base for all that follow
        builder.build(made_by, ours, one)
        times, builds = [timed(made_by, ours, one)], [layout.read(one)]
        tuned = timed(made_by, [*usual, *tune], other)
        took = timed(made_by, usual, other)
        other.unlink()
        times.append(timed(made_by, ours, two))
        builds.append(layout.read(two))
        two.unlink()
        found = builds[0].platforms
        answered = {name: probe.run(one, name, found[name], talk) for name in PLATFORMS}
    made = figures(times, took, tuned, builds, made_by.base_layers, len(answered))
    about = {"builder": made_by.kind, "base": made_by.base, "tuned_cpu_arm64": probe.ARM64_CPU}
    load = [round(one, 2) for one in os.getloadavg()]
    return {**about, **made, "answered_ms": answered, "load_after": load}


def main() -> int:
    """0: every promise is kept; 1: not, with which."""
    from bench import evidence

    made = measure()
    path = evidence.write("image", made)
    print(f"{table(made)}\n\nAll figures: {path}")
    wrong = broken(made)
    if wrong:
        raise PipelineError("The image breaks a promise.", "; ".join(wrong), "make image-bench")
    return 0


if __name__ == "__main__":
    sys.exit(told(main))
