"""`make scan`: known holes in what the built image holds, Debian's packages and Python's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from pipeline import github, skopeo, tools
from pipeline.errors import OutOfReach, PipelineError, told

IMAGE = Path("build/image/image.tar")
#: osv-scanner's exit codes: nothing found; holes found. Any other: it could not look
CLEAN, FOUND = 0, 1
#: CVSS from which on a hole that has been mended somewhere stops the build
SEVERE = 9.0


def holes(report: dict[str, Any]) -> list[tuple[float, str]]:
    """The holes of a report as (severity, sentence), the worst first."""
    found = set()
    for source in report.get("results", []):
        for package in source.get("packages", []):
            about = package["package"]
            for group in package.get("groups", []):
                score = float(group.get("max_severity") or 0)
                names = ", ".join(sorted(group.get("ids", []))[:3])
                found.add((score, f"{about['name']} {about['version']}: {names} ({score})"))
    return sorted(found, key=lambda hole: (-hole[0], hole[1]))


def seen(report: dict[str, Any]) -> dict[str, int]:
    """How many packages of each kind the scanner saw, as ``{"PyPI": 20, "Debian": 90}``.

    Raises:
        PipelineError: it did not see both Python's and the base's: whatever it read, it was not
            the whole image, and finding nothing there means nothing.
    """
    found: dict[str, int] = {}
    for source in report.get("results", []):
        for package in source.get("packages", []):
            kind = str(package["package"].get("ecosystem", "")).partition(":")[0]
            found[kind] = found.get(kind, 0) + 1
    if not found.get("PyPI") or len(found) < 2:
        raise PipelineError("The image was not scanned.", f"it saw only {found}", "make image")
    return found


def ask(archive: Path) -> dict[str, Any]:
    """What osv-scanner says of an image saved by Docker.

    Raises:
        OutOfReach: Go is not there, or the database did not answer.
    """
    program = tools.go(tools.OSV_SCANNER)
    if not program:
        raise OutOfReach("The image was not scanned.", "Go is not here", "https://go.dev/dl/")
    command = [*program, "scan", "image", "--format", "json", "--all-packages"]
    command += ["--archive", str(archive)]
    env = {**os.environ, "GOFLAGS": ""}
    try:
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=900)
        # `go run` hides the program's own exit code behind 1: the report tells the two apart
        return dict(json.loads(done.stdout))
    except subprocess.TimeoutExpired:
        said = "no end after 900 s"
    except ValueError:
        # it tells of every folder it walks, then what went wrong; go adds the exit code
        lines = [one for one in done.stderr.splitlines() if not one.startswith("exit status")]
        said = (lines or ["osv-scanner said nothing"])[-1][-600:]
    raise OutOfReach("The image was not scanned.", said, "api.osv.dev must answer")


def main() -> int:
    """1 where the image holds something with a hole of CVSS 9 or more; lesser ones are told."""
    if not IMAGE.is_file():
        raise PipelineError("There is no image to scan.", f"no {IMAGE}", "make image")
    skopeo.ensure(github.say)
    with tempfile.TemporaryDirectory() as folder:
        # the scanner reads Docker's form; one platform does: they hold the same packages
        archive = Path(folder) / "image.tar"
        source, platform = skopeo.archive(IMAGE), ("--override-os=linux", "--override-arch=amd64")
        skopeo.copy(source, f"docker-archive:{archive}", *platform)
        report = ask(archive)
    packages, found = seen(report), holes(report)
    severe = [text for score, text in found if score >= SEVERE]
    for text in severe:
        github.error(text, "Dockerfile")
    for score, text in found:
        github.say(f"{'!' if score >= SEVERE else ' '} {text}")
    told_as = f"{len(found)} known holes in {sum(packages.values())} packages of the image, "
    told_as += f"{len(severe)} of CVSS {SEVERE:g} or more"
    github.summary(told_as)
    github.say(f"scan: {told_as}")
    return 1 if severe else 0


if __name__ == "__main__":
    sys.exit(told(main))
