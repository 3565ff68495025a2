"""What applications tell of their requests in ``Server-Timing``, as columns."""

from __future__ import annotations

from array import array

import numpy as np
from numpy.typing import NDArray

from asyncdb_bench.records.step import PHASES, TASK_STAMPS
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
