"""MyFoodBudget's image as it ships, and versions of it made by one layer on top."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lab import state
from lab.images import ensure_images
from lab.registry import ensure_registry

TOP = Path(__file__).resolve().parents[2]
#: two checkouts on one machine may test at once, each with hosts and images of its own
MARK = hashlib.sha256(str(TOP).encode()).hexdigest()[:4]
LAYER = TOP / "deploy" / "lab" / "loadlayer"
LATER = TOP / "deploy" / "lab" / "later" / "0003_points.py"
#: v2 looks different; v3 answers pages and is not ready
VERSIONS: Mapping[str, Mapping[str, Any]] = {
    "v1": {"version": "v1", "accent": "#2f6f4f"},
    "v2": {"version": "v2", "accent": "#8a3ffc"},
    "v3": {"version": "v3", "accent": "#b3261e", "ready": 503},
}


def docker(*arguments: str) -> str:
    """Run docker; its stdout. Raises RuntimeError with the end of what it said."""
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, timeout=900)
    if done.returncode != 0:
        tail = "\n".join((done.stdout + done.stderr).strip().splitlines()[-15:])
        raise RuntimeError(f"docker {arguments[0]} failed:\n{tail}")
    return done.stdout.strip()


def push(ref: str) -> None:
    """Push an image to the lab's registry, one at a time.

    Two that push the same one at once may meet a file of the registry's that is half written, which
    it answers with 500.
    """
    with state.lock("push"):
        docker("push", "-q", ref)


def production(talk: Callable[[str], None]) -> str:
    """Build the image that ships; its tag on this machine."""
    base = ensure_images(talk).python
    tag = f"homeport-lab/foodbudget-{MARK}:production"
    talk("building MyFoodBudget's image")
    docker("build", "-q", "-t", tag, "--build-arg", f"BASE={base}", str(TOP))
    return tag


def later(talk: Callable[[str], None]) -> str:
    """Build the image of a later commit of the app, which brings a migration; its tag."""
    base = ensure_images(talk).python
    tag = f"homeport-lab/foodbudget-{MARK}:later"
    talk("building a later MyFoodBudget, with a migration")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for part in ("foodbudget", "migrations", "deploy/pipeline"):
            shutil.copytree(TOP / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
        for part in ("app_factory.py", "config.py", "gunicorn.conf.py", "requirements.txt"):
            shutil.copy(TOP / part, folder)
        shutil.copy(LATER, folder / "migrations" / "versions")
        schema = folder / "foodbudget" / "versions.py"
        text = schema.read_text()
        schema.write_text(text.replace('HEAD = "0002"', 'HEAD = "0003"'))
        if schema.read_text() == text:
            raise RuntimeError("the app's newest migration is not 0002 any more")
        dockerfile = ["-f", str(TOP / "Dockerfile")]
        docker("build", "-q", "-t", tag, "--build-arg", f"BASE={base}", *dockerfile, name)
    return tag


def versions(
    talk: Callable[[str], None], names: tuple[str, ...] = tuple(VERSIONS)
) -> dict[str, str]:
    """Build versions on top of the image that ships and push them; name → reference."""
    registry = ensure_registry(talk)
    ships = production(talk)
    made = {}
    for name in names:
        talk(f"building version {name}")
        made[name] = version(ships, registry, name, VERSIONS[name])
    return made


def version(ships: str, registry: str, name: str, behaviour: Mapping[str, Any]) -> str:
    """Build and push one version that behaves so; its reference in the registry."""
    ref = f"{registry}/foodbudget-{MARK}:{name}"
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(LAYER, folder, dirs_exist_ok=True)
        (Path(folder) / "behaviour.json").write_text(json.dumps(behaviour))
        docker("build", "-q", "-t", ref, "--build-arg", f"APP_IMAGE={ships}", folder)
    push(ref)
    return ref
