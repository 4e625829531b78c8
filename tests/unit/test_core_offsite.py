"""Copies off the box: what carries them, when to worry, and what a new host makes of one."""

from __future__ import annotations

from dataclasses import replace

import pytest
from builders import APP, facts, line, release, settings
from homeport.backups import Backup
from homeport.core import doctor, journal, offsite, taking_over
from homeport.core.cautions import cautions
from homeport.core.offsite import DAY, Offsite
from homeport.core.render import Folder, Rendered
from homeport.model import HostAddress, Image, Release
from homeport.planned import Plan, Skip, Step
from test_core_doctor import NOW, WELL

REPOSITORY = "rest:https://me@nas:8000/food"
SHOWN = "rest:https://nas:8000/food"
BACKUP = Backup(offsite=REPOSITORY)
OLD, NEW, LATER = "20260101T030000-aaaa", "20260102T030000-bbbb", "20260103T030000-cccc"
WELL_KNOWN = Offsite(SHOWN, "id", NEW, NOW - 3600, drilled=NOW - DAY, drilled_set=OLD)


# --- what carries them ---------------------------------------------------------------------------
def test_the_steps() -> None:
    """The set goes there before old ones go; nothing where no repository is named."""
    assert offsite.steps(None) == () == offsite.steps(Backup())
    for_ever = Backup("", offsite="/mnt", offsite_daily=0, offsite_weekly=0, offsite_monthly=0)
    assert [one.do for one in offsite.steps(for_ever)] == ["offsite"]
    plan = Plan("backup", steps=(*offsite.steps(BACKUP), offsite.drill(BACKUP)))
    assert plan.text().splitlines() == [
        f"- offsite: offsite repository={REPOSITORY} set=  # a copy on the same box dies with it",
        f"- offsite-prune: offsite-prune daily=7 monthly=12 repository={REPOSITORY} weekly=5"
        "  # 7 days, 5 weeks and 12 months are kept there",
        f"- drill: drill repository={REPOSITORY}"
        "  # a repository counts when a set came back from it",
    ]


# --- when to worry -------------------------------------------------------------------------------
STANDING: dict[str, tuple[Offsite | None, Backup | None, str, tuple[str, ...]]] = {
    "not asked for": (WELL_KNOWN, Backup(), "", ()),
    "no backups at all": (None, None, "", ()),
    "nothing there yet": (
        None,
        BACKUP,
        f"{SHOWN}: nothing is there yet",
        ("no set is off the box yet",),
    ),
    "another repository": (
        replace(WELL_KNOWN, repository="/mnt/old"),
        BACKUP,
        f"{SHOWN}: nothing is there yet",
        ("no set is off the box yet",),
    ),
    "well": (
        WELL_KNOWN,
        BACKUP,
        f"{SHOWN}: {NEW} since 60 minutes ago; {OLD} came back 24 hours ago",
        (),
    ),
    "old": (
        replace(WELL_KNOWN, at=NOW - 4 * DAY),
        BACKUP,
        f"{SHOWN}: {NEW} since 4 days ago; {OLD} came back 24 hours ago",
        ("the newest set off the box is from 4 days ago",),
    ),
    "never tried": (
        replace(WELL_KNOWN, drilled=0.0),
        BACKUP,
        f"{SHOWN}: {NEW} since 60 minutes ago; never tried: homeport backup drill",
        (),
    ),
    "not tried since long": (
        replace(WELL_KNOWN, drilled=NOW - 40 * DAY),
        BACKUP,
        f"{SHOWN}: {NEW} since 60 minutes ago; {OLD} came back 40 days ago",
        ("the last set that was brought back for a try is from 40 days ago",),
    ),
    "did not come back": (
        replace(WELL_KNOWN, why="part of the repository cannot be read"),
        BACKUP,
        f"{SHOWN}: {NEW} since 60 minutes ago; {OLD} did NOT come back 24 hours ago",
        (f"the set {OLD} did not come back from the repository",),
    ),
    "the last upload failed": (
        replace(WELL_KNOWN, failed="the repository cannot be reached"),
        BACKUP,
        f"{SHOWN}: {NEW} since 60 minutes ago; {OLD} came back 24 hours ago",
        ("the last upload came to nothing",),
    ),
    "the first upload failed": (
        Offsite(SHOWN, failed="the repository cannot be reached"),
        BACKUP,
        f"{SHOWN}: nothing is there yet",
        ("the last upload came to nothing", "no set is off the box yet"),
    ),
    "the upload of a newer set was cut short": (
        replace(WELL_KNOWN, begun=NOW - 7200, begun_set=LATER),
        BACKUP,
        f"{SHOWN}: {NEW} since 60 minutes ago; {OLD} came back 24 hours ago",
        (f"the upload of {LATER} was cut short 2 hours ago",),
    ),
    "on its way": (
        replace(WELL_KNOWN, begun=NOW - 7200, begun_set=LATER, sending=offsite.UPLOAD),
        BACKUP,
        f"{SHOWN}: {NEW} since 60 minutes ago; {LATER} is on its way since 2 hours;"
        f" {OLD} came back 24 hours ago",
        (),
    ),
}


