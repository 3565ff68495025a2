"""When requests should arrive: a pure function of rate, window and seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from asyncdb_bench.records.plan import Segment


def poisson(rate_rps: float, window_s: float, seed: Sequence[int]) -> NDArray[np.int64]:
    """Return the intended arrival times of an open model.

    A Poisson process given its number of arrivals: that many independent uniform times, in order
    (Ross, *Stochastic Processes*, theorem 2.3.1). The number is fixed to the rate's, so that the
    offered load is exact and equal for all variants; the gaps are as irregular as life's.

    Parameters
    ----------
    rate_rps : offered load, arrivals per second.
    window_s : length of the window, seconds.
    seed : of the generator.

    Returns
    -------
    Nanoseconds from the window's start, ascending, shape (round(rate * window),).
    """
    count = round(rate_rps * window_s)
    times = np.random.default_rng(seed).uniform(0, window_s * 1e9, count)
    times.sort()
    return times.astype(np.int64)


def shaped(
    rate_rps: float, window_s: float, shape: Sequence[Segment], seed: Sequence[int]
) -> NDArray[np.int64]:
    """Return the intended arrival times of a window whose rate changes.

    Parameters
    ----------
    rate_rps : the base rate.
    window_s : length of the window where `shape` is empty, seconds.
    shape : its parts, each a Poisson process of its own rate.
    seed : of the generator.

    Returns
    -------
    As :func:`poisson`.
    """
    if not shape:
        return poisson(rate_rps, window_s, seed)
    parts, start_ns = [], 0
    for place, segment in enumerate(shape):
        own = poisson(rate_rps * segment.factor, segment.seconds, (*seed, place))
        parts.append(own + start_ns)
        start_ns += int(segment.seconds * 1e9)
    return np.concatenate(parts)


def evenly(
    mix: Mapping[str, float], count: int, seed: Sequence[int]
) -> tuple[list[str], NDArray[np.int64]]:
    """Choose operations so that any stretch of them has nearly the shares of the whole.

    Each operation has one place, at random, in each of as many equal parts as it has requests
    (stratified sampling; Cochran, *Sampling Techniques*, chapter 5). A closed loop takes as many as
    it can: by chance alone one second of 300 requests would have a quarter more slow ones, of 5 %,
    than the next.

    Parameters, returns : as :func:`choose`.
    """
    names, chosen = choose(mix, count, seed)
    rng = np.random.default_rng((*seed, 1))
    places = np.empty(count)
    for index in range(len(names)):
        own = np.flatnonzero(chosen == index)
        places[own] = (np.arange(len(own)) + rng.uniform(size=len(own))) / max(len(own), 1)
    return names, chosen[np.argsort(places, kind="stable")]


def choose(
    mix: Mapping[str, float], count: int, seed: Sequence[int]
) -> tuple[list[str], NDArray[np.int64]]:
    """Choose the operation of each arrival.

    Parameters
    ----------
    mix : share of each operation; the shares sum to 1.
    count : number of arrivals.
    seed : of the generator.

    Returns
    -------
    The operations' names, and for each arrival an index into them. The number of each is its
    share, rounded, so that two steps of the same mix ask for the same work; the order is random.
    """
    names = list(mix)
    exact = np.array([mix[name] for name in names]) * count
    counts = np.floor(exact).astype(np.int64)
    short = count - int(counts.sum())
    for place in np.argsort(counts - exact, kind="stable")[:short]:
        counts[place] += 1
    chosen = np.repeat(np.arange(len(names)), counts)
    np.random.default_rng(seed).shuffle(chosen)
    return names, chosen
