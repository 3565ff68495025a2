"""Which rung of a ladder is offered next. Pure: it is told what came of the one before."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import NamedTuple


class Rung(NamedTuple):
    """A rung to offer: its place in the ladder, and whether the application must settle first."""

    place: int
    settle: bool = False


class Offered(NamedTuple):
    """What came of a rung: whether the objective held, and whether more load adds nothing."""

    holds: bool
    saturated: bool


def climb(ladder: Sequence[float], *, gallop: bool = False) -> Generator[Rung, Offered, None]:
    """Climb until the variant saturates or the ladder ends.

    Parameters
    ----------
    ladder : offered loads, 1/s.
    gallop : climb two rungs at a time, then fill in the one below the first miss.

    Returns
    -------
    A generator that yields the next rung and is sent what came of it.
    """
    missed_before = False
    done: set[int] = set()
    last = len(ladder) - 1
    for place in dict.fromkeys([*range(0, last + 1, 2 if gallop else 1), last]):
        found = yield Rung(place)
        done.add(place)
        if not found.holds and place and place - 1 not in done:
            # the rung that was leapt over, once what this one left has been worked off
            yield Rung(place - 1, settle=True)
            return
        if found.saturated or (missed_before and not found.holds):
            return
        missed_before = not found.holds
