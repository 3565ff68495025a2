"""What a step's raw records come to: durations, loop lag, series. Arrays in, columns out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asyncdb_bench.analysis.step import stalls
from asyncdb_bench.analysis.step.backlog import outages
from asyncdb_bench.analysis.step.population import felt_operations, population
from asyncdb_bench.records.step import PHASES, TASK_STAMPS, Outcome

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
        self.drift, self.steady = stalls.drift(
            (intended[counts] - started_ns) // 1000, self.latency_us, int(window_s * 1e6)
        )
        sent_anyway, self.closed_loop_users = stalls.closed_loop(
            intended[counts] // 1000, done[counts] // 1000
        )
        self.closed_loop_us = self.latency_us[sent_anyway]
        last = int(done.max()) if len(done) else 0
        self.lasted_s = max(lead_s + window_s, (last - begun_ns) / 1e9)
        if closed:
            self.achieved_rps = pace(done[self.right], started_ns, ended_ns)
        else:
            self.achieved_rps = stalls.completion_rate(
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
