"""What a compose file takes from the host's disk that no deploy makes."""

from __future__ import annotations

from dataclasses import dataclass

from homeport.core.service import Table, mounts


@dataclass(frozen=True)
class Needed:
    """A file or folder that must be on the host before Docker makes an empty folder in its place.

    ``copy`` is what to bring into the app's folder; "" for what lies elsewhere.
    """

    path: str
    where: str
    copy: str = ""


def needed(resolved: Table, names: tuple[str, ...], file: str, folder: str) -> tuple[Needed, ...]:
    """What the services of these names would miss: files, what is only read, folders elsewhere."""
    found: dict[str, str] = {}
    for name in names:
        one, at = (resolved.get("services") or {}).get(name) or {}, f"{file}: services.{name}"
        for mount in mounts(one):
            path = str(mount.get("source", ""))
            file_like = "." in path.rpartition("/")[2].lstrip(".")
            made = path.startswith(folder + "/") and not file_like
            if mount.get("type") == "bind" and (mount.get("read_only") or not made):
                found.setdefault(path, f"{at}.volumes")
        for entry in one.get("env_file") or []:
            if isinstance(entry, dict) and entry.get("required", True):
                found.setdefault(str(entry["path"]), f"{at}.env_file")
        for key in ("secrets", "configs"):
            for entry in one.get(key) or []:
                file_ = ((resolved.get(key) or {}).get(entry["source"]) or {}).get("file")
                if file_:
                    found.setdefault(str(file_), f"{file}: {key}.{entry['source']}")
    mine = (f"{folder}/app.env", f"{folder}/.env")
    return tuple(
        Needed(path, at, path[len(folder) + 1 :].split("/")[0] * path.startswith(folder + "/"))
        for path, at in sorted(found.items())
        if path not in mine
    )
