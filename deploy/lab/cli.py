"""`homeport lab`, or `python -m lab`: throwaway hosts by hand."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence

from lab import hosts
from lab.errors import LabError
from lab.hosts import LabHost


def _talk(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="homeport lab", description="Throwaway hosts in Docker to try a deploy on."
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="up|down|list")
    up = verbs.add_parser("up", help="bring a host up")
    up.add_argument("name", nargs="?", default="lab", metavar="NAME")
    up.add_argument("--flavour", choices=hosts.FLAVOURS, default="systemd")
    down = verbs.add_parser("down", help="remove a host, or everything of the lab")
    which = down.add_mutually_exclusive_group()
    which.add_argument("name", nargs="?", default="lab", metavar="NAME")
    which.add_argument("--all", action="store_true", help="hosts, registry, network, volumes, keys")
    listed = verbs.add_parser("list", help="the hosts that run")
    listed.add_argument("--json", action="store_true", help="for programs")
    return parser


def _as_json(host: LabHost) -> dict[str, str]:
    return {
        "name": host.name,
        "address": host.address,
        "flavour": host.flavour,
        "key": str(host.key),
        "host_key": host.host_key,
    }


def _up(name: str, flavour: str) -> None:
    host = hosts.up(name, flavour, _talk)
    _talk(f"lab host {host.name} ({host.flavour}) is up: user pi, password raspberry")
    print(f"ssh -i {host.key} pi@{host.address}")


def _list(as_json: bool) -> None:
    if as_json:
        print(json.dumps([_as_json(host) for host in hosts.listing()], indent=2))
        return
    for host in hosts.listing():
        print(f"{host.name:<16} {host.flavour:<8} {host.address}")
    for name, flavour, running in hosts.names():
        if not running:
            print(f"{name:<16} {flavour:<8} off")


def main(argv: Sequence[str]) -> int:
    """Run `up`, `down` or `list`.

    Args:
        argv: the words after `homeport lab`.

    Returns:
        0, or 1 after an expected failure, told on stderr.
    """
    given = _parser().parse_args(argv)
    try:
        if given.verb == "up":
            _up(given.name, given.flavour)
        elif given.verb == "list":
            _list(given.json)
        elif given.all:
            hosts.down_all()
        else:
            hosts.down(given.name)
    except LabError as failure:
        print(failure, file=sys.stderr)
        return 1
    return 0
