"""The verbs and their options: one small function a verb says what may be typed after it."""

from __future__ import annotations

import argparse
from typing import Callable


def _deploy(verb: argparse.ArgumentParser) -> None:
    _plan(verb)
    _wait(verb)
    verb.add_argument("--monitor", metavar="1s", help="how long to watch after the handover")
    verb.add_argument("--unfreeze", action="store_true", help="lift a freeze with the handover")
    verb.add_argument(
        "--check-compatible",
        action="store_true",
        help="start what serves now on the migrated copy too, as [migrate] compatible says it can",
    )
    verb.add_argument("--why", metavar="TEXT", help="shown in history")


def _plan(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("image", nargs="?", metavar="IMAGE", help="default: the compose file's")
    verb.add_argument("--from-local", action="store_true", help="send this machine's own image")
    verb.add_argument("--shared", action="store_true", help="change the shared services instead")
    verb.add_argument("--force", action="store_true", help="a new release even if nothing differs")


def _rollback(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("release", nargs="?", metavar="RELEASE", help="default: the one before")
    verb.add_argument("--monitor", metavar="1s", help="how long to watch after the handover")
    _wait(verb)
    verb.add_argument("--freeze", action="store_true", help="and refuse deploys until unfreeze")
    verb.add_argument("--with-data", metavar="SET", help="and put a set of copies back under it")
    _unverified(verb)
    verb.add_argument("--why", metavar="TEXT", help="shown in history")


def _restore(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("set", nargs="?", metavar="SET", help="its id, the start of it, or latest")
    verb.add_argument("--from", dest="source", metavar="REPOSITORY", help="onto a new host")
    verb.add_argument("--keys", metavar="FILE", help="what opens it; default: RESTIC_PASSWORD")
    verb.add_argument("--from-local", action="store_true", help="with this machine's own image")
    _unverified(verb)
    verb.add_argument("--why", metavar="TEXT", help="shown in history")
    _wait(verb)


def _unverified(verb: argparse.ArgumentParser) -> None:
    said = "also a set that was not good, or was never checked"
    verb.add_argument("--unverified", action="store_true", help=said)


def _freeze(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--why", metavar="TEXT", required=True, help="told to whoever deploys")


def _unfreeze(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--why", metavar="TEXT", help="shown in history")


def _logs(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("service", nargs="?", metavar="SERVICE", help="default: all that move")
    verb.add_argument("-f", "--follow", action="store_true", help="go on as lines come")
    verb.add_argument("-n", "--lines", type=int, default=100, metavar="N", help="default: 100")


def _watch(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--for", dest="monitor", metavar="30s", help="default: until Ctrl-C")


def _attach(verb: argparse.ArgumentParser) -> None:
    verb.add_argument(
        "run", nargs="?", metavar="RUN", help="default: the one that goes on, or the latest"
    )


def _cancel(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("run", nargs="?", metavar="RUN", help="default: the one that goes on")
    verb.add_argument("--why", metavar="TEXT", help="told to whoever follows it, and in history")


def _wait(verb: argparse.ArgumentParser) -> None:
    said = "how long to wait for another run of the app to end; default: 5s"
    verb.add_argument("--wait", metavar="10m", help=said)


def _setup(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--key", metavar="FILE.pub", help="the key to let in; default: the one used")
    verb.add_argument("--host-key", metavar="'TYPE KEY'", help="pin this key without asking")
    verb.add_argument("--accept-host-key", metavar="SHA256:…", help="pin a key of this fingerprint")


def _edge(verb: argparse.ArgumentParser) -> None:
    actions = ("status", "ca", "apply", "upgrade")
    sentence = "status (the default), ca: its authority's certificate, apply: as homeport.toml says"
    verb.add_argument(
        "action",
        nargs="?",
        choices=actions,
        default="status",
        metavar="ACTION",
        help=f"{sentence} now, upgrade: to the image this Homeport asks for",
    )


def _maintenance(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("state", choices=("on", "off"), metavar="on|off")
    verb.add_argument("--why", metavar="TEXT", default="", help="shown on the page and in history")
    verb.add_argument("--minutes", type=int, metavar="N", help="when to come back; ends nothing")


def _backup(verb: argparse.ArgumentParser) -> None:
    actions = ("now", "list", "verify", "prune", "drill")
    sentence = "now (the default), list, verify: restore once more and look, prune: let go what"
    verb.add_argument(
        "action",
        nargs="?",
        choices=actions,
        default="now",
        metavar="ACTION",
        help=f"{sentence} is beyond what is kept, drill: bring one back from off the box for a try",
    )
    verb.add_argument("set", nargs="?", metavar="SET", help="to verify; default: the newest")
    verb.add_argument("--all", action="store_true", help="verify every set")
    _wait(verb)
    verb.add_argument("--hold", action="store_true", help="requests wait: a set of one instant")
    verb.add_argument("--check", action="store_true", help="list ends with 35 if it is not well")
    verb.add_argument("--why", metavar="TEXT", help="shown in the list and in history")


def _data(verb: argparse.ArgumentParser) -> None:
    sentence = "check: is it whole?, vacuum: give empty room back, analyze: gather statistics"
    verb.add_argument(
        "action",
        choices=("check", "vacuum", "analyze", "checkpoint"),
        metavar="ACTION",
        help=f"{sentence}, checkpoint: bring SQLite's log home",
    )


def _nothing(verb: argparse.ArgumentParser) -> None:
    """A verb without options of its own."""


VERBS: tuple[tuple[str, str, Callable[[argparse.ArgumentParser], None]], ...] = (
    ("init", "write homeport.toml from a compose file", _nothing),
    ("setup", "prepare a host, once, as root", _setup),
    ("deploy", "make an image live", _deploy),
    ("rollback", "go back to an earlier release", _rollback),
    ("restore", "put saved data back; --from: onto a new host", _restore),
    ("freeze", "refuse deploys until unfreeze; rollback stays possible", _freeze),
    ("unfreeze", "let deploys through again", _unfreeze),
    ("status", "what serves, since when, and what can be gone back to", _nothing),
    ("history", "every run, the latest first", _nothing),
    ("logs", "what the live containers wrote", _logs),
    ("watch", "how what serves is doing, once a second", _watch),
    ("plan", "what a deploy would do; changes nothing", _plan),
    ("doctor", "what is wrong here or on the host, and what mends it", _nothing),
    ("attach", "follow a run that goes on, or learn how it ended", _attach),
    ("cancel", "stop a run before its handover; after that it finishes", _cancel),
    ("recover", "finish or take back what was interrupted", _nothing),
    ("backup", "a verified copy of the data: now, list, verify, prune", _backup),
    ("edge", "the proxy of all apps: status, ca, apply, upgrade", _edge),
    ("data", "check or tidy up the live databases", _data),
    ("maintenance", "a page for everybody while you work", _maintenance),
    ("remove", "take the app off the host; its data stays", _nothing),
    ("lab", "throwaway hosts to try on: up, down, list", _nothing),
)
