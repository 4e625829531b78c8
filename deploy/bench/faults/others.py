"""The other faults, brought about on a lab host: one small function a fault, and its mend.

The mend is what time or the world does about it, never a step of a person's on the app: the
registry comes back, the disk has room again.
"""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bench.faults.rig import Rig

#: the agent's clock runs so many seconds ahead of the host's while the file says so
CLOCK = "/usr/local/lib/homeport-lab/clock"
_SHIFT = """\
import os, time
def _shifted(real, unit):
    def told():
        try:
            with open("%s") as stream:
                return real() + unit(float(stream.read() or 0))
        except OSError:
            return real()
    return told
if os.path.exists("%s"):
    time.time = _shifted(time.time, float)
    time.time_ns = _shifted(time.time_ns, lambda seconds: int(seconds * 1e9))
    _gm, _local = time.gmtime, time.localtime
    time.gmtime = lambda at=None: _gm(time.time() if at is None else at)
    time.localtime = lambda at=None: _local(time.time() if at is None else at)
    _strftime = time.strftime
    time.strftime = lambda form, at=None: _strftime(form, time.localtime() if at is None else at)
""" % (
    CLOCK,
    CLOCK,
)
DAY = 86400


@dataclass
class Hand:
    """What a fault has at hand: the rig, and the controller that is typing where one is."""

    rig: Rig
    typed: subprocess.Popen[str] | None = None

    def sh(self, script: str, check: bool = True) -> str:
        """Run a shell script on the host as root; its stdout. ``$app`` is the app's folder."""
        app = self.rig.stage.app
        head = f"app=/opt/{app}; link=/opt/homeport/run/{app}/live; name={app}\n"
        return self.rig.stage.on_host("sh", "-c", head + script, check=check)


def small_disk(hand: Hand) -> None:
    """Give the app's folder a small disk of its own, before anything is deployed."""
    hand.sh(
        "mkdir /opt/.before && cp -a $app/. /opt/.before/ && owner=$(stat -c %u:%g $app)\n"
        "mount -t tmpfs -o size=160m,mode=755 tmpfs $app && chown $owner $app\n"
        "cp -a /opt/.before/. $app/ && rm -rf /opt/.before"
    )


def a_clock(hand: Hand) -> None:
    """Let the agent's clock be set apart from this machine's, which nothing may touch."""
    folder = hand.sh(
        "python3 -c \"import sys; print([p for p in sys.path if 'dist-packages' in p][0])\""
    ).strip()
    for path, text in (
        (f"{folder}/lab_clock.py", _SHIFT),
        (f"{folder}/lab_clock.pth", "import lab_clock\n"),
        (CLOCK, "0"),
    ):
        hand.sh(f"mkdir -p $(dirname {path}); cat > {path} <<'TEXT'\n{text}\nTEXT")


def _sent(number: int) -> Callable[[Hand], None]:
    def send(hand: Hand) -> None:
        assert hand.typed is not None
        hand.typed.send_signal(number)

    return send


def _script(text: str) -> Callable[[Hand], None]:
    def run(hand: Hand) -> None:
        hand.sh(text)

    return run


def _nothing(hand: Hand) -> None:
    """There is nothing to be mended."""


def docker_answers(hand: Hand) -> None:
    """Wait until the host's Docker answers."""
    hand.sh(
        "for i in $(seq 600); do docker info >/dev/null 2>&1 && exit 0; sleep 0.1; done; exit 1"
    )


def _set_clock(seconds: int) -> Callable[[Hand], None]:
    return _script(f"echo {seconds} > {CLOCK}")


_LIVE = "$(basename $(dirname $(sed 's,unix/,,' $link)))"
#: kills every session of the agent's user that sshd serves
_CUT = """\
for one in /proc/[0-9]*; do
  if grep -aq '^sshd: homeport' $one/cmdline 2>/dev/null; then kill -9 ${one#/proc/}; fi
done
"""
_EDGE_PID = "$(docker inspect -f '{{.State.Pid}}' homeport-edge)"
_NEWEST = "$(docker ps -q --filter label=homeport.app=$name | head -1)"

#: how each fault is brought about
BRING: Mapping[str, Callable[[Hand], None]] = {
    "SSH cut": _script(_CUT),
    "controller interrupted": _sent(signal.SIGINT),
    "controller terminated": _sent(signal.SIGTERM),
    "controller killed": _sent(signal.SIGKILL),
    "Docker restarted": _script("systemctl restart --no-block docker; sleep 0.5"),
    "Docker killed": _script("systemctl kill -s KILL docker"),
    "disk full": _script("dd if=/dev/zero of=$app/filler bs=64k 2>/dev/null; test -s $app/filler"),
    "registry gone": _script("systemctl stop lab-relay"),
    "edge killed": _script(f"kill -9 {_EDGE_PID}"),
    "edge config gone": _script("rm -rf /opt/homeport/edge/conf/*"),
    "edge admin socket gone": _script("rm -f /opt/homeport/edge/admin/admin.sock"),
    "new container OOM-killed": _script(
        f"docker update --memory 8m --memory-swap 8m {_NEWEST} >/dev/null"
        f" || docker kill {_NEWEST}"
    ),
    "clock a day ahead": _set_clock(DAY),
    "clock a day back": _set_clock(-DAY),
    "journal's last line torn": _script("truncate -s -20 $app/journal.jsonl"),
    "journal garbled": _script(
        "size=$(stat -c %s $app/journal.jsonl)\n"
        "dd if=/dev/urandom of=$app/journal.jsonl bs=1 count=200 seek=$((size / 2)) conv=notrunc"
        " 2>/dev/null"
    ),
    "journal deleted": _script("rm $app/journal.jsonl"),
    "current missing": _script("rm $app/current"),
    "link missing": _script("rm $link"),
    "link garbage": _script("head -c 40 /dev/urandom > $link"),
    "releases deleted": _script("rm -rf $app/releases"),
    "containers removed": _script(
        f"docker rm -f $(docker ps -aq --filter label=homeport.slot={_LIVE}) >/dev/null"
    ),
    "docker system prune -a": _script("docker system prune -af >/dev/null"),
}
#: what becomes of it by itself, once the run has met it
MEND: Mapping[str, Callable[[Hand], None]] = {
    "disk full": _script("rm -f $app/filler"),
    "registry gone": _script("systemctl start lab-relay"),
    "clock a day ahead": _set_clock(0),
    "clock a day back": _set_clock(0),
}


def mend(hand: Hand, name: str) -> None:
    """Let the world mend what it mends."""
    MEND.get(name, _nothing)(hand)
