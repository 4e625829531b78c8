"""What ``homeport setup`` does for copies off the box: restic where it is missing, and its keys."""

from __future__ import annotations

from homeport.control.survey import Survey
from homeport.core import restic
from homeport.model import Settings


def asked(settings: Settings) -> bool:
    """Whether homeport.toml names a repository."""
    return bool(_repository(settings))


def tell(found: Survey, settings: Settings) -> list[str]:
    """What will be done about it, and what stays a person's to do; a line each."""
    if not asked(settings):
        return []
    lines = [f"For the copies off the box ({restic.shown(_repository(settings))}):"]
    if not found["restic"] and found["apt"]:
        lines.append("  the package restic, by apt-get")
    elif restic.version(found["restic"]) < restic.LEAST:
        lines.append("  restic 0.12 or newer is missing: install it with this system's packages")
    path = f"/opt/{settings.app}/restic.env"
    lines.append(f"  {path} for its password, readable by homeport only, unless it is there")
    lines.append(f"  yours to write into it: {restic.PASSWORD}=…; without it nobody, not even you,")
    lines.append("  can read the copies, so keep it off this host too")
    return [*lines, ""]


def _repository(settings: Settings) -> str:
    return settings.backup.offsite if settings.backup else ""
