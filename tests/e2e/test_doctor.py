"""`homeport doctor` on a host that is well, on one with planted faults, on one without Docker."""

from __future__ import annotations

import shlex
from typing import Any

import pytest

from bench import evidence
from bench.stage import Stage, until
from homeport.errors import NeedsMending
from scenario import status

pytestmark = pytest.mark.lab

#: check, how its finding begins or ends, and what is done to the host as root, in a shell
PLANTED = (
    ("boot-hook", "will not run", "systemctl --quiet disable homeport-boot.service"),
    ("docker-at-boot", "at boot", "systemctl --quiet disable docker.service docker.socket"),
    ("lingering", "lingering is off", "loginctl disable-linger homeport"),
    ("secret-files", "app.env can be read", "chmod 644 /opt/{app}/app.env"),
    ("folders", "edge belongs to root", "chown root /opt/homeport/edge"),
    ("data-owner", "data holds files of the user", "chown homeport /opt/{app}/data"),
    ("ballast", "is missing", "rm /opt/{app}/ballast"),
    ("edge", "does not run", "docker stop --time 1 homeport-edge"),
    ("live", "its link", "echo garbage > /opt/homeport/run/{app}/live"),
    ("leftovers", "image {app}:r9999", "docker tag {app}:current {app}:r9999"),
    (
        "leftovers",
        "network {app}_old",
        "docker network create --label homeport.app={app} {app}_old",
    ),
)

Found = list[dict[str, Any]]


def doctor(stage: Stage, *words: str) -> tuple[int, Found]:
    """The exit code, and the findings that are not well."""
    ran = stage.homeport("doctor", "--json", *words, check=False)
    assert "Traceback" not in ran.err, ran.err
    return ran.code, [one for one in ran.data if one["state"] != "ok"]


def mend(stage: Stage, finding: dict[str, Any]) -> None:
    """Type the mend as it is printed: here if it is homeport's, on the host if it is not."""
    command = str(finding["mend"])
    if command.startswith("homeport "):
        stage.homeport(*shlex.split(command)[1:])
    else:
        stage.on_host("sh", "-c", command)


def test_planted_faults_are_named_and_their_mends_heal_them(stage: Stage) -> None:
    """Nothing is wrong; eleven faults are planted, each is named; mended as told, all is well."""
    code, before = doctor(stage)
    assert code == 0 and "problem" not in {one["state"] for one in before}, before
    assert not {one["id"] for one in before} & {check for check, _, _ in PLANTED}, before

    for _, _, plant in PLANTED:
        stage.on_host("sh", "-c", plant.format(app=stage.app))
    code, found = doctor(stage)
    assert code == NeedsMending.code
    named = [one for one in found if one not in before and one["id"] != "healthy"]
    for check, words, _ in PLANTED:
        text = words.format(app=stage.app)
        assert [one for one in named if one["id"] == check and text in one["what"]], found
    assert len(named) == len(PLANTED), named
    assert all(one["why"] and one["mend"] for one in named), named

    for one in named:
        mend(stage, one)
    code, after = doctor(stage)
    assert code == 0 and [one["id"] for one in after] == [one["id"] for one in before], after
    assert status(stage)["healthy"] and stage.get("/health")[0] == 200
    figures = {"doctor_faults": len(PLANTED), "doctor_faults_mended_as_printed": len(named)}
    evidence.add("trust", **figures)


def test_another_user_is_told_so(stage: Stage) -> None:
    """Who logs in as another user than homeport learns that, and that the host itself will do."""
    code, found = doctor(stage, "--host", f"pi@{stage.host.address}")
    (one,) = found
    assert (code, one["id"], one["state"]) == (NeedsMending.code, "set-up", "problem")
    assert "cannot be written" in one["what"] and "homeport setup" in one["mend"]


def test_certificates_a_name_and_the_maintenance_page_are_looked_at(stage: Stage) -> None:
    """HTTPS of the edge's own is well; a name that leads nowhere and the page are told."""
    file = stage.folder / "homeport.toml"
    before = file.read_text()
    try:
        safe = f'name = "food.lan"\nalso = ["{stage.host.address}"]\ntls = "internal"'
        file.write_text(before.replace("port = 80", safe))
        stage.homeport("edge", "apply")
        stage.homeport("maintenance", "on", "--why", "a new disk")
        until(lambda: certified(stage), 30, "both certificates are there", 0.5)
        code, found = doctor(stage)
        told = {one["id"]: one for one in found}
        assert code == 0 and {"name", "maintenance"} <= set(told), found
        assert told["name"]["what"] == "the name food.lan leads nowhere"
        assert told["maintenance"]["why"].endswith("a new disk")
        mend(stage, told["maintenance"])
        assert "maintenance" not in {one["id"] for one in doctor(stage)[1]}
    finally:
        file.write_text(before)
        stage.homeport("maintenance", "off")
        stage.homeport("edge", "apply")
    assert doctor(stage)[0] == 0 and stage.get("/health")[0] == 200


def certified(stage: Stage) -> bool:
    """Whether a check-up finds a good certificate for the name and for the address."""
    found = stage.homeport("doctor", "--json").data
    names = ("food.lan", stage.host.address)
    wanted = {f"the certificate for {name} is good" for name in names}
    return wanted <= {one["what"] for one in found}


def test_without_docker_all_else_is_looked_at(stage: Stage) -> None:
    """Docker is down: that is named with its mend, and so is what needs no Docker to be seen."""
    stage.on_host("sh", "-c", "systemctl stop docker.socket docker.service")
    stage.on_host("chmod", "640", f"/opt/{stage.app}/app.env")
    code, found = doctor(stage)
    assert code == NeedsMending.code
    problems = {one["id"]: one for one in found if one["state"] == "problem"}
    assert set(problems) == {"docker", "secret-files"}, found
    assert {one["id"] for one in found if one["state"] == "unknown"} == {"edge", "live"}
    for one in problems.values():
        mend(stage, one)
    until(lambda: status(stage)["healthy"], 60, "the app is back after Docker is", 0.5)
    assert doctor(stage)[0] == 0
