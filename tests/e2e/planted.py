"""Secrets that are planted, and where on a host they are found afterwards."""

from __future__ import annotations

import base64
import json
import subprocess
from pathlib import Path
from types import TracebackType

from bench.stage import Stage
from homeport.control.credentials import Credentials

APP_KEY = "planted-4f1c9e-secret-key-of-the-family-accounts"
TOKEN = "planted-77ab02-registry-token"
#: where the app's values may be, 0600: its settings, and what is derived from them
ALLOWED = r"/opt/[a-z0-9-]+/(app\.env|\.env|(releases|\.spare)/[^/]+/env)"


def words(stage: Stage, registry: str) -> dict[str, str]:
    """Every planted secret in each form it could be left in, by name."""
    login = Credentials("octo", TOKEN, registry)
    key = Path(stage.env["HOMEPORT_SSH_KEY"]).read_text().splitlines()
    return {
        "the app's key": APP_KEY,
        "the registry's token": TOKEN,
        "the token as a header": login.basic().split()[1],
        "the token as Docker's header": login.registry_auth(),
        "the deploy key": key[len(key) // 2],
    }


def plant(stage: Stage, registry: str) -> None:
    """Give the app its key, and the machine that deploys a login for the registry."""
    stage.write_env({"SECRET_KEY": APP_KEY, "SIGNUP": "open"})
    folder = stage.folder / "docker"
    folder.mkdir()
    auth = base64.b64encode(f"octo:{TOKEN}".encode()).decode()
    (folder / "config.json").write_text(json.dumps({"auths": {registry: {"auth": auth}}}))
    stage.env["DOCKER_CONFIG"] = str(folder)


# Looks at every process's arguments until its stdin ends, and prints whose held one of the words.
_ARGUMENTS = """
import glob, json, os, select, sys
mine, words, seen = os.getpid(), json.loads(sys.stdin.readline()), set()
looks = 0
while not select.select([sys.stdin], [], [], 0.01)[0]:
    looks += 1
    for path in glob.glob("/proc/[0-9]*/cmdline"):
        try:
            text = open(path, "rb").read().replace(b"\\0", b" ").decode("utf-8", "replace")
        except OSError:
            continue
        seen.update(f"{name}: {text[:60]}" for name, word in words.items() if word in text)
print(json.dumps({"looks": looks, "seen": sorted(seen)}))
"""


class Arguments:
    """Watches the arguments of all processes, on the host and here, while its block runs."""

    def __init__(self, stage: Stage, secrets: dict[str, str]) -> None:
        there = ["docker", "exec", "-i", stage.host.container, "python3", "-I", "-c", _ARGUMENTS]
        here = ["python3", "-I", "-c", _ARGUMENTS]
        self._secrets = secrets
        self._argv = (there, here)
        self.looks, self.seen = 0, list[str]()
        self._children: list[subprocess.Popen[str]] = []

    def __enter__(self) -> Arguments:
        for argv in self._argv:
            pipe = subprocess.PIPE
            child = subprocess.Popen(argv, stdin=pipe, stdout=pipe, text=True)
            assert child.stdin is not None
            child.stdin.write(json.dumps(self._secrets) + "\n")
            child.stdin.flush()
            self._children.append(child)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        looks = []
        for child in self._children:
            out, _ = child.communicate("end\n", timeout=30)
            told = json.loads(out)
            looks.append(told["looks"])
            self.seen += told["seen"]
        self.looks = min(looks)


# Every file, with its mode, that has a word. Docker's and containerd's own folders are root's: what
# they say of a container is what `docker inspect` shows.
_FILES = """
import json, os, re, stat, sys
words = {name: word.encode() for name, word in json.load(sys.stdin).items()}
allowed = re.compile(sys.argv[1])
skip = ("/proc", "/sys", "/dev", "/var/lib/docker", "/var/lib/containerd", "/usr", "/lib",
        "/run/docker", "/run/containerd")
found, read = [], 0
for folder, folders, files in os.walk("/"):
    folders[:] = [one for one in folders if not os.path.join(folder, one).startswith(skip)]
    for name in files:
        path = os.path.join(folder, name)
        try:
            if not stat.S_ISREG(os.lstat(path).st_mode) or os.path.getsize(path) > 50_000_000:
                continue
            data = open(path, "rb").read()
        except OSError:
            continue
        read += 1
        mode = stat.S_IMODE(os.lstat(path).st_mode)
        good = allowed.fullmatch(path) and mode == 0o600
        found += [f"{word} in {path} ({mode:o})" for word, text in words.items()
                  if text in data and not (good and word == "the app's key")]
print(json.dumps({"read": read, "found": found}))
"""


def files(stage: Stage, secrets: dict[str, str]) -> tuple[int, list[str]]:
    """How many files of the host were read, and which hold a secret that they should not."""
    argv = ["docker", "exec", "-i", stage.host.container, "python3", "-I", "-c", _FILES, ALLOWED]
    text = json.dumps(secrets)
    done = subprocess.run(argv, input=text, capture_output=True, text=True, timeout=120, check=True)
    told = json.loads(done.stdout)
    return int(told["read"]), list(told["found"])


def docker(stage: Stage, secrets: dict[str, str]) -> list[str]:
    """Secrets in what Docker tells of containers that are not the app's slots, and of images."""
    found = []
    for name in stage.on_host("docker", "ps", "-aq", "--no-trunc").split():
        text = stage.on_host("docker", "inspect", name)
        slot = json.loads(text)[0]["Config"]["Labels"].get("homeport.slot")
        found += [
            f"{word} in docker inspect {name[:12]}"
            for word, value in secrets.items()
            if value in text and not (slot and word == "the app's key")
        ]
    for name in set(stage.on_host("docker", "images", "-q", "--no-trunc").split()):
        text = stage.on_host("docker", "image", "inspect", name)
        text += stage.on_host("docker", "history", "--no-trunc", name)
        found += [f"{word} in image {name[:19]}" for word, one in secrets.items() if one in text]
    return found


def told(stage: Stage, secrets: dict[str, str]) -> list[str]:
    """Secrets in what every verb that reads prints."""
    found = []
    for verb in ("status", "history", "logs", "doctor", "watch"):
        more = ("--for", "0s") if verb == "watch" else ()
        ran = stage.homeport(verb, "--json", *more, check=False)
        found += [f"{word} in {verb}" for word, one in secrets.items() if one in ran.out + ran.err]
    return found


def everywhere(stage: Stage, secrets: dict[str, str]) -> list[str]:
    """All of it at once."""
    read, found = files(stage, secrets)
    assert read > 500, "hardly a file was looked at"
    return [*found, *docker(stage, secrets), *told(stage, secrets)]
