"""What people see of a run and of a host's answers, as literal text."""

from __future__ import annotations

import io
from typing import Any

from homeport.control import present, report
from homeport.core.finding import Finding
from homeport.errors import SmokeFailed

EVENTS: list[dict[str, Any]] = [
    {"e": "run", "run": "r1", "verb": "deploy", "app": "a"},
    {
        "e": "plan",
        "release": "r0002-1a2b3c4",
        "mode": "overlap",
        "steps": [{"id": "pull", "cause": "missing"}, {"id": "start", "cause": "new"}],
        "skips": [{"id": "backup", "reason": "not configured"}],
        "notices": ["no HEALTHCHECK"],
    },
    {"e": "step", "id": "pull", "state": "begin"},
    {"e": "progress", "id": "pull", "text": "app", "done": 0, "total": 100_000_000},
    {"e": "progress", "id": "pull", "text": "app", "done": 1, "total": 100_000_000},
    {"e": "progress", "id": "pull", "text": "app", "done": 55_000_000, "total": 100_000_000},
    {"e": "step", "id": "pull", "state": "done", "seconds": 1.25, "note": "55 MB"},
    {"e": "alive"},
    {"e": "step", "id": "start", "state": "failed", "seconds": 3},
    {"e": "log", "service": "web", "line": "boom"},
    {"e": "log", "service": "web", "line": "boom"},
    {"e": "from-a-newer-agent"},
]
PLAIN = """\
deploy of a: r1
release r0002-1a2b3c4, overlap, 2 steps
note: no HEALTHCHECK
  app: 0 of 100 MB
  app: 55 of 100 MB
✓ pull  1.2 s  55 MB
✗ start  3.0 s
  web | boom
"""
VERDICT = """\
✗ r0002 did not pass; r0001 serves

  /login: 500, not 200
    why:  Traceback
          KeyError
    mend: homeport logs
"""


def test_events_as_plain_lines() -> None:
    """What CI shows: a line a step, a line a tenth, the container's last lines once."""
    out = io.StringIO()
    view = present.for_terminal(out)
    for event in EVENTS:
        view.show(event)
    view.close()
    assert out.getvalue() == PLAIN


def test_a_verdict_in_words() -> None:
    """One sentence, then each problem with why and mend."""
    problem = {"what": "500, not 200", "where": "/login", "why": "Traceback\nKeyError"}
    event = {
        "e": "verdict",
        "code": SmokeFailed.code,
        "sentence": "r0002 did not pass; r0001 serves",
        "problems": [{**problem, "mend": "homeport logs"}],
    }
    out = io.StringIO()
    present.verdict(event, out)
    assert out.getvalue() == VERDICT


def test_the_live_view_ends_with_the_same_steps() -> None:
    """On a terminal of any kind the steps, marks and notices are there; NO_COLOR is obeyed."""
    from homeport.control.live import Live

    out = io.StringIO()
    view = Live(out, verbose=True)
    for event in EVENTS:
        view.show(event)
    view.close()
    text = out.getvalue()
    for word in ("✓", "✗", "pull", "start", "note: no HEALTHCHECK", "web | boom", "not configured"):
        assert word in text


STATUS = {
    "app": "a",
    "release": "r0002-1a2b3c4",
    "healthy": True,
    "since": 940,
    "site": "port 5000",
    "mode": "overlap",
    "image": "r.io/a:2",
    "services": [{"name": "web", "state": "running", "health": "healthy", "restarts": 0}],
    "releases": [
        {"id": "r0002-1a2b3c4", "created": 900, "served": True, "can_roll_back": "no"},
        {"id": "r0001-aaaaaaa", "created": 100, "served": True, "can_roll_back": "start"},
    ],
    "warnings": ["the boot hook is missing"],
    "host": {"docker": "28.5", "compose": "2.40", "disk_free": 2.5e9, "mem_available": 7e8},
    "edge": {"version": "2.11.4", "running": True},
    "backup": "not configured",
}
STATUS_TEXT = """\
a: r0002-1a2b3c4 serves, healthy, since 60 s ago
  site    port 5000
  mode    overlap
  image   r.io/a:2
  web     running, healthy

releases
* r0002-1a2b3c4   100 s ago       live
  r0001-aaaaaaa   15 min ago      rollback: its container is started again

host      Docker 28.5, Compose 2.40
          2.5 GB of disk and 700 MB of memory free
edge      Caddy 2.11.4, running
backup    not configured

warning: the boot hook is missing"""


def test_status_for_people() -> None:
    """All that matters on one screen of 80 columns."""
    text = report.status(STATUS, now=1000)
    assert text == STATUS_TEXT
    assert max(len(line) for line in text.splitlines()) <= 80


