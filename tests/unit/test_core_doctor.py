"""From literal facts to literal findings, one check at a time; and what holds for all of them."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from builders import HOLD, facts, history, line, release, settings, slot
from homeport.backups import Backup, Verified
from homeport.core import doctor, journal
from homeport.core.checkup import Checkup, Docker, Machine, Owned, Place, Setup
from homeport.core.facts import EdgeFacts, HostFacts
from homeport.core.finding import Finding
from homeport.core.freeze import Freeze
from homeport.core.kept import Saving
from homeport.core.maintenance import Maintenance
from homeport.core.mounts import Mount, Named
from homeport.core.policy import MIB
from homeport.core.render import Folder, Rendered
from homeport.errors import Problem
from homeport.model import Site
from saving import kept
from test_core_policy import GOOD, NO_STANDBY, REFUSALS

NOW = 1_770_000_000.0
ONE, TWO = release(1), release(2)
SAVES = replace(TWO, settings=replace(TWO.settings, backup=Backup()))
OFFSITE = replace(TWO, settings=replace(TWO.settings, backup=Backup(offsite="/mnt/usb")))
HERE = {"name": "", "port": 80, "hold": 30.0, "network": ""}
EDGE = EdgeFacts(True, True, "2.11.4", (80,), (), {"shop": HERE})
HOST = HostFacts(
    "29.1.3",
    "2.40.3",
    "aarch64",
    mem_available=2048 * MIB,
    disk_free=20_000 * MIB,
    docker_free=20_000 * MIB,
    boot_hook="systemd",
)
DISK = Place("/opt/shop", "ext4", "/dev/mmcblk0p2", False, 32_000 * MIB, 20_000 * MIB, 1000, 900)
PI = Machine(
    "Raspberry Pi 4 Model B Rev 1.5",
    "aarch64",
    64,
    "3.11.2",
    4096 * MIB,
    512 * MIB,
    (DISK,),
    throttled=0,
    celsius=51.6,
    battery=False,
)
LEFT = Setup(
    user="homeport",
    groups=("docker", "homeport"),
    systemd=True,
    hook_runs=True,
    lingers=True,
    docker_at_boot=True,
    folders=(Owned("/opt/shop", "homeport", 0o755),),
    secrets=(Owned("/opt/shop/app.env", "homeport", 0o600), Owned("/opt/shop/.env")),
)
SAID = settings()
READS = Rendered(services=("web",), data=("/opt/shop/data",))
SEEN = facts(
    ONE,
    TWO,
    live=TWO,
    now=NOW,
    containers=(*slot(ONE, running=False), *slot(TWO, pinned=True)),
    edge=EDGE,
    host=HOST,
    filesystems={"/opt/shop/data": "ext4"},
)
WELL = Checkup(
    SEEN,
    NOW - 2,
    PI,
    LEFT,
    Docker(storage="overlay2", cgroup="v2"),
    SAID,
    READS,
    env=frozenset({"SECRET_KEY"}),
    asked=True,
)


def seen(**rest: Any) -> Checkup:
    """A healthy host but for these facts of the plan's."""
    return replace(WELL, facts=replace(SEEN, **rest))


def host(**rest: Any) -> Checkup:
    """A healthy host but for these of HostFacts."""
    return seen(host=replace(HOST, **rest))


def machine(**rest: Any) -> Checkup:
    """A healthy Pi but for these."""
    return replace(WELL, machine=replace(PI, **rest))


def setup(**rest: Any) -> Checkup:
    """A host that was set up well but for these."""
    return replace(WELL, setup=replace(LEFT, **rest))


def docker(**rest: Any) -> Checkup:
    """A good Docker but for these."""
    return replace(WELL, docker=replace(WELL.docker, **rest))


def of(check: str, one: Checkup) -> list[tuple[str, str, str, str]]:
    """What a check says: state, what, why, mend."""
    found = doctor.examine(one)
    return [(each.state, each.what, each.why, each.mend) for each in found if each.id == check]


