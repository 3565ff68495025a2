"""Whose CLOCK_MONOTONIC a process reads, and by how much another differs from ours.

Times of two processes compare only where their clock is the same.

The clock begins with the machine (clock_gettime(2)), and a time namespace sets it off
(time_namespaces(7)): the boot's random number and the namespace tell both.
"""

from __future__ import annotations

import functools
import socket
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

BOOT = Path("/proc/sys/kernel/random/boot_id")
NAMESPACE = Path("/proc/self/ns/time")
UNKNOWN = "unknown"
"""The clock of a process that cannot be asked; it is no one's own."""


@functools.cache
def identity() -> str:
    """Return what is equal for two processes just where their clocks are."""
    try:
        boot = BOOT.read_text().strip()
    except OSError:
        return socket.gethostname()
    try:
        return f"{boot} {NAMESPACE.readlink()}"
    except OSError:
        return boot


def same(one: str, other: str) -> bool:
    """Return whether two processes read the same clock; not where one is not known."""
    return one == other != UNKNOWN


@dataclass(frozen=True, slots=True)
class Asked:
    """One question: when it was sent, what the other's clock read, when the answer came; ns."""

    sent_ns: int
    there_ns: int
    came_ns: int


@dataclass(frozen=True, slots=True)
class Offset:
    """What another's clock reads more than ours, and by how much that may be wrong, ns."""

    ns: int
    error_ns: int


def offset(asked: Iterable[Asked]) -> Offset:
    """Return the offset by the question that came back soonest.

    The answer was written between both of our readings; the middle is wrong by half of the round
    trip at most (Cristian, *Probabilistic clock synchronization*, 1989).

    Raises
    ------
    ValueError : nothing was asked.
    """
    best = min(asked, key=lambda each: each.came_ns - each.sent_ns)
    half = (best.came_ns - best.sent_ns) // 2
    return Offset(best.there_ns - best.sent_ns - half, half)


def measure_offset(read_there: Callable[[], int], times: int = 6) -> Offset:
    """Measure what another's clock reads more than ours.

    Parameters
    ----------
    read_there : asks the other what its clock reads, nanoseconds.
    times : how often it is asked.
    """
    asked = []
    for _ in range(times):
        sent_ns = time.monotonic_ns()
        there_ns = read_there()
        asked.append(Asked(sent_ns, there_ns, time.monotonic_ns()))
    return offset(asked)
