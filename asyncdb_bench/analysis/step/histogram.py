"""Distributions as counts in bins of half a percent, so that those of several turns can be merged.

A percentile over several turns is the percentile of all their requests together. The mean of the
turns' own percentiles is none: the p99 of a hundred requests is about their maximum, and the mean
of maxima grows with the number of requests in each (Gregg, *Systems Performance*, 2.8; Tene, *How
NOT to Measure Latency*). Turns of one kind offer the same number of requests, so each weighs alike.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asyncdb_bench.analysis.statistics import LEVELS
from asyncdb_bench.records.step import Percentiles

GROWTH = math.log(1.005)
"""Of a bin's bounds: its middle is within a quarter of a percent of all that it holds, as in an
HdrHistogram of three significant digits (Tene, hdrhistogram.org)."""

ERROR = math.exp(GROWTH / 2) - 1
"""By how much at most a value may differ from the middle of its bin: a share."""
MOST_BINS = math.ceil(31 * math.log(2) / GROWTH) + 1
"""Bins that hold any latency up to half an hour, :data:`numpy.int32` microseconds."""
Counts = tuple[tuple[int, int], ...]
"""Bins and how many values each holds, bins ascending."""


def counts_of(values_us: NDArray[Any]) -> Counts:
    """Return how many values fall into each bin.

    Parameters
    ----------
    values_us : microseconds, shape (n,); below 1 they count as 1.
    """
    found, counts = np.unique(_bins(values_us), return_counts=True)
    return tuple(zip(found.tolist(), counts.tolist(), strict=True))


def _bins(values_us: NDArray[Any]) -> NDArray[np.int64]:
    bins: NDArray[np.int64] = np.rint(np.log(np.maximum(values_us, 1)) / GROWTH).astype(np.int64)
    return bins


class Sketch:
    """A distribution of any number of values in 35 kB, each within :data:`ERROR` of itself.

    Sketches of parts add up to the sketch of the whole, in any order (the merging of HdrHistogram
    and of DDSketch: Masson, Rim, Lee, *DDSketch*, VLDB 2019).
    """

    def __init__(self) -> None:
        self.counts = np.zeros(MOST_BINS, np.int64)

    def add(self, values_us: NDArray[Any]) -> None:
        """Count values, microseconds, shape (n,)."""
        bins = np.minimum(_bins(values_us), MOST_BINS - 1)
        self.counts += np.bincount(bins, minlength=MOST_BINS)

    def merge(self, other: Sketch) -> None:
        """Count what another has counted, too."""
        self.counts += other.counts

    @property
    def n(self) -> int:
        """How many values were counted."""
        return int(self.counts.sum())

    def quantiles_us(self, levels: NDArray[Any]) -> NDArray[np.float64]:
        """Return percentiles by nearest rank, microseconds.

        Parameters
        ----------
        levels : 0 to 1, shape (m,).

        Returns
        -------
        Shape (m,); the middles of the bins in which the percentiles lie.
        """
        so_far = np.cumsum(self.counts)
        ranks = np.maximum(1, np.ceil(levels * so_far[-1] - 1e-9))
        places = np.searchsorted(so_far, ranks)
        middles: NDArray[np.float64] = np.exp(places * GROWTH)
        return middles


def merged(several: Iterable[Counts]) -> Counts:
    """Return the counts of several distributions together."""
    total: Counter[int] = Counter()
    for each in several:
        total.update(dict(each))
    return tuple(sorted(total.items()))


def quantile_ms(counts: Counts, level: float) -> float | None:
    """Return a percentile by nearest rank, milliseconds; None of nothing.

    Parameters
    ----------
    counts : of the distribution.
    level : 0 to 1.
    """
    n = sum(count for _, count in counts)
    if not n:
        return None
    rank = max(1, math.ceil(level * n - 1e-9))
    seen = itertools.accumulate(count for _, count in counts)
    place = next(place for (place, _), so_far in zip(counts, seen, strict=True) if so_far >= rank)
    return math.exp(place * GROWTH) / 1000


def summary(counts: Counts) -> Percentiles:
    """Return the percentiles of a distribution, as :func:`statistics.percentiles` of its values."""
    n = sum(count for _, count in counts)
    if not n:
        return Percentiles(0)
    p50, p95, p99, p999 = (quantile_ms(counts, level) for level in LEVELS)
    mean = sum(math.exp(place * GROWTH) * count for place, count in counts) / n / 1000
    return Percentiles(n, mean, p50, p95, p99, p999, math.exp(counts[-1][0] * GROWTH) / 1000)


def above(counts: Counts, limit_ms: float) -> int:
    """Return how many values exceed a limit, milliseconds."""
    return sum(count for place, count in counts if math.exp(place * GROWTH) / 1000 > limit_ms)
