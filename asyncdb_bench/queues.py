"""A step's task queue, by three accounts: the broker's, the tasks' own, the workers'. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from asyncdb_bench import stats
from asyncdb_bench.backlog import LITTLE, curve, little, moments
from asyncdb_bench.model import TaskLedger, TaskQueue
from asyncdb_bench.phases import TASK_STAMPS


@dataclass(frozen=True, slots=True)
class Accounts:
    """Totals of tasks at one moment: the applications' and the workers', None: not to be had."""

    application: Mapping[str, int]
    workers: Mapping[str, int] | None


def ledger_of(before: Accounts, after: Accounts, queued: int | None) -> TaskLedger:
    """Return where the tasks of a step went.

    Parameters
    ----------
    before, after : totals at its start and end.
    queued : tasks in the broker at its end; None: not counted.
    """

    def own(name: str) -> int:
        return after.application.get(name, 0) - before.application.get(name, 0)

    def theirs(name: str) -> int | None:
        if before.workers is None or after.workers is None:
            return None
        return after.workers.get(name, 0) - before.workers.get(name, 0)

    return TaskLedger(
        published=own("published"),
        delivered=theirs("delivered"),
        acknowledged=theirs("acknowledged"),
        redelivered=theirs("redelivered"),
        abandoned=theirs("abandoned"),
        queued=queued,
        replied=own("replied"),
        late=own("late"),
    )


def task_queue(
    stamps_us: Mapping[str, Any],
    depth: Sequence[tuple[int, int]],
    ledger: TaskLedger,
    start_us: int,
    end_us: int,
) -> TaskQueue:
    """Return what is known of a step's task queue.

    Parameters
    ----------
    stamps_us : when each answered task was ``published``, ``received`` and ``started``, shape (n,).
    depth : readings of the broker's depth.
    ledger : where the tasks went.
    start_us, end_us : the step, to its last answer.
    """
    published, received, started = (stamps_us[name] for name in TASK_STAMPS)
    inside = np.array([each for each in depth if start_us <= each[0] < end_us]).reshape(-1, 2)
    span_us = end_us - start_us
    counted, by_law, ratio = little(received - published, inside[:, 0], inside[:, 1], span_us)
    everyone = len(published) == ledger.published
    waiting = curve(published, received, moments(start_us, end_us))
    return TaskQueue(
        depth_mean=counted,
        depth_peak=int(inside[:, 1].max(initial=0)),
        depth_by_law=by_law,
        little=ratio if everyone else None,
        in_broker=stats.percentiles(received - published),
        in_worker=stats.percentiles(started - received),
        oldest_ms=float(waiting.oldest_us.max(initial=0)) / 1000,
        ledger=ledger,
    )


def doubts_about(queue: TaskQueue | None) -> list[str]:
    """Return where the accounts of a queue contradict one another."""
    if queue is None or queue.little is None or abs(queue.little - 1) <= LITTLE:
        return []
    return [
        f"the broker counted {queue.depth_mean:.1f} tasks on average, Little's law says"
        f" {queue.depth_by_law:.1f} from their time in the queue"
    ]