@pytest.mark.parametrize("name", STANDING)
def test_how_it_stands(name: str) -> None:
    """A line for status, and a word wherever somebody should act."""
    known, backup, sentence, worries = STANDING[name]
    assert offsite.sentence(known, backup, NOW) == sentence
    found = offsite.cautions(known, backup, NOW)
    assert tuple(one.what for one in found) == worries
    assert all(one.where == SHOWN and one.why and one.mend for one in found)


@pytest.mark.parametrize("newest", ["", OLD, NEW, LATER])
def test_what_is_on_the_host_only(newest: str) -> None:
    """Status names the newest good set where it is not away yet, and nothing else."""
    said = offsite.sentence(WELL_KNOWN, BACKUP, NOW, newest)
    assert (f"; {newest} is on this host only;" in said) == (newest == LATER)
    none = offsite.sentence(None, BACKUP, NOW, newest)
    more = f"; {newest} is on this host only" if newest else ""
    assert none == f"{SHOWN}: nothing is there yet{more}"


def saving(backup: Backup | None = BACKUP) -> Release:
    """A release that saves off the box."""
    return release(2, said=replace(settings(), backup=backup))


def test_a_caution_is_said_wherever_a_host_is_looked_at() -> None:
    """By what is live: status, plan and doctor have it from there."""
    live = saving()
    found = dict(cautions(facts(live, live=live, now=NOW)))
    assert found["offsite"].what == f"{SHOWN}: no set is off the box yet"
    assert "offsite" not in dict(cautions(facts(live, live=live, now=NOW, offsite=WELL_KNOWN)))


EXAMINED = {
    "not asked for": (None, False, WELL_KNOWN, []),
    "well": (
        (0, 14, 0),
        True,
        WELL_KNOWN,
        [
            ("restic", "ok", "restic 0.14.0 carries sets off the box"),
            (
                "offsite",
                "ok",
                f"{SHOWN}: {NEW} since 60 minutes ago; {OLD} came back 24 hours ago",
            ),
        ],
    ),
    "nothing is there": (
        (),
        False,
        None,
        [
            ("restic", "problem", "restic is not installed"),
            ("restic-keys", "problem", f"RESTIC_PASSWORD has no value in /opt/{APP}/restic.env"),
            ("offsite", "warning", f"{SHOWN}: no set is off the box yet"),
        ],
    ),
    "too old": (
        (0, 9, 4),
        True,
        WELL_KNOWN,
        [
            ("restic", "problem", "restic 0.9.4 is too old: 0.12 is needed"),
            (
                "offsite",
                "ok",
                f"{SHOWN}: {NEW} since 60 minutes ago; {OLD} came back 24 hours ago",
            ),
        ],
    ),
}


@pytest.mark.parametrize("name", EXAMINED)
def test_what_a_doctor_says(name: str) -> None:
    """The program, its keys and its copies, each with what mends it."""
    version, opens, known, said = EXAMINED[name]
    live = saving(Backup() if version is None else BACKUP)
    seen = replace(WELL, facts=facts(live, live=live, now=NOW, offsite=known))
    found = doctor.examine(replace(seen, restic=version, opens=opens))
    mine = [one for one in found if one.id in ("restic", "restic-keys", "offsite")]
    assert [(one.id, one.state, one.what) for one in mine] == said
    assert all(one.mend and one.why for one in mine if one.state != "ok")


# --- an app taken over ---------------------------------------------------------------------------
DATA = Rendered(
    services=("web",),
    folders=(Folder("/opt/shop/data", "/data", ""),),
    volumes={"shop_uploads": {}},
)
LEFT = {"folders": frozenset({"/opt/shop/data"}), "volumes": frozenset({"shop_uploads", "other"})}


