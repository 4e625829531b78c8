"""What runs first on a host: ``python3 -I -c SOURCE HASH``; finds or takes in the agent.

This file is its own source on the wire (``command``), so it imports only the standard library, and
its grammar is one that an old Python can at least read, to say that it is too old.
"""

import gzip
import hashlib
import importlib
import io
import json
import os
import shutil
import sys
import tarfile
import tempfile
from typing import Any, BinaryIO, Dict, NoReturn

NEEDED = (3, 10)


def say(event: Dict[str, Any]) -> None:
    """One event to the controller."""
    sys.stdout.buffer.write(json.dumps(event).encode() + b"\n")
    sys.stdout.buffer.flush()


def stop(what: str, why: str, mend: str) -> NoReturn:
    """Ends with a verdict that the host is not set up (24)."""
    problem = {"what": what, "where": "", "why": why, "mend": mend}
    verdict = {"e": "verdict", "outcome": "refused", "code": 24, "release": "", "run": ""}
    say(dict(verdict, sentence="Nothing was done: " + what + ".", problems=[problem], figures={}))
    sys.exit(24)


def read_request(stream: BinaryIO) -> bytes:
    """The payload of the framed request; ends with a verdict for anything else."""
    head = stream.readline(64)
    words = head.split()
    if len(words) != 3 or words[0] != b"homeport" or not words[2].isdigit():
        stop("what came over the connection is no Homeport request", repr(head), "")
    if words[1] != b"1":
        stop("the request is of another version", "it is %r, 1 is spoken" % words[1], "upgrade")
    return stream.read(int(words[2]))


def sync(path: str) -> None:
    """Make what is at a path last through a power cut."""
    handle = os.open(path, os.O_RDONLY)
    os.fsync(handle)
    os.close(handle)


def take_in(stream: BinaryIO, agents: str, name: str) -> None:
    """Reads a bundle, checks its hash, and puts it under its name in one rename."""
    say({"e": "need", "need": "agent"})
    raw = gzip.decompress(stream.read(int(stream.readline(32))))
    if hashlib.sha256(raw).hexdigest()[:16] != name:
        stop("the agent arrived damaged", "its hash is not " + name, "the same command again")
    beside = tempfile.mkdtemp(prefix=".new-", dir=agents)
    try:
        with tarfile.open(fileobj=io.BytesIO(raw)) as tar:
            for entry in tar.getmembers():
                if not entry.isfile() or ".." in entry.name.split("/") or entry.name[0] == "/":
                    stop("the agent arrived damaged", "it holds " + entry.name, "")
                target = os.path.join(beside, entry.name)
                os.makedirs(os.path.dirname(target), exist_ok=True)
                content = tar.extractfile(entry)
                assert content is not None
                with open(target, "wb") as out:
                    out.write(content.read())
                    out.flush()
                    os.fsync(out.fileno())
        for folder, _, _ in os.walk(beside):
            sync(folder)
        os.chmod(beside, 0o755)
        try:
            os.rename(beside, os.path.join(agents, name))
        except OSError:
            # another command took the same agent in meanwhile
            if not os.path.isdir(os.path.join(agents, name)):
                raise
        sync(agents)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def point(agents: str, name: str) -> None:
    """``current`` → the agent in use, for the boot hook."""
    link = os.path.join(agents, "current")
    if os.path.islink(link) and os.readlink(link) == name:
        return
    beside = "%s.%d" % (link, os.getpid())
    os.symlink(name, beside)
    os.replace(beside, link)
    sync(agents)


def main() -> None:
    """Take the request, fetch the agent if it is missing, and let it answer."""
    setup = "homeport setup --host USER@ADDRESS"
    found = "%d.%d" % sys.version_info[:2]
    if sys.version_info[:2] < NEEDED:
        stop(
            "the host's Python is too old", "it is %s, 3.10 is needed" % found, "upgrade its system"
        )
    name = sys.argv[1]
    agents = os.path.join(os.environ.get("HOMEPORT_ROOT", "/opt"), "homeport", "agent")
    request = read_request(sys.stdin.buffer)
    if not os.path.isdir(agents):
        stop("the host has not been set up for Homeport", "there is no " + agents, setup)
    folder = os.path.join(agents, name)
    try:
        if not os.path.isdir(folder):
            take_in(sys.stdin.buffer, agents, name)
        point(agents, name)
    except PermissionError as error:
        why = "user %d may not write %s" % (os.getuid(), error.filename)
        stop("this user may not run Homeport", why, "log in as homeport, or " + setup)
    sys.path.insert(0, folder)
    agent = importlib.import_module("homeport.host.agent")
    sys.exit(agent.main(request, sys.stdin.buffer, sys.stdout.buffer))


if __name__ == "__main__":
    main()
