"""`make base`: whether the base image has moved since the last image was published."""

from __future__ import annotations

import os
import sys
from typing import Any

from pipeline import builder, github, names, skopeo
from pipeline.errors import told
from pipeline.release import asked

LABEL = "org.opencontainers.image.base.digest"


def moved(labels: dict[str, Any], layers: list[str], base: dict[str, Any]) -> tuple[bool, str]:
    """Whether an image stands on an older base, and how that was seen.

    Args:
        labels: the published image's.
        layers: the digests of its layers, lowest first.
        base: what the base's registry says of it: ``Digest`` and ``Layers``.
    """
    said = labels.get(LABEL, "")
    if said:
        now = str(base["Digest"])
        return said != now, f"built on {said}, the base is {now} now"
    same = layers[: len(base["Layers"])] == base["Layers"]
    return not same, "its lowest layers are " + ("the base's" if same else "not the base's")


def main() -> int:
    """Gives the output ``moved``; reads REPOSITORY."""
    place = names.repository(os.environ.get("REPOSITORY", ""))
    name = builder.base_name(builder.DOCKERFILE.read_text(encoding="utf-8"))
    skopeo.ensure(github.say)
    if not skopeo.digest(f"{place}:main", absent_is_denied=True):
        text = f"Nothing is published as {place}:main yet, so nothing can be out of date."
        github.summary(text)
        github.output("moved", "false")
        github.say(text)
        return 0
    base, ours = skopeo.inspect(name), skopeo.inspect(f"{place}:main")
    answer, why = moved(ours.get("Labels") or {}, ours["Layers"], base)
    github.output("moved", "true" if answer else "false")
    github.summary(f"Base image `{name}`: {'moved' if answer else 'unchanged'} ({why}).")
    print("moved" if answer else "unchanged")
    github.say(why)
    return 0


def ship() -> int:
    """`make ship`: starts CD on main, which builds on the new base, tests, and ships."""
    asked("gh", "workflow", "run", "cd.yml", "--ref", "main")
    github.summary("CD was started: it builds on the new base, tests, and ships.")
    return 0


if __name__ == "__main__":
    sys.exit(told(ship if sys.argv[1:] == ["ship"] else main))
