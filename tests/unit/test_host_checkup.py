"""A check-up of a folder that stands for a host, by the real readers, with no Docker to be had."""

from __future__ import annotations

import http.server
import io
import json
import os
import shutil
import socket
import socketserver
import tempfile
import threading
from pathlib import Path
from typing import Any

import pytest
from builders import line, release, settings
from homeport import wire
from homeport.core import link
from homeport.host import agent, checkup
from homeport.host.context import Context
from homeport.host.engine import Engine
from homeport.host.paths import Paths
from homeport.model import Request

ONE = release(1)
COMPOSE = "services: {web: {image: shop}}\n"


@pytest.fixture
def paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Paths:
    """A host that was set up, on which release 1 was committed; its Docker is down."""
    monkeypatch.setenv("HOMEPORT_ROOT", str(tmp_path / "opt"))
    monkeypatch.setenv("HOMEPORT_DOCKER_SOCKET", str(tmp_path / "docker.sock"))
    found = Paths("shop", tmp_path / "opt")
    for folder in ("agent", "edge", "run/shop"):
        (found.home / folder).mkdir(parents=True)
    (found.releases / ONE.id).mkdir(parents=True)
    (found.releases / ONE.id / "release.json").write_bytes(wire.encode(ONE))
    (found.releases / ONE.id / "env").write_text("SECRET=hidden\n")
    os.chmod(found.releases / ONE.id / "env", 0o600)
    found.settings_env.write_text("SECRET=hidden\nMAIL=hidden\n")
    os.chmod(found.settings_env, 0o600)
    found.link.write_text(link.address("shop", "r0001", ONE.settings.web))
    lines = [line("begin", "a", verb="deploy", release=ONE.id)]
    lines += [line("done", "a", step="handover", committed=ONE.id), line("end", "a", code=0)]
    found.journal.write_text("\n".join(lines) + "\n")
    (found.home / "boot-hook").write_text("systemd\n")
    return found


def tree(root: Path, *names: str) -> None:
    """Empty files below a root."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("")


def look(paths: Paths, root: Path, **asked: Any) -> checkup.Checkup:
    """One look below ``root``."""
    request = Request("doctor", "shop", settings=settings(), **asked)
    return checkup.look_at(Context(paths, Engine(), request, "", lambda _: None), root)


def test_what_the_files_tell_needs_no_docker(paths: Paths, tmp_path: Path) -> None:
    """Release, link, journal, variables and modes are seen; Docker's fault is named."""
    seen = look(paths, tmp_path / "root", at=5.0)
    assert seen.docker.fault == "there is no Docker Engine, or it does not run"
    assert seen.docker.mend == "sudo service docker start"
    assert seen.facts.committed == ONE and seen.facts.host.boot_hook == "systemd"
    assert (seen.env, seen.differing) == (frozenset({"SECRET", "MAIL"}), ("MAIL",))
    assert {one.mode for one in seen.setup.secrets if one.owner} == {0o600}
    assert (seen.setup.ballast, seen.asked, seen.asked_at) == (False, False, 5.0)
    assert "hidden" not in repr(seen)


def test_a_file_that_others_can_read_is_seen(paths: Paths, tmp_path: Path) -> None:
    """Modes are today's, not those that setup gave."""
    os.chmod(paths.settings_env, 0o644)
    modes = {Path(one.path).name: one.mode for one in look(paths, tmp_path).setup.secrets}
    assert modes == {"app.env": 0o644, ".env": 0, "env": 0o600}


