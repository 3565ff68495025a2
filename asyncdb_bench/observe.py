"""What a step's raw records come to: durations, loop lag, series. Arrays in, columns out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from asyncdb_bench import windows
from asyncdb_bench.backlog import Curve, outages
from asyncdb_bench.model import HEARTBEAT_US, OUTCOMES
from asyncdb_bench.phases import PHASES, TASK_STAMPS

LAG_SERIES_US = 50_000
GAUGES_US = 50_000
"""Between two readings of an application's gauges."""
GRACE_NS = 2_000_000
"""A send that is this much late is on time: the floor of the send lag's tolerance."""
OK, TIMEOUT, SKIPPED, UNDRAINED = (
    OUTCOMES.index(each) for each in ("ok", "timeout", "skipped", "undrained")
)

CHAT_COLUMNS = ("receipts_ns", "pings_ns", "joins_us", "join_s", "disorder", "members", "is_post")

Row = tuple[int, str, float]


class Times:
    """A step's durations in microseconds, from the load's scratch file.

    A request that timed out or never came back counts with the time it had waited when it was
    given up: leaving it out would make a stalled server look fast.
    """

    def __init__(self, file: Path, started_ns: int, window_s: float, drain_s: float) -> None:
        with np.load(file) as columns:
            intended, sent, done = (columns[name] for name in ("intended_ns", "sent_ns", "done_ns"))
            outcome = columns["outcome"]
            # what a chat's members feel is the messages; a search is its asker's own
            felt = columns["is_post"] if "is_post" in columns else np.ones(len(outcome), bool)
            self.phases_us = _phases(columns, (outcome == OK) & felt)
            self.probes_ns = columns["probes"]
            self.chat_columns = (
                {name: columns[name] for name in (*CHAT_COLUMNS, "intended_ns")}
                if "receipts_ns" in columns
                else None
            )
            self.tasks_us = {
                name: columns[f"{name}_ns"][columns["started_ns"] > 0] // 1000
                for name in TASK_STAMPS
            }
        given_up = started_ns + int((window_s + drain_s) * 1e9)
        done = np.where(outcome == UNDRAINED, given_up, done)
        counted = np.isin(outcome, (OK, TIMEOUT, UNDRAINED)) & felt
        # a request that failed at once no longer waits; one that was skipped never did
        came = outcome != SKIPPED
        self.began_us, self.ended_us = intended[came] // 1000, done[came] // 1000
        self.start_us = started_ns // 1000
        self.right = outcome == OK
        self.outages = outages(
            (intended - started_ns) // 1000, (done - started_ns) // 1000, self.right
        )
        was_sent = sent > 0
        self.latency_us = (done - intended)[counted] // 1000
        self.service_us = (done - sent)[counted & was_sent] // 1000
        self.send_lag_us = (sent - intended)[was_sent] // 1000
        ended_ns = started_ns + int(window_s * 1e9)
        self.arrivals_rps = _arrivals(intended, sent, done, outcome, ended_ns) / window_s
        self.drift, self.steady = windows.drift(
            (intended[counted] - started_ns) // 1000, self.latency_us, int(window_s * 1e6)
        )
        sent_anyway, self.closed_loop_users = windows.closed_loop(
            intended[counted] // 1000, done[counted] // 1000
        )
        self.closed_loop_us = self.latency_us[sent_anyway]
        last = int(done.max()) if len(done) else 0
        self.lasted_s = max(window_s, (last - started_ns) / 1e9)
        right = self.right
        self.achieved_rps = windows.completion_rate(
            (intended[right] - started_ns) // 1000,
            (done[right] - started_ns) // 1000,
            int(window_s * 1e6),
        )


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
    tried = np.where(sent > 0, sent, np.where(outcome == UNDRAINED, intended, done))
    return int(np.count_nonzero((outcome != SKIPPED) & (tried < ended_ns + GRACE_NS)))


def window_lag(beats: dict[str, Any], started_ns: int, window_s: float) -> np.ndarray[Any, Any]:
    """Return the loop's lag over the measured window, stalls expanded, microseconds."""
    at_us, lag_us = np.array(beats["at_us"], np.int64), np.array(beats["lag_us"], np.int64)
    start_us = started_ns // 1000
    inside = (at_us >= start_us) & (at_us < start_us + int(window_s * 1e6))
    return windows.expand_stalls(lag_us[inside], HEARTBEAT_US)


def merged(beats: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the heartbeats of several application processes as one, in the order of time.

    Their gauges (depths, connections in use) are summed over readings that are at most
    50 ms apart.
    """
    at_us = np.concatenate([np.array(each["at_us"], np.int64) for each in beats])
    lag_us = np.concatenate([np.array(each["lag_us"], np.int64) for each in beats])
    order = np.argsort(at_us, kind="stable")
    return {
        "at_us": at_us[order],
        "lag_us": lag_us[order],
        "gauges": _summed([each["gauges"] for each in beats]),
        "counters": sum((Counter(each["counters"]) for each in beats), Counter()),
    }


def _summed(readings: Sequence[list[dict[str, float]]]) -> list[dict[str, float]]:
    if len(readings) == 1:
        return readings[0]
    slots: dict[int, dict[str, float]] = {}
    for rows in readings:
        for slot, row in {int(row["at_us"]) // GAUGES_US: row for row in rows}.items():
            total = slots.setdefault(slot, {"at_us": slot * GAUGES_US})
            for name, value in row.items():
                if name != "at_us":
                    total[name] = total.get(name, 0) + value
    return [slots[slot] for slot in sorted(slots)]


def peaks(rows: list[dict[str, float]]) -> dict[str, float]:
    """Return the highest value of each gauge."""
    names = {name for row in rows for name in row if name != "at_us"}
    return {name: max(row.get(name, 0) for row in rows) for name in sorted(names)}


def series_columns(
    trial: str,
    step: int,
    beats: Mapping[str, Any],
    watched: list[Row],
    probes_ns: Any,
    waiting: Curve,
) -> dict[str, Any]:
    """Return the columns of ``series.parquet``: one row per time and name.

    The heartbeat is kept as the greatest lag of each 50 ms.
    """
    rows = list(watched)
    for name, values in (("waiting", waiting.waiting), ("oldest_us", waiting.oldest_us)):
        rows += [
            (int(at), name, float(value)) for at, value in zip(waiting.at_us, values, strict=True)
        ]
    rows += [(int(at) // 1000, "probe_us", float(took) / 1000) for at, took in probes_ns]
    for row in beats["gauges"]:
        rows += [
            (int(row["at_us"]), name, float(value))
            for name, value in row.items()
            if name != "at_us"
        ]
    at_us, lag_us = np.array(beats["at_us"], np.int64), np.array(beats["lag_us"], np.int64)
    if len(at_us):
        starts = np.flatnonzero(np.diff(at_us // LAG_SERIES_US, prepend=-1))
        tops = np.maximum.reduceat(lag_us, starts)
        rows += [
            (int(at_us[i]), "loop_lag_us", float(top)) for i, top in zip(starts, tops, strict=True)
        ]
    rows.sort()
    return {
        "trial": [trial] * len(rows),
        "step": np.full(len(rows), step, np.int16),
        "at_us": np.array([row[0] for row in rows], np.int64),
        "name": [row[1] for row in rows],
        "value": np.array([row[2] for row in rows], float),
    }
