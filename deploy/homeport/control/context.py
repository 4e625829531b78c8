"""What every verb needs to know: the settings, the host, who asks, and where to talk."""

from __future__ import annotations

import argparse
import getpass
import json
import os
import re
import socket
import subprocess
import sys
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from homeport.control import github
from homeport.control import settings as settings_file
from homeport.control.line import Line, LocalLine
from homeport.core import unsupported, words
from homeport.errors import ComposeError, UsageError
from homeport.model import Cause, HostAddress, Request, Settings

LOCAL = "local"
HOST = "HOMEPORT_HOST"


@dataclass
class Context:
    """The options of one command, and what follows from them."""

    options: argparse.Namespace

    @property
    def json(self) -> bool:
        return bool(self.options.json)

    @property
    def verbose(self) -> bool:
        return bool(self.options.verbose)

    @property
    def yes(self) -> bool:
        return bool(self.options.yes)

    @property
    def settings_path(self) -> Path:
        return Path(self.options.settings or settings_file.FILE)

    @cached_property
    def settings(self) -> Settings:
        """``homeport.toml``; raises SettingsError."""
        return settings_file.load(self.settings_path)

    @property
    def compose_path(self) -> Path:
        """The compose file, whose path is relative to homeport.toml."""
        return self.settings_path.parent / self.settings.compose

    @property
    def compose_text(self) -> str:
        try:
            text = self.compose_path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            where = f"{self.settings_path.name}: compose"
            raise ComposeError.of(
                "the compose file cannot be read", where, str(error), "correct the path there"
            ) from None
        problems = unsupported.other_files(text, self.settings.compose, self.settings.app)
        if problems:
            raise ComposeError(*problems)
        return text

    @cached_property
    def host(self) -> HostAddress:
        """Where to go: ``--host`` over HOMEPORT_HOST over ``[host]``; raises UsageError.

        A job of GitHub has "" in place of what is not set, so an empty value counts as none.
        """
        base = self.settings.host
        named = self.options.host or os.environ.get(HOST, "").strip()
        if named:
            return parse_host(named, base)
        if base.address:
            return base
        mend = f"--host USER@ADDRESS, or address = … under [host] in {self.settings_path}"
        if github.active():
            mend = (
                f"set the variable {HOST} of the environment or repository to"
                " homeport@ADDRESS or homeport@ADDRESS:PORT, the host that homeport setup prepared"
            )
        raise UsageError.of("which host?", mend=mend)

    def open_line(self) -> Line:
        """A line to the host; raises ConnectError or one of its kinds."""
        if self.host.address == LOCAL:
            return LocalLine()
        from homeport.control import ssh

        return ssh.connect(self.host)

    def request(self, verb: str, **fields: Any) -> Request:
        """A request to this app's agent, with who asks and why filled in."""
        # with the host in them as it was named: what mends something there is typed with it
        settings = replace(self.settings, host=self.host)
        made = Request(verb, settings.app, settings=settings, yes=self.yes)
        return replace(made, cause=self._cause(), **fields)

    def _cause(self) -> Cause:
        why = getattr(self.options, "why", None)
        actor = os.environ.get("GITHUB_ACTOR")
        url = github.run_url() if actor else ""
        who = actor or f"{_user()}@{socket.gethostname()}"
        why = _commit(self.settings_path.parent) if why is None else why
        return Cause(words.sentence(who), words.sentence(why), words.sentence(url))

    def ask(self, question: str) -> bool:
        """A person's yes or no; ``--yes`` answers for them, silence is no."""
        if self.yes:
            return True
        if not sys.stdin.isatty():
            raise UsageError.of("nobody is there to ask", why=question, mend="--yes says yes")
        print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
        return sys.stdin.readline().strip().lower() in ("y", "yes")


def parse_host(text: str, base: HostAddress = HostAddress()) -> HostAddress:
    """``[user@]address[:port]`` with what is left out taken from ``base``; raises UsageError."""
    user, at, place = text.rpartition("@")
    address, port = place, str(base.port if not base.address else 22)
    bracketed = re.fullmatch(r"\[([\w.:%-]+)\](?::(\d+))?", place)
    if bracketed:
        address, port = bracketed[1], bracketed[2] or port
    elif place.count(":") == 1:
        address, _, port = place.partition(":")
    good = re.fullmatch(r"[A-Za-z0-9:][A-Za-z0-9.:_%-]*", address) and port.isdecimal()
    # a user's name as systems allow it, and nothing that a shell or ssh would read more into
    named = not at or re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}", user)
    if not good or not 0 < int(port) < 65536 or not named:
        said = words.sentence(text, 80)
        raise UsageError.of("that is no host", said, mend="--host user@address[:port]")
    return HostAddress(address, user or base.user, int(port))


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def _commit(folder: Path) -> str:
    """``1a2b3c4 Subject`` of the checkout in ``folder``, or nothing."""
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), "log", "-1", "--format=%h %s"],
            capture_output=True,
            text=True,
            timeout=5,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def print_json(data: Any) -> None:
    """Data for a program, on stdout."""
    text = json.dumps(data, indent=2, ensure_ascii=False)
    # in a job's log the runner would take it for a command; in JSON it means the same
    print(text.replace("##[", "#\\u0023["))
