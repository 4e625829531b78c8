"""Every wrong input is told: exit code, reason, the command or edit that mends it, nothing changed.

Each case types the real command line. What needs no host is asked without one; the rest meets a
lab host on which an app is live, and the whole host is compared before and after.
"""

from __future__ import annotations

import os
import re
import shlex
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from getpass import getuser
from pathlib import Path
from typing import Any

import pytest

from bench import evidence
from bench.stage import Ran, Stage
from conftest import MARK, talk
from lab import hosts
from scenario import Typed as InBackground
from scenario import second_app
from wrong import COMPOSE, RESULTS, TOML, Case, Typed, counted, fingerprint, unchanged

pytestmark = pytest.mark.lab

HERE = Path(__file__).resolve().parent
#: a host that is never reached: an address for documents
NOWHERE = "192.0.2.1"
NO_HOST = TOML.replace("{address}", "")


def toml(text: str, top: str = 'app = "blog"\n') -> str:
    """A homeport.toml with other sections."""
    return top + text


SETTINGS = [
    Case("no homeport.toml", "status", 10, ("homeport init, or --settings FILE",), toml=None),
    Case("a folder in its place", "status --settings .", 10, ("homeport init writes a new one",)),
    Case("not TOML", "status", 10, ("line 2", "homeport.example.toml"), toml("[web\n")),
    Case("not UTF-8", "status", 10, ("UTF-8",), b'app = "\xff"\n'),
    Case("no app", "status", 10, ("app: it is missing", 'app = "NAME"'), "[web]\n"),
    Case("a bad name", "status", 10, ("up to 32 characters",), 'app = "My Blog"\n'),
    Case("an unknown key", "status", 10, ("did you mean ready?",), toml('[web]\nrady = "/"\n')),
    Case("an unknown section", "status", 10, ("did you mean web?",), toml("[wbe]\nport = 1\n")),
    Case(
        "another section's key",
        "status",
        10,
        ("it belongs in [deploy]",),
        toml('[web]\ndrain = "1s"\n'),
    ),
    Case("a wrong type", "status", 10, ("write true or false",), toml('[web]\nstandby = "on"\n')),
    Case("a duration with no unit", "status", 10, ('"9s"',), toml("[deploy]\ndrain = 9\n")),
    Case("a port out of range", "status", 10, ("from 1 to 65535",), toml("[web]\nport = 99999\n")),
    Case(
        "name and port",
        "status",
        10,
        ("name and port exclude each other", "keep one of them"),
        toml('[site]\nname = "a.lan"\nport = 81\n'),
    ),
    Case(
        "a smoke check with no path",
        "status",
        10,
        ("[[smoke]] 1 path: it is missing", 'path = "/"'),
        toml("[[smoke]]\nstatus = 200\n"),
    ),
    Case(
        "three mistakes at once",
        "status",
        10,
        ("app: ", "[web] port: ", "[deploy] handover: ", 'did you mean "overlap"?'),
        'app = "A"\n[web]\nport = 0\n[deploy]\nhandover = "overlp"\n',
    ),
]

WORDS = [
    Case("no verb", "", 2, ("homeport --help",)),
    Case("an unknown verb", "deplyo", 2, ("did you mean homeport deploy?",)),
    Case("an unknown option", "deploy --froce", 2, ("did you mean --force?",)),
    Case("half an option", "deploy --forc", 2, ("did you mean --force?",)),
    Case("a word too many", "rollback r0001 r0002", 2, ("r0002: that is one word too many",)),
    Case("a release that is none", "rollback latest", 2, ("as in r0042-1a2b3c4",)),
    Case("an image that is none", "deploy Blog:1", 2, ("homeport deploy ghcr.io/ME/",)),
    Case("no host", "status", 2, ("--host USER@ADDRESS, or address = …",), NO_HOST),
    Case("a host that is none", "status --host pi@a@:x", 2, ("--host user@address[:port]",)),
    Case("a watch with no unit", "deploy x --monitor 5", 2, ('write a number and a unit: "10s"',)),
    Case("lines that are no number", "logs -n many", 2, ("homeport logs --help",)),
    Case("remove, and nobody to ask", "remove", 2, ("--yes says yes",)),
    Case("a freeze with no reason", "freeze", 2, ("homeport freeze --help",)),
    Case("init without a compose file", "init", 11, ("looked for",), None, None),
    Case("setup without a host", "setup", 2, ("homeport setup --host USER@ADDRESS",), NO_HOST),
]

