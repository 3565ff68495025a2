"""The arrivals of a step, drawn once, and how several load workers share them. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from asyncdb_bench.load.arrivals import choose, poisson, shaped
from asyncdb_bench.records.plan import LoadOrder


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
