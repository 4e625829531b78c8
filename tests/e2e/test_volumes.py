"""What holds data outlives releases: after five deploys it is the same, and so is what is in it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.stage import Stage
from lab import hosts
from lab.load import Load
from scenario import second_app, sending

pytestmark = pytest.mark.lab

APP, PORT, UID = "keeper", 8082, 10002
COMPOSE = """\
services:
  web:
    image: ${KEEPER_IMAGE:-keeper}
    env_file: app.env
    volumes:
      - store:/store
      - ./data:/data
      - ./before:/before
    networks: [inner]
    restart: unless-stopped
volumes:
  store:
networks:
  inner:
"""
SETTINGS = f"""\
[web]
service = "web"
port = 8000
ready = "/"
[site]
port = {PORT}
"""
DEPLOYS = 5


def identities(stage: Stage) -> dict[str, object]:
    """Who the app's volume, network and folders are: what a new one would differ in."""
    volume = json.loads(stage.on_host("docker", "volume", "inspect", f"{APP}_store"))[0]
    network = json.loads(stage.on_host("docker", "network", "inspect", f"{APP}_inner"))[0]
    folders = [f"/opt/{APP}/data", f"/opt/{APP}/before"]
    return {
        "volume": (volume["CreatedAt"], volume["Mountpoint"]),
        "network": network["Id"],
        "folders": stage.on_host("stat", "-c", "%n %i %u", *folders),
        "volumes": stage.on_host("docker", "volume", "ls", "-q", "--filter", f"name={APP}"),
    }


def in_container(stage: Stage, line: str) -> str:
    """Type a shell line in the one container that serves, as the image's own user."""
    [name] = stage.running()
    return stage.on_host("docker", "exec", name, "sh", "-c", line)


def test_five_deploys_keep_every_identity(stage: Stage, plain_image: str, tmp_path: Path) -> None:
    """Named volume, folders and network keep their identity, and every file that was written."""
    keeper = second_app(stage, tmp_path / APP, APP, COMPOSE, SETTINGS, {"TURN": "0"})
    before = f"/opt/{APP}/before"
    # as somebody left it who ran the app by hand until now
    stage.on_host("install", "-d", "-o", str(UID), "-g", str(UID), before)
    stage.on_host("sh", "-c", f"echo first > {before}/file && chown {UID}:{UID} {before}/file")
    inode = stage.on_host("stat", "-c", "%i", f"/opt/{APP}/data")
    try:
        assert keeper.deploy(plain_image, "--monitor", "0s").data["outcome"] == "deployed"
        was = identities(keeper)
        owners = stage.on_host("stat", "-c", "%u", f"/opt/{APP}/data", before).split()
        assert owners == [str(UID), str(UID)]
        assert stage.on_host("stat", "-c", "%i", f"/opt/{APP}/data") == inode
        in_container(keeper, "echo kept > /store/file && echo kept > /data/file")

        url = f"http://{stage.host.address}:{PORT}"
        slots = {*keeper.running()}
        with sending(Load(url, rate=20, mix={"read": 1}, paths={"read": "/"})) as load:
            for turn in range(1, DEPLOYS):
                # today's settings differ, so each is a release of its own
                keeper.write_env({"TURN": str(turn)})
                assert keeper.deploy(plain_image, "--monitor", "0s").data["outcome"] == "deployed"
                assert identities(keeper) == was, f"after deploy {turn + 1}"
                slots.update(keeper.running())
        counts = load.stop().counts()

        assert len(slots) == DEPLOYS
        found = in_container(keeper, "cat /before/file /store/file /data/file; echo $TURN").split()
        assert found == ["first", "kept", "kept", str(DEPLOYS - 1)]
        assert counts["ok"] == counts["requests"] > 0, counts
    finally:
        keeper.homeport("remove", "--yes")
    assert identities(keeper) == was, "remove keeps what holds data"
    stage.on_host("docker", "volume", "rm", f"{APP}_store")
    stage.on_host("docker", "network", "rm", f"{APP}_inner")
    hosts.run(stage.host, ["rm", "-rf", f"/opt/{APP}"])