def test_a_host_on_which_the_app_lives_is_left_alone() -> None:
    """Its data is newer than any set, and restore SET saves it first."""
    live = release(7)
    (problem,) = taking_over.serves(facts(live, live=live))
    assert problem.what == "shop lives on this host already: r0007-7777777"
    assert problem.mend.startswith("homeport restore SET")
    assert taking_over.serves(facts()) == ()


def test_data_that_nobody_would_save_is_in_the_way() -> None:
    """Of an app that was removed, or put there by hand; each with the command that mends it."""
    found = taking_over.in_the_way(facts(**LEFT), DATA)
    assert [(one.where, one.what) for one in found] == [
        ("/opt/shop/data", "there is data already"),
        ("shop_uploads", "there is a volume already"),
    ]
    assert all(one.mend for one in found)
    assert taking_over.in_the_way(facts(), DATA) == ()


TRIES = {
    "a try that died": (
        [
            line("begin", verb="restore-from", release="r0001-1111111"),
            line("intent", step="data-back"),
            line("end", outcome="failed", code=1),
        ],
        True,
    ),
    "a try that was refused": (
        [
            line("begin", verb="restore-from", release="r0001-1111111"),
            line("done", step="fetch"),
            line("end", outcome="refused", code=30),
        ],
        False,
    ),
    "this very run": ([line("begin", verb="restore-from", release="r0001-1111111")], False),
    "nothing of ours": ([line("begin", verb="deploy", release="r0001-1111111")], False),
    "a try that served since": (
        [
            line("begin", verb="restore-from", release="r0001-1111111"),
            line("done", step="data-back"),
            line("done", step="handover", committed="r0001-1111111"),
            line("end", outcome="restored", code=0),
            line("begin", "b", verb="remove", release=""),
            line("end", "b", outcome="removed", code=0),
        ],
        False,
    ),
}


@pytest.mark.parametrize("name", TRIES)
def test_what_an_earlier_try_left_is_in_nobodys_way(name: str) -> None:
    """It came from a set; once users wrote into it, it is theirs."""
    lines, free = TRIES[name]
    found = taking_over.in_the_way(facts(history=journal.fold(lines), **LEFT), DATA)
    assert (found == ()) is free


def test_the_release_is_made_as_the_one_in_the_set_was() -> None:
    """Its image by digest, its settings; saved on to where it came from, for this host."""
    record = replace(saving(Backup(offsite="/mnt/old", keep=3)), size=7)
    here = replace(settings(), host=HostAddress("new.local"))
    made = taking_over.settings(record, here, "/mnt/usb")
    assert made.backup == Backup(offsite="/mnt/usb", keep=3)
    assert made.host.address == "new.local" and made.web == record.settings.web
    image = taking_over.image(record)
    assert image == Image("reg/shop", "sha256:2222222", (), 7) and image.pinned == record.image
    local = replace(record, image="sha256:" + "a" * 64)
    assert taking_over.image(local) is None
    assert "--from-local" in taking_over.nowhere(local).mend


FIRST = Plan(
    "deploy",
    "r0001-2222222",
    (
        Step("release", "write-release", "every deploy makes a release"),
        Step("data", "data", "the app's own networks, volumes and folders outlive releases"),
        Step("shared", "shared-up", "first deploy starts the shared services"),
        Step("sockets", "sockets", "a slot has a folder of its own"),
        Step("migrate", "migrate", "the schema goes 1 -> 2"),
        Step("start", "compose-up", "first release"),
        Step("handover", "link", "it is ready", commit=True),
    ),
    (Skip("backup", "there is no data yet"), Skip("verify", "there is no data yet")),
)


def test_the_data_is_there_before_anything_uses_it() -> None:
    """A first deploy's plan, with what came back checked and put in place after the database runs
    and before a migration or the app."""
    made = taking_over.plan(FIRST, NEW, saving())
    assert [one.id for one in made.steps] == [
        *("release", "data", "shared", "sockets"),
        *("verify", "data-back", "migrate", "start", "handover"),
    ]
    assert made.steps[5].args == {"release": "r0001-2222222", "set": NEW}
    assert made.skips == () and made.verb == "restore-from"
    assert made.notices[-1].startswith("r0001-2222222 is made as r0002-2222222 was")
    assert taking_over.fetching(REPOSITORY, "latest").steps[0].cause == f"the data is in {SHOWN}"
