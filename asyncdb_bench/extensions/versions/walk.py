"""Between which releases something changed: halving that knows of noise. Pure.

Neighbours that are the same have nothing between them that is looked at (so a change that was taken
back between them is not seen). Those that are not, or of which it is not known, are measured again
with the release in their middle, until they are next to one another. As noise may answer wrongly, a
change counts where a run of its own agrees (Karp and Kleinberg, *Noisy binary search and its
applications*, SODA 2007, go back where a later answer contradicts; here a contradiction takes the
change away, as all rounds of both runs are taken together).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

from asyncdb_bench.analysis.inference import Said

AT_ONCE = 8
"""Releases of the first run, spread over all."""
MOST_LOOKS = 3
"""Runs that have the same two neighbours, before it stays not known."""


class Between(StrEnum):
    """What lies between two neighbours."""

    NOTHING = "the same"
    CHANGE = "a change"
    OPEN = "not known"


@dataclass(frozen=True, slots=True)
class Look:
    """What two releases that were measured in the same rounds are to one another.

    Parameters
    ----------
    said : of the newer beside the older, all runs together.
    runs : that had both.
    agrees : whether the latest of them, alone, points the same way.
    """

    said: Said
    runs: int
    agrees: bool = False


Looker = Callable[[int, int], Look]
"""Places of two releases, the older first -> what is known of them; no runs: nothing."""


class Walk:
    """A walk through releases by one strategy in one scenario.

    Parameters
    ----------
    count : of the releases; they are known by their places, the oldest first.
    look : what is known of two of them.

    Attributes
    ----------
    measured : places that have been measured.
    out : places that do not run.
    """

    def __init__(self, count: int, look: Looker) -> None:
        self.count = count
        self.look = look
        self.measured: set[int] = set()
        self.out: set[int] = set()

    def note(self, measured: Iterable[int], out: Iterable[int]) -> None:
        """Take note of what a run has measured, and of what did not run."""
        self.out |= set(out)
        self.measured |= set(measured) - self.out

    def wanted(self) -> list[int]:
        """Return the places that the next run measures; none: nothing is left to tell."""
        if not self.measured:
            return self._spread()
        wanted: set[int] = set()
        for older, newer in self.neighbours():
            between, look = self.between(older, newer), self.look(older, newer)
            middle = self._middle(older, newer)
            if between is Between.NOTHING:
                continue
            if between is Between.CHANGE and middle is None:
                continue
            if between is Between.OPEN and middle is None and look.runs >= MOST_LOOKS:
                continue
            wanted |= {older, newer} | ({middle} if middle is not None else set())
        wanted |= set(self._beyond())
        return sorted(wanted | {self.newest}) if wanted else []

    @property
    def newest(self) -> int:
        """The newest release that runs, which the others stand beside."""
        return max(self.measured)

    def neighbours(self) -> list[tuple[int, int]]:
        """Return the places that were measured, each with the next."""
        return list(itertools.pairwise(sorted(self.measured)))

    def between(self, older: int, newer: int) -> Between:
        """Return what lies between two neighbours."""
        look = self.look(older, newer)
        if look.said is Said.SAME:
            return Between.NOTHING
        if look.said in (Said.BETTER, Said.WORSE) and look.runs > 1 and look.agrees:
            return Between.CHANGE
        return Between.OPEN

    def _spread(self) -> list[int]:
        there = [place for place in range(self.count) if place not in self.out]
        if len(there) <= AT_ONCE:
            return there
        step = (len(there) - 1) / (AT_ONCE - 1)
        return [there[round(number * step)] for number in range(AT_ONCE)]

    def _middle(self, older: int, newer: int) -> int | None:
        """Return the place in the middle of what can still be measured between two."""
        left = [each for each in range(older + 1, newer) if each not in self.out]
        return left[len(left) // 2] if left else None

    def _beyond(self) -> Iterable[int]:
        """Yield what lies between a release that does not run at an end and the next that does."""
        before = [each for each in range(min(self.measured)) if each not in self.out]
        after = [each for each in range(max(self.measured) + 1, self.count) if each not in self.out]
        for left in (before, after):
            if left:
                yield left[len(left) // 2]
