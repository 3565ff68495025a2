"""What waits: how many, how old the oldest, how long until it is worked off. Pure.

The same measure for every strategy, taken from outside: from when a request was due until it was
answered. An executor's queue, a pool's waiters and a socket's buffer are queues too, only hidden.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from asyncdb_bench.records.step import Backlog, Outage

STEP_US = 20_000
"""Between two points of a curve."""
OUTAGE = 5
"""So many failures in a row are an outage."""


class WaitingCurve(NamedTuple):
    """What waited over time.

    Parameters
    ----------
    at_us : points in time, shape (n,).
    waiting : how many had come and were not done, shape (n,).
    oldest_us : for how long the oldest of them had waited, shape (n,); 0 where none waited.
    """

    at_us: NDArray[np.int64]
    waiting: NDArray[np.int64]
    oldest_us: NDArray[np.int64]


def curve(
    began_us: NDArray[np.int64], ended_us: NDArray[np.int64], at_us: NDArray[np.int64]
) -> WaitingCurve:
    """Return what waited at given moments.

    Parameters
    ----------
    began_us, ended_us : when each came and was done, shape (n,), in any order.
    at_us : the moments, shape (m,).
    """
    order = np.argsort(began_us, kind="stable")
    began, ended = began_us[order], ended_us[order]
    came = np.searchsorted(began, at_us, side="right")
    gone = np.searchsorted(np.sort(ended), at_us, side="right")
    # the oldest at a moment is the first in order of arrival that ends after it
    latest_end = np.maximum.accumulate(ended) if len(ended) else ended
    first = np.searchsorted(latest_end, at_us, side="right")
    oldest = np.zeros(len(at_us), np.int64)
    waits = came > gone
    oldest[waits] = at_us[waits] - began[first[waits]]
    return WaitingCurve(at_us, came - gone, oldest)


def moments(start_us: int, end_us: int) -> NDArray[np.int64]:
    """Return the points in time at which a step's curve is taken."""
    return np.arange(start_us, max(end_us, start_us + STEP_US) + STEP_US, STEP_US, dtype=np.int64)


def summarised(
    found: WaitingCurve, surge_end_us: int | None, calm_us: tuple[int, int] | None
) -> Backlog:
    """Return a curve's peak, and how long a surge took to be worked off.

    Parameters
    ----------
    found : the curve.
    surge_end_us : when the surge ended; None: the load had none.
    calm_us : start and end of the load before the surge: what waited then is what is usual.
    """
    if not len(found.waiting):
        return Backlog(0, 0.0, 0.0, None)
    peak = int(np.argmax(found.waiting))
    drained = None
    if surge_end_us is not None and calm_us is not None:
        calm = found.waiting[(found.at_us >= calm_us[0]) & (found.at_us < calm_us[1])]
        usual = int(np.quantile(calm, 0.99, method="inverted_cdf")) if len(calm) else 0
        after = found.at_us >= surge_end_us
        back = after & (found.waiting <= usual)
        if back.any():
            drained = float(found.at_us[np.argmax(back)] - surge_end_us) / 1e6
    return Backlog(
        peak=int(found.waiting[peak]),
        peak_age_ms=float(found.oldest_us[peak]) / 1000,
        oldest_ms=float(found.oldest_us.max()) / 1000,
        drain_s=drained,
    )


def outages(
    intended_us: NDArray[np.int64], done_us: NDArray[np.int64], right: NDArray[np.bool_]
) -> tuple[Outage, ...]:
    """Return where at least five requests in a row failed, and for how long.

    Parameters
    ----------
    intended_us : when each was due, from the step's start, shape (n,), ascending.
    done_us : when each was done.
    right : whether it was answered rightly.
    """
    edges = np.flatnonzero(np.diff(np.concatenate([[True], right, [True]]).astype(np.int8)))
    found = []
    for start, end in zip(edges[::2], edges[1::2], strict=True):
        if end - start < OUTAGE:
            continue
        later = done_us[end:][right[end:]]
        again = float(later.min() - intended_us[start]) / 1e6 if len(later) else None
        found.append(Outage(float(intended_us[start]) / 1e6, again, int(end - start)))
    return tuple(found)
