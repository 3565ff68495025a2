"""Statistics: arrays in, numbers out; no I/O, no rounding."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from asyncdb_bench.model import Percentiles

LEVELS = (0.5, 0.95, 0.99, 0.999)


def percentiles(values_us: NDArray[np.integer] | NDArray[np.floating]) -> Percentiles:
    """Summarise a sample of microseconds.

    Parameters
    ----------
    values_us : shape (n,), microseconds.

    Returns
    -------
    Percentiles in milliseconds by the nearest-rank definition (the inverse of the empirical
    distribution: method 1 of Hyndman and Fan, 1996), so that every figure was really measured.
    """
    if len(values_us) == 0:
        return Percentiles(n=0)
    levels = np.quantile(values_us, LEVELS, method="inverted_cdf") / 1000
    return Percentiles(
        n=len(values_us),
        mean_ms=float(np.mean(values_us)) / 1000,
        p50_ms=float(levels[0]),
        p95_ms=float(levels[1]),
        p99_ms=float(levels[2]),
        p999_ms=float(levels[3]),
        max_ms=float(np.max(values_us)) / 1000,
    )


def percentile_bounds(
    values_us: NDArray[np.integer], level: float, confidence: float = 0.95
) -> tuple[float, float] | None:
    """Bound a percentile without assuming a distribution.

    Parameters
    ----------
    values_us : shape (n,), microseconds.
    level : the percentile, 0 to 1.
    confidence : 0 to 1.

    Returns
    -------
    (low, high) in milliseconds: order statistics by the binomial distribution (Hahn and Meeker,
    *Statistical Intervals*, 5.2), or None where the sample is too small to bound it on both sides.
    It treats requests as independent, so it speaks of one step only, never of a repetition.
    """
    from scipy.stats import binom

    n = len(values_us)
    if n == 0:
        return None
    tail = (1 - confidence) / 2
    low = int(binom.ppf(tail, n, level)) - 1
    high = int(binom.ppf(1 - tail, n, level))
    if low < 0 or high >= n:
        return None
    ordered = np.partition(values_us, (low, high))
    return float(ordered[low]) / 1000, float(ordered[high]) / 1000


def bounds(values_us: NDArray[np.integer]) -> dict[str, tuple[float, float]]:
    """Return the bounds of p50, p95 and p99 that the sample is large enough for, milliseconds."""
    levels = {"p50_ms": 0.5, "p95_ms": 0.95, "p99_ms": 0.99}
    found = {name: percentile_bounds(values_us, level) for name, level in levels.items()}
    return {name: pair for name, pair in found.items() if pair is not None}


def mean_interval(values: Sequence[float], confidence: float = 0.95) -> tuple[float, float] | None:
    """Bound the geometric mean of positive values that were measured once per block.

    Parameters
    ----------
    values : one positive number per block.
    confidence : 0 to 1.

    Returns
    -------
    (low, high) by Student's t on the logarithms, or None for fewer than two blocks: one block
    says nothing about repetition.
    """
    from scipy.stats import t

    if len(values) < 2 or min(values) <= 0:
        return None
    logs = np.log(values)
    half = (
        float(t.ppf((1 + confidence) / 2, len(logs) - 1))
        * float(np.std(logs, ddof=1))
        / math.sqrt(len(logs))
    )
    centre = float(np.mean(logs))
    return math.exp(centre - half), math.exp(centre + half)


def geometric_mean(values: Sequence[float]) -> float:
    """Return the geometric mean of positive values."""
    # equal values come out as they are, not as their logarithms' rounding leaves them
    if min(values) == max(values):
        return float(values[0])
    return float(np.exp(np.mean(np.log(values))))
