"""What happened to every arrival of a step: columns of nanoseconds, filled in place."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asyncdb_bench.contract.operation import Operation, Params
from asyncdb_bench.contract.timing import parse
from asyncdb_bench.records.step import PHASES, TASK_STAMPS, Ledger, Outcome

MOST_REASONS = 20
"""So many different ones are told in full."""
LEGS = tuple(name for name in PHASES if name != "send_lag")


class Recorder:
    """The record of one step.

    Parameters
    ----------
    intended_ns : intended arrivals from the step's start, shape (n,).
    operations : index of each arrival's operation, shape (n,).
    same_clock : whether the application reads the same clock.
    """

    def __init__(
        self,
        intended_ns: NDArray[np.int64],
        operations: NDArray[np.int64],
        *,
        same_clock: bool = True,
    ) -> None:
        empty = bytes(8 * len(intended_ns))
        self.intended_ns = intended_ns
        self.operations = operations
        self.same_clock = same_clock
        self.sent_ns = array("q", empty)
        self.done_ns = array("q", empty)
        self.status = array("h", bytes(2 * len(intended_ns)))
        self.outcome = array("b", bytes(len(intended_ns)))
        self.errors: Counter[str] = Counter()
        self.attempted = 0
        self.wrong_answers = 0
        self.told: dict[int, str] = {}
        self.rows = self.transactions = self.reads = 0
        self.bytes_sent = 0
        self.bytes_received = 0
        self.extra: dict[str, Any] = {}

    def keep(self, count: int) -> None:
        """Forget all but the first `count` places: a closed loop does not know how many come."""
        self.intended_ns = self.intended_ns[:count]
        self.operations = self.operations[:count]
        self.sent_ns, self.done_ns = self.sent_ns[:count], self.done_ns[:count]
        self.status, self.outcome = self.status[:count], self.outcome[:count]

    def ledger(self) -> Ledger:
        """Count where every scheduled arrival went."""
        counts = np.bincount(np.asarray(self.outcome, dtype=np.int64), minlength=len(Outcome))
        return Ledger(
            scheduled=len(self.intended_ns),
            ok=int(counts[Outcome.OK]),
            error=int(counts[Outcome.ERROR]),
            timeout=int(counts[Outcome.TIMEOUT]),
            skipped=int(counts[Outcome.SKIPPED]),
            undrained=int(counts[Outcome.UNDRAINED]),
        )

    def fail(self, place: int, outcome: Outcome, reason: str) -> None:
        """Note that an arrival got no right answer."""
        self.outcome[place] = outcome
        self.errors[reason[:200]] += 1

    def right(self, place: int, operation: Operation, params: Params) -> None:
        """Note that an answer passed its operation's check, and what the database did for it."""
        self.outcome[place] = Outcome.OK
        self.rows += operation.rows_of(params)
        self.transactions += operation.most_transactions(params)
        self.reads += operation.reads

    def wrong(self, place: int, operation: str, why: str = "") -> None:
        """Note that an answer failed its operation's check; `why` where the check itself raised."""
        self.wrong_answers += 1
        told = f": {why}" if why and len(self.errors) < MOST_REASONS else ""
        self.fail(place, Outcome.ERROR, f"wrong answer to {operation}{told}")

    def phases(self) -> dict[str, NDArray[np.int64]]:
        """Return a column for each phase but the send lag, microseconds; -1: not known.

        Those beyond the phases are `held` and `run` of :class:`Phases`.
        Where the server's clock is another machine's, the way there is not known and `back` is
        both ways.
        """
        columns = {
            name: np.full(len(self.intended_ns), -1, np.int64) for name in (*LEGS, "held", "run")
        }
        for place, header in self.told.items():
            told = parse(header)
            if told is None:
                continue
            sent, done = self.sent_ns[place], self.done_ns[place]
            there, back = (told.began_ns - sent) / 1000, (done - told.began_ns) / 1000
            if self.same_clock and there >= 0 and back >= told.handler_us:
                columns["arrival"][place] = round(there)
                columns["back"][place] = round(back - told.handler_us)
            else:
                columns["back"][place] = max(0, round((done - sent) / 1000 - told.handler_us))
            columns["queue"][place] = round(told.queue_us)
            columns["pool"][place] = round(told.pool_us)
            columns["database"][place] = round(told.database_us)
            columns["reply"][place] = round(told.reply_us)
            elsewhere = told.queue_us + told.pool_us + told.database_us + told.reply_us
            columns["python"][place] = max(0, round(told.handler_us - elsewhere))
            columns["held"][place] = round(told.held_us)
            columns["run"][place] = round(told.run_us)
        return columns

    def task_stamps(self) -> dict[str, NDArray[np.int64]]:
        """Return a column for each of a task's stamps, CLOCK_MONOTONIC; 0: not known."""
        columns = {name: np.zeros(len(self.intended_ns), np.int64) for name in TASK_STAMPS}
        for place, header in self.told.items():
            told = parse(header)
            if self.same_clock and told is not None and told.task is not None:
                for name, stamp in zip(TASK_STAMPS, told.task, strict=True):
                    columns[name][place] = stamp
        return columns

    def columns(self, started_ns: int) -> dict[str, NDArray[Any]]:
        """Return a column for each thing that is known of each arrival, CLOCK_MONOTONIC.

        Parameters
        ----------
        started_ns : the step's start.
        """
        return {
            **{f"{name}_us": column for name, column in self.phases().items()},
            **{f"{name}_ns": column for name, column in self.task_stamps().items()},
            "intended_ns": self.intended_ns + started_ns,
            "sent_ns": np.asarray(self.sent_ns),
            "done_ns": np.asarray(self.done_ns),
            "status": np.asarray(self.status),
            "outcome": np.asarray(self.outcome),
            "operation": self.operations.astype(np.int8),
        }


def save(path: Path, columns: Mapping[str, NDArray[Any]], probes: NDArray[Any]) -> None:
    """Write a step's columns to a scratch file (NumPy's format).

    Parameters
    ----------
    path : the file.
    columns : see :meth:`Recorder.columns`.
    probes : intended start and latency of each probe, nanoseconds, shape (n, 2).
    """
    np.savez(path, allow_pickle=False, probes=probes, **columns)
