"""README's path from a Pi and a Flask app to a live one, typed as it stands there.

What differs from what a person types: the host's address, and what stands in for the base image
where Docker Hub is out of reach. Questions are answered at a real terminal.
"""

from __future__ import annotations

import os
import pty
import re
import secrets
import select
import shutil
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from bench.images import TOP
from bench.stage import PASSWORD
from lab import hosts, state
from lab.images import ensure_images
from lab.load import Load, Result
from lab.shell import docker

README = (TOP / "README.md").read_text(encoding="utf-8")
STEP = re.compile(r"<!-- path: (\w+) -->\n```sh\n(.*?)```", re.DOTALL)
FILE = re.compile(r"<!-- file: ([\w.-]+) -->\n```\w+\n(.*?)```", re.DOTALL)
ORDER = ("init", "setup", "settings", "first", "open", "second", "back", "status")
APP = "flaskr"
HOST = "readme"
PATIENCE = 300.0
KEEP = os.environ.get("HOMEPORT_KEEP_LAB", "") == "1"


@dataclass(frozen=True)
class Laptop:
    """Where a person types: a home, a terminal, the app's folder, and a Pi on the network."""

    home: Path
    app: Path
    host: hosts.LabHost
    env: dict[str, str]

    @property
    def url(self) -> str:
        """Where README says that the app answers."""
        return f"http://{self.host.address}:5000"

    def type(self, commands: str, answers: Sequence[tuple[str, str]] = ()) -> str:
        """Type commands, answer each question in its turn; what the terminal showed.

        Raises AssertionError with that text where a command fails, a question does not come, or
        there is no end within five minutes.
        """
        argv = ["setsid", "--ctty", "sh", "-e", "-c", self.here(commands)]
        screen, keyboard = pty.openpty()
        shell = subprocess.Popen(
            argv, cwd=self.app, env=self.env, stdin=keyboard, stdout=keyboard, stderr=keyboard
        )
        os.close(keyboard)
        try:
            shown = converse(screen, list(answers), time.monotonic() + PATIENCE)
            assert shell.wait(10) == 0, f"{commands}ended with {shell.returncode}:\n{shown}"
        finally:
            os.close(screen)  # a terminal that goes away takes what runs on it along
            shell.wait(10)
        return shown

    def here(self, text: str) -> str:
        """README's text with this host's address."""
        return text.replace("pi.local", self.host.address)

    def page(self) -> str:
        """The app's page, as a browser gets it."""
        with urllib.request.urlopen(self.url, timeout=35) as answer:
            return str(answer.read().decode())

    def write(self, title: str) -> None:
        """Write a post, as a reader of the blog's page would."""
        form = urllib.parse.urlencode({"title": title, "body": "typed by a stranger"}).encode()
        with urllib.request.urlopen(self.url, data=form, timeout=35) as answer:
            assert title in answer.read().decode()

    def on_host(self, *argv: str) -> str:
        """What a program on the host prints, past SSH and past Homeport."""
        return hosts.run(self.host, list(argv)).stdout.decode()


def converse(screen: int, answers: list[tuple[str, str]], deadline: float) -> str:
    """Read the terminal to its end, answering; AssertionError where that does not come to be."""
    shown, read_to = "", 0
    while True:
        left = deadline - time.monotonic()
        assert left > 0 and select.select([screen], [], [], left)[0], f"no end:\n{shown}"
        try:
            chunk = os.read(screen, 65536)
        except OSError:  # the last program on this terminal has ended
            chunk = b""
        if not chunk:
            assert not answers, f"never asked: {answers[0][0]}\n{shown}"
            return shown
        shown += chunk.decode("utf-8", "replace").replace("\r\n", "\n")
        if answers and re.search(answers[0][0], shown[read_to:]):
            read_to = len(shown)
            os.write(screen, answers.pop(0)[1].encode() + b"\n")


@pytest.fixture
def laptop(tmp_path: Path) -> Iterator[Laptop]:
    """A laptop that has never met the Pi, with the stranger's app on it."""
    # the name of the image is README's, so that two checkouts on one machine take turns
    with state.lock("readme"):
        hosts.down(HOST)
        yield buy(tmp_path, hosts.up(HOST))
        if not KEEP:
            hosts.down(HOST)
        shown = docker("image", "ls", "--format", "{{.Repository}}:{{.Tag}}").stdout.decode()
        ours = re.compile(rf"(homeport\.local/{APP}|{APP}-web):.*")
        tags = [tag for tag in shown.split() if ours.fullmatch(tag)]
        if tags:
            docker("image", "rm", *tags)


