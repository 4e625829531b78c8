"""The lab's images: official ones where Docker Hub answers, else made from Debian packages."""

from __future__ import annotations

import hashlib
import platform
import shutil
import tempfile
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple, dataclass
from pathlib import Path

from lab import debian, debootstrap, state
from lab.docker import ensure_engine, version
from lab.errors import LabError
from lab.shell import docker

HERE = Path(__file__).parent
CADDY = (2, 11, 4)
HUB = "https://registry-1.docker.io/v2/"
RECIPE = "homeport.lab.recipe"
SUITE_OF_HOSTS = "bookworm"
Talk = Callable[[str], None]


@dataclass(frozen=True)
class Images:
    """The tags of the lab's images on this machine's Docker."""

    python: str = "homeport-lab/python:3.13"
    edge: str = "homeport-lab/caddy:2.11.4"
    registry: str = "homeport-lab/registry:2"
    host_systemd: str = "homeport-lab/host:systemd"
    host_cron: str = "homeport-lab/host:cron"


OFFICIAL = {
    Images.python: "python:3.13-slim",
    Images.edge: "caddy:2.11.4",
    Images.registry: "registry:2",
}


def _digest(paths: list[Path], *words: str) -> str:
    """A short hash of files' names and contents and of further words."""
    sum_ = hashlib.sha256(" ".join(words).encode())
    for path in sorted(paths):
        sum_.update(path.name.encode() + b"\0")
        sum_.update(path.read_bytes() if path.is_file() else b"absent")
    return sum_.hexdigest()[:16]


def _base_recipe() -> str:
    try:
        source = debian.own_source().entry(debian.release()["VERSION_CODENAME"])
    except LabError:
        source = "none: this machine pulls its base images"
    paths = [HERE / "debootstrap.py", debootstrap.CA_BUNDLE]
    return _digest(paths, platform.machine(), source)


def recipe() -> str:
    """The hash of everything the images are made from; the same means nothing is to be done."""
    parts = [HERE / "images.py", HERE / "debian.py", *HERE.glob("*.dockerfile")]
    return _digest([*parts, *(HERE / "files").iterdir()], _base_recipe())


def _labels(tags: list[str]) -> list[str]:
    """The recipe label of each tag that exists; shorter than `tags` where one is missing."""
    show = '{{index .Config.Labels "' + RECIPE + '"}}'
    done = docker("image", "inspect", "--format", show, *tags, check=False)
    return done.stdout.decode().split()


def hub_answers(limit: float = 5.0) -> bool:
    """Whether Docker Hub's registry answers within `limit` seconds, name lookup included."""
    answered = threading.Event()

    def ask() -> None:
        try:
            urllib.request.urlopen(HUB, timeout=limit).close()
        except urllib.error.HTTPError as refused:
            # 401 is how the registry greets those without a token; a gate's 403 is no registry.
            if refused.code == 401:
                answered.set()
        except OSError:
            return
        else:
            answered.set()

    asker = threading.Thread(target=ask, daemon=True)
    asker.start()
    asker.join(limit)
    return answered.is_set()


@dataclass(frozen=True)
class _Maker:
    """One run of making the images: where it works, for which recipe, and whether Hub answers."""

    context: Path
    recipe: str
    hub: bool
    talk: Talk

    def build(self, file: str, tag: str, base: str, target: str = "") -> None:
        """Build a dockerfile of ours on that base, up to that target, into that tag."""
        self.talk(f"building {tag}")
        self._build(
            tag, "-f", str(HERE / file), *(["--target", target] if target else []), base=base
        )

    def adopt(self, tag: str) -> None:
        """Take the official image under the lab's tag, pulling it where it is absent."""
        self.talk(f"pulling {OFFICIAL[tag]}")
        file = self.context / f"adopt-{hashlib.sha256(tag.encode()).hexdigest()[:8]}"
        file.write_text(f"FROM {OFFICIAL[tag]}\n", encoding="utf-8")
        self._build(tag, "-f", str(file), base="")

    def _build(self, tag: str, *more: str, base: str) -> None:
        given = ["--build-arg", f"BASE={base}"] if base else []
        if base and "python" not in tag:
            newer = {"NEWER_SUITE": debian.NEWER_SUITE, "NEWER": " ".join(debian.NEWER)}
            given += [word for pair in newer.items() for word in ("--build-arg", "=".join(pair))]
        # Not the lab's own label: what people build on these images inherits labels, and
        # `down --all` must not take a container of theirs for one of ours.
        labels = ["--label", f"{RECIPE}={self.recipe}"]
        docker("build", "-q", "-t", tag, *more, *given, *labels, str(self.context), timeout=900)

    def base(self, suite: str) -> str:
        """The Debian base image of that suite, made here where it cannot be pulled."""
        if self.hub:
            return f"debian:{suite}-slim"
        tag, wanted = f"homeport-lab/base:{suite}", _base_recipe()
        if _labels([tag]) != [wanted]:
            debootstrap.make_base(suite, tag, {RECIPE: wanted}, self.talk)
        return tag

    def python(self) -> None:
        """The base image of Python apps."""
        if self.hub:
            return self.adopt(Images.python)
        return self.build("python.dockerfile", Images.python, self.base("trixie"))

    def services(self, base: str) -> None:
        """Edge and registry, and the edge's archive for the hosts to load."""
        for tag, target in ((Images.edge, "caddy"), (Images.registry, "registry")):
            if self.hub:
                self.adopt(tag)
            else:
                self.build("services.dockerfile", tag, base, target)
        docker("save", "-o", str(self.context / "edge.tar"), Images.edge)

    def hosts(self) -> None:
        """Both flavours of host, with the services made while their common part is built."""
        base = self.base(SUITE_OF_HOSTS)
        with ThreadPoolExecutor() as pool:
            common = pool.submit(
                self.build, "host.dockerfile", "homeport-lab/host:common", base, "common"
            )
            self.services(base)
            common.result()
        for tag, target in ((Images.host_cron, "cron"), (Images.host_systemd, "systemd")):
            self.build("host.dockerfile", tag, base, target)


def _check_caddy() -> None:
    said = docker("run", "--rm", Images.edge, "caddy", "version").stdout.decode()
    if version(said) < CADDY:
        raise LabError(
            "The lab's Caddy is too old to be an edge.",
            f"{said.strip()!r}, and older than 2.11.4 loses bodies of retried requests",
            f"docker image rm {Images.edge}, and see which Caddy Debian {debian.NEWER_SUITE} has",
        )


def ensure_images(talk: Talk) -> Images:
    """Make sure that the lab's images are on this machine's Docker.

    The second call compares one hash and returns; the first takes minutes where the images
    have to be made from Debian packages.

    Args:
        talk: gets a line for each image made.

    Returns:
        Their tags.

    Raises:
        LabError: no engine, no package source, or a build failed; with its last lines.
    """
    tags, wanted = [str(tag) for tag in astuple(Images())], recipe()
    if _labels(tags) == [wanted] * len(tags):
        return Images()
    ensure_engine(talk)
    with state.lock("images"), tempfile.TemporaryDirectory(prefix="homeport-lab-") as folder:
        if _labels(tags) == [wanted] * len(tags):
            return Images()
        for path in (HERE / "files").iterdir():
            shutil.copy(path, folder)
        maker = _Maker(Path(folder), wanted, hub_answers(), talk)
        talk("Docker Hub answers" if maker.hub else "Docker Hub does not answer: from Debian, then")
        with ThreadPoolExecutor() as pool:
            both = [pool.submit(maker.python), pool.submit(maker.hosts)]
            for future in both:
                future.result()
        _check_caddy()
    return Images()
