"""GitHub's own program `gh`, as far as the workflows use it.

It acts on the repository that stands for the one on GitHub, and refuses what GitHub would: a call
without a token, one that the job was not granted, a tag that is not there, a release made twice.
What it made is noted in ``github.json`` beside that repository.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any


class Refused(Exception):
    """What GitHub answers instead."""


def git(folder: Path, *words: str) -> str:
    """Run git; its stdout. Raises Refused where it fails."""
    done = subprocess.run(["git", "-C", str(folder), *words], capture_output=True, text=True)
    if done.returncode:
        raise Refused(done.stderr.strip())
    return done.stdout.strip()


class Hub:
    """GitHub, as one job sees it."""

    def __init__(self) -> None:
        token = os.environ.get("GH_TOKEN", "")
        if not token:
            raise Refused("gh: To use GitHub CLI in a GitHub Actions workflow, set GH_TOKEN")
        self.grants = dict(one.split("=") for one in token.partition(":")[2].split(",") if one)
        self.origin = Path(git(Path(), "remote", "get-url", "origin"))
        self.notes = self.origin.parent / "github.json"

    def granted(self, what: str, *levels: str) -> None:
        """Raise Refused unless the job may."""
        if self.grants.get(what) not in levels:
            raise Refused("HTTP 403: Resource not accessible by integration")

    def noted(self) -> dict[str, Any]:
        """What was made so far."""
        empty: dict[str, Any] = {"releases": {}, "started": []}
        return dict(json.loads(self.notes.read_text())) if self.notes.exists() else empty

    def has(self, ref: str) -> bool:
        """Whether the repository has a ref."""
        return bool(git(self.origin, "for-each-ref", ref))

    def ref(self, method: str, path: str, fields: dict[str, str]) -> str:
        """POST or PATCH of a ref."""
        self.granted("contents", "write")
        place, _, name = path.partition("/git/refs")
        if place.lower() != f"repos/{os.environ['GITHUB_REPOSITORY']}".lower():
            raise Refused("HTTP 404: Not Found")
        ref = fields["ref"] if method == "POST" else f"refs{name}"
        if self.has(ref) != (method == "PATCH"):
            raise Refused("HTTP 422: Reference " + ("exists" if method == "POST" else "not found"))
        git(self.origin, "update-ref", ref, fields["sha"])
        return json.dumps({"ref": ref})

    def create(self, tag: str, words: list[str]) -> str:
        """`gh release create`."""
        self.granted("contents", "write")
        known, noted = {"--verify-tag", "--generate-notes", "--prerelease"}, self.noted()
        *options, last, text = words
        assert last == "--notes" and set(options) <= known and "--verify-tag" in options, words
        if not self.has(f"refs/tags/{tag}"):
            raise Refused(f"tag {tag} doesn't exist in the repo, aborting due to --verify-tag flag")
        if tag in noted["releases"]:
            raise Refused("HTTP 422: Validation Failed: Release.tag_name already exists")
        noted["releases"][tag] = {"notes": text, "candidate": "--prerelease" in options}
        self.notes.write_text(json.dumps(noted))
        return f"https://github.com/{os.environ['GITHUB_REPOSITORY']}/releases/tag/{tag}"

    def view(self, tag: str) -> str:
        """`gh release view`."""
        self.granted("contents", "read", "write")
        if tag not in self.noted()["releases"]:
            raise Refused("release not found")
        return json.dumps({"tagName": tag})

    def start(self, workflow: str, branch: str) -> str:
        """`gh workflow run`."""
        self.granted("actions", "write")
        file = git(self.origin, "show", f"{branch}:.github/workflows/{workflow}")
        if "workflow_dispatch:" not in file:
            raise Refused("HTTP 422: Workflow does not have 'workflow_dispatch' trigger")
        noted = self.noted()
        noted["started"].append([workflow, branch])
        self.notes.write_text(json.dumps(noted))
        return ""


def main(words: list[str]) -> int:
    """0 with the answer on stdout; 1 with the refusal on stderr; 2 for what is not played."""
    try:
        hub = Hub()
        match words:
            case ["api", "-X", ("POST" | "PATCH") as method, path, *pairs]:
                fields = dict(one.split("=", 1) for one in pairs[1::2])
                print(hub.ref(method, path, fields))
            case ["release", "create", tag, *rest]:
                print(hub.create(tag, rest))
            case ["release", "view", tag, "--json", "tagName"]:
                print(hub.view(tag))
            case ["workflow", "run", workflow, "--ref", branch]:
                print(hub.start(workflow, branch))
            case _:
                print(f"gh: this is not played here: {words}", file=sys.stderr)
                return 2
    except Refused as refused:
        print(refused, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
