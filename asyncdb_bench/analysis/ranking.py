"""Capacities -> who leads, who is level with it, and by what ratio the others fall short. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from asyncdb_bench.analysis import statistics
from asyncdb_bench.analysis.capacity import Capacity

SINGLE_BLOCK_RATIO = 1.5
"""Measured once, capacities less than this apart are level: trials of one block are minutes apart,
and the shared machines that this was built on changed their pace by as much (docs/method.md)."""
ALPHA = 0.05


@dataclass(frozen=True, slots=True)
class Standing:
    """One variant's capacity beside the best of its scenario.

    Parameters
    ----------
    ratio : of its capacity to the best's, at most 1 but for the interpolation; None: it carried
        nothing.
    low, high : the ratio's bounds; None: not known. Over blocks they hold for all pairs of the
        scenario's variants at once (95 %, Bonferroni), since the best is chosen after the fact;
        measured once they are those of the ladder's rungs.
    level : whether nothing measured tells it from the best.
    smallest : the smallest ratio above 1 between the two that would have been seen; None: not
        known.
    """

    ratio: float | None
    low: float | None
    high: float | None
    level: bool
    smallest: float | None = None


@dataclass(frozen=True, slots=True)
class _Noise:
    """What a difference is held against: the spread of one value over blocks, and the level."""

    spread: float
    freedom: int
    alpha: float


def rank(
    capacities: Mapping[str, Capacity], by_block: Mapping[str, Mapping[int, float]]
) -> dict[str, Standing]:
    """Return every variant's standing, in the order given.

    Two capacities are told apart where the interval of their ratio, block by block, leaves out 1.
    Its width follows from the greater of two spreads: that of the ratio itself, and that of all
    variants over blocks (:func:`block_spread`), whose degrees of freedom it
    has. Measured once they must be :data:`ONCE` apart, and no load may lie between what the one
    carried and the other did not.

    Parameters
    ----------
    capacities : by variant.
    by_block : the capacities of those blocks in which they can be relied on, by variant, see
        :func:`capacities_by_block`.
    """
    carried = {name: each for name, each in capacities.items() if each.rps > 0}
    if not carried:
        return {name: Standing(None, None, None, level=False) for name in capacities}
    top = max(carried, key=lambda name: carried[name].rps)
    pairs = max(1, len(carried) * (len(carried) - 1) // 2)
    spread, freedom = statistics.block_spread([by_block.get(name, {}) for name in carried])
    noise = _Noise(spread, freedom, ALPHA / pairs)
    return {
        name: Standing(1.0, 1.0, 1.0, level=True)
        if name == top
        else _against(carried[top], each, by_block.get(top, {}), by_block.get(name, {}), noise)
        for name, each in capacities.items()
    }


def _against(
    top: Capacity,
    other: Capacity,
    tops: Mapping[int, float],
    others: Mapping[int, float],
    noise: _Noise,
) -> Standing:
    if other.rps == 0:
        return Standing(None, None, None, level=False)
    shared = sorted(tops.keys() & others.keys())
    if len(shared) > 1:
        logs = statistics.paired_logs([tops[b] for b in shared], [others[b] for b in shared])
        return _over_blocks(logs, noise)
    low = other.low / top.high if top.high else None
    high = other.high / top.low if other.high is not None and top.low else None
    once = len(top.per_block) < 2 or len(other.per_block) < 2
    ratio = other.rps / top.rps
    level = (once and ratio * SINGLE_BLOCK_RATIO >= 1) or high is None or high >= 1
    return Standing(ratio, low, high, level, SINGLE_BLOCK_RATIO if once else None)


def _over_blocks(logs: NDArray[np.float64], noise: _Noise) -> Standing:
    n, centre = len(logs), float(np.mean(logs))
    spread = max(float(np.std(logs, ddof=1)), math.sqrt(2) * noise.spread)
    freedom = max(noise.freedom, n - 1)
    low, high = statistics.t_bounds(centre, spread / math.sqrt(n), freedom, 1 - noise.alpha)
    smallest = math.exp(statistics.detectable(spread, n, noise.alpha, freedom=freedom))
    return Standing(math.exp(centre), math.exp(low), math.exp(high), high >= 0, smallest)


def leaders(standings: Mapping[str, Standing]) -> tuple[str, ...]:
    """Return the best variant and those that cannot be told apart from it."""
    return tuple(name for name, each in standings.items() if each.level)
