"""Broken releases under traffic: users see little or nothing, and the cause is told."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import broken as cases
import planted
from bench import evidence, images
from bench.stage import Stage
from broken import BEFORE, Broken, Told, fingerprint, release, serving
from lab.load import Load, judge
from lab.registry import ensure_registry
from scenario import second_app, sending, status, under_way

pytestmark = pytest.mark.lab
MIB = 1024 * 1024
#: half of it is what a service that ignores SIGTERM gets, so that nobody waits for long
HOLD = "12s"
#: one service more than the release that serves has
MORE = cases.WORKER.replace("worker:", "cellar:")
#: an ELF executable for a processor of the past, which no emulator of a build machine takes up
ALIEN = bytes.fromhex("7f454c4602010100000000000000000002005a0001000000") + bytes(40)


def configure(stage: Stage, broken: Broken) -> None:
    """What the next deploy is typed with, at an edge whose settings stay as they are."""
    cases.configure(stage, broken, HOLD)


@pytest.fixture(scope="module")
def told() -> Told:
    """The causes so far."""
    return Told("before")


@pytest.fixture(scope="module")
def good(versions: dict[str, str]) -> Iterator[Stage]:
    """A host on which v1 serves, with a worker and a secret."""
    with serving("before", versions["v1"], HOLD) as stage:
        yield stage


@pytest.fixture(scope="module")
def traffic(good: Stage) -> Iterator[Load]:
    """Requests at 40 a second through all that is refused before its handover."""
    with sending(Load(good.url, rate=40, seed=3)) as load:
        yield load


def as_before(stage: Stage, before: list[str], serves: str) -> None:
    """The old release serves, all is as it was, and `status` has nothing to explain."""
    assert release(stage) == serves
    after = fingerprint(stage)
    gone, new = set(before) - set(after), set(after) - set(before)
    assert not gone and not new, f"gone: {sorted(gone)}; new: {sorted(new)}"
    seen = status(stage)
    assert seen["release"] == serves and seen["healthy"]
    assert not seen["unfinished"] and not seen["running"]
    assert not [one for one in seen["warnings"] if "does not match" in one]


@pytest.mark.parametrize("broken", BEFORE, ids=lambda one: str(one.name))
def test_users_see_nothing(
    good: Stage, traffic: Load, ships: str, told: Told, broken: Broken
) -> None:
    """A release that is bad before its handover is refused with its own words; all is as before."""
    ref = cases.image(ships, ensure_registry(lambda line: None), broken)
    configure(good, broken)
    serves, before = release(good), fingerprint(good)
    under_way(traffic, 20)
    ran = good.deploy(ref, check=False)
    told.check(ran, broken)
    under_way(traffic, 20)
    as_before(good, before, serves)


def test_an_image_that_cannot_run(good: Stage, traffic: Load, ships: str, told: Told) -> None:
    """Missing, made for another processor, or said to be for this one and not: each is named."""
    registry = ensure_registry(lambda line: None)
    configure(good, Broken("plain", 0, ""))
    lie = f'FROM {ships}\nCOPY --chmod=755 app /app/other\nCMD ["/app/other"]\n'
    other = 'FROM scratch\nCOPY app /app\nCMD ["/app"]\n'
    refs = (
        (
            f"{registry}/foodbudget-{images.MARK}:nowhere",
            Broken("missing", 41, "there is no image 'nowhere'"),
        ),
        (
            cases.built(registry, "arm64", other, "linux/arm64", app=ALIEN),
            Broken("arm64", 30, "the image is not built for this host's amd64"),
        ),
        (
            cases.built(registry, "lies", lie, "linux/amd64", app=ALIEN),
            Broken("lies", 51, "exec format error"),
        ),
    )
    serves, before = release(good), fingerprint(good)
    for ref, broken in refs:
        told.check(good.deploy(ref, check=False), broken)
        as_before(good, before, serves)


def test_too_little_disk(good: Stage, traffic: Load, versions: dict[str, str], told: Told) -> None:
    """A folder without room is refused before anything is written to it."""
    settings = '[web]\nservice = "web"\nport = 8000\nready = "/health"\n[site]\nport = 8089\n'
    compose = "services:\n  web:\n    image: ${IMAGE:-x}\n    env_file: app.env\n"
    env = {"SECRET_KEY": planted.APP_KEY}
    small = second_app(good, good.folder / "small", "small", compose, settings, env)
    good.on_host("sh", "-c", "mount -t tmpfs -o size=20m,uid=$(id -u homeport) none /opt/small")
    try:
        serves, before = release(good), fingerprint(good)
        small.write_env(env)
        ran = small.deploy(versions["v2"], check=False)
        told.check(ran, Broken("disk", 30, "64 MiB of disk are needed"))
        as_before(good, before, serves)
    finally:
        good.on_host("umount", "/opt/small")
    assert "small" not in good.on_host("docker", "ps", "-a", "--format", "{{.Names}}")


def test_too_little_memory(
    good: Stage, traffic: Load, versions: dict[str, str], told: Told
) -> None:
    """No room for two slots: one at a time, said beforehand. No room for one: refused."""
    configure(good, Broken("memory", 0, ""))
    try:
        cases.leave_memory(good, 180 * MIB, 60 * MIB)
        serves = release(good)
        told.check(
            good.homeport("plan", versions["v2"], "--json"),
            Broken("two", 0, "two slots side by side need"),
        )
        ran = good.deploy(versions["v2"], "--monitor", "0s", check=False)
        assert ran.code == 0 and "recreate: two slots side by side need" in ran.err
        assert release(good) == ran.data["release"] != serves
        serves, before = release(good), fingerprint(good)
        # three services want so much more than two that it does not matter what the host's own
        # programs take or give back meanwhile
        configure(good, Broken("more", 0, "", compose={"services:\n": f"services:{MORE}"}))
        cases.leave_memory(good, 80 * MIB, 30 * MIB)
        ran = good.deploy(versions["v1"], check=False)
        told.check(ran, Broken("one", 30, "MiB of memory are needed"))
        as_before(good, before, serves)
    finally:
        cases.limit_memory(good, cases.AMPLE)


def test_a_release_that_ignores_sigterm(
    good: Stage, traffic: Load, ships: str, versions: dict[str, str], told: Told
) -> None:
    """It is killed in time for requests that wait not to be failed, and named."""
    deaf = Broken("deaf", 0, "web did not heed SIGTERM within", {"deaf": True})
    configure(good, deaf)
    ref = cases.image(ships, ensure_registry(lambda line: None), deaf)
    good.deploy(ref, "--monitor", "0s")
    told.check(good.deploy(versions["v1"], "--monitor", "0s", check=False), deaf)
    assert release(good) == status(good)["release"]


def test_nobody_noticed(good: Stage, traffic: Load) -> None:
    """Through all of that no request failed, none was answered 5xx, and no write was lost."""
    result = traffic.stop()
    figures = judge(result, good.audit())
    kept = ("requests", "failed_edge", "answered_5xx", "lost_writes", "doubled_writes")
    evidence.add("trust", before_handover={key: figures[key] for key in kept})
    bad = [one for one in result.requests if one.outcome in ("failed_edge", "answered_5xx")]
    assert [figures[key] for key in kept[1:]] == [0, 0, 0, 0], bad[:5]
    assert int(str(figures["requests"])) > 1000


def test_no_secret_is_anywhere_else(good: Stage, ships: str, versions: dict[str, str]) -> None:
    """After all of that, and through a deploy and a rollback, secrets are where they belong."""
    secrets = planted.words(good, ensure_registry(lambda line: None))
    configure(good, Broken("last", 0, ""))
    with planted.Arguments(good, secrets) as arguments:
        good.deploy(versions["v2"], "--monitor", "0s")
        good.rollback("--monitor", "0s")
    assert arguments.looks > 20
    found = [*arguments.seen, *planted.everywhere(good, secrets)]
    evidence.add("trust", secrets_found=len(found))
    assert found == []
    # the same eyes see what is planted where it must not be
    good.on_host("sh", "-c", f"echo {planted.TOKEN} > /opt/{good.app}/logs/left; sync -f /opt")
    good.on_host("chmod", "644", f"/opt/{good.app}/app.env")
    with planted.Arguments(good, secrets) as arguments:
        good.on_host("sh", "-c", f"sleep 0.5; : {planted.APP_KEY}")
    _, left = planted.files(good, secrets)
    assert len(left) == 2 and arguments.seen, (left, arguments.seen)


def test_no_cause_was_hidden(told: Told) -> None:
    """Every broken release's own words were in what the deploy printed."""
    assert told.scenarios >= len(BEFORE) + 7
    assert told.hidden == []
