"""`make docs`: the pages that follow from what they describe, so that they cannot drift.

docs/cli.md comes from the command line's own parser and the tree of errors, docs/homeport-toml.md
from homeport.example.toml, docs/compose.md from the tables of what a release cannot be given,
docs/faults.md from the table of faults. A test fails where a page is not what would be written.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from bench.faults import table
from homeport import errors
from homeport.control import cli
from homeport.core import unsupported

TOP = Path(__file__).resolve().parents[2]
EXAMPLE = TOP / "homeport.example.toml"

_SECTION = re.compile(r"#?(\[\[?\w+\]\]?)")
_KEY = re.compile(r"(?:#\| |#)?(\w+) = (.+)")
_ABOUT = re.compile(r"([^,:]+), (must be given|default [^:]+): (.+)")

#: what a shell's user sees besides the codes of the tree
_OTHER_CODES = (
    (0, "it was done, or there was nothing to do"),
    (130, "Ctrl-C ended the looking; a run goes on"),
)


@dataclass(frozen=True)
class Key:
    """A key of homeport.toml as the example describes it. ``section`` is "" at the top."""

    section: str
    name: str
    kind: str
    default: str
    meaning: str
    example: str


def keys(text: str) -> tuple[list[Key], dict[str, str]]:
    """The keys of an example file in its order, and section → what it is for.

    Raises ValueError naming a key whose comment is not ``TYPE, default DEFAULT: MEANING``.
    """
    found: list[Key] = []
    sections: dict[str, str] = {}
    section, said = "", []
    for line in text.splitlines():
        header, key = _SECTION.fullmatch(line), _KEY.fullmatch(line)
        if line.startswith("# "):
            said.append(line.removeprefix("# "))
            continue
        if header:
            section = header[1]
            sections[section] = " ".join(said)
        elif key:
            about = _ABOUT.fullmatch(" ".join(said))
            if not about:
                raise ValueError(f"{section} {key[1]}: say 'TYPE, default DEFAULT: what it means.'")
            default = about[2].removeprefix("default ")
            found.append(Key(section, key[1], about[1], default, about[3], f"{key[1]} = {key[2]}"))
        said = []
    return found, sections


def settings_page() -> str:
    """docs/homeport-toml.md."""
    found, sections = keys(EXAMPLE.read_text("utf-8"))
    lines = [
        "# homeport.toml",
        "",
        "`homeport.toml` stands beside the compose file and says what Compose has no word for."
        " `homeport init` writes a first one. The same reference as a file to copy from is"
        " [homeport.example.toml](../homeport.example.toml); this page is made from it by"
        " `make docs`.",
        "",
        'Durations are text with a unit: `"500ms"`, `"10s"`, `"2m"`, `"1m30s"`. A key that is not'
        " known is refused, and the message names the near one.",
        "",
    ]
    for section in dict.fromkeys(["", *sections]):
        lines += [f"## {section or 'At the top'}", ""]
        if sections.get(section):
            lines += [sections[section], ""]
        rows = [
            (f"`{one.name}`", one.kind, _default(one), _sentence(one.meaning), f"`{one.example}`")
            for one in found
            if one.section == section
        ]
        lines += _table(("key", "type", "default", "meaning", "example"), rows)
    return "\n".join(lines).rstrip() + "\n"


def _default(key: Key) -> str:
    plain = key.default[:1] in '"[0123456789' or key.default in ("true", "false")
    return f"`{key.default}`" if plain else key.default


def _sentence(text: str) -> str:
    name = "." in text.partition(" ")[0]
    return text if name else text[:1].upper() + text[1:]


def cli_page() -> str:
    """docs/cli.md."""
    lines = [
        "# The command line",
        "",
        "Made from the program's own definitions by `make docs`.",
        "",
        "Data goes to stdout and talk to stderr. Options may stand before or after the verb.",
        "",
        "## For every verb",
        "",
        *_options(cli.common_options()),
    ]
    for name, sentence, add in cli.VERBS:
        verb = argparse.ArgumentParser(prog=f"homeport {name}", add_help=False)
        add(verb)
        lines += [f"## homeport {name}", "", f"{_sentence(sentence)}.", ""]
        lines += ["```", " ".join(["homeport", name, *map(_usage, verb._actions)]), "```", ""]
        lines += _options(verb)
        if name == "lab":
            lines += ["[lab.md](lab.md) tells more.", ""]
    lines += ["## Exit codes", ""]
    lines += [
        "A command that fails says what is wrong and what mends it, and ends with one of these.",
        "",
    ]
    return "\n".join([*lines, *_codes()]).rstrip() + "\n"


def _options(parser: argparse.ArgumentParser) -> list[str]:
    # argparse has no public list of what was added; this one is as old as argparse
    rows = [
        (", ".join(f"`{name}`" for name in _names(one)), _sentence(str(one.help or "")))
        for one in parser._actions
    ]
    return _table(("argument", "meaning"), rows) if rows else []


def _names(action: argparse.Action) -> list[str]:
    value = str(action.metavar or (action.dest or "").upper())
    if not action.option_strings:
        return [value]
    takes = action.nargs != 0
    return [f"{name} {value}" if takes else name for name in action.option_strings]


def _usage(action: argparse.Action) -> str:
    text = _names(action)[-1]
    needed = action.required and action.nargs != "?"
    return text if needed else f"[{text}]"


def _codes() -> list[str]:
    rows = [
        (f"{one.code}", _sentence(one.meaning), "yes" if one.retry else "no")
        for one in errors.every()
    ]
    rows += [(f"{code}", _sentence(meaning), "") for code, meaning in _OTHER_CODES]
    rows.sort(key=lambda row: int(row[0]))
    return _table(("code", "meaning", "worth a retry"), rows)


COMPOSE_HEAD = """\
# What becomes of a compose file

