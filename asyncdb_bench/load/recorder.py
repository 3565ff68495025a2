"""What happened to every arrival of a step: columns of nanoseconds, filled in place."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from asyncdb_bench.contract.operation import Operation, Params
from asyncdb_bench.records.step import PHASES, TASK_STAMPS, Ledger, Outcome
from asyncdb_bench_attach.timing import ServerTiming, parse

LEGS = tuple(name for name in PHASES if name != "send_lag")
NO_TASK = (0,) * len(TASK_STAMPS)
DURATIONS = ("handler", "queue", "pool", "database", "reply", "held", "run")


class Told:
    """What was told of a step's requests; of many it is nothing.

    Parameters
    ----------
    same_clock : whether the application reads the same clock.
    """

    def __init__(self, *, same_clock: bool = True) -> None:
        self.same_clock = same_clock
        self._places = array("q")
        self._began_ns = array("q")
        self._durations_us = array("d")
        self._stamps_ns = array("q")

    def note(self, place: int, header: str) -> None:
        """Take what a request's header says, where it is one of ours."""
        told: ServerTiming | None = parse(header)
        if told is None:
            return
        self._places.append(place)
        self._began_ns.append(told.began_ns)
        self._durations_us.extend(told[1:8])
        self._stamps_ns.extend(told.task or NO_TASK)

    def phases(
        self, sent_ns: NDArray[np.int64], done_ns: NDArray[np.int64]
    ) -> dict[str, NDArray[np.int64]]:
        """Return a column for each phase but the send lag, microseconds; -1: not known.

        Those beyond the phases are `held` and `run` of :class:`Phases`.
        Where the server's clock is another machine's, the way there is not known and `back` is
        both ways.

        Parameters
        ----------
        sent_ns, done_ns : of all requests, shape (n,).
        """
        places = np.asarray(self._places)
        began = np.asarray(self._began_ns)
        told = np.asarray(self._durations_us).reshape(-1, len(DURATIONS)).T
        handler, queue, pool, database, reply, held, run = told
        sent, done = sent_ns[places], done_ns[places]
        there, back = (began - sent) / 1000, (done - began) / 1000
        known = (there >= 0) & (back >= handler) & self.same_clock
        both_ways = np.maximum(0, (done - sent) / 1000 - handler)
        found = {
            "arrival": np.where(known, there, -1),
            "queue": queue,
            "pool": pool,
            "database": database,
            "python": np.maximum(0, handler - (queue + pool + database + reply)),
            "reply": reply,
            "back": np.where(known, back - handler, both_ways),
            "held": held,
            "run": run,
        }
        columns = {name: np.full(len(sent_ns), -1, np.int64) for name in found}
        for name, values in found.items():
            columns[name][places] = np.rint(values)
        return columns

    def task_stamps(self, count: int) -> dict[str, NDArray[np.int64]]:
        """Return a column for each of a task's stamps, CLOCK_MONOTONIC; 0: not known.

        Parameters
        ----------
        count : of requests.
        """
        columns = {name: np.zeros(count, np.int64) for name in TASK_STAMPS}
        if self.same_clock:
            places = np.asarray(self._places)
            stamps = np.asarray(self._stamps_ns).reshape(-1, len(TASK_STAMPS)).T
            for name, values in zip(TASK_STAMPS, stamps, strict=True):
                columns[name][places] = values
        return columns


MOST_REASONS = 20
"""So many different ones are told in full."""
OTHERS = "for other reasons"


class Recorder:
    """The record of one step.

    Parameters
    ----------
    intended_ns : intended arrivals from the step's start, where they are known beforehand.
    operations : index of each one's operation.
    same_clock : whether the application reads the same clock.

    Attributes
    ----------
    cpu_s : CPU seconds of the load in the window.
    """

    def __init__(
        self,
        intended_ns: ArrayLike = (),
        operations: ArrayLike = (),
        *,
        same_clock: bool = True,
    ) -> None:
        self.intended_ns = array("q", np.asarray(intended_ns, np.int64).tobytes())
        self.operations = array("b", np.asarray(operations, np.int8).tobytes())
        count = len(self.intended_ns)
        self.sent_ns = array("q", bytes(8 * count))
        self.done_ns = array("q", bytes(8 * count))
        self.status = array("h", bytes(2 * count))
        self.outcome = array("b", bytes(count))
        self.told = Told(same_clock=same_clock)
        self.errors: Counter[str] = Counter()
        self.attempted = 0
        self.wrong_answers = 0
        self.rows = self.transactions = self.reads = 0
        self.late = 0
        self.bytes_sent = 0
        self.bytes_received = 0
        self.cpu_s = 0.0
        self.extra: dict[str, Any] = {}

    def add(self, intended_ns: int, operation: int) -> int:
        """Make room for an arrival that was not known beforehand; return its place."""
        place = len(self.intended_ns)
        self.intended_ns.append(intended_ns)
        self.operations.append(operation)
        self.sent_ns.append(0)
        self.done_ns.append(0)
        self.status.append(0)
        self.outcome.append(0)
        return place

    def ledger(self) -> Ledger:
        """Count where every scheduled arrival went."""
        counts = np.bincount(np.asarray(self.outcome), minlength=len(Outcome))
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
        self.note_error(reason)

    def note_error(self, reason: str) -> None:
        """Count what went wrong; after :data:`MOST_REASONS` different ones, together."""
        told = reason[:200]
        known = told in self.errors or len(self.errors) < MOST_REASONS
        self.errors[told if known else OTHERS] += 1

    def right(self, place: int, operation: Operation, params: Params) -> None:
        """Note that an answer passed its operation's check, and what the database did for it."""
        self.outcome[place] = Outcome.OK
        self.rows += operation.rows_of(params)
        self.transactions += operation.most_transactions(params)
        self.reads += operation.reads

    def wrong(self, place: int, operation: str, why: str = "") -> None:
        """Note that an answer failed its operation's check; `why` where the check itself raised."""
        self.wrong_answers += 1
        told = f"wrong answer to {operation}"
        self.fail(place, Outcome.ERROR, f"{told}: {why}" if why else told)

    def send_lags_ns(self, started_ns: int) -> NDArray[np.int64]:
        """Return by how much each request that was sent was late, nanoseconds."""
        sent = np.asarray(self.sent_ns)
        lags: NDArray[np.int64] = sent - started_ns - np.asarray(self.intended_ns)
        return lags[sent > 0]

    def columns(self, started_ns: int) -> dict[str, NDArray[Any]]:
        """Return a column for each thing that is known of each arrival, CLOCK_MONOTONIC.

        Parameters
        ----------
        started_ns : the step's start.
        """
        sent, done = np.asarray(self.sent_ns), np.asarray(self.done_ns)
        return {
            **{f"{name}_us": column for name, column in self.told.phases(sent, done).items()},
            **{f"{name}_ns": column for name, column in self.told.task_stamps(len(sent)).items()},
            "intended_ns": np.asarray(self.intended_ns) + started_ns,
            "sent_ns": sent,
            "done_ns": done,
            "status": np.asarray(self.status),
            "outcome": np.asarray(self.outcome),
            "operation": np.asarray(self.operations),
        }


def save(file: Path | IO[bytes], columns: Mapping[str, NDArray[Any]], probes: NDArray[Any]) -> None:
    """Write a step's columns to a scratch file (NumPy's format).

    Parameters
    ----------
    file : where to.
    columns : see :meth:`Recorder.columns`.
    probes : intended start and latency of each probe, nanoseconds, shape (n, 2).
    """
    np.savez(file, allow_pickle=False, probes=probes, **columns)
