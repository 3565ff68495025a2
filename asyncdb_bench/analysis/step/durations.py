"""What a step's raw records come to: durations, loop lag, series. Arrays in, columns out.

The same measure for every strategy, taken from outside: from when a request was due until it was
answered. An executor's queue, a pool's waiters and a socket's buffer are queues too, only hidden.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from asyncdb_bench.records.step import PHASES, TASK_STAMPS, Backlog, Outage, Outcome

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


GRACE_NS = 2_000_000
"""A send that is this much late is on time: the floor of the send lag's tolerance."""
CHAT_COLUMNS = ("receipts_ns", "pings_ns", "joins_us", "join_s", "disorder", "members", "is_post")


class Times:
    """A step's durations in microseconds, from the load's scratch file.

    Parameters
    ----------
    file : written by the load.
    started_ns, window_s, drain_s : of the step.
    operations : names of the scenario's operations, in the order of the file's numbers.
    counted : those whose latency counts; empty: all.
    lead_s : load before the window, whose requests are in no figure.
    closed : it was a closed loop, of which the completions count and no arrivals.
    """

    def __init__(
        self,
        file: Path,
        started_ns: int,
        window_s: float,
        drain_s: float,
        operations: Sequence[str] = (),
        counted: Sequence[str] = (),
        *,
        lead_s: float = 0.0,
        closed: bool = False,
    ) -> None:
        lead_ns = int(lead_s * 1e9)
        begun_ns, started_ns = started_ns, started_ns + lead_ns
        with np.load(file) as columns:
            intended, sent, done = (columns[name] for name in ("intended_ns", "sent_ns", "done_ns"))
            outcome = columns["outcome"]
            felt = felt_operations(columns["operation"], operations, counted)
            windowed = intended >= started_ns
            felt &= windowed
            self.phases_us = _phases(columns, (outcome == Outcome.OK) & felt)
            probes = columns["probes"]
            self.probes_ns = probes[probes[:, 0] >= started_ns]
            self.chat_columns = (
                {name: columns[name] for name in (*CHAT_COLUMNS, "intended_ns")}
                if "receipts_ns" in columns
                else None
            )
            self.tasks_us = {
                name: columns[f"{name}_ns"][windowed & (columns["started_ns"] > 0)] // 1000
                for name in TASK_STAMPS
            }
        given_up = started_ns + int((window_s + drain_s) * 1e9)
        counts, done = population(outcome, done, given_up, felt)
        # a request that failed at once no longer waits; one that was skipped never did
        came = outcome != Outcome.SKIPPED
        self.began_us, self.ended_us = intended[came] // 1000, done[came] // 1000
        self.start_us = started_ns // 1000
        self.right = outcome == Outcome.OK
        inside = self.right & windowed
        self.outages = outages(
            (intended - started_ns) // 1000, (done - started_ns) // 1000, self.right
        )
        was_sent = (sent > 0) & windowed
        self.each_latency_us = np.where(counts, (done - intended) // 1000, -1)
        self.latency_us = self.each_latency_us[counts]
        self.service_us = (done - sent)[counts & was_sent] // 1000
        self.send_lag_us = (sent - intended)[was_sent] // 1000
        ended_ns = started_ns + int(window_s * 1e9)
        arrived = _arrivals(
            intended[windowed], sent[windowed], done[windowed], outcome[windowed], ended_ns
        )
        self.arrivals_rps = arrived / window_s
        self.drift, self.steady = drift(
            (intended[counts] - started_ns) // 1000, self.latency_us, int(window_s * 1e6)
        )
        sent_anyway, self.closed_loop_users = closed_loop(
            intended[counts] // 1000, done[counts] // 1000
        )
        self.closed_loop_us = self.latency_us[sent_anyway]
        last = int(done.max()) if len(done) else 0
        self.lasted_s = max(lead_s + window_s, (last - begun_ns) / 1e9)
        if closed:
            self.achieved_rps = pace(done[self.right], started_ns, ended_ns)
        else:
            self.achieved_rps = completion_rate(
                (intended[inside] - started_ns) // 1000,
                (done[inside] - started_ns) // 1000,
                int(window_s * 1e6),
            )


def pace(done: NDArray[np.int64], started_ns: int, ended_ns: int) -> float:
    """Return the rate of completions of a closed loop within a window, 1/s.

    Requests that are let in together end together, so that a window holds one such batch more or
    less, wherever its edges fall. Each completion counts by where in the window it lies, from
    nothing at the edges to 1.5 in the middle and 1 on average (Epanechnikov, *Theory of Probability
    and Its Applications* 14, 1969): the rate is as unbiased as the plain count for any stationary
    load, and what the edges cut hardly counts.

    Parameters
    ----------
    done : when right answers came, nanoseconds, shape (n,).
    started_ns, ended_ns : the window.
    """
    length = ended_ns - started_ns
    place = (done[(done > started_ns) & (done < ended_ns)] - started_ns) / length
    return float((6 * place * (1 - place)).sum() * 1e9 / length)


def _phases(columns: Any, right: Any) -> dict[str, np.ndarray[Any, Any]]:
    """Return each phase's durations over the right answers that were sampled, microseconds."""
    sampled = right & (columns["back_us"] >= 0)
    send_lag = (columns["sent_ns"] - columns["intended_ns"]) // 1000
    found = {"send_lag": send_lag[sampled]}
    for name in (*PHASES[1:], "held", "run"):
        values = columns[f"{name}_us"][sampled]
        found[name] = values[values >= 0]
    return found


def _arrivals(intended: Any, sent: Any, done: Any, outcome: Any, ended_ns: int) -> int:
    """Return how many requests were really sent, or tried, within the window.

    One that was refused was never sent: it counts by when that was known.
    """
    tried = np.where(sent > 0, sent, np.where(outcome == Outcome.UNDRAINED, intended, done))
    return int(np.count_nonzero((outcome != Outcome.SKIPPED) & (tried < ended_ns + GRACE_NS)))
