"""A step's task queue: how many tasks waited, and how long they were on their way. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from asyncdb_bench.analysis import statistics
from asyncdb_bench.analysis.step.backlog import curve, moments
from asyncdb_bench.records.step import TASK_STAMPS, TaskQueue


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
