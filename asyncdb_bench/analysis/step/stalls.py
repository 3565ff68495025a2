"""What a step's records come to: stalls, rates, closed loops, drift. Arrays in, numbers out."""

from __future__ import annotations

import heapq
import math

import numpy as np
from numpy.typing import NDArray

DRIFT = 1.25


def expand_stalls(lags_us: NDArray[np.int64], interval_us: int) -> NDArray[np.int64]:
    """Add the heartbeats that a stalled loop left out.

    A heartbeat that comes `lag` late stands for all those that should have come meanwhile; without
    them a stall of a second is one sample among thousands (coordinated omission; the correction is
    HdrHistogram's ``recordValueWithExpectedInterval``).

    Parameters
    ----------
    lags_us : shape (n,), microseconds by which each heartbeat was late.
    interval_us : microseconds between heartbeats.

    Returns
    -------
    Shape (m,), m >= n: each lag followed by lag - interval, lag - 2 intervals, … above zero.
    """
    if len(lags_us) == 0:
        return lags_us
    extra = np.maximum((lags_us - 1) // interval_us, 0)
    counts = extra + 1
    starts = np.repeat(np.cumsum(counts) - counts, counts)
    place = np.arange(counts.sum()) - starts
    expanded: NDArray[np.int64] = np.repeat(lags_us, counts) - place * interval_us
    return expanded


def completion_rate(
    intended_us: NDArray[np.int64], done_us: NDArray[np.int64], window_us: int
) -> float:
    """Return completions per second over a window as long as the arrivals', shifted by latency.

    Parameters
    ----------
    intended_us : shape (n,), intended arrivals of the right answers, from the step's start.
    done_us : shape (n,), when each was complete, from the step's start.
    window_us : length of the measured window.

    Returns
    -------
    Rate in 1/s. The window is shifted by the median latency: a server that keeps up completes
    what was offered, a saturated one shows its own pace and not the arrivals'.
    """
    if len(done_us) == 0:
        return 0.0
    shift = np.median(done_us - intended_us)
    inside = np.count_nonzero((done_us >= shift) & (done_us < shift + window_us))
    return float(inside / (window_us / 1e6))


def closed_loop(
    intended_us: NDArray[np.int64], done_us: NDArray[np.int64]
) -> tuple[NDArray[np.bool_], int]:
    """Tell which requests a closed loop would have sent of those that an open one did.

    Its users wait for an answer before they ask again. A request that comes while all of them wait
    is never sent, so a stall is seen by as many requests as there are users and no more: that is
    the coordinated omission (Tene, *How NOT to Measure Latency*).

    Parameters
    ----------
    intended_us : shape (n,), intended arrivals, ascending.
    done_us : shape (n,), when each was complete.

    Returns
    -------
    For each request whether it would have been sent, and the number of users: as many as this load
    keeps busy at its median latency (Little's law), and three standard deviations to spare, so
    that the bursts of random arrivals leave hardly anything out.
    """
    if len(intended_us) == 0:
        return np.zeros(0, bool), 0
    span = max(int(intended_us[-1] - intended_us[0]), 1)
    median = float(np.median(done_us - intended_us))
    busy = len(intended_us) / span * median
    users = max(1, math.ceil(busy + 3 * math.sqrt(busy)))
    free_at: list[int] = [0] * users
    sent = np.zeros(len(intended_us), bool)
    for place, (asked, done) in enumerate(zip(intended_us.tolist(), done_us.tolist(), strict=True)):
        if free_at[0] <= asked:
            heapq.heapreplace(free_at, done)
            sent[place] = True
    return sent, users


def drift(
    intended_us: NDArray[np.int64], latency_us: NDArray[np.int64], window_us: int
) -> tuple[float | None, bool]:
    """Compare the window's second half with its first.

    Parameters
    ----------
    intended_us : shape (n,), intended arrivals from the window's start.
    latency_us : shape (n,).
    window_us : the window's length.

    Returns
    -------
    Median latency of the second half over that of the first (None with fewer than 100 requests),
    and whether the step is steady. It is not when the halves differ by more than a quarter and
    every fifth of one half has a higher median than every fifth of the other: by chance that
    happens in 2 of 252 orders (Mann and Whitney, 1947, 5 against 5), however much neighbouring
    requests resemble each other within a slice.
    """
    if len(latency_us) < 100:
        return None, True
    slices = np.minimum(intended_us * 10 // window_us, 9)
    medians = [
        float(np.median(latency_us[slices == each])) for each in range(10) if (slices == each).any()
    ]
    early = float(np.median(latency_us[slices < 5])) if (slices < 5).any() else 0.0
    late = float(np.median(latency_us[slices >= 5])) if (slices >= 5).any() else 0.0
    if len(medians) < 10 or early <= 0:
        return None, True
    first, second = medians[:5], medians[5:]
    apart = max(first) < min(second) or max(second) < min(first)
    ratio = late / early
    return ratio, not (apart and (ratio > DRIFT or ratio < 1 / DRIFT))
