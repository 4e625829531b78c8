"""The client of the Docker Engine against a real one: every call, its errors, its connection."""

from __future__ import annotations

import io
import os
import secrets
import socket
import tarfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from homeport.errors import HostFault, ImageMissing, RegistryError
from homeport.host.engine import SOCKET, Engine
from homeport.host.faults import EngineError
from lab.images import Images
from lab.registry import ensure_registry
from tinyapp.driver import docker, wait

pytestmark = pytest.mark.docker
LABEL = "homeport.contract"


@pytest.fixture
def engine(images: Images) -> Engine:
    """A client of this machine's Engine."""
    return Engine()


@pytest.fixture
def container(engine: Engine, images: Images) -> Iterator[str]:
    """A container that says two lines and waits."""
    name = f"homeport-contract-{secrets.token_hex(4)}"
    script = "import time; print('one', flush=True); print('two', flush=True); time.sleep(60)"
    body = {"Image": images.python, "Cmd": ["python3", "-c", script], "Labels": {LABEL: name}}
    engine.create(name, body)
    yield name
    engine.remove(name)


@pytest.fixture
def network(engine: Engine) -> Iterator[str]:
    """A network of its own."""
    name = f"homeport-contract-{secrets.token_hex(4)}"
    docker("network", "create", name)
    yield name
    for one in (engine.network(name) or {})["Containers"]:
        engine.remove(one)
    docker("network", "rm", name)


def running(engine: Engine, name: str) -> bool:
    """Whether a container runs."""
    return bool((engine.inspect(name) or {})["State"]["Running"])


def restarts(engine: Engine, name: str) -> int:
    """How often a container was started anew by its policy."""
    return int((engine.inspect(name) or {})["RestartCount"])


def test_info_is_that_of_the_engine(engine: Engine) -> None:
    """The Engine says its version, the same that its own client shows."""
    assert engine.info()["ServerVersion"] == docker("info", "--format", "{{.ServerVersion}}")


def test_a_container_from_creation_to_removal(engine: Engine, container: str) -> None:
    """Create, list by label, start twice, stop, remove twice: each may be repeated."""
    assert [one["Names"] for one in engine.containers(f"{LABEL}={container}")] == [
        [f"/{container}"]
    ]
    assert engine.containers(f"{LABEL}=another") == []
    engine.start(container)
    engine.start(container)
    assert running(engine, container)
    engine.stop(container, within=0)
    engine.stop(container)
    assert not running(engine, container)
    engine.remove(container)
    engine.remove(container)
    assert engine.inspect(container) is None


def test_commands_and_lines_of_a_container(engine: Engine, container: str) -> None:
    """A command's exit code and output come back; so do the last lines that were written."""
    engine.start(container)
    assert engine.run_in(container, ["sh", "-c", "echo out; exit 3"]) == (3, "out\n")
    assert engine.run_in(container, ["sh", "-c", "echo err >&2; exit 4"]) == (4, "err\n")
    assert engine.run_in(container, ["true"]) == (0, "")
    wait(lambda: engine.logs(container) == "one\ntwo", "both lines")
    assert engine.logs(container, 1) == "two"
    assert next(engine.follow(container, 1)) == b"two\n"
    assert engine.logs("homeport-contract-nobody") == ""


def test_following_a_container_ends_with_it(engine: Engine, container: str) -> None:
    """Following yields what is written and ends when the container does."""
    engine.start(container)
    lines: list[bytes] = []
    follower = threading.Thread(target=lambda: lines.extend(engine.follow(container, 10)))
    follower.start()
    wait(lambda: len(lines) == 2, "both lines were followed")
    Engine().stop(container, within=0)
    follower.join(10)
    assert not follower.is_alive() and lines == [b"one\n", b"two\n"]


@pytest.mark.parametrize(
    ("policy", "name", "count"),
    [
        ("on-failure:3", "on-failure", 3),
        ("unless-stopped", "unless-stopped", 0),
        ("no", "no", 0),
        ("", "no", 0),
    ],
)
def test_restart_policies_as_compose_writes_them(
    engine: Engine, container: str, policy: str, name: str, count: int
) -> None:
    """A policy in Compose's words is the one Docker shows afterwards."""
    engine.set_policy(container, policy)
    rule = (engine.inspect(container) or {})["HostConfig"]["RestartPolicy"]
    assert (rule["Name"], rule["MaximumRetryCount"]) == (name, count)