def test_a_healthy_pi() -> None:
    """Nothing but good findings, in the groups' order, a line each."""
    found = doctor.examine(WELL)
    assert [(one.id, one.what) for one in found] == [
        ("machine", "Raspberry Pi 4 Model B Rev 1.5, Python 3.11.2"),
        ("clock", "the clock is synchronised; it has no battery and starts wrong at a boot"),
        ("memory", "2048 MiB of 4096 MiB of memory are free: enough for two slots"),
        ("swap", "512 MiB of swap"),
        ("disk", "room for a deploy"),
        ("disk", "20000 MiB of 32000 MiB are free on the disk of /opt/shop"),
        ("filesystem", "the disks take writes and report no errors"),
        (
            "card",
            "the app lies on a card or eMMC (/dev/mmcblk0p2): keep a copy of its data elsewhere",
        ),
        ("64-bit", "a 64-bit system"),
        ("power", "enough power since the last boot"),
        ("heat", "the processor has 52 °C"),
        ("memory-limits", "memory limits have effect"),
        ("docker-group", "homeport may use Docker"),
        ("boot-hook", "the boot hook is in place (systemd)"),
        ("lingering", "a deploy outlives its connection"),
        ("docker-at-boot", "Docker starts at boot"),
        ("folders", "the folders are the right user's"),
        ("secret-files", "only their owner can read the files with secrets"),
        ("docker", "Docker 29.1.3, overlay2, cgroup v2"),
        ("compose", "Compose 2.40.3"),
        ("log-rotation", "the containers' logs are bounded"),
        ("edge", "the edge runs: Caddy 2.11.4, ports 80"),
        ("ports", "port 80 is ours or free"),
        ("compose-file", "the compose file can be deployed"),
        ("variables", "every variable that is asked for has a value"),
        ("live", "r0002-2222222 is live"),
        ("healthy", "it answers as ready"),
        ("last-run", "the last deploy went well (r0002-2222222)"),
        ("way-back", "homeport rollback goes back to r0001-1111111"),
        ("deploy", "nothing else stands against a deploy"),
        ("data-disk", "the data lies on a local disk"),
        ("journal", "the journal can be read to its end"),
        ("ballast", "the ballast is there for a full disk"),
    ]
    assert {one.state for one in found} == {"ok"}
    assert not doctor.needs_a_person(found)


def failed(verb: str, release_: str, outcome: str) -> journal.History:
    """A history whose last run ended badly."""
    first = [line("begin", "a", verb="deploy", release=TWO.id)]
    first += [line("done", "a", step="handover", committed=TWO.id), line("end", "a", code=0)]
    lines = [*first, line("begin", "b", 2.0, verb=verb, release=release_)]
    end = line("end", "b", 3.0, outcome=outcome, code=52, sentence="it did not become healthy")
    return journal.fold([*lines, end])


CLOCK = ("certificates look invalid, and the history's times are wrong",)
SET = "sudo timedatectl set-ntp true"
SETUP = "homeport setup --host USER@ADDRESS"
PRUNE = "docker image prune -a, or delete what is not needed"
SUPPLY = (
    "a board without enough power damages what it writes, and resets without a word",
    "use the power supply made for this board, with a short cable",
)
SLOW = (
    "too hot or too little power: requests and deploys take longer",
    "give it a heat sink or a fan",
)
FSCK = "add fsck.mode=force to the line in /boot/firmware/cmdline.txt, then sudo reboot"
WORN = (
    "flash forgets when it is worn out, and takes the database along",
    "copy the data to another machine, then to a new disk",
)
CADDY = (
    "browsers refuse the site; the edge says why it got none",
    "docker logs --tail 50 homeport-edge",
)
GONE = "nobody reaches the app"
CUT = journal.Run("x", "deploy", TWO.id, ONE.id, 3.0, step="watch")
OPEN = Owned("/opt/shop/app.env", "homeport", 0o644)