INCLUDES = """\
include: [more.yaml]
services:
  web:
    extends:
      file: base.yaml
      service: web
    label_file: labels
"""
FILES = [
    Case("no compose file", "deploy x", 11, ("correct the path there",), compose=None),
    Case("a compose file not in UTF-8", "deploy x", 11, ("correct the path",), compose=b"\xff\xfe"),
    Case(
        "a compose file in pieces",
        "deploy x",
        11,
        ("include takes", "extends: file takes", "label_file takes", "-o compose.homeport.yaml"),
        compose=INCLUDES,
    ),
    Case(
        "no such service, and no image given",
        "deploy",
        11,
        ("it has app", "homeport.toml: [web] service"),
        compose="services: {app: {image: x}}\n",
    ),
    Case(
        "a service that is only built",
        "deploy",
        2,
        ("homeport deploy --from-local",),
        compose="services: {web: {build: .}}\n",
    ),
    Case(
        "YAML that is none, and no image given",
        "deploy",
        11,
        ("docker compose -f docker-compose.prod.yml config",),
        compose="services: [\n",
    ),
    Case(
        "an image this machine has not",
        "deploy nosuch:1 --from-local",
        41,
        ("docker build -t nosuch:1 .",),
    ),
]

D = "127.0.0.1:{double}"
REGISTRY = [
    Case("a registry's 401", f"deploy {D}/401/app:1", 40, (f"docker login {D}",)),
    Case("a registry's 403", f"deploy {D}/403/app:1", 40, (f"docker login {D}",)),
    Case("a registry's 404", f"deploy {D}/404/app:1", 41, ("push it first",)),
    Case("a registry's 429", f"deploy {D}/429/app:1", 40, ("429", "docker login")),
    Case("a registry's 500", f"deploy {D}/500/app:1", 40, ("HTTP 500", "wait a minute")),
    Case("a router's page", f"deploy {D}/garbage/app:1", 40, ("is that a registry?",)),
    Case(
        "another digest than asked for",
        f"deploy {D}/digest/app@sha256:{'a' * 64}",
        40,
        ("does not have the digest", "is that a registry?"),
    ),
    Case("nobody listens", "deploy 127.0.0.1:{closed}/app:1", 40, ("curl -v http://",)),
    Case("a registry that stalls", f"deploy {D}/stall/app:1", 40, ("timed out", "curl -v")),
]

CONNECT = [
    Case(
        "a name that is unknown",
        "status --host nosuch.invalid",
        20,
        ("there is no such name", "correct [host] address in homeport.toml"),
    ),
    Case(
        "nobody listens at port 22",
        "status --host 127.0.0.1:{closed}",
        20,
        ("nothing listens there", "sudo systemctl enable --now ssh"),
    ),
    Case(
        "a host that says nothing",
        "status --host 127.0.0.1:{silent}",
        20,
        ("does not speak SSH", "sudo systemctl restart ssh"),
    ),
]

#: what needs no host; those that wait for a bound of 15 s are typed first and looked at last
HERE_CASES = [*SETTINGS, *WORDS, *FILES, *REGISTRY, *CONNECT]
SLOW = {"a registry that stalls", "a host that says nothing"}

ANOTHER_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"
LOGIN = [
    Case(
        "a host key never seen",
        "status",
        22,
        ("its host key has never been seen", "homeport setup --host USER@{address}"),
        env={"XDG_CONFIG_HOME": "{folder}/none"},
    ),
    Case(
        "a host key that changed",
        "status",
        23,
        ("another machine answers there", "ssh-keygen -f", "-R '{address}'"),
        env={"HOMEPORT_HOST_KEY": ANOTHER_KEY},
    ),
    Case(
        "a host key that is none",
        "status",
        22,
        ("/etc/ssh/ssh_host_ed25519_key.pub",),
        env={"HOMEPORT_HOST_KEY": "rubbish"},
    ),
    Case(
        "a user that is not there",
        "status --host nobody-here@{address}",
        21,
        ("homeport setup --host USER@ADDRESS authorises your key",),
    ),
    Case(
        "a key that is not let in",
        "status",
        21,
        ("homeport setup --host USER@ADDRESS authorises your key",),
        env={"HOMEPORT_SSH_KEY": "{folder}/stranger"},
    ),
    Case(
        "a key file that is not there",
        "status",
        21,
        ("unset HOMEPORT_SSH_KEY",),
        env={"HOMEPORT_SSH_KEY": "{folder}/none"},
    ),
    Case(
        "an app that is not set up",
        "status",
        24,
        ("/opt/other is missing", "homeport setup --host USER@ADDRESS"),
        TOML.replace("blog", "other"),
    ),
    Case(
        "a user that is not Homeport's",
        "status --host pi@{address}",
        24,
        ("homeport setup --host",),
    ),
]