def buy(folder: Path, host: hosts.LabHost) -> Laptop:
    """A new laptop: the person's key, the stranger's app, and Homeport installed."""
    home, app, bin_ = folder / "home", folder / APP, folder / "bin"
    shutil.copytree(Path(__file__).with_name("strangerapp"), app)
    (app / ".env").write_text(f"SECRET_KEY={secrets.token_urlsafe(32)}\n")
    (home / ".ssh").mkdir(parents=True, mode=0o700)
    for key in (host.key, host.key.with_suffix(".pub")):
        shutil.copy(key, home / ".ssh" / key.name)
    bin_.mkdir()
    program(bin_ / "homeport", f'exec "{sys.executable}" -m homeport.control.cli "$@"')
    # OpenSSH looks in the home that /etc/passwd names, whatever $HOME says
    known = home / ".config" / "homeport" / "known_hosts"
    program(
        bin_ / "scp",
        f'exec "{shutil.which("scp")}" -i "{home}/.ssh/{host.key.name}" -o IdentitiesOnly=yes '
        f'-o UserKnownHostsFile="{known}" -o StrictHostKeyChecking=yes "$@"',
    )
    base, lab = ensure_images(lambda _: None).python, folder / "base.yaml"
    lab.write_text(f"services: {{web: {{build: {{args: {{BASE: {base}}}}}}}}}\n")
    strange = re.compile(r"HOMEPORT_|GITHUB_|COMPOSE_|XDG_|SSH_|CI$|DISPLAY$")
    env = {name: text for name, text in os.environ.items() if not strange.match(name)}
    env |= {"HOME": str(home), "TERM": "dumb", "PYTHONPATH": str(TOP / "deploy")}
    env |= {"PATH": f"{bin_}:{env['PATH']}", "COMPOSE_FILE": f"docker-compose.yml:{lab}"}
    return Laptop(home, app, host, env)


def program(path: Path, line: str) -> None:
    """A program of one line of shell."""
    path.write_text(f"#!/bin/sh\n{line}\n")
    path.chmod(0o755)


def fingerprint(laptop: Laptop) -> str:
    """The host key's fingerprint, as the Pi's own screen shows it."""
    return laptop.on_host("ssh-keygen", "-lf", "/etc/ssh/ssh_host_ed25519_key.pub").split()[1]


def typed_under_load(laptop: Laptop, commands: str) -> tuple[str, Result]:
    """Type commands while readers ask for the page twenty times a second."""
    load = Load(laptop.url, rate=20, mix={"read": 1}, paths={"read": "/"})
    load.start()
    try:
        shown = laptop.type(commands)
    finally:
        result = load.stop()
    return shown, result


def all_answered(result: Result, held: str) -> None:
    """Every request was answered well, some of them after a wait: the hold was no empty claim."""
    bad = [(one.status, one.error, one.edge) for one in result.requests if one.outcome != "ok"]
    assert not bad
    assert len(result.requests) > 400
    seconds = re.search(r"requests were held ([\d.]+) s", held)
    assert seconds, held
    longest = max(one.latency for one in result.requests)
    assert longest > 0.5 * float(seconds[1]) > 0


@pytest.mark.lab
def test_readme_path_works_as_typed(laptop: Laptop) -> None:
    """Whoever types README's path gets what README says, and no reader of the app a failure."""
    step = dict(STEP.findall(README))
    assert tuple(step) == ORDER

    laptop.type(step["init"], [(r"Path that answers 200 .*\[/\]: $", "")])
    told = dict(FILE.findall(README))["homeport.toml"]
    assert (laptop.app / "homeport.toml").read_text() == laptop.here(told)

    questions = [
        (re.escape(fingerprint(laptop)) + r"(.|\n)*Is it the same\? \[y/N\] $", "y"),
        (r"Go on\? \[y/N\] $", "y"),
        (r"Password for sudo on .*: $", PASSWORD),
    ]
    shown = laptop.type(step["setup"], questions)
    assert PASSWORD not in shown
    # the host says the next two commands of README by itself
    assert laptop.here(step["settings"]).strip() in shown
    assert "docker compose build, then homeport deploy --from-local" in shown

    laptop.type(step["settings"])
    kept = f"/opt/{APP}/app.env"
    assert laptop.on_host("cat", kept) == (laptop.app / ".env").read_text()
    assert laptop.on_host("stat", "-c", "%U %a", kept).split() == ["homeport", "600"]

    shown = laptop.type(step["first"])
    assert "is live" in shown and f"open it:  {laptop.url}/" in shown
    assert "<h1>My blog</h1>" in laptop.type(step["open"])
    laptop.write("The first post")

    page = laptop.app / "flaskr" / "templates" / "index.html"
    page.write_text(page.read_text().replace("My blog", "My better blog"))
    shown, result = typed_under_load(laptop, step["second"])
    assert ", recreate," in shown
    all_answered(result, shown)
    assert "My better blog" in laptop.page() and "The first post" in laptop.page()
    laptop.write("The second post")

    shown, result = typed_under_load(laptop, step["back"])
    all_answered(result, shown)
    now = laptop.page()
    assert "<h1>My blog</h1>" in now and "The first post" in now and "The second post" in now

    shown = laptop.type(step["status"])
    assert re.search(r"^flaskr: r0001-\w{7} serves, healthy", shown, re.MULTILINE)
    assert re.search(r"^  r0002-\w{7} .*rollback: ", shown, re.MULTILINE)