FAULTS: dict[str, tuple[str, Checkup, tuple[str, ...]]] = {
    "the clock stands at its begin": (
        "clock",
        seen(now=0.0),
        ("problem", "the clock stands before 2025", *CLOCK, SET),
    ),
    "the clock is ahead": (
        "clock",
        replace(WELL, asked_at=NOW - 100),
        (
            "problem",
            "the host's clock is 100 s ahead of this machine's",
            *CLOCK,
            f"{SET}   (or mend the clock of this machine)",
        ),
    ),
    "the clock is behind": (
        "clock",
        replace(WELL, asked_at=NOW + 3600),
        (
            "problem",
            "the host's clock is 3600 s behind this machine's",
            *CLOCK,
            f"{SET}   (or mend the clock of this machine)",
        ),
    ),
    "the clock is not synchronised": (
        "clock",
        host(clock_synced=False),
        (
            "warning",
            "the clock is not synchronised",
            "certificates and logs depend on the time",
            SET,
        ),
    ),
    "too little memory for two slots": (
        "memory",
        host(mem_available=100 * MIB),
        (
            "warning",
            "recreate: two slots side by side need 144 MiB, 100 MiB are free",
            "the old release ends before the new one starts, and requests wait longer",
            "sudo systemctl stop what is not needed, or a smaller limit",
        ),
    ),
    "no swap on a small board": (
        "swap",
        machine(swap=0, mem_total=1024 * MIB),
        (
            "warning",
            "there is no swap",
            "the kernel ends a container at the first peak of memory",
            "sudo apt-get install zram-tools",
        ),
    ),
    "no room for a deploy": (
        "disk",
        host(docker_free=50 * MIB),
        (
            "problem",
            "host: /var/lib/docker: 64 MiB of disk are needed",
            "50 MiB are free",
            "docker image prune -a; delete what is not needed",
        ),
    ),
    "a disk nearly full": (
        "disk",
        machine(places=(replace(DISK, free=3000 * MIB),)),
        (
            "warning",
            "3000 MiB of 32000 MiB are free on the disk of /opt/shop",
            "the last tenth goes quickly",
            PRUNE,
        ),
    ),
    "no inodes": (
        "disk",
        machine(places=(replace(DISK, inodes_free=20),)),
        (
            "problem",
            "only 20 files more fit on the disk of /opt/shop",
            "it is full for new files though space is left",
            PRUNE,
        ),
    ),
    "mounted read-only": (
        "filesystem",
        machine(places=(replace(DISK, read_only=True),)),
        (
            "problem",
            "the disk of /opt/shop can only be read",
            "the kernel stopped writing after an error, or it is mounted so",
            FSCK,
        ),
    ),
    "errors on a laptop's disk": (
        "filesystem",
        machine(model="", places=(replace(DISK, device="/dev/sda2"),), faults={"sda2": 3}),
        (
            "problem",
            "the kernel counted 3 errors on sda2",
            "files there may be damaged: copy what matters to another machine first",
            "sudo fsck -f /dev/sda2 with the disk not in use",
        ),
    ),
    "an eMMC at its end": (
        "card",
        machine(worn=11),
        ("problem", "/dev/mmcblk0p2 has outlived what it was made for", *WORN),
    ),
    "an eMMC that is old": (
        "card",
        machine(worn=9),
        ("warning", "80 to 90 % of the life of /dev/mmcblk0p2 is used up", *WORN),
    ),
    "32 bits": (
        "64-bit",
        machine(arch="armv7l", bits=32),
        (
            "warning",
            "a 32-bit system on a board that can do 64",
            "many images and Python packages are no longer built for 32 bits",
            "write a 64-bit system to the card with Raspberry Pi Imager, then homeport setup",
        ),
    ),
    "too little power now": (
        "power",
        machine(throttled=0x10001),
        ("problem", "the power supply is too weak right now", *SUPPLY),
    ),
    "too little power before": (
        "power",
        machine(throttled=0x10000),
        ("warning", "the power supply was too weak since the last boot", *SUPPLY),
    ),
    "slowed down now": (
        "power",
        machine(throttled=0x60006),
        ("warning", "the processor slowed itself down right now", *SLOW),
    ),
    "slowed down before": (
        "power",
        machine(throttled=0x40000),
        ("warning", "the processor slowed itself down at some time since the boot", *SLOW),
    ),
    "hot": (
        "heat",
        machine(celsius=82.4),
        (
            "warning",
            "the processor has 82 °C",
            "it slows itself down now, and lives shorter",
            "give it a heat sink or a fan",
        ),
    ),
    "limits without effect": (
        "memory-limits",
        host(memory_limits=False),
        (
            "warning",
            "memory limits have no effect on this kernel",
            "one leaking container takes the whole machine down",
            "add cgroup_enable=memory cgroup_memory=1 to the line in /boot/firmware/cmdline.txt,"
            " then sudo reboot",
        ),
    ),
    "not in group docker": (
        "docker-group",
        setup(groups=("homeport",)),
        (
            "problem",
            "homeport is not in the group docker",
            "it cannot start containers",
            "sudo usermod -aG docker homeport",
        ),
    ),
    "no boot hook": (
        "boot-hook",
        host(boot_hook=""),
        (
            "problem",
            "the boot hook is missing",
            "after a power cut nothing mends itself",
            SETUP,
        ),
    ),
    "a boot hook that is off": (
        "boot-hook",
        setup(hook_runs=False),
        (
            "problem",
            "the boot hook is installed and will not run",
            "after a power cut nothing mends itself",
            "sudo systemctl enable homeport-boot.service",
        ),
    ),
    "a boot hook whose cron line is gone": (
        "boot-hook",
        setup(hook_runs=False, systemd=False),
        (
            "problem",
            "the boot hook is installed and will not run",
            "after a power cut nothing mends itself",
            SETUP,
        ),
    ),
    "no lingering": (
        "lingering",
        setup(lingers=False),
        (
            "problem",
            "lingering is off for homeport",
            "a lost connection may end a deploy half way",
            "sudo loginctl enable-linger homeport",
        ),
    ),
    "Docker is not started at boot": (
        "docker-at-boot",
        setup(docker_at_boot=False),
        (
            "problem",
            "Docker does not start at boot",
            "after a power cut no app comes back",
            "sudo systemctl enable docker",
        ),
    ),
    "a folder is gone": (
        "folders",
        setup(folders=(Owned("/opt/homeport/run"),)),
        ("problem", "/opt/homeport/run is missing", "setup makes it", SETUP),
    ),
    "a folder is root's": (
        "folders",
        setup(folders=(Owned("/opt/shop", "root", 0o755),)),
        (
            "problem",
            "/opt/shop belongs to root",
            "homeport must be able to write there",
            "sudo chown homeport:homeport /opt/shop",
        ),
    ),
    "a folder is everybody's": (
        "folders",
        setup(folders=(Owned("/opt/shop", "homeport", 0o777),)),
        (
            "problem",
            "/opt/shop can be changed by others (mode 777)",
            "whoever changes it decides what runs",
            "sudo chmod go-w /opt/shop",
        ),
    ),
    "everybody reads the secrets": (
        "secret-files",
        setup(secrets=(OPEN,)),
        (
            "problem",
            "/opt/shop/app.env can be read by others (mode 644)",
            "it holds the app's secrets",
            "sudo chmod 600 /opt/shop/app.env",
        ),
    ),
    "Docker is down": (
        "docker",
        docker(fault="Docker does not run", mend="sudo systemctl start docker"),
        (
            "problem",
            "Docker does not run",
            "without it nothing is served or deployed",
            "sudo systemctl start docker",
        ),
    ),
    "Docker is old": (
        "docker",
        host(docker="19.03.15"),
        (
            "problem",
            "Docker Engine 20.10 or newer is needed",
            "it has 19.03.15",
            "on the host: curl -fsSL https://get.docker.com | sudo sh   (Docker restarts)",
        ),
    ),
    "Compose is old": (
        "compose",
        host(compose="2.26.1-4"),
        (
            "problem",
            "Docker Compose 2.35 or newer is needed",
            "it has 2.26.1-4",
            "on the host: curl -fsSL https://get.docker.com | sudo sh   (Docker restarts)",
        ),
    ),
    "vfs": (
        "storage-driver",
        docker(storage="vfs"),
        (
            "warning",
            "Docker keeps its images with the driver vfs",
            "every layer is copied whole: deploys are slow and fill the disk",
            "https://docs.docker.com/engine/storage/drivers/select-storage-driver/",
        ),
    ),
    "logs that grow": (
        "log-rotation",
        docker(unbounded=("shop-r0002-web-1",)),
        (
            "warning",
            "the log of shop-r0002-web-1 grows for ever",
            "the driver json-file keeps every line until the disk is full",
            "in the compose file: logging: {driver: local, options: {max-size: 10m}}, then deploy",
        ),
    ),
    "the edge is gone": (
        "edge",
        seen(edge=EdgeFacts(sites={"shop": HERE})),
        ("problem", "the edge is gone", GONE, "homeport edge apply"),
    ),
    "the edge was stopped": (
        "edge",
        seen(edge=replace(EDGE, running=False)),
        ("problem", "the edge does not run", GONE, "homeport edge apply"),
    ),
    "the edge is old": (
        "edge",
        seen(edge=replace(EDGE, version="2.10.0")),
        (
            "problem",
            "the edge is Caddy 2.10.0; 2.11.4 is needed",
            "older ones lose the body of a request that was held",
            "homeport edge upgrade",
        ),
    ),
    "the edge has other ports": (
        "edge",
        seen(edge=replace(EDGE, ports=(8080,))),
        (
            "problem",
            "port 80 is new at the edge",
            "it is not as it was left: people may not reach the app",
            "homeport edge apply",
        ),
    ),
    "the edge does not know the app": (
        "edge",
        seen(edge=replace(EDGE, sites={})),
        (
            "problem",
            "the edge does not know shop",
            "its list of sites does not name it",
            "homeport edge apply",
        ),
    ),
    "another Homeport configured the edge": (
        "edge",
        seen(edge=replace(EDGE, current=False)),
        (
            "warning",
            "the edge was configured by another version of Homeport",
            "it knows nothing of what this one asks of it, such as the maintenance page",
            "homeport edge apply",
        ),
    ),
    "the edge is from another image": (
        "edge",
        seen(edge=replace(EDGE, image="sha256:1", pinned="sha256:2")),
        (
            "warning",
            "the edge was made from another image than this Homeport's caddy:2.11.4",
            "what was mended since is not in it",
            "homeport edge upgrade",
        ),
    ),
    "no certificate yet": (
        "certificates",
        replace(WELL, certificates={"a.example": None}),
        ("warning", "there is no certificate for a.example yet", *CADDY),
    ),
    "a certificate that has ended": (
        "certificates",
        replace(WELL, certificates={"a.example": NOW - 1}),
        ("problem", "the certificate for a.example has ended", *CADDY),
    ),
    "a certificate that is not renewed": (
        "certificates",
        replace(
            WELL,
            certificates={"a.example": NOW + 5 * 86400},
            settings=replace(SAID, site=Site("a.example", tls="acme")),
        ),
        (
            "warning",
            "the certificate for a.example ends in 5 days",
            "the edge renews it a month before, so something keeps it",
            CADDY[1],
        ),
    ),
    "the maintenance page": (
        "maintenance",
        seen(maintenance=Maintenance("ada", "a new disk")),
        (
            "warning",
            "everybody gets the maintenance page",
            "put up by ada: a new disk",
            "homeport maintenance off",
        ),
    ),
    "another program has the port": (
        "ports",
        replace(
            seen(host=replace(HOST, listeners={5000: "container nginx"})),
            settings=replace(SAID, site=Site(port=5000)),
        ),
        (
            "problem",
            "homeport.toml: [site]: port 5000 of the host is taken",
            "by container nginx",
            "ssh homeport@HOST docker stop nginx, or set another [site] port",
        ),
    ),
    "Compose refuses the file": (
        "compose-file",
        replace(
            WELL,
            rendered=None,
            refused=(Problem("Compose does not accept the file", "compose file", "y", "m"),),
        ),
        ("problem", "compose file: Compose does not accept the file", "y", "m"),
    ),
    "a handover that cannot be": (
        "compose-file",
        replace(WELL, settings=settings(standby=False, handover="single-writer")),
        (
            "problem",
            "homeport.toml: [deploy] handover: single-writer needs an app that can stand by",
            "the new release must be able to start without writing",
            "set [web] standby = true if the app heeds HOMEPORT_STANDBY, else handover ="
            ' "recreate"',
        ),
    ),
    "a variable without a value": (
        "variables",
        replace(WELL, rendered=replace(READS, variables=("MAIL", "SECRET_KEY"))),
        (
            "problem",
            "/opt/shop/app.env: MAIL has no value",
            "the compose file or [secrets] names it",
            "add a line MAIL=… there",
        ),
    ),
    "app.env was edited": (
        "variables",
        replace(WELL, rendered=None, differing=("MAIL",)),
        (
            "warning",
            "app.env differs from the live release in MAIL",
            "the app runs with the values from before",
            "homeport deploy",
        ),
    ),
    "a stack of the same name": (
        "strangers",
        seen(strangers=("shop-web-1",)),
        (
            "problem",
            "a Compose project 'shop' runs already",
            "containers: shop-web-1",
            "ssh homeport@HOST docker compose -p shop down   (its volumes stay; Homeport uses them"
            " from then on)",
        ),
    ),
    "the link is garbage": (
        "live",
        seen(link="garbage"),
        (
            "problem",
            "the host does not match its link",
            "it served before; the link was garbage",
            "homeport recover",
        ),
    ),
    "a run that never ended": (
        "live",
        seen(history=replace(SEEN.history, runs=(*SEEN.history.runs, CUT))),
        (
            "problem",
            "the run x (deploy of r0002-2222222) never ended",
            "it was interrupted at watch",
            "homeport recover",
        ),
    ),
    "it does not answer": (
        "healthy",
        seen(sick="GET /: 500 oops"),
        (
            "problem",
            "what serves is not well (GET /: 500 oops)",
            "if a new release fails, there is nothing good to take back to",
            "homeport logs",
        ),
    ),
    "the last deploy failed": (
        "last-run",
        seen(history=failed("deploy", "r0003-3333333", "failed")),
        (
            "warning",
            "the last deploy did not succeed: failed (r0003-3333333)",
            "it did not become healthy",
            "homeport history tells more; mend the release, then homeport deploy",
        ),
    ),
    "frozen": (
        "frozen",
        seen(history=replace(SEEN.history, freeze=Freeze("ada", "it loses mail", "", 1.0))),
        ("warning", "deploys are frozen", "by ada: it loses mail", "homeport unfreeze"),
    ),
    "the image to go back to is gone": (
        "way-back",
        replace(
            WELL,
            facts=facts(
                replace(ONE, image="sha256:1"),
                TWO,
                live=TWO,
                now=NOW,
                containers=slot(TWO, pinned=True),
                images=frozenset({TWO.image}),
                edge=EDGE,
                host=HOST,
            ),
        ),
        (
            "warning",
            "the image of r0001-1111111 is gone: there is no way back",
            "it came by --from-local, so no registry has it",
            "homeport deploy makes a new one; the next rollback goes to the live release",
        ),
    ),
    "killed for its memory": (
        "killed",
        docker(killed=("shop-r0002-web-1",)),
        (
            "warning",
            "shop-r0002-web-1 was ended by the kernel for its memory",
            "it used more memory than its limit or than the machine has",
            "a higher deploy.resources.limits.memory in the compose file, or fewer workers",
        ),
    ),
    "a container of no release": (
        "leftovers",
        docker(strays={"the image shop:r0009": "docker image rm shop:r0009"}),
        (
            "warning",
            "the image shop:r0009 belongs to no release",
            "it takes room for nothing",
            "docker image rm shop:r0009",
        ),
    ),
    "something that no other check looks at": (
        "deploy",
        replace(
            host(mem_available=1 * MIB),
            facts=replace(SEEN, host=replace(HOST, mem_available=1 * MIB), containers=()),
        ),
        (
            "problem",
            "about 144 MiB of memory are needed",
            "about 1 MiB are free",
            "stop what else runs there (docker stats; ps aux --sort=-rss), or add memory or swap",
        ),
    ),
    "data on a share": (
        "data-disk",
        seen(filesystems={"/opt/shop/data": "nfs4"}),
        (
            "problem",
            "/opt/shop/data lies on nfs4",
            "a SQLite database there would be damaged",
            "move the app's data to a local disk; if its database is PostgreSQL, say so:"
            ' [backup] postgres = "DATABASE_URL"',
        ),
    ),
    "data in the image": (
        "data-disk",
        replace(WELL, rendered=replace(READS, databases=(Named("web", "DB_URL", "/app/x.db"),))),
        (
            "problem",
            "docker-compose.prod.yml: services.web: DB_URL leads to /app/x.db, which lies in no"
            " volume",
            "the data would end with the container, and every deploy makes a new one",
            "volumes: [./data:/app/data] for web, and /app/data/x.db as its path; first save what"
            " is there: ssh homeport@HOST docker cp shop-r0002-web-1:/app/x.db .",
        ),
    ),
    "a volume in memory": (
        "data-disk",
        replace(
            seen(filesystems={"shop_keep": "tmpfs"}),
            rendered=replace(READS, mounts=(Mount("web", "volume", "shop_keep", "/k"),)),
        ),
        (
            "problem",
            "the volume shop_keep lies on tmpfs",
            "what is written there is gone after a restart",
            "mount a folder of a real disk there, and move the data to it",
        ),
    ),
    "data in memory": (
        "data-disk",
        seen(filesystems={"/opt/shop/data": "tmpfs"}),
        (
            "problem",
            "/opt/shop/data lies on tmpfs",
            "what is written there is gone after a restart",
            "mount a folder of a real disk there, and move the data to it",
        ),
    ),
    "data on an overlay": (
        "data-disk",
        seen(filesystems={"/opt/shop/data": "overlay"}),
        (
            "warning",
            "/opt/shop/data lies on an overlay",
            "a read-only system keeps nothing of it at a boot, nor does a removed container",
            "sudo raspi-config: Overlay File System off; or mount a folder of a disk there",
        ),
    ),
    "data that the app cannot write": (
        "data-owner",
        seen(ours=frozenset({"/opt/shop/data"})),
        (
            "warning",
            "/opt/shop/data holds files of the user homeport",
            "an app that runs as another one cannot write there",
            "sudo chown -R UID:GID /opt/shop/data",
        ),
    ),
    "data that the app cannot write, whose user the compose file names": (
        "data-owner",
        replace(
            seen(ours=frozenset({"/opt/shop/data"})),
            rendered=replace(READS, folders=(Folder("/opt/shop/data", "web", "/data", "7:8"),)),
        ),
        (
            "warning",
            "/opt/shop/data holds files of the user homeport",
            "an app that runs as another one cannot write there",
            "sudo chown -R 7:8 /opt/shop/data",
        ),
    ),
    "data that nobody saves": (
        "backup",
        seen(saving=Saving(("/data",))),
        (
            "warning",
            "nothing is saved of /data",
            "homeport.toml has no [backup]: a dead disk takes it along",
            "[backup] in homeport.toml, then homeport deploy",
        ),
    ),
    "backups that are asked for and never made": (
        "backup",
        seen(releases=(ONE, SAVES)),
        (
            "problem",
            "there is no verified backup",
            "one should be no older than 7 days",
            "homeport backup now",
        ),
    ),
    "a journal with a hole": (
        "journal",
        seen(history=replace(SEEN.history, garbled=1)),
        (
            "warning",
            "1 line of the journal cannot be read",
            "they are skipped; a power cut leaves one, more of them speak of a bad disk",
            "cp -p /opt/shop/journal.jsonl ~ keeps what is left",
        ),
    ),
    "what serves has no record": (
        "live",
        seen(releases=(ONE,), containers=slot(TWO)),
        (
            "problem",
            "the record of r0002 is gone, and the link names it",
            "what serves cannot be told apart from what does not; r0002 is left alone",
            "put the folder r0002-* back; or homeport remove and homeport deploy: data and"
            " volumes stay, and nobody is answered in between",
        ),
    ),
    "no ballast": (
        "ballast",
        setup(ballast=False),
        (
            "warning",
            "the ballast is missing",
            "on a full disk there is no room left to write down how a deploy is undone",
            "homeport recover",
        ),
    ),
    "no restic": (
        "restic",
        replace(WELL, restic=(), opens=True),
        (
            "problem",
            "restic is not installed",
            "no set gets off the box without it",
            "on the host: sudo apt-get install -y restic",
        ),
    ),
    "no password for it": (
        "restic-keys",
        replace(WELL, restic=(0, 14, 0)),
        (
            "problem",
            "RESTIC_PASSWORD has no value in /opt/shop/restic.env",
            "the repository is encrypted with it, and no set gets there without",
            "add a line RESTIC_PASSWORD=… to /opt/shop/restic.env on the host (chmod 600)",
        ),
    ),
    "nothing off the box": (
        "offsite",
        seen(releases=(ONE, OFFSITE), history=history(ONE, OFFSITE)),
        (
            "warning",
            "/mnt/usb: no set is off the box yet",
            "a disk that dies takes the copies on it along",
            "homeport backup now",
        ),
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_is_named_with_why_and_mend(name: str) -> None:
    """Exactly this, under its check, and nothing said twice."""
    check, one, told = FAULTS[name]
    assert [each for each in of(check, one) if each[0] != "ok"] == [told]
    assert doctor.needs_a_person(doctor.examine(one)) >= (told[0] == "problem")


def test_a_verified_backup_is_well() -> None:
    """How old it is, in a line."""
    made = kept("2026-02-01 23:40").manifest
    checked = {made.id: Verified(made.id, made.created, True)}
    one = seen(releases=(ONE, SAVES), sets=(made,), verified=checked)
    assert of("backup", one) == [("ok", "the newest verified backup is 3 h old", "", "")]


def test_every_check_can_fail() -> None:
    """No check is good whatever it sees, but for the one that only says what machine it is."""
    names = [name for _, checks in doctor.CHECKS for name, _ in checks]
    assert set(names) - {check for check, _, _ in FAULTS.values()} == {"machine"}
    assert max(Counter(names).values()) == 1


@pytest.mark.parametrize("name", FAULTS)
def test_what_is_not_well_says_why_and_how_to_mend_it(name: str) -> None:
    """Whatever else a fault brings about."""
    for one in doctor.examine(FAULTS[name][1]):
        assert one.state == "unknown" or (one.state == "ok") == (not one.why and not one.mend), one


@pytest.mark.parametrize("name", REFUSALS)
def test_whatever_would_stop_a_deploy_is_told(name: str) -> None:
    """Each refusal of the policy's own table, once, but for those about one image."""
    differs = REFUSALS[name][0]
    if "image" in differs or name in ("another machine", "no disk for the image"):
        return
    said, rendered = differs.get("said", NO_STANDBY), differs.get("rendered", READS)
    one = replace(WELL, facts=differs.get("seen", GOOD), settings=said, rendered=rendered)
    one = replace(one, env=frozenset(differs.get("env", {})))
    told = Counter(each.what for each in doctor.examine(one) if each.state == "problem")
    for problem in REFUSALS[name][1]:
        assert [count for what, count in told.items() if what.endswith(problem.what)] == [1], told


def states(found: tuple[Finding, ...]) -> dict[str, set[str]]:
    """Check → its states."""
    told: dict[str, set[str]] = {}
    for one in found:
        told.setdefault(one.id, set()).add(one.state)
    return told


def test_without_docker_the_rest_is_still_judged() -> None:
    """What needs no Docker is said all the same, and nothing about containers is made up."""
    bare = facts(ONE, TWO, live=TWO, now=NOW, host=HostFacts(boot_hook="", compose="2.40.3"))
    one = replace(
        WELL,
        facts=bare,
        docker=Docker("Docker does not run", "sudo systemctl start docker"),
        setup=replace(LEFT, secrets=(OPEN,)),
        asked=False,
    )
    told = states(doctor.examine(one))
    assert told["docker"] == told["boot-hook"] == told["secret-files"] == {"problem"}
    assert told["edge"] == told["live"] == {"unknown"}
    assert not {"healthy", "ports", "memory-limits", "killed", "leftovers"} & set(told)


@pytest.mark.parametrize(("link", "kind"), [("x", "garbage"), (None, "missing"), (HOLD, "hold")])
def test_a_link_that_names_nothing_is_seen_without_docker(link: str | None, kind: str) -> None:
    """The file alone tells that the host is not as it was left."""
    down = Docker("Docker does not run", "sudo systemctl start docker")
    told = of("live", replace(seen(link=link), docker=down))
    mend = "homeport recover"
    assert told == [("problem", "the host does not match its link", f"the link is {kind}", mend)]


def test_a_host_without_a_release() -> None:
    """Set up and never deployed to: nothing is missing that only a deploy brings."""
    fresh = facts(now=NOW, host=HOST)
    one = replace(WELL, facts=fresh, asked=False, setup=replace(LEFT, ballast=False))
    found = doctor.examine(one)
    assert not doctor.needs_a_person(found)
    assert ("live", "nothing is live yet: homeport deploy") in [(f.id, f.what) for f in found]
    assert ("edge", "no edge yet: the first deploy brings it") in [(f.id, f.what) for f in found]
    assert not {"ballast", "way-back", "healthy", "last-run"} & {f.id for f in found}


def test_a_run_that_goes_on_is_no_fault() -> None:
    """While somebody holds the lock, link and slots may differ."""
    going = seen(link="garbage", history=history(ONE))
    one = replace(going, holder={"verb": "deploy", "run": "r"})
    assert of("live", one) == [("ok", "deploy r goes on: homeport attach shows it", "", "")]


def test_a_machine_that_is_no_pi_is_told_nothing_of_one() -> None:
    """A laptop has no card, no firmware's bits, and a clock with a battery."""
    disk = replace(DISK, device="/dev/nvme0n1p2")
    laptop = machine(
        model="", places=(disk,), arch="x86_64", throttled=None, celsius=None, battery=True
    )
    told = states(doctor.examine(laptop))
    assert not {"card", "64-bit", "power", "heat"} & set(told)
    assert of("clock", laptop) == [("ok", "the clock is right", "", "")]


def test_a_32_bit_board_cannot_do_better() -> None:
    """A Pi 2 is not told to use 64 bits."""
    assert of("64-bit", machine(model="Raspberry Pi 2 Model B Rev 1.1", arch="armv7l")) == []
    assert of("64-bit", machine(model="Raspberry Pi Zero 2 W Rev 1.0", bits=32))[0][0] == "warning"


def test_another_user_may_deploy_and_is_told_what_that_means() -> None:
    """root may use Docker anyway; the files would be root's."""
    told = of("docker-group", setup(user="root", groups=()))
    assert [one[0] for one in told] == ["warning", "ok"]
    assert told[0][1] == "deploys run as root, not as homeport"


def test_what_nobody_could_see_is_unknown() -> None:
    """A hook of a kind that is not known, and a disk without a size."""
    assert of("boot-hook", setup(hook_runs=None)) == [
        ("unknown", "whether the boot hook runs", "", "")
    ]
    told = of("disk", machine(places=(Place("/opt/shop"),)))
    assert told == [("ok", "room for a deploy", "", "")]


def test_an_edge_that_serves_only_others_is_well() -> None:
    """Before the app's first deploy."""
    fresh = replace(
        WELL, facts=facts(now=NOW, host=HOST, edge=replace(EDGE, sites={"other": HERE}))
    )
    assert of("edge", fresh) == [("ok", "the edge runs: Caddy 2.11.4, ports 80", "", "")]


def test_a_certificate_of_the_edges_own_authority_lives_for_half_a_day() -> None:
    """So its end is always near, and that is no fault."""
    site = Site("a.example", tls="internal")
    one = replace(WELL, certificates={"a.example": NOW + 3600}, settings=replace(SAID, site=site))
    assert of("certificates", one) == [("ok", "the certificate for a.example is good", "", "")]


def test_what_could_not_be_read_is_not_judged() -> None:
    """An empty check-up names no fault of the machine's."""
    empty = Checkup(facts(now=NOW))
    told = states(tuple(one for one in doctor.examine(empty) if one.group == "the host"))
    assert told["memory"] == {"unknown"} and told["boot-hook"] == {"problem"}
    assert not {"disk", "swap", "card", "power", "heat"} & set(told)
