"""Statistics: arrays in, numbers out; no I/O, no rounding."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

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


@dataclass(frozen=True, slots=True)
class Effect:
    """By what ratio one thing differs from another, over blocks.

    Parameters
    ----------
    n : blocks (pairs of values); where there are no pairs, the smaller side's blocks.
    ratio : geometric mean of the ratios; above 1: the second is greater.
    low, high : its interval by Student's t on the logarithms; None from one block alone.
    p : two-sided, by the same test.
    mde : the smallest ratio above 1 that so many blocks as noisy as these would have shown to
        differ from 1, with the power asked for; None from one block alone.
    """

    n: int
    ratio: float
    low: float | None = None
    high: float | None = None
    p: float | None = None
    mde: float | None = None


def paired_effect(
    base: Sequence[float], head: Sequence[float], confidence: float = 0.95, power: float = 0.8
) -> Effect:
    """Compare two things that were measured once each in every block.

    Parameters
    ----------
    base, head : positive values, one per block and in the same order.
    confidence : of the interval, 0 to 1.
    power : for the smallest effect that could have been seen.

    Raises
    ------
    ValueError : no block, unequal lengths, or values that are not positive and finite.
    """
    from scipy.stats import ttest_1samp

    logs = paired_logs(base, head)
    if len(logs) < 2:
        return Effect(len(logs), _exp(float(np.mean(logs))))
    with np.errstate(all="ignore"):
        test = ttest_1samp(logs, 0.0)
    return _effect(logs, test, float(np.std(logs, ddof=1)), len(logs), confidence, power)


def unpaired_effect(
    base: Sequence[float], head: Sequence[float], confidence: float = 0.95, power: float = 0.8
) -> Effect:
    """Compare two things that were measured in blocks of their own: two runs.

    Student's t as Welch has it (*Biometrika* 34, 1947), on the logarithms. What differed between
    the two runs besides the things themselves is in the ratio and not in the interval.

    Parameters, raises : as :func:`paired_effect`; the lengths may differ.
    """
    from scipy.stats import ttest_ind

    one, other = _logs(base), _logs(head)
    n = min(len(one), len(other))
    difference = np.array([float(np.mean(other) - np.mean(one))])
    if n < 2:
        return Effect(n, _exp(float(difference[0])))
    with np.errstate(all="ignore"):
        test = ttest_ind(other, one, equal_var=False)
    error = math.sqrt(sum(float(np.var(each, ddof=1)) / len(each) for each in (one, other)))
    # of a pair of blocks, so that it means what it means for pairs
    return _effect(difference, test, error * math.sqrt(n), n, confidence, power)


def _effect(
    logs: NDArray[np.float64], test: Any, spread: float, n: int, confidence: float, power: float
) -> Effect:
    """Return an effect from a test of scipy's; blocks that do not vary at all leave no interval."""
    centre = float(np.mean(logs))
    if spread == 0:
        return Effect(n, _exp(centre), _exp(centre), _exp(centre), float(centre == 0), 1.0)
    interval = test.confidence_interval(confidence)
    return Effect(
        n=n,
        ratio=_exp(centre),
        low=_exp(float(interval.low)),
        high=_exp(float(interval.high)),
        p=float(test.pvalue),
        mde=_exp(detectable(spread, n, 1 - confidence, power)),
    )


def _exp(log_ratio: float) -> float:
    """Return the ratio, one that no float holds cut off."""
    return math.exp(min(max(log_ratio, -700), 700))


def _logs(values: Sequence[float]) -> NDArray[np.float64]:
    found = np.asarray(values, float)
    if not len(found) or not np.isfinite(found).all() or (found <= 0).any():
        raise ValueError(f"an effect needs positive finite values, not {list(values)[:3]}")
    logs: NDArray[np.float64] = np.log(found)
    return logs


def paired_logs(base: Sequence[float], head: Sequence[float]) -> NDArray[np.float64]:
    """Return log(head / base) block by block; raises as :func:`paired_effect`."""
    if len(base) != len(head):
        raise ValueError(f"{len(base)} blocks of the one, {len(head)} of the other: no pairs")
    return _logs(head) - _logs(base)


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


