"""Which image is meant: by name from a registry, from this machine, or by the compose file."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

from homeport.control import credentials, reference, registry
from homeport.core import words
from homeport.errors import ComposeError, ImageMissing, UsageError
from homeport.model import Image, Settings

TIMEOUT = 60


def from_registry(name: str) -> tuple[Image, str]:
    """The image and the ``X-Registry-Auth`` for the host; raises UsageError, RegistryError."""
    try:
        ref = reference.parse(name)
    except ValueError as error:
        raise UsageError.of(
            "that is no image",
            words.sentence(name, 80),
            words.sentence(str(error)),
            "homeport deploy ghcr.io/ME/APP:TAG",
        ) from None
    login = credentials.find(ref.login)
    image = registry.resolve(ref, login, name)
    return image, login.registry_auth() if login is not None else ""


def from_local(name: str, app: str) -> Image:
    """An image of this machine, tagged by its id so that only this very one can be meant."""
    found = _docker(["image", "inspect", name])
    if found.returncode:
        raise ImageMissing.of(
            "this machine has no such image",
            name,
            found.stderr.strip(),
            f"docker compose build, or docker build -t {name} . , then the same again",
        )
    data = json.loads(found.stdout)[0]
    ref = f"homeport.local/{app}:{data['Id'].split(':')[-1][:12]}"
    tagged = _docker(["tag", name, ref])
    if tagged.returncode:
        raise ImageMissing.of("it cannot be tagged", name, tagged.stderr.strip(), "docker info")
    parts = [data.get("Os", "linux"), data.get("Architecture", ""), data.get("Variant", "")]
    platform = "/".join(part for part in parts if part)
    return Image(ref, "", (platform,), int(data.get("Size", 0)))


def named(compose: str, service: str) -> str:
    """The image that a compose file's text names for a service, read without Compose; "" if unsure.

    Good enough to know its registry by: the service's own ``image:`` line, with this machine's
    variables, as far as each stands for itself or has a default.
    """
    name = f"[\"']?{re.escape(service)}[\"']?"
    head = rf"^services:[ \t]*\n(?:.*\n)*?([ \t]+){name}:[ \t]*\n"
    # its block: what is set in deeper than its name
    block = re.search(rf"{head}((?:\1[ \t]+.*\n|[ \t]*\n)*)", compose + "\n", re.MULTILINE)
    line = re.search(r"^[ \t]+image:[ \t]*([^\s#]+)", block[2], re.MULTILINE) if block else None
    text = line[1].strip("\"'") if line else ""
    text = re.sub(r"\$\{(\w+)(?::?-([^}]*)|:?\?[^}]*)?\}", _variable, text)
    return "" if "$" in text else text


def _variable(found: re.Match[str]) -> str:
    return os.environ.get(found[1]) or found[2] or "$"


def of_compose(path: Path, settings: Settings, local: bool = False) -> str:
    """The image that the compose file names for the web service, with this machine's variables.

    ``local``: a service that is only built has the name that ``docker compose build`` gives it.
    """
    service = settings.web.service
    try:
        data = read_compose(path)
    except ComposeError:
        # what is set on the host alone is missing here, and may not matter for the image's name
        data = read_compose(path, interpolate=False)
        web = (data.get("services") or {}).get(service) or {}
        if "$" in str(web.get("image") or ""):
            raise
    services = data.get("services", {})
    if service not in services:
        raise ComposeError.of(
            f"it has no service {service!r}",
            str(path),
            f"it has {', '.join(sorted(services)) or 'none'}",
            "homeport.toml: [web] service",
        )
    image = services[service].get("image")
    if not image and local and "build" in services[service]:
        image = f"{data['name']}-{service}"
    if not image:
        raise UsageError.of(
            "which image?",
            f"{path}: {service}",
            "the service has no image:",
            "homeport deploy IMAGE; or docker compose build, then homeport deploy --from-local",
        )
    return str(image)


def read_compose(path: Path, interpolate: bool = True) -> dict[str, Any]:
    """The compose file as Compose itself reads it, with this machine's variables or with none.

    Raises ComposeError, with Compose's own words, where it does not like it; UsageError where
    there is no Compose here.
    """
    if not path.is_file():
        raise ComposeError.of("there is no such file", str(path), mend="homeport.toml: compose")
    base = ["compose", "-f", str(path), "config", "--format", "json"]
    base += [] if interpolate else ["--no-interpolate"]
    done = _docker([*base, "--no-env-resolution"])
    if done.returncode and re.search(r"unknown (flag|shorthand)", done.stderr):
        done = _docker(base)
    if done.returncode == 127 or "is not a docker command" in done.stderr:
        raise UsageError.of(
            "Docker Compose is needed on this machine to read the compose file",
            str(path),
            done.stderr.strip(),
            "homeport deploy IMAGE needs none; or install docker and docker compose",
        )
    if done.returncode:
        mend = f"correct it; docker compose -f {path} config shows the same"
        raise ComposeError.of("Compose refuses the file", str(path), done.stderr.strip(), mend)
    data: dict[str, Any] = json.loads(done.stdout)
    return data


def engine_here() -> str:
    """The version of this machine's own Docker Engine; "" where none answers."""
    found = _docker(["version", "--format", "{{.Server.Version}}"])
    return found.stdout.strip() if found.returncode == 0 else ""


def _docker(arguments: list[str]) -> subprocess.CompletedProcess[str]:
    argv = ["docker", *arguments]
    try:
        return subprocess.run(argv, capture_output=True, text=True, timeout=TIMEOUT)
    except FileNotFoundError:
        return subprocess.CompletedProcess(argv, 127, "", "there is no docker here")
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(argv, 124, "", f"no answer in {TIMEOUT} s")