def test_systemds_wants_tell_what_starts_at_boot(paths: Paths, tmp_path: Path) -> None:
    """The hook, Docker and lingering: there, gone, and masked."""
    root = tmp_path / "root"
    wants = "etc/systemd/system/multi-user.target.wants"
    user = checkup._user(os.getuid())
    tree(root, "run/systemd/system/x", f"{wants}/homeport-boot.service")
    tree(root, "lib/systemd/system/sockets.target.wants/docker.socket")
    tree(root, f"var/lib/systemd/linger/{user}")
    left = look(paths, root).setup
    assert (left.systemd, left.hook_runs, left.docker_at_boot, left.lingers) == (True,) * 4

    (root / wants / "homeport-boot.service").unlink()
    (root / "var/lib/systemd/linger" / user).unlink()
    shutil.rmtree(root / "lib")
    seen = look(paths, root)
    left = seen.setup
    assert (left.hook_runs, left.docker_at_boot, left.lingers) == (False, False, False)
    assert seen.docker.mend == "sudo systemctl start docker"

    tree(root, f"{wants}/homeport-boot.service")
    (root / "etc/systemd/system/homeport-boot.service").symlink_to("/dev/null")
    assert look(paths, root).setup.hook_runs is False


def test_a_cron_line_needs_a_cron_that_runs(paths: Paths, tmp_path: Path) -> None:
    """Without systemd: no cron in /proc means that the line is never read."""
    (paths.home / "boot-hook").write_text("cron\n")
    left = look(paths, tmp_path / "root").setup
    assert (left.hook_runs, left.lingers, left.docker_at_boot) == (False, None, None)


def test_a_socket_that_nobody_listens_on(paths: Paths, tmp_path: Path) -> None:
    """A dead daemon's leftover."""
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "docker.sock"))
    assert look(paths, tmp_path / "root").docker.fault == "the Docker Engine does not run"


def test_a_docker_that_answers_and_fails(paths: Paths, tmp_path: Path) -> None:
    """It says OK to a ping and 500 to all else: its own words are the fault, and files are read."""

    class Broken(http.server.BaseHTTPRequestHandler):
        def address_string(self) -> str:
            return ""

        def log_message(self, *words: Any) -> None:
            """Nothing."""

        def do_GET(self) -> None:
            fine = self.path.endswith("/_ping")
            body = b"OK" if fine else b'{"message": "the store is broken"}'
            self.send_response(200 if fine else 500)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    with socketserver.ThreadingUnixStreamServer(str(tmp_path / "docker.sock"), Broken) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            seen = look(paths, tmp_path / "root")
        finally:
            server.shutdown()
    assert (seen.docker.fault, seen.facts.committed) == ("the store is broken", ONE)
    assert seen.docker.mend == "docker info; journalctl -u docker"


def test_a_disk_that_takes_no_file_ends_no_reading(
    paths: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Compose wants a folder for its work; without one the compose file alone is not judged."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "full"))
    seen = look(paths, tmp_path / "root", compose=COMPOSE)
    assert seen.rendered is None and seen.facts.committed == ONE
    assert [one.what for one in seen.refused] == ["the compose file cannot be looked at"]


def test_a_reading_that_fails_ends_no_other(paths: Paths, tmp_path: Path) -> None:
    """A garbled link, a release that cannot be read, a journal with holes: all of it is told."""
    paths.link.write_bytes(b"\xff\xfe")
    (paths.releases / "r0002-2222222").mkdir()
    (paths.releases / "r0002-2222222" / "release.json").write_text("{")
    paths.journal.write_text("not json\n" + paths.journal.read_text())
    seen = look(paths, tmp_path / "root")
    assert (seen.facts.link, seen.facts.history.garbled) == (None, 1)
    assert seen.facts.committed == ONE


def test_the_agent_answers_with_findings(paths: Paths, tmp_path: Path) -> None:
    """Over the wire: a list of findings, then a good verdict, whatever was found."""
    request = Request("doctor", "shop", settings=settings(), at=1.0)
    out = io.BytesIO()
    assert agent.main(wire.encode(request), io.BytesIO(), out) == 0
    data, verdict = (json.loads(one) for one in out.getvalue().splitlines())
    found = {one["id"]: one for one in data["data"]}
    assert found["docker"]["state"] == "problem" and found["docker"]["mend"]
    assert set(found["docker"]) == {"id", "group", "state", "what", "why", "mend"}
    assert (verdict["e"], verdict["code"]) == ("verdict", 0)
    assert b"hidden" not in out.getvalue()
