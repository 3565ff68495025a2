"""Whose latency counts: one population for tables, figures, summaries and verdicts. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from asyncdb_bench.records.step import Outcome

WAITED = (Outcome.OK, Outcome.TIMEOUT, Outcome.UNDRAINED)
"""A request that was given up counts with the time it had waited: leaving it out would make a
stalled server look fast. One that failed at once, or was never sent, waited for nothing."""


class Population(NamedTuple):
    """The requests whose latency counts.

    Parameters
    ----------
    counted : whether each request does, shape (n,).
    done : when each was done; of one that never came back, when it was given up, shape (n,).
    """

    counted: NDArray[np.bool_]
    done: NDArray[np.int64]


def population(
    outcome: NDArray[Any], done: NDArray[Any], given_up: int, felt: NDArray[np.bool_]
) -> Population:
    """Return whose latency counts, and until when each waited.

    Parameters
    ----------
    outcome : :class:`Outcome` of each request, shape (n,).
    done : when each was answered or failed, in any one unit, shape (n,).
    given_up : when the step stopped to wait, in the same unit.
    felt : whether each is of an operation that counts, see :func:`felt_operations`.
    """
    waited = np.isin(outcome, [int(each) for each in WAITED])
    ended = np.where(outcome == Outcome.UNDRAINED, given_up, done)
    return Population(waited & felt, ended)


def felt_operations(
    operation: NDArray[Any], names: Sequence[str], counted: Sequence[str]
) -> NDArray[np.bool_]:
    """Return whether each request is of an operation whose latency counts.

    Parameters
    ----------
    operation : index of each request's operation, shape (n,).
    names : of the operations.
    counted : those that count; empty: all.
    """
    if not counted:
        return np.ones(len(operation), bool)
    return np.isin(operation, [place for place, name in enumerate(names) if name in counted])
