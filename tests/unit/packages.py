"""A package of the shape of ours whose agent is a test's own, for what talks to an agent."""

from __future__ import annotations

from pathlib import Path

from homeport.control import bundle


def make_package(folder: Path, agent: str) -> Path:
    """Write the package into a folder that is not there yet; the folder."""
    for name in ("core", "host"):
        (folder / name).mkdir(parents=True)
        (folder / name / "__init__.py").write_text("")
    for name in bundle.SHARED:
        (folder / name).write_text("")
    (folder / "host" / "agent.py").write_text(agent)
    return folder
