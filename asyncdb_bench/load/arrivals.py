"""When requests should arrive: a pure function of rate, window and seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from asyncdb_bench.records.plan import LoadOrder, Segment


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


@dataclass(frozen=True, slots=True)
class StepPlan:
    """What is asked when.

    Parameters
    ----------
    names : of the operations.
    intended_ns : arrivals from the step's start, ascending, shape (n,).
    chosen : index of each arrival's operation, shape (n,).
    """

    names: list[str]
    intended_ns: NDArray[np.int64]
    chosen: NDArray[np.int64]


def drawn(order: LoadOrder, mix: Mapping[str, float]) -> StepPlan:
    """Return the plan of an open model's step.

    Parameters
    ----------
    order : rate, window, lead, shape and seed.
    mix : share of each operation.
    """
    intended = shaped(order.rate_rps, order.window_s, order.shape, (*order.seed, 0))
    names, chosen = choose(mix, len(intended), (*order.seed, 1))
    if order.lead_s:
        # of its own, so that the window has its share of arrivals and operations exactly
        before = poisson(order.rate_rps, order.lead_s, (*order.seed, 3))
        intended = np.concatenate([before, intended + int(order.lead_s * 1e9)])
        _, first = choose(mix, len(before), (*order.seed, 4))
        chosen = np.concatenate([first, chosen])
    return StepPlan(names, intended, chosen)


def owners(count: int, workers: int, seed: Sequence[int]) -> NDArray[np.int64]:
    """Return which worker offers each arrival.

    Independent choices thin a Poisson process into independent ones (Kingman, *Poisson Processes*,
    5.1): each worker's load is of the same kind, and together they are the plan whatever their
    number.

    Parameters
    ----------
    count : of arrivals.
    workers : how many share them.
    seed : of the step.

    Returns
    -------
    Numbers from 0, shape (count,).
    """
    return np.random.default_rng((*seed, 6)).integers(0, workers, count)


def share_of(plan: StepPlan, worker: int, workers: int, seed: Sequence[int]) -> StepPlan:
    """Return what one of several workers offers of a step's plan.

    Parameters
    ----------
    plan, seed : of the step.
    worker, workers : its number, and how many there are.
    """
    own = owners(len(plan.intended_ns), workers, seed) == worker
    return StepPlan(plan.names, plan.intended_ns[own], plan.chosen[own])


def connections_of(order: LoadOrder, worker: int, workers: int) -> int:
    """Return how many of a closed loop's connections a worker has."""
    return order.connections // workers + (worker < order.connections % workers)


def own_order(order: LoadOrder, worker: int, workers: int) -> LoadOrder:
    """Return a step as one of several workers offers it: its connections, one of them probes.

    Parameters drawn per request come from a stream of the worker's own.
    """
    seed = order.seed if workers == 1 else (*order.seed, 7, worker)
    return replace(
        order,
        connections=connections_of(order, worker, workers),
        probe=order.probe and worker == 0,
        seed=seed,
    )
