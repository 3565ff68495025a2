"""By how much another machine's clock differs from ours, from questions and answers. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


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