MANY = """\
services:
  web:
    image: {image}
    restart: unless-stopped
    links: [db]
    external_links: [old]
    ipc: container:old
    post_start: [{command: ["true"]}]
    pre_stop: [{command: ["true"]}]
    secrets: [key]
    env_file: [app.env, more.env]
    volumes: [./nginx.conf:/etc/nginx.conf:ro, /srv/photos:/photos, old:/old]
    networks: [default, out]
    scale: 2
  worker:
    image: {image}
    volumes_from: [db]
    depends_on: {job: {condition: service_completed_successfully}}
  job: {image: "{image}"}
  proxy: {image: nginx, labels: {homeport.shared: "false"}}
  cache: {image: redis}
  db: {image: postgres, labels: {homeport.shared: "true"}, network_mode: container:old}
  model: {provider: {type: model}}
networks: {out: {external: true}}
volumes: {old: {external: true}}
secrets: {key: {external: true}}
"""
ON_HOST = "ssh homeport@{address}"
THERE_FILES = [
    Case(
        "YAML that is none",
        "deploy {image}",
        11,
        ("docker compose -f FILE config",),
        compose="a: [",
    ),
    Case(
        "a key that Compose has not",
        "deploy {image}",
        11,
        ("netwroks", "docker compose -f FILE config"),
        compose="services: {web: {image: x, netwroks: [a]}}\n",
    ),
    Case(
        "no such service",
        "deploy {image}",
        30,
        ("there is no service 'web'", "set [web] service in homeport.toml"),
        compose='services: {site: {image: "{image}", labels: {homeport.shared: "true"}}}\n',
    ),
    Case(
        "a shared web service",
        "deploy {image}",
        30,
        ("web is the web service and cannot be shared", "remove the label from web"),
        compose=COMPOSE + '    labels: {homeport.shared: "true"}\n',
    ),
    Case(
        "all that Compose has and a slot has not",
        "deploy {image}",
        30,
        (
            "web: links cannot be had here",
            "web: external_links cannot be had here",
            "web: ipc cannot be had here",
            "web: post_start cannot be had here",
            "web: pre_stop cannot be had here",
            "worker: volumes_from cannot be had here",
            "worker: depends_on cannot be had here",
            "db: network_mode cannot be had here",
            "model: provider cannot be had here",
            "web asks for 2 replicas",
            "proxy has an image of its own",
            "whether cache moves with a release or outlives it",
            "secrets.key is external",
            "scp -r nginx.conf homeport@{address}:/opt/blog/",
            "scp -r more.env homeport@{address}:/opt/blog/",
            "sudo mkdir -p /srv/photos",
            f"{ON_HOST} docker network create out",
            f"{ON_HOST} docker volume create old",
        ),
        compose=MANY,
    ),
    Case(
        "a port on the host's network",
        "deploy {image}",
        30,
        ("remove network_mode: from web",),
        compose=COMPOSE + "    network_mode: host\n",
    ),
    Case(
        "a variable that must have a value",
        "deploy {image}",
        30,
        ("add a line API_KEY=… there", "/opt/blog/app.env"),
        compose=COMPOSE + '    environment: {KEY: "${API_KEY:?get one}", MORE: "${OTHER}"}\n',
    ),
    Case(
        "an env file that is only here",
        "deploy {image}",
        11,
        ("scp -r more.env homeport@{address}:/opt/blog/",),
        compose=COMPOSE.replace("app.env", "more.env") + '    environment: {A: "${A:-a}"}\n',
    ),
    Case(
        "a handover that cannot be",
        "deploy {image}",
        30,
        ('set handover = "recreate"', "set [web] standby = true"),
        TOML + '[deploy]\nhandover = "single-writer"\n',
        COMPOSE + "    mac_address: 02:00:00:00:00:01\n",
    ),
    Case(
        "a secret with no value",
        "deploy {image}",
        30,
        ("add a line TOKEN=… there",),
        TOML + '[secrets]\nnames = ["TOKEN"]\n',
    ),
]

