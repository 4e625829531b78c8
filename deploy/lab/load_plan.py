"""What the load sends and in which order: pure, seeded, the same order for the same seed."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

KILOBYTE = 1000
BIG_BODY = 1000 * KILOBYTE
SMALL_BODY = 10 * KILOBYTE

# Shares of the load in percent; every block of 100 arrivals holds exactly these.
MIX: Mapping[str, int] = {"read": 70, "write": 26, "big": 2, "slow": 2}
PATHS: Mapping[str, str] = {
    "read": "/load/read",
    "write": "/load/write",
    "big": "/load/write",
    "slow": "/load/slow?s=2",
}
WRITES = frozenset({"write", "big"})


@dataclass(frozen=True)
class Arrival:
    """One planned request: kind, whether its connection is kept, its body's size in bytes."""

    kind: str
    keepalive: bool
    size: int


def arrivals(seed: int, mix: Mapping[str, int] = MIX) -> Iterator[Arrival]:
    """Yield arrivals for ever, in an order that `seed` fixes.

    Each block of `2 * sum(mix)` arrivals holds the mix exactly, half of each kind on kept
    connections, shuffled. A block keeps short runs honest: chance alone could leave 30 seconds
    without one big body.

    Raises ValueError for a kind that is not known, a negative share, or a mix with no share at all.
    """
    strangers = sorted(set(mix) - set(MIX))
    if strangers or any(share < 0 for share in mix.values()) or not sum(mix.values()):
        raise ValueError(f"mix takes shares of {', '.join(MIX)}, at least one above 0: {dict(mix)}")
    dice = random.Random(seed)
    block = [
        (kind, keepalive)
        for kind, share in sorted(mix.items())
        for keepalive in (True, False)
        for _ in range(share)
    ]
    while True:
        dice.shuffle(block)
        for kind, keepalive in block:
            yield Arrival(kind, keepalive, _size(kind, dice))


def _size(kind: str, dice: random.Random) -> int:
    if kind == "big":
        return BIG_BODY
    return dice.randint(100, SMALL_BODY) if kind == "write" else 0


class Bodies:
    """Bodies of writes: the id on the first line, then bytes that differ from body to body."""

    def __init__(self, seed: int) -> None:
        # Slices of one block: making a fresh MB of noise for each body would cost the generator
        # the time that it is there to measure.
        self._noise = random.Random(seed).randbytes(BIG_BODY * 2)
        self._start = random.Random(seed + 1)

    def make(self, load_id: str, size: int) -> tuple[bytes, str]:
        """Return a body of exactly `size` bytes that begins with `load_id`, and its sha256 in hex.

        Raises ValueError where the id alone does not fit or the body is beyond 1 MB.
        """
        head = load_id.encode("ascii") + b"\n"
        if not len(head) <= size <= BIG_BODY:
            raise ValueError(f"a body holds {len(head)} to {BIG_BODY} bytes: {size}")
        start = self._start.randrange(BIG_BODY)
        body = head + self._noise[start : start + size - len(head)]
        return body, hashlib.sha256(body).hexdigest()