def test_a_policy_ends_a_crash_loop(engine: Engine, images: Images) -> None:
    """A container that crashes at once, over and over, loses its policy at whichever moment."""
    for _ in range(3):
        body = {
            "Image": images.python,
            "Cmd": ["sh", "-c", "exit 3"],
            "HostConfig": {"RestartPolicy": {"Name": "always"}},
        }
        name = engine.create(f"homeport-contract-{secrets.token_hex(4)}", body)
        try:
            engine.start(name)
            wait(lambda: restarts(engine, name) >= 2, "two restarts")
            engine.set_policy(name, "no")
            seen = engine.inspect(name) or {}
            assert seen["HostConfig"]["RestartPolicy"]["Name"] == "no"
            engine.stop(name, 0)
            assert not (engine.inspect(name) or {})["State"]["Running"]
        finally:
            engine.remove(name)


def test_a_command_that_hangs_is_not_waited_for(engine: Engine, container: str) -> None:
    """Whoever asked goes on after so many seconds of silence, and so does the client."""
    engine.start(container)
    begun = time.monotonic()
    with pytest.raises(TimeoutError):
        engine.run_in(container, ["sleep", "30"], 1.0)
    assert time.monotonic() - begun < 10
    assert engine.run_in(container, ["echo", "well"], 10.0) == (0, "well\n")


def test_files_go_in_and_come_out_with_their_owners(engine: Engine, container: str) -> None:
    """A tar is unpacked inside with the owners it names, also in a container that never ran."""
    entry = tarfile.TarInfo("left-here")
    entry.uid, entry.gid, entry.size = 10001, 10002, 5
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        tar.addfile(entry, io.BytesIO(b"hello"))
    engine.put(container, "/tmp", packed.getvalue())
    with tarfile.open(fileobj=io.BytesIO(engine.read_file(container, "/tmp/left-here"))) as tar:
        found = tar.getmembers()[0]
        content = tar.extractfile(found)
        assert content is not None and content.read() == b"hello"
        assert (found.uid, found.gid) == (10001, 10002)
    assert engine.read_file(container, "/tmp/nothing-here") == b""
    with pytest.raises(EngineError) as caught:
        engine.put(container, "/no/such/folder", packed.getvalue())
    assert caught.value.status == 404


def test_networks_and_volumes(engine: Engine, container: str, network: str) -> None:
    """Present ones are shown, absent ones are None; joining twice is joining once."""
    assert (engine.network(network) or {})["Name"] == network
    assert engine.network(f"{network}-not") is None
    engine.start(container)
    engine.connect(network, container)
    engine.connect(network, container)
    joined = (engine.inspect(container) or {})["NetworkSettings"]["Networks"]
    assert sorted(joined) == ["bridge", network]
    with pytest.raises(EngineError) as caught:
        engine.connect(f"{network}-not", container)
    assert caught.value.status == 404
    assert engine.volume("homeport-contract-no-such-volume") is None
    name = docker("volume", "create")
    try:
        assert (engine.volume(name) or {})["Name"] == name
    finally:
        docker("volume", "rm", name)


def test_names_of_images(engine: Engine, images: Images) -> None:
    """An image gets a name more and loses it again; taking what is gone or in use is nothing."""
    repo = f"homeport-contract-{secrets.token_hex(4)}"
    engine.tag(images.python, repo, "r0001")
    assert (engine.image(f"{repo}:r0001") or {})["Id"] == (engine.image(images.python) or {})["Id"]
    engine.untag(f"{repo}:r0001")
    engine.untag(f"{repo}:r0001")
    assert engine.image(f"{repo}:r0001") is None
    with pytest.raises(EngineError) as caught:
        engine.tag(f"{repo}:r0001", repo, "r0002")
    assert caught.value.status == 404


def test_pulling_by_digest_and_by_tag(engine: Engine, tmp_path: Path) -> None:
    """What only the registry has arrives by digest and by tag, and its progress is told."""
    ref = f"{ensure_registry(print)}/homeport-test/pulled:{secrets.token_hex(4)}"
    (tmp_path / "ballast").write_bytes(os.urandom(8_000_000))
    with tarfile.open(tmp_path / "root.tar", "w") as tar:
        tar.add(tmp_path / "ballast", "ballast")
    # imported, not built: no builder keeps a copy of its one layer
    docker("import", str(tmp_path / "root.tar"), ref)
    docker("push", "-q", ref)
    pinned = docker("inspect", "--format", "{{index .RepoDigests 0}}", ref)
    seen: list[tuple[int, int]] = []
    for wanted in (pinned, ref):
        engine.untag(ref)
        engine.untag(pinned)
        assert engine.image(wanted) is None
        engine.pull(wanted, "e30=", lambda done, total: seen.append((done, total)))
        assert engine.image(wanted) is not None
    assert seen and all(0 <= done <= total for done, total in seen)
    assert seen[-1][1] >= 8_000_000
    engine.untag(ref)
    engine.untag(pinned)


