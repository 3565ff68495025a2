"""Heartbeats, probes, receipts and readings of a step -> series. Arrays in, columns out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from asyncdb_bench.analysis import statistics
from asyncdb_bench.analysis.step import durations as stalls
from asyncdb_bench.analysis.step.durations import WaitingCurve, curve, moments
from asyncdb_bench.records.messages import Heartbeats
from asyncdb_bench.records.step import HEARTBEAT_US, TASK_STAMPS, Chat, TaskQueue


def task_queue(
    stamps_us: Mapping[str, Any], depth: Sequence[tuple[int, int]], start_us: int, end_us: int
) -> TaskQueue:
    """Return what is known of a step's task queue.

    Parameters
    ----------
    stamps_us : when each answered task was ``published``, ``received`` and ``started``, shape (n,).
    depth : readings of the broker's depth: microseconds, and tasks that are ready there.
    start_us, end_us : the step, to its last answer.
    """
    published, received, started = (stamps_us[name] for name in TASK_STAMPS)
    inside = np.array([each for each in depth if start_us <= each[0] < end_us]).reshape(-1, 2)
    waiting = curve(published, received, moments(start_us, end_us))
    return TaskQueue(
        depth_mean=_mean_depth(inside[:, 0], inside[:, 1]),
        depth_peak=int(inside[:, 1].max(initial=0)),
        in_broker=statistics.percentiles(received - published),
        in_worker=statistics.percentiles(started - received),
        oldest_ms=float(waiting.oldest_us.max(initial=0)) / 1000,
    )


def _mean_depth(at_us: Any, depth: Any) -> float:
    """Return the mean over time; each reading holds until the next, which come unevenly."""
    if len(depth) < 2:
        return 0.0
    return float(np.average(depth[:-1], weights=np.maximum(np.diff(at_us), 1)))


LAG_SERIES_US = 50_000


GAUGES_US = 50_000
"""Between two readings of an application's gauges."""


Row = tuple[int, str, float]


class Beats(NamedTuple):
    """The heartbeats of all application processes, in the order of time.

    Parameters
    ----------
    at_us : when each was due, shape (n,).
    lag_us : how late it came, shape (n,).
    gauges : rows of a time (``at_us``) and values by name, summed over the processes.
    every_us : microseconds between beats of one process.
    """

    at_us: NDArray[np.int64]
    lag_us: NDArray[np.int64]
    gauges: list[dict[str, float]]
    every_us: int = HEARTBEAT_US


NO_BEATS = Beats(np.zeros(0, np.int64), np.zeros(0, np.int64), [])


def window_lag(beats: Beats, started_ns: int, window_s: float) -> NDArray[np.int64]:
    """Return the loop's lag over the measured window, stalls expanded, microseconds."""
    start_us = started_ns // 1000
    inside = (beats.at_us >= start_us) & (beats.at_us < start_us + int(window_s * 1e6))
    return stalls.expand_stalls(beats.lag_us[inside], beats.every_us)


def merged(heartbeats: Sequence[Heartbeats]) -> Beats:
    """Return the heartbeats of several application processes as one.

    Their gauges (depths, connections in use) are summed over readings that are at most
    50 ms apart.
    """
    at_us = np.concatenate([np.array(each.at_us, np.int64) for each in heartbeats])
    lag_us = np.concatenate([np.array(each.lag_us, np.int64) for each in heartbeats])
    order = np.argsort(at_us, kind="stable")
    gauges = _summed([each.gauges for each in heartbeats])
    return Beats(at_us[order], lag_us[order], gauges, max(each.every_us for each in heartbeats))


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
    beats: Beats,
    watched: list[Row],
    probes_ns: Any,
    waiting: WaitingCurve,
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
    for row in beats.gauges:
        rows += [
            (int(row["at_us"]), name, float(value))
            for name, value in row.items()
            if name != "at_us"
        ]
    at_us, lag_us = beats.at_us, beats.lag_us
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


NOTICEABLE_US = 100_000
"""A pause that a person notices (Nielsen, *Usability Engineering*, 1993, ch. 5: 0.1 s)."""


def frozen_s(due_us: NDArray[np.int64], received_us: NDArray[np.int64], end_us: int) -> float:
    """Return for how long nobody received anything although messages were due, seconds.

    Parameters
    ----------
    due_us : when each message should have been posted, shape (n,), ascending.
    received_us : every receipt by any member, shape (m,), in any order.
    end_us : when the counting ends.

    Returns
    -------
    The sum of the stretches of 0.1 s and more. A stretch begins with a message that is due while
    nothing has been received since, and ends with the next receipt, whoever's.
    """
    if not len(due_us):
        return 0.0
    receipts = np.sort(received_us)
    after = np.searchsorted(receipts, due_us, side="right")
    ends = np.append(receipts, end_us)[after]
    # of the messages that wait for the same next receipt the first one begins the stretch
    _, first = np.unique(after, return_index=True)
    stretches = ends[first] - due_us[first]
    return float(stretches[stretches >= NOTICEABLE_US].sum()) / 1e6


def chat_summary(columns: Mapping[str, Any], ok: NDArray[np.bool_], end_us: int) -> Chat:
    """Return what the members of a chat felt during a step.

    Parameters
    ----------
    columns : of the load's scratch file.
    ok : which arrivals were answered rightly, shape (n,).
    end_us : when the step's last answer had come.
    """
    intended = columns["intended_ns"] // 1000
    receipts = columns["receipts_ns"] // 1000
    there = receipts > 0
    waits = (receipts - intended[:, None])[there]
    is_post = there.any(axis=1)
    delivered = is_post & ok
    most = there[delivered].sum(axis=1).max(initial=0)
    present, wanted = columns["members"].tolist()
    disorder, duplicates = columns["disorder"].tolist()
    join_s = float(columns["join_s"][0])
    joins = columns["joins_us"]
    return Chat(
        delivery=statistics.percentiles(waits),
        deliveries=int(there.sum()),
        lost=int((most - there[delivered].sum(axis=1)).sum()) if present == wanted else None,
        duplicated=int(duplicates),
        out_of_order=int(disorder),
        ping=statistics.percentiles(columns["pings_ns"][:, 1] // 1000),
        # a search is answered to its asker alone: nobody else waits for it
        frozen_s=frozen_s(intended[columns["is_post"]], receipts[there], end_us),
        joins_per_s=len(joins) / join_s if join_s > 0 else 0.0,
        join=statistics.percentiles(joins),
        members=int(wanted),
        connected=int(present),
    )