#: what a pull that fails may add: it comes after the first change, and is taken back
PULLED = ("begin", "intent", "done", "failed", "end")
THERE = [
    Case("nothing to go back to", "rollback", 32, ("oldest release", "homeport history")),
    Case("no such release", "rollback r0099", 32, ("there are: r0001", "homeport history")),
    Case("no such service's logs", "logs wbe", 2, ("there are: web", "homeport logs web")),
    Case("no such run", "attach 20200101T000000-0000", 2, ("homeport history",)),
    Case(
        "an image for another machine",
        f"deploy {D}/arm/app:1",
        30,
        ("it is built for arm64", "docker buildx build --platform linux/amd64"),
    ),
    *(
        Case(f"the host's {name}", f"deploy {D}/{how}/app:1", code, says, journal=PULLED)
        for name, how, code, says in (
            ("401", "401", 40, ("docker login where you deploy from",)),
            ("404", "404", 41, ("push it, or docker login",)),
            ("429", "429", 40, ("docker pull",)),
            ("500", "500", 40, ("docker pull",)),
            ("router's page", "garbage", 40, ("docker pull",)),
            ("other digest", "digest", 40, ("docker pull",)),
        )
    ),
    Case(
        "a registry that the host cannot reach",
        "deploy 127.0.0.1:{here}/any/app:1",
        40,
        ("connection refused", "docker pull"),
        journal=PULLED,
    ),
    Case(
        "a port that a program has",
        "deploy {image}",
        30,
        ("sudo ss -ltnp 'sport = :8123'", "or set another [site] port"),
        TOML.replace("port = 80\n", "port = 8123\n"),
        before="setsid python3 -m http.server 8123 >/dev/null 2>&1 &",
        after="kill $(pgrep -f '[h]ttp.server 8123')",
    ),
    Case(
        "a port that another stack has",
        "deploy {image}",
        30,
        (
            "by container old-web-1 of the Compose project old",
            f"{ON_HOST} docker compose -p old down, or set another [site] port",
            "volumes: {NAME: {name: old_NAME}}",
        ),
        TOML.replace("port = 80\n", "port = 8124\n"),
        before=(
            "docker run -d --name old-web-1 --label com.docker.compose.project=old"
            " -p 8124:8000 $(docker inspect -f '{{.Image}}' blog-r0001-web-1)"
        ),
        after="docker rm -f old-web-1",
    ),
]

