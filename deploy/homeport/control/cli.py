"""The command line: options before or after the verb, one small function a verb."""

from __future__ import annotations

import argparse
import difflib
import importlib
import os
import sys
from typing import Callable, NoReturn, Sequence

from homeport import __version__
from homeport.control.context import Context
from homeport.errors import HomeportError, UsageError

EPILOG = """\
the way from a compose file to a live app:
  homeport init                      writes homeport.toml
  homeport setup --host pi@pi.local  prepares the host, once
  homeport deploy                    ships; homeport rollback takes back
"""

Run = Callable[[Context], int]


class Parser(argparse.ArgumentParser):
    """argparse, with our errors: an unknown verb names the near one."""

    def error(self, message: str) -> NoReturn:
        raise UsageError.of(message, mend=f"{self.prog} --help")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        if words[:1] == ["lab"]:
            return _lab(words[1:])
        options = parse(words)
        from homeport.control import keys  # not for --help, which is to be quick

        keys.take()
        return _verb(str(options.verb))(Context(options))
    except HomeportError as error:
        return _failed(error, words)
    except KeyboardInterrupt:
        print(file=sys.stderr)
        return 130
    except BrokenPipeError:
        # the reader has gone; Python would complain once more at its own end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141


def parse(words: Sequence[str]) -> argparse.Namespace:
    """The options of a command; raises UsageError for what it does not know."""
    common = _common(default=argparse.SUPPRESS)
    parser = Parser(
        prog="homeport",
        description="Ship apps to hardware you own, and take them back.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[_common(default=None)],
    )
    parser.add_argument("--version", action="version", version=f"homeport {__version__}")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", title="verbs")
    for name, sentence, add in VERBS:
        verb = verbs.add_parser(name, help=sentence, description=sentence, parents=[common])
        add(verb)
    _check_verb(words)
    options = parser.parse_args(words)
    if not options.verb:
        parser.print_help(sys.stderr)
        raise UsageError.of("which verb?", mend="homeport --help")
    return options


def _common(default: object) -> Parser:
    """The options every verb takes; SUPPRESS keeps the verb's parser from resetting them."""
    flag = False if default is None else default
    common = Parser(add_help=False)
    add = common.add_argument
    add("--host", metavar="USER@ADDRESS[:PORT]", default=default, help='or "local": this machine')
    add("--settings", metavar="FILE", default=default, help="default: ./homeport.toml")
    add("--json", action="store_true", default=flag, help="data for programs on stdout")
    add("--yes", action="store_true", default=flag, help="answer yes to what would be asked")
    add("-v", "--verbose", action="store_true", default=flag, help="say more")
    return common


def _check_verb(words: Sequence[str]) -> None:
    """An unknown verb is refused with the near one, before argparse lists them all."""
    names = [name for name, _, _ in VERBS]
    takes_value = ("--host", "--settings")
    skip = False
    for word in words:
        if skip or word.startswith("-"):
            skip = not skip and word in takes_value
            continue
        if word not in names:
            near = difflib.get_close_matches(word, names, 1)
            mend = f"did you mean homeport {near[0]}?" if near else "homeport --help"
            raise UsageError.of("there is no such verb", word, mend=mend)
        return


def _deploy(verb: argparse.ArgumentParser) -> None:
    _plan(verb)
    verb.add_argument("--monitor", metavar="1s", help="how long to watch after the handover")
    verb.add_argument("--unfreeze", action="store_true", help="lift a freeze with the handover")
    verb.add_argument("--why", metavar="TEXT", help="shown in history")


def _plan(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("image", nargs="?", metavar="IMAGE", help="default: the compose file's")
    verb.add_argument("--from-local", action="store_true", help="send this machine's own image")
    verb.add_argument("--shared", action="store_true", help="change the shared services instead")
    verb.add_argument("--force", action="store_true", help="a new release even if nothing differs")


def _rollback(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("release", nargs="?", metavar="RELEASE", help="default: the one before")
    verb.add_argument("--monitor", metavar="1s", help="how long to watch after the handover")
    verb.add_argument("--freeze", action="store_true", help="and refuse deploys until unfreeze")
    verb.add_argument("--why", metavar="TEXT", help="shown in history")


def _freeze(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--why", metavar="TEXT", required=True, help="told to whoever deploys")


def _unfreeze(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--why", metavar="TEXT", help="shown in history")


def _logs(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("service", nargs="?", metavar="SERVICE", help="default: all that move")
    verb.add_argument("-f", "--follow", action="store_true", help="go on as lines come")
    verb.add_argument("-n", "--lines", type=int, default=100, metavar="N", help="default: 100")


def _attach(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("run", nargs="?", metavar="RUN", help="default: the latest")


def _setup(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--key", metavar="FILE.pub", help="the key to let in; default: the one used")
    verb.add_argument("--host-key", metavar="'TYPE KEY'", help="pin this key without asking")
    verb.add_argument("--accept-host-key", metavar="SHA256:…", help="pin a key of this fingerprint")


def _nothing(verb: argparse.ArgumentParser) -> None:
    """A verb without options of its own."""


VERBS: tuple[tuple[str, str, Callable[[argparse.ArgumentParser], None]], ...] = (
    ("init", "write homeport.toml from a compose file", _nothing),
    ("setup", "prepare a host, once, as root", _setup),
    ("deploy", "make an image live", _deploy),
    ("rollback", "go back to an earlier release", _rollback),
    ("freeze", "refuse deploys until unfreeze; rollback stays possible", _freeze),
    ("unfreeze", "let deploys through again", _unfreeze),
    ("status", "what serves, since when, and what can be gone back to", _nothing),
    ("history", "every run, the latest first", _nothing),
    ("logs", "what the live containers wrote", _logs),
    ("plan", "what a deploy would do; changes nothing", _plan),
    ("attach", "follow a run that goes on, or learn how it ended", _attach),
    ("recover", "finish or take back what was interrupted", _nothing),
    ("remove", "take the app off the host; its data stays", _nothing),
    ("lab", "throwaway hosts to try on: up, down, list", _nothing),
)


def _verb(name: str) -> Run:
    """The function of a verb, imported only when it is run: ``--help`` stays quick."""
    if name in ("deploy", "rollback", "freeze", "unfreeze", "attach", "recover", "remove"):
        from homeport.control import changing

        return changing.VERBS[name]
    if name in ("status", "history", "logs", "plan"):
        from homeport.control import reading

        return reading.VERBS[name]
    if name == "init":
        from homeport.control import init

        return init.run
    from homeport.control import setup

    return setup.run


def _lab(words: Sequence[str]) -> int:
    try:
        lab = importlib.import_module("lab.cli")
    except ImportError:
        raise UsageError.of(
            "the lab comes with a checkout of Homeport, not with the package",
            mend="clone the repository and run homeport lab there",
        ) from None
    return int(lab.main(list(words)))


def _failed(error: HomeportError, words: Sequence[str]) -> int:
    from homeport.control import job
    from homeport.control.context import print_json
    from homeport.errors import to_wire

    if "--json" in words:
        print_json({"outcome": "failed", "sentence": str(error), **to_wire(error)})
    job.show_failure(error)
    names = [name for name, _, _ in VERBS]
    job.failed(error, next((word for word in words if word in names), ""))
    return error.code


if __name__ == "__main__":
    sys.exit(main())