def detectable(
    spread: float, n: int, alpha: float = 0.05, power: float = 0.8, freedom: int | None = None
) -> float:
    """Return the smallest true log ratio that n blocks show to differ from zero.

    Parameters
    ----------
    spread : standard deviation of the blocks' log ratios.
    n : blocks, 2 or more.
    alpha : two-sided level of the t test.
    power : with which it is shown, 0 to 1.
    freedom : degrees of freedom of the spread; None: n - 1.

    Returns
    -------
    The shift at which the noncentral t distribution has that power (Cohen, *Statistical Power
    Analysis*, 2.4); 0 where there is no spread.
    """
    from scipy.special import nctdtrinc, stdtrit

    if spread <= 0:
        return 0.0
    freedom = n - 1 if freedom is None else freedom
    critical = float(stdtrit(freedom, 1 - alpha / 2))
    return float(nctdtrinc(freedom, 1 - power, critical)) * spread / math.sqrt(n)


def block_spread(values: Sequence[Mapping[int, float]]) -> tuple[float, int]:
    """Return how far single values stray once treatments and blocks are accounted for.

    The residual standard deviation of an additive model of the logarithms, a term per treatment and
    one per block (Fisher's randomised blocks, *The Design of Experiments*, 1935), by least squares,
    so that a treatment may miss a block.

    Parameters
    ----------
    values : positive, by block, one mapping per treatment.

    Returns
    -------
    Standard deviation of a logarithm, and its degrees of freedom: 0 where nothing is left over.
    """
    cells = [(row, block, value) for row, own in enumerate(values) for block, value in own.items()]
    blocks = sorted({block for _, block, _ in cells})
    design = np.zeros((len(cells), len(values) + len(blocks)))
    for place, (row, block, _) in enumerate(cells):
        design[place, row] = design[place, len(values) + blocks.index(block)] = 1
    logs = np.log([value for _, _, value in cells])
    if not len(logs):
        return 0.0, 0
    fitted, _, rank, _ = np.linalg.lstsq(design, logs)
    freedom = len(cells) - int(rank)
    if freedom < 1:
        return 0.0, 0
    return math.sqrt(float(((logs - design @ fitted) ** 2).sum()) / freedom), freedom


def blocks_needed(
    spread: float, log_ratio: float, alpha: float = 0.05, power: float = 0.8, most: int = 1000
) -> int | None:
    """Return how many blocks show a log ratio of that size; None where `most` would not do."""
    low, high = 2, most
    if detectable(spread, most, alpha, power) > log_ratio:
        return None
    while low < high:
        middle = (low + high) // 2
        low, high = (
            (low, middle)
            if detectable(spread, middle, alpha, power) <= log_ratio
            else (middle + 1, high)
        )
    return low


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values adjusted for their number, in the order given.

    Holm (*Scandinavian Journal of Statistics* 6, 1979): the chance that any of them falls below
    alpha where there is no effect at all is at most alpha, however they depend on each other.
    """
    order = sorted(range(len(p_values)), key=lambda place: p_values[place])
    adjusted = [0.0] * len(p_values)
    running = 0.0
    for rank, place in enumerate(order):
        running = max(running, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = running
    return adjusted


def noise_ratio(logs: Sequence[float], confidence: float = 0.95) -> float:
    """Return the ratio that the mean of as many A/A blocks stays within.

    Parameters
    ----------
    logs : shape (n,), log ratios of a thing against itself: the true one is known to be 0.
    confidence : with which the mean stays within, 0 to 1.

    Returns
    -------
    A ratio of 1 or more; by Student's t with n degrees of freedom, as the mean is not estimated.
    """
    from scipy.special import stdtrit

    n = len(logs)
    rms = math.sqrt(float(np.mean(np.square(np.asarray(logs, float)))))
    return _exp(float(stdtrit(n, (1 + confidence) / 2)) * rms / math.sqrt(n))


def share_interval(hits: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Bound a share that was seen as `hits` of `n` (Clopper and Pearson, *Biometrika* 26, 1934)."""
    from scipy.stats import binomtest

    interval = binomtest(hits, n).proportion_ci(confidence, method="exact")
    return float(interval.low), float(interval.high)