PLUGIN = "/usr/libexec/docker/cli-plugins/docker-compose"
SHIM = "printf '#!/bin/sh\\n%s\\n' {0} > {1} && chmod 755 {1}"
GET_DOCKER = "https://get.docker.com"
BACK = "systemctl start docker.socket docker; until docker info >/dev/null; do sleep 0.2; done"
OLD_ENGINE = """\
import http.server, json, os, socketserver
class Old(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps({"Version": "19.03.15", "ApiVersion": "1.40"}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def address_string(self):
        return ""
    def log_message(self, *words):
        pass
socketserver.UnixStreamServer("/run/docker.sock.old", Old).serve_forever()
"""
MACHINE = [
    Case(
        "an old edge",
        "deploy {image}",
        30,
        ("the edge is Caddy 2.10.2; 2.11.4 is needed",),
        before=(
            "docker rename homeport-edge kept-edge; docker run -d --name homeport-edge"
            " --label homeport.caddy=2.10.2 caddy:2.11.4"
        ),
        after="docker rm -f homeport-edge; docker rename kept-edge homeport-edge",
    ),
    Case(
        "an old Compose",
        "deploy {image}",
        30,
        ("Docker Compose 2.35 or newer is needed", "it has 2.26.1", GET_DOCKER),
        before=f"mv {PLUGIN} {PLUGIN}.new; {SHIM.format(shlex.quote('echo 2.26.1'), PLUGIN)}",
        after=f"mv {PLUGIN}.new {PLUGIN}",
    ),
    Case(
        "no Compose",
        "deploy {image}",
        30,
        ("Docker Compose 2.35 or newer is needed", "it has none", GET_DOCKER),
        before=f"mv {PLUGIN} {PLUGIN}.new",
        after=f"mv {PLUGIN}.new {PLUGIN}",
    ),
    Case(
        "setup where there is no Compose",
        "setup --host pi@{address} --yes",
        30,
        ("Docker Compose 2.35 or newer is needed", "it has none"),
        before=f"mv {PLUGIN} {PLUGIN}.new",
        after=f"mv {PLUGIN}.new {PLUGIN}",
    ),
    Case(
        "a wrong password for sudo",
        "setup --host pi@{address} --yes",
        21,
        ("sudo refused the password", "set HOMEPORT_SUDO_PASSWORD"),
        env={"HOMEPORT_SUDO_PASSWORD": "wrong"},
    ),
    Case(
        "setup with a key that is none",
        "setup --host pi@{address} --yes --key homeport.toml",
        2,
        ("--key FILE.pub",),
    ),
    Case(
        "an old Python",
        "status",
        24,
        (
            "the host's Python is too old",
            "it is 3.9, 3.10 is needed",
            "upgrade its system: Debian 12",
        ),
        before=SHIM.format(
            shlex.quote(
                'exec /usr/bin/python3 -I -c \'import sys; sys.version_info = (3, 9, 2, "f", 0);'
                ' code = sys.argv[3]; sys.argv = sys.argv[3:]; exec(code)\' "$@"'
            ),
            "/usr/local/bin/python3",
        ),
        after="rm /usr/local/bin/python3",
    ),
    Case(
        "no Python",
        "status",
        24,
        ("the host has no python3", "apt install python3"),
        before="mv /usr/bin/python3 /usr/bin/python3.away",
        after="mv /usr/bin/python3.away /usr/bin/python3",
    ),
    Case(
        "no right to use Docker",
        "status",
        60,
        ("this user may not use Docker", "sudo usermod -aG docker homeport"),
        before="gpasswd -d homeport docker",
        after="usermod -aG docker homeport",
    ),
    Case(
        "an old Docker",
        "status",
        30,
        ("Docker Engine 20.10 or newer is needed", "it has 19.03.15", GET_DOCKER),
        before=(
            "mv /run/docker.sock /run/docker.sock.new;"
            f" setsid python3 -c {shlex.quote(OLD_ENGINE)} >/dev/null 2>&1 &"
            " until [ -S /run/docker.sock.old ]; do sleep 0.05; done;"
            " chmod 666 /run/docker.sock.old; mv /run/docker.sock.old /run/docker.sock"
        ),
        after=(
            "kill $(pgrep -f '[d]ocker.sock.old'); rm /run/docker.sock;"
            " mv /run/docker.sock.new /run/docker.sock"
        ),
    ),
    Case(
        "a Docker that does not run",
        "status",
        60,
        ("there is no Docker Engine, or it does not run", "sudo systemctl enable --now docker"),
        before="systemctl stop docker.socket docker; rm -f /run/docker.sock",
        after=BACK,
    ),
]
THERE_CASES = [*LOGIN, *THERE_FILES, *THERE, *MACHINE]
BUSY, STACK = "a second deploy at the same moment", "a running stack by the same name"
FROZEN = Case(
    "a frozen app", "deploy {image}", 33, ("the shop is closed", "homeport deploy --unfreeze")
)
WHO = f"{getuser()}@{socket.gethostname()}"
SECOND = Case(
    BUSY, "deploy {image} --force", 31, (f"by {WHO} holds the app", "since ", "homeport attach")
)


def folded(case: Case, folder: Path) -> Path:
    """The case's own folder."""
    return folder / "".join(letter if letter.isalnum() else "-" for letter in case.name)


