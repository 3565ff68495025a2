"""Beats on an event loop, and by how much each came late: the standard library alone."""

from __future__ import annotations

import asyncio
import time
from array import array
from collections.abc import Callable

from asyncdb_bench.records.step import HEARTBEAT_US

GAUGES_EVERY = 50
MOST_S = 120
"""How long it beats while no one takes what it noted."""


class Beating:
    """Beats on the loop and notes lateness in microseconds.

    Beats missed during a stall are not noted one by one;
    :func:`asyncdb_bench.analysis.step.series.expand_stalls` puts them back.

    Parameters
    ----------
    gauges : read every 50 beats, e.g. the depth of a hidden queue.
    most_s : how long beats are kept until they are taken, seconds; 0: always.
    every_us : microseconds between beats.
    """

    def __init__(
        self,
        gauges: Callable[[], dict[str, float]],
        most_s: int = MOST_S,
        every_us: int = HEARTBEAT_US,
    ) -> None:
        self._gauges = gauges
        self._most = most_s * 1_000_000 // every_us
        self.every_us = every_us
        self._lag_us = array("q")
        self._rows: list[dict[str, float]] = []
        self.beats = False

    def start(self) -> None:
        """Start to beat on the running loop."""
        self.beats = True
        self._loop = asyncio.get_running_loop()
        self._due_us = _now_us() + self.every_us
        self._first_us = self._due_us
        self._loop.call_later(self.every_us / 1e6, self._beat)

    def take(self) -> tuple[list[int], list[int], list[dict[str, float]]]:
        """Return what was noted since the last call, and start anew.

        Returns
        -------
        When each beat was due on CLOCK_MONOTONIC, how late it came, both in microseconds, and rows
        of a time and values by name.
        """
        # Called from another thread than the loop's: what is noted meanwhile stays at the end.
        beats, readings = len(self._lag_us), len(self._rows)
        lag_us, rows = self._lag_us[:beats].tolist(), self._rows[:readings]
        del self._lag_us[:beats], self._rows[:readings]
        at_us, due = self._first_us, []
        for lag in lag_us:
            due.append(at_us)
            at_us += self.every_us * (1 + lag // self.every_us)
        self._first_us = at_us
        return due, lag_us, rows

    def _beat(self) -> None:
        now_us = _now_us()
        lag_us = max(0, now_us - self._due_us)
        self._lag_us.append(lag_us)
        self._due_us += self.every_us * (1 + lag_us // self.every_us)
        if len(self._lag_us) % GAUGES_EVERY == 0:
            self._rows.append({"at_us": now_us, **self._gauges()})
        if self._most and len(self._lag_us) >= self._most:
            self.beats = False
            return
        self._loop.call_later((self._due_us - now_us) / 1e6, self._beat)


def _now_us() -> int:
    return time.monotonic_ns() // 1000