Every release is a Compose project of its own, made anew and removed with it. Homeport reads the
compose file as Compose itself does and obeys it. This page is what it changes, says or refuses. The
tables are made from the program's own by `make docs`.

A service is one of three kinds. The web service, and those that are built or have its image, move
with every release. Those with the label `homeport.shared: "true"` outlive releases: a database, a
tunnel, your own nginx. One with a profile and no label is left alone, as by `docker compose up`.
Anything else is asked about.

For what moves:

* Each service runs the release's one image, by its digest. `build`, `pull_policy` and `profiles`
  are left out.
* Networks, volumes, secrets and configs are the app's, not the release's: they stay.
* The web service's published port is answered by the edge. Another service's port, a fixed address
  or the host's network is there once only: the old release ends before the new one starts.
* `restart`, or `deploy.restart_policy`, holds for the release that serves, and for no other.
* `depends_on` a shared service is left out: those run already.
* `deploy.replicas` or `scale` counts for workers. The web service has one container.
* `env_file` may name `app.env` or `.env`, which are the release's own copy of the app's settings.
  Any other file, and whatever is mounted from the host, must be on the host before.

Only the compose file itself is sent: `include`, `extends` with a `file`, and `label_file` are
refused with the command that writes all into one file. A secret or config that is `external` is
refused too: only Swarm keeps such. An external network or volume must be there before.

No service may have what is Homeport's own or another app's: its folder, its records and copies, its
network, its volumes, the names and labels by which Homeport knows whose a container is. A service
that moves may not have Docker's socket, the host's system folders or its disks either. A shared one
may, and `homeport plan` says what that means. [security.md](security.md) has the whole list.
"""


def compose_page() -> str:
    """docs/compose.md."""
    lines = [COMPOSE_HEAD]
    for title, rows in (
        ("Refused in every service", unsupported.REFUSED),
        ("Refused in what moves with a release", unsupported.REFUSED_IN_SLOTS),
        ("Refused in what outlives releases", unsupported.REFUSED_SHARED),
        ("Refused in what moves with a release, and said of what outlives it", unsupported.MIGHTY),
    ):
        cells = [(f"`{key}`", _when(test), why, mend) for key, (test, why, mend) in rows.items()]
        lines += [f"## {title}", "", *_table(("key", "when", "because", "instead"), cells)]
    dropped = [(f"`{key}`", why) for key, why in unsupported.DROPPED.items()]
    lines += ["## Left out, and said", "", *_table(("key", "because"), dropped)]
    noted = [(f"`{key}`", _when(test), text) for key, (test, text) in unsupported.NOTED.items()]
    lines += ["## Obeyed, and said", "", *_table(("key", "when", "what to know"), noted)]
    return "\n".join(lines).rstrip() + "\n"


FAULTS_HEAD = """\
# Pull the plug anywhere

What is expected of each fault that can befall a deploy, a rollback or a backup, and what always
holds. The table is made from `deploy/bench/faults/table.py` by `make docs`. A column says where
each is tried: `bench.faults.points` kills the executor before, in the middle of and after each
step of every plan, `pairs` (`python -m bench.faults.beyond`) tries a fault with five plans, at a
step that a seed draws, while people read and write. These are expectations: not all of them have
been tried yet. What was tried of them and held, `make test-faults` and `make test-faults-others`
write to `build/evidence/faults.json`.

Always, whatever the fault: exactly one release serves afterwards, the committed one; no
acknowledged write is lost or doubled; the schema fits the code, and the data passes its integrity
check; the next deploy and a rollback work with no human step; a second recovery changes nothing;
nothing is left that `homeport status` does not name; the journal tells what happened. Where a
state cannot be understood, what serves is left alone and the words say what mends it.

*No error*: nobody notices. *Held*: requests wait at the edge, so long at most, and are answered.
*Outage*: nobody is answered for so long at most. Nothing of Homeport is resident on the host, so
some faults wait for whoever looks next: the next run, a boot, or `homeport recover`.
"""


def faults_page() -> str:
    """docs/faults.md."""
    head = ("fault", "expectation", "the app itself", "you are told", "mended", "tried in")
    rows = [
        (
            one.name,
            one.expectation,
            _sentence(one.suffers) or "-",
            _sentence(one.told),
            one.mends,
            f"`{one.tried}`",
        )
        for one in table.FAULTS
    ]
    return "\n".join([FAULTS_HEAD, *_table(head, rows)]).rstrip() + "\n"


def _when(test: Callable[..., bool]) -> str:
    return str(test.__doc__).splitlines()[0].rstrip(".")


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> list[str]:
    """A table of Markdown, with an empty line after it."""
    head = tuple(head)
    cells = (" | ".join(cell.replace("|", "\\|") for cell in line) for line in (head, *rows))
    first, *others = (f"| {line} |" for line in cells)
    return [first, "|---" * len(head) + "|", *others, ""]


PAGES: dict[str, Callable[[], str]] = {
    "docs/compose.md": compose_page,
    "docs/cli.md": cli_page,
    "docs/faults.md": faults_page,
    "docs/homeport-toml.md": settings_page,
}


def main() -> int:
    """Write every page; say which changed."""
    for name, page in PAGES.items():
        path, text = TOP / name, page()
        if not path.exists() or path.read_text("utf-8") != text:
            path.write_text(text, "utf-8")
            print(f"{name}: written", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
