"""Statistics: arrays in, numbers out; no I/O, no rounding."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from asyncdb_bench.records.step import Percentiles

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
    if len(values) < 2 or min(values) <= 0:
        return None
    logs = np.log(values)
    error = float(np.std(logs, ddof=1)) / math.sqrt(len(logs))
    low, high = t_bounds(float(np.mean(logs)), error, len(logs) - 1, confidence)
    return math.exp(low), math.exp(high)


def geometric_mean(values: Sequence[float]) -> float:
    """Return the geometric mean of positive values."""
    # equal values come out as they are, not as their logarithms' rounding leaves them
    if min(values) == max(values):
        return float(values[0])
    return float(np.exp(np.mean(np.log(values))))


def t_bounds(centre: float, error: float, freedom: float, confidence: float) -> tuple[float, float]:
    """Return the two-sided interval of a mean by Student's t.

    By the special function, not by :mod:`scipy.stats`: the gate's error rates call it many thousand
    times.

    Parameters
    ----------
    centre, error : the mean and its standard error.
    freedom : degrees of freedom.
    confidence : 0 to 1.
    """
    from scipy.special import stdtrit

    half = float(stdtrit(freedom, (1 + confidence) / 2)) * error
    return centre - half, centre + half


def block_spread(values: Sequence[Mapping[int, float]]) -> tuple[float, int]:
    """Return how far single values stray once treatments and blocks are accounted for.

    The residual standard deviation of an additive model of the logarithms, a term per treatment and
    one per block (Fisher's randomised blocks, *The Design of Experiments*, 1935), by least squares,
    so that a treatment may miss a block. The blocks' terms are eliminated first (Yates's intrablock
    analysis; Searle, *Linear Models*, 7.1), which leaves as many equations as there are treatments.

    Parameters
    ----------
    values : positive, by block, one mapping per treatment.

    Returns
    -------
    Standard deviation of a logarithm, and its degrees of freedom: 0 where nothing is left over.
    """
    blocks = sorted({block for own in values for block in own})
    logs = np.full((len(values), len(blocks)), np.nan)
    places = {block: place for place, block in enumerate(blocks)}
    for row, own in enumerate(values):
        for block, value in own.items():
            logs[row, places[block]] = math.log(value)
    there = ~np.isnan(logs)
    if not there.any():
        return 0.0, 0
    known = np.where(there, logs, 0.0)
    in_block = there.sum(axis=0)
    centred = np.where(there, known - known.sum(axis=0) / in_block, 0.0)
    normal = np.diag(there.sum(axis=1).astype(float)) - (there / in_block) @ there.T
    effects = np.linalg.pinv(normal, rcond=1e-9) @ centred.sum(axis=1)
    rank = int(np.linalg.matrix_rank(normal, tol=1e-9))
    freedom = int(there.sum()) - len(blocks) - rank
    if freedom < 1:
        return 0.0, 0
    fitted = np.where(there, effects[:, None], 0.0)
    fitted = np.where(there, fitted - fitted.sum(axis=0) / in_block, 0.0)
    squares = float(((centred - fitted) ** 2).sum())
    return math.sqrt(squares / freedom), freedom


def share_interval(hits: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Bound a share that was seen as `hits` of `n` (Clopper and Pearson, *Biometrika* 26, 1934)."""
    from scipy.stats import binomtest

    interval = binomtest(hits, n).proportion_ci(confidence, method="exact")
    return float(interval.low), float(interval.high)
