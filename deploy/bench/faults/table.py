"""Every fault that is not a death at a point of a plan, and what is expected of it: pure data.

docs/faults.md is this table; ``bench.faults.others`` brings each about, ``bench.faults.pairs``
tries it with plans and holds what was seen to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

#: whether people notice: nothing, that they wait, or that they are not answered for a while
Felt = Literal["no error", "held", "outage"]
#: when a fault comes: before a run begins, or at a point in the middle of one
Moment = Literal["before", "during"]
BY_ITSELF = "by itself"
NEXT = "the next run, a boot, or `homeport recover`"


@dataclass(frozen=True)
class Fault:
    """A fault and its expectation.

    Attributes:
        name: what ``--only`` and the figures call it.
        moment: when it comes.
        felt: what people notice of it at most.
        within: the bound of that in seconds: of a wait, or of an outage from ``since`` on.
        since: what an outage counts from.
        mends: who brings the host back to its committed release.
        suffers: what the app suffers by itself, whoever deployed it; or nothing.
        told: what a person is told.
        tried: where it is tried; "pairs" is ``bench.faults.pairs``.
    """

    name: str
    moment: Moment
    felt: Felt
    told: str
    within: float = 0.0
    since: str = ""
    mends: str = BY_ITSELF
    suffers: str = ""
    tried: str = "pairs"

    @property
    def expectation(self) -> str:
        """What people notice, in the words of the documentation."""
        if self.felt == "no error":
            return "no error"
        if self.felt == "held":
            return f"held, ≤ {self.within:g} s"
        return f"outage ≤ {self.within:g} s after {self.since}"


POINTS = "bench.faults.points"
FAULTS = (
    Fault(
        "executor killed",
        "during",
        "held",
        "the run failed and was taken back, or was finished, by its guardian",
        20,
        tried=POINTS,
    ),
    Fault(
        "guardian killed too",
        "during",
        "held",
        "the run failed and was taken back, or was finished, once somebody looks",
        30,
        mends=f"whoever follows the run, {NEXT}",
        suffers="in a hold, requests wait for the hold limit and then get a 503",
        tried="tests/contract/test_host_recovery.py",
    ),
    Fault(
        "power cut",
        "during",
        "outage",
        "the run was interrupted, and taken back or finished by the boot",
        2,
        "Docker answers",
        mends="the boot",
        tried="tests/e2e/test_interrupted.py",
    ),
    Fault("SSH cut", "during", "no error", "the connection is lost; `homeport attach`"),
    Fault(
        "SSH silent",
        "during",
        "no error",
        "the same, after at most 45 s",
        tried="tests/e2e/test_interrupted.py",
    ),
    Fault("controller interrupted", "during", "no error", "the run was stopped, or was finished"),
    Fault("controller terminated", "during", "no error", "the same"),
    Fault("controller killed", "during", "no error", "nothing; `homeport attach` tells"),
    Fault(
        "Docker restarted",
        "during",
        "outage",
        "the Docker Engine does not answer; what serves is brought back once it does",
        20,
        "Docker answers",
        suffers="Docker stops every container with itself",
    ),
    Fault(
        "Docker killed",
        "during",
        "outage",
        "the same",
        20,
        "Docker answers",
        suffers="Docker ends every container when it comes back",
    ),
    Fault(
        "disk full",
        "during",
        "held",
        "the disk takes no more writes: df -h",
        20,
        suffers="its own writes fail while the disk is full",
    ),
    Fault("registry gone", "during", "no error", "the image cannot be pulled"),
    Fault(
        "edge killed",
        "during",
        "outage",
        "nothing: Docker starts it again",
        5,
        "it was killed",
        suffers="what is in flight or held through the edge is cut",
    ),
    Fault(
        "edge config gone", "before", "no error", "its configuration is gone; it is written again"
    ),
    Fault(
        "edge admin socket gone",
        "before",
        "held",
        "the edge cannot be asked what is in flight; a drain takes all of its time",
        20,
    ),
    Fault("new container OOM-killed", "during", "held", "it ended, killed for its memory", 20),
    Fault("clock a day ahead", "during", "held", "nothing", 20),
    Fault("clock a day back", "during", "held", "nothing", 20),
    Fault("journal's last line torn", "before", "no error", "a line of the journal is garbled"),
    Fault("journal garbled", "before", "no error", "lines of the journal are garbled"),
    Fault("journal deleted", "before", "no error", "the journal did not know what serves"),
    Fault("current missing", "before", "no error", "the host does not match its link"),
    Fault("link missing", "before", "held", "the link was missing", 20, mends=NEXT),
    # an address that cannot be read is no address that nobody listens on: the edge does not wait
    Fault(
        "link garbage",
        "before",
        "outage",
        "the link was garbage",
        5,
        "a run has put the link right",
        mends=NEXT,
    ),
    Fault(
        "releases deleted",
        "before",
        "no error",
        "the folder of a release is gone: it comes back from its spare",
        mends=NEXT,
    ),
    Fault(
        "record and spare gone",
        "before",
        "no error",
        "the record of what serves is gone, and what mends it; nothing is touched",
        mends="a person",
        tried="tests/unit/test_host_spare.py",
    ),
    Fault(
        "containers removed",
        "before",
        "held",
        "the committed release does not run",
        20,
        mends=NEXT,
    ),
    Fault("docker system prune -a", "before", "no error", "what is gone is pulled again"),
)
#: the plans, by their names in ``plans``, that every fault is tried with
PLANS = ("single-writer", "recreate", "exclusive", "rollback", "backup")


def fault(name: str) -> Fault:
    """The fault by its name; raises KeyError."""
    return {one.name: one for one in FAULTS}[name]
