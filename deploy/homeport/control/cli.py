"""The command line: options before or after the verb, one small function a verb."""

from __future__ import annotations

import argparse
import difflib
import importlib
import os
import sys
import traceback
from typing import Any, Callable, NoReturn, Sequence

from homeport import __version__
from homeport.control.context import Context
from homeport.control.options import VERBS as VERBS
from homeport.core import words as said
from homeport.errors import HomeportError, Internal, Problem, UsageError

EPILOG = """\
the way from a compose file to a live app:
  homeport init                      writes homeport.toml
  homeport setup --host pi@pi.local  prepares the host, once
  homeport deploy                    ships; homeport rollback takes back
"""

Run = Callable[[Context], int]


class Parser(argparse.ArgumentParser):
    """argparse, with our errors: an unknown verb names the near one."""

    def __init__(self, **about: Any) -> None:
        # half an option is a mistake to be told of, not a guess to be made
        super().__init__(**about, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        raise UsageError.of(message, mend=f"{self.prog} --help")

    def unknown(self, words: Sequence[str]) -> UsageError:
        """What is left over of a command line, each with the option that was probably meant."""
        known = [one for action in self._actions for one in action.option_strings]
        problems = []
        for word in words:
            near = difflib.get_close_matches(word.partition("=")[0], known, 1)
            mend = f"did you mean {near[0]}?" if near else f"{self.prog} --help"
            what = (
                "there is no such option" if word.startswith("-") else "that is one word too many"
            )
            problems.append(Problem(what, f"{self.prog}: {word}", mend=mend))
        return UsageError(*problems)


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
    except Exception as error:  # a mistake of ours is told in one line, and in full where asked for
        if {"-v", "--verbose"} & set(words):
            traceback.print_exc()
        what = f"{type(error).__name__}: {said.sentence(str(error))}"
        mend = "the same with -v shows where; report that, please"
        return _failed(Internal(Problem(what, "homeport", "", mend)), words)


def parse(words: Sequence[str]) -> argparse.Namespace:
    """The options of a command; raises UsageError for what it does not know."""
    common = common_options(default=argparse.SUPPRESS)
    parser = Parser(
        prog="homeport",
        description="Ship apps to hardware you own, and take them back.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[common_options()],
    )
    parser.add_argument("--version", action="version", version=f"homeport {__version__}")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", title="verbs")
    for name, sentence, add in VERBS:
        verb = verbs.add_parser(name, help=sentence, description=sentence, parents=[common])
        add(verb)
    _check_verb(words)
    options, left = parser.parse_known_args(words)
    if left:
        raise verbs.choices.get(options.verb, parser).unknown(left)
    if not options.verb:
        parser.print_help(sys.stderr)
        raise UsageError.of("which verb?", mend="homeport --help")
    return options


def common_options(default: object = None) -> Parser:
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


def _verb(name: str) -> Run:
    """The function of a verb, imported only when it is run: ``--help`` stays quick."""
    if name in ("rollback", "restore"):
        from homeport.control import going_back

        return going_back.VERBS[name]
    if name in ("deploy", "freeze", "unfreeze", "attach", "cancel", "recover", "remove"):
        from homeport.control import changing

        return changing.VERBS[name]
    if name in ("status", "history", "logs", "watch", "plan"):
        from homeport.control import reading

        return reading.VERBS[name]
    if name in ("edge", "maintenance"):
        from homeport.control import edge

        return edge.VERBS[name]
    if name == "backup":
        from homeport.control import backup

        return backup.run
    if name == "data":
        from homeport.control import data

        return data.run
    if name == "init":
        from homeport.control import init

        return init.run
    if name == "doctor":
        from homeport.control import doctor

        return doctor.run
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