FROZEN_TEXT = """\
a: r0002-1a2b3c4 serves, healthy, since 60 s ago
  FROZEN  5 min ago by ann: v2 loses the till
          https://git.example/7
          no deploy until: homeport unfreeze
  site    port 5000
"""


def test_status_of_a_frozen_app() -> None:
    """Right below what serves: since when, by whom, why, and what lifts it."""
    frozen = {"who": "ann", "why": "v2 loses the till", "url": "https://git.example/7", "at": 700}
    assert report.status({**STATUS, "frozen": frozen}, now=1000).startswith(FROZEN_TEXT)
    assert report.status({**STATUS, "frozen": None}, now=1000) == STATUS_TEXT


FOUND = (
    Finding("settings", "this machine", "ok", "homeport.toml: the app shop"),
    Finding("reach", "the connection", "unknown", "the host was not asked", "two\nlines"),
    Finding("disk", "data", "warning", "a disk nearly full", "it goes quickly", "df -h"),
    Finding("key", "data", "problem", "a key is open", "others read it", "sudo chmod 600 key"),
)
FOUND_TEXT = """\
this machine
  ✓ homeport.toml: the app shop

the connection
  ? the host was not asked
      why:  two
            lines

data
  ! a disk nearly full
      why:  it goes quickly
      mend: df -h
  ✗ a key is open
      why:  others read it
      mend: sudo chmod 600 key

1 problem and 1 warning. Commands with sudo or docker are typed on the host."""


def test_a_checkup_for_people() -> None:
    """A line a finding under its group; why and mend below what is not well; the sum at the end."""
    assert report.doctor(FOUND) == FOUND_TEXT
    assert report.doctor(FOUND[:1]).endswith("✓ homeport.toml: the app shop\n\nNothing is wrong.")


def test_status_of_an_app_in_maintenance() -> None:
    """Who put the page up, why, since when, and how it comes down."""
    page = {"who": "anna", "why": "a new disk", "at": 940.0, "until": 0.0}
    assert report.status({**STATUS, "maintenance": page}, now=1000).splitlines()[1:3] == [
        "  MAINTENANCE  60 s ago by anna: a new disk",
        "          everybody gets that page until: homeport maintenance off",
    ]


EDGE = {
    "version": "2.11.4",
    "running": True,
    "since": "2026-11-25T22:00:00.123Z",
    "memory": 23_000_000,
    "sites": [
        {"app": "blog", "names": [], "ports": [5000], "tls": "off", "maintenance": True},
        {
            "app": "shop",
            "names": ["shop.lan", "192.168.1.5"],
            "ports": [443, 80],
            "tls": "internal",
            "certificates": [
                {"name": "shop.lan", "issuer": "local", "ends": 1000 + 43200},
                {"name": "192.168.1.5", "issuer": "", "ends": None},
            ],
        },
    ],
    "busy": ["blog holds its requests"],
    "current": False,
    "outdated": True,
    "image": "caddy:2.11.4",
}
EDGE_TEXT = """\
edge: Caddy 2.11.4, runs since 2026-11-25T22:00:00, 23 MB
  blog         every name; port 5000; tls off  MAINTENANCE
  shop         shop.lan, 192.168.1.5; port 443, 80; tls internal
               certificate of shop.lan: local, 0.5 days left
               certificate of 192.168.1.5: -, none yet
now: blog holds its requests

warning: another Homeport configured it
  mend: homeport edge apply

warning: it is not caddy:2.11.4
  mend: homeport edge upgrade"""


def test_the_edge_for_people() -> None:
    """Every site with its certificates, who must not be disturbed, and what mends what."""
    assert report.edge(EDGE, now=1000) == EDGE_TEXT


def test_an_answer_with_nothing_in_it_is_readable() -> None:
    """Before the first deploy, and from an agent that tells less."""
    assert report.status({"app": "a"}).startswith("a: nothing is live yet")
    lost = report.status({"app": "a", "unrecorded": "r0002"})
    assert lost.startswith("a: r0002 has the link, but its record is gone")
    assert report.history([]) == "No run yet."
    back = {"run": "y", "verb": "restore", "at": 0, "code": 0, "put_back": "S1", "sets": ["S2"]}
    assert "asked for the data of S1; saved before: S2" in report.history([back])
    shown = report.history([{"run": "x", "verb": "deploy", "at": 0, "code": 51, "sentence": "no"}])
    assert "unfinished" in shown and shown.endswith("    no")
    refused = report.plan({"text": "- a: b", "problems": [{"what": "disk full", "mend": "rm"}]})
    assert refused == "- a: b\n\nrefused: disk full\n  mend: rm"