def test_pulling_what_is_not_there(engine: Engine) -> None:
    """A registry without the image and a registry that is not there are told apart, with a mend."""
    registry = ensure_registry(print)
    with pytest.raises(ImageMissing) as missing:
        engine.pull(f"{registry}/homeport-test/nothing:at-all", "", lambda *_: None)
    assert missing.value.problems[0].where == f"{registry}/homeport-test/nothing:at-all"
    with pytest.raises(RegistryError) as absent:
        engine.pull("127.0.0.1:1/homeport-test/nothing:at-all", "", lambda *_: None)
    assert not isinstance(absent.value, ImageMissing)
    assert "refused" in absent.value.problems[0].why and absent.value.problems[0].mend


def test_what_the_engine_refuses_is_said_in_its_words(engine: Engine, images: Images) -> None:
    """An error of the Engine carries its status, its words, and a command to look further."""
    with pytest.raises(EngineError) as caught:
        engine.start("homeport-contract-nobody")
    assert caught.value.status == 404
    assert "homeport-contract-nobody" in caught.value.problems[0].what
    assert caught.value.problems[0].mend
    with pytest.raises(EngineError) as nameless:
        engine.create("not a name", {"Image": images.python})
    assert nameless.value.status == 400


def test_no_engine_is_a_fault_of_the_host(tmp_path: Path) -> None:
    """Where nobody listens, every call says that there is no Docker Engine."""
    nobody = Engine(str(tmp_path / "docker.sock"))
    for call in (nobody.info, lambda: nobody.stream("GET", "/info")):
        with pytest.raises(HostFault) as caught:
            call()
        assert "there is no Docker Engine" in caught.value.problems[0].what
        assert "systemctl enable --now docker" in caught.value.problems[0].mend


class Relay:
    """A unix socket in front of the Engine whose connections can be cut as a restart does."""

    def __init__(self, path: Path) -> None:
        self.path, self.made = str(path), 0
        self._pairs: list[socket.socket] = []
        self._door = socket.socket(socket.AF_UNIX)
        self._door.bind(self.path)
        self._door.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._door.accept()
            except OSError:
                return
            self.made += 1
            far = socket.socket(socket.AF_UNIX)
            far.connect(SOCKET)
            self._pairs += [client, far]
            for pair in ((client, far), (far, client)):
                threading.Thread(target=self._copy, args=pair, daemon=True).start()

    def _copy(self, source: socket.socket, target: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                target.sendall(data)
        except OSError:
            return

    def cut(self) -> None:
        """Close every connection, as an Engine does that is restarted."""
        for one in self._pairs:
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue
        self._pairs.clear()

    def close(self) -> None:
        """Let nobody in any more."""
        self.cut()
        if self._door.fileno() >= 0:
            self._door.shutdown(socket.SHUT_RDWR)
            self._door.close()


@pytest.fixture
def relay(images: Images, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Relay]:
    """A relay that the environment names as the Engine's socket."""
    made = Relay(tmp_path / "relay.sock")
    monkeypatch.setenv("HOMEPORT_DOCKER_SOCKET", made.path)
    yield made
    made.close()


def test_the_kept_connection_survives_its_end(relay: Relay, images: Images) -> None:
    """Many calls share one connection; when the Engine closes it the next call makes another."""
    engine = Engine()
    for _ in range(5):
        engine.info()
        assert engine.image("homeport-contract-no-such-image") is None
    assert relay.made == 1
    relay.cut()
    assert engine.info()["ServerVersion"]
    assert relay.made == 2
    relay.cut()
    repo = f"homeport-contract-{secrets.token_hex(4)}"
    engine.tag(images.python, repo, "again")
    assert engine.image(f"{repo}:again") is not None
    engine.untag(f"{repo}:again")
    assert relay.made == 3


def test_an_engine_that_goes_away_is_a_fault(relay: Relay) -> None:
    """The kept connection does not hide that the Engine is gone, at the first call or later."""
    engine = Engine()
    engine.info()
    relay.close()
    for _ in range(2):
        with pytest.raises(HostFault):
            engine.info()