def free_port() -> int:
    """A port of the loopback that nobody listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def double(port: int, kind: str) -> list[str]:
    """The command line of a registry double."""
    return [sys.executable, str(HERE / "registry_double.py"), str(port), kind]


@pytest.fixture(scope="module")
def bad_registry() -> Iterator[int]:
    """The port of a registry here that misbehaves."""
    port = free_port()
    child = subprocess.Popen(double(port, "bad"), stdout=subprocess.PIPE)
    assert child.stdout is not None
    # it says its port once it listens: a case that is typed at once would find nobody
    assert int(child.stdout.readline()) == port
    yield port
    child.kill()
    child.wait()


@pytest.fixture(scope="module")
def silent() -> Iterator[int]:
    """The port of a host that takes connections and never says a word."""
    kept = []
    server = socket.create_server(("127.0.0.1", 0))

    def take() -> None:
        while True:
            try:
                kept.append(server.accept())
            except OSError:
                return

    threading.Thread(target=take, daemon=True).start()
    yield int(server.getsockname()[1])
    server.close()


@pytest.fixture(scope="module")
def here(
    tmp_path_factory: pytest.TempPathFactory, bad_registry: int, silent: int
) -> dict[str, str]:
    """What cases without a host know."""
    folder = tmp_path_factory.mktemp("here")
    known = {"double": bad_registry, "silent": silent, "closed": free_port(), "folder": folder}
    return {"address": NOWHERE, **{name: str(value) for name, value in known.items()}}


@pytest.fixture(scope="module")
def plain(here: dict[str, str]) -> dict[str, str]:
    """The environment of somebody who never used Homeport."""
    env = {**os.environ, "XDG_CONFIG_HOME": f"{here['folder']}/config", "NO_COLOR": "1"}
    return {**env, "PYTHONPATH": str(HERE.parents[1] / "deploy")}


@pytest.fixture(scope="module", autouse=True)
def slow(here: dict[str, str], plain: dict[str, str]) -> Iterator[dict[str, Typed]]:
    """Cases that wait for a bound, typed before all others. At the end, the figures are noted."""
    folder = Path(here["folder"])
    cases = [case for case in HERE_CASES if case.name in SLOW]
    yield {case.name: Typed(case, folded(case, folder), plain, here) for case in cases}
    names = {case.name for case in (*HERE_CASES, *THERE_CASES)} | {BUSY, STACK, FROZEN.name}
    if names <= RESULTS.keys():
        missed = sorted(name for name in RESULTS if RESULTS[name])
        evidence.add("trust", wrong_inputs=len(RESULTS), wrong_inputs_missed=len(missed))


@pytest.mark.parametrize("case", sorted(HERE_CASES, key=lambda one: one.name in SLOW), ids=str)
def test_told_without_a_host(
    case: Case, here: dict[str, str], plain: dict[str, str], slow: dict[str, Typed]
) -> None:
    """What can be told before any connection is told so: the reason and what mends it."""
    with counted(case.name):
        typed = slow.get(case.name) or Typed(case, folded(case, Path(here["folder"])), plain, here)
        typed.check(typed.end())


# --- on a host where an app is live --------------------------------------------------------------
@dataclass(frozen=True)
class There:
    """The host, what cases on it know, and the deploy that was typed while another went on.

    ``seen`` has the host's fingerprint after the last case, where that one went well.
    """

    stage: Stage
    known: dict[str, str]
    second: Typed
    came_second: Ran
    seen: dict[str, Any]


@pytest.fixture(scope="module")
def there(
    plain_image: str, here: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[There]:
    """A lab host with the app live. While its first deploy goes on, a second one is typed."""
    stage = Stage.up(f"e2e-{MARK}-wrong", "systemd", talk, app="blog")
    folder = tmp_path_factory.mktemp("there")
    port = free_port()
    # resolved by a registry of the test's own: others may take the lab's away meanwhile
    image = f"127.0.0.1:{port}/any/app:1"
    known = {"address": stage.host.address, "image": image, "folder": str(folder)}
    known |= {"double": str(port), "here": here["double"]}
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / "stranger")], check=True
    )
    (stage.folder / "homeport.toml").write_text(TOML.replace("{address}", stage.host.address))
    (stage.folder / "docker-compose.prod.yml").write_text(COMPOSE.replace("{image}", plain_image))
    text = (HERE / "registry_double.py").read_bytes()
    hosts.run(stage.host, ["sh", "-c", "cat > /tmp/double.py"], stdin=text)
    stage.on_host("sh", "-c", f"setsid python3 /tmp/double.py {port} bad >/dev/null 2>&1 &")
    good = [subprocess.Popen(double(one, "good")) for one in (port,)]
    # long enough for the second deploy to give up waiting
    stage.write_env({"START_DELAY": "9"})
    try:
        with InBackground(stage, "deploy", plain_image, "--monitor", "0s") as first:
            held = ["timeout", "60", "sh", "-c", "until [ -s /opt/blog/lock ]; do sleep 0.1; done"]
            hosts.run(stage.host, held)
            second = Typed(SECOND, folded(SECOND, folder), stage.env, known)
            came_second, ran = second.end(), first.wait()
        assert ran.code == 0, ran.err
        stage.write_env({"START_DELAY": "0"})
        yield There(stage, known, second, came_second, {})
    finally:
        for child in good:
            child.kill()
            child.wait()
        stage.down()


def test_a_second_deploy_says_who_is_at_it(there: There) -> None:
    """It was typed while the first went on: who, since when, what, and how to see it end."""
    with counted(BUSY):
        there.second.check(there.came_second)


@pytest.mark.parametrize("case", THERE_CASES, ids=str)
def test_told_and_nothing_changed(case: Case, there: There) -> None:
    """The host is as before, but for the records of a run that was refused."""
    stage, known = there.stage, there.known
    with counted(case.name):
        before = there.seen.pop("last", None) or fingerprint(stage)
        if case.before:
            stage.on_host("sh", "-c", case.before)
        try:
            typed = Typed(case, folded(case, Path(known["folder"])), stage.env, known)
            ran = typed.end()
        finally:
            if case.after:
                stage.on_host("sh", "-c", case.after)
        after = fingerprint(stage)
        typed.check(ran)
        unchanged(before, after, case.journal)
        there.seen["last"] = after


BY_HAND = """\
services:
  web:
    image: {image}
    user: "0:0"
    ports: ["8200:8000"]
    volumes: [data:/data, ./notes:/notes]
    restart: unless-stopped
volumes:
  data:
"""
SITE = "[web]\nport = 8000\n[site]\nport = 8200\n"


def test_a_running_stack_is_taken_over(there: There, plain_image: str, tmp_path: Path) -> None:
    """The commands that a deploy is refused with, typed as they stand, keep every file of it."""
    stage = there.stage
    compose = BY_HAND.replace("{image}", plain_image)
    hand = "cd /home/pi/shop && docker compose"
    stage.on_host("mkdir", "/home/pi/shop")
    target = ["sh", "-c", "cat > /home/pi/shop/docker-compose.yml"]
    hosts.run(stage.host, target, stdin=compose.encode())
    stage.on_host("sh", "-c", f"{hand} up -d && {hand} exec -T web sh -c {shlex.quote(KEEP)}")
    shop = second_app(stage, tmp_path / "shop", "shop", compose, SITE, {"A": "b"})
    with counted(STACK):
        refused = shop.homeport("deploy", plain_image, check=False)
        assert refused.code == 30, refused.err
        assert "port 8200 of the host is taken" in refused.err
        (down,) = set(re.findall(r"ssh (homeport@\S+ docker compose -p shop down)", refused.err))
        (copy,) = re.findall(r"on the host: (sudo cp -aT .*)", refused.err)
        assert ran_over_ssh(stage, down, tmp_path) == 0
        stage.on_host("sh", "-c", copy)
        shop.homeport("deploy", plain_image, "--monitor", "0s")
        (web,) = shop.running()
        assert stage.on_host("docker", "exec", web, "cat", "/data/a", "/notes/b") == "kept\nkept\n"
    shop.homeport("remove", "--yes")


KEEP = "echo kept > /data/a; echo kept > /notes/b"


def ran_over_ssh(stage: Stage, words: str, folder: Path) -> int:
    """The exit code of `ssh` and these words, typed by somebody who knows the host and its key."""
    known = folder / "known_hosts"
    known.write_text(f"{stage.host.address} {stage.host.host_key}\n")
    options = ["-F", "/dev/null", "-i", str(stage.host.key), "-o", f"UserKnownHostsFile={known}"]
    return subprocess.run(["ssh", *options, *words.split()], timeout=60).returncode


def test_a_frozen_app_says_who_froze_it_and_how_to_lift_it(there: There) -> None:
    """A deploy is refused with who, why and both ways on; nothing besides changes."""
    stage, known = there.stage, there.known
    stage.homeport("freeze", "--why", "the shop is closed")
    with counted(FROZEN.name):
        before = fingerprint(stage)
        typed = Typed(FROZEN, folded(FROZEN, Path(known["folder"])), stage.env, known)
        typed.check(typed.end())
        unchanged(before, fingerprint(stage), FROZEN.journal)
    stage.homeport("unfreeze")


def test_setup_twice_is_fine(there: There, plain_image: str) -> None:
    """After all of that, setting it up once more and deploying simply work."""
    stage = there.stage
    assert "set up before" in stage.set_up().err
    stage.homeport("deploy", plain_image, "--monitor", "0s")
    assert "already live" in stage.homeport("deploy", plain_image).err
