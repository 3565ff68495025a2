"""Event-loop lag: a heartbeat that notes by how much it came late."""

from __future__ import annotations

import asyncio
import time
from array import array
from collections.abc import Callable

from asyncdb_bench.records.messages import Heartbeats
from asyncdb_bench.records.step import HEARTBEAT_US

GAUGES_EVERY = 50


class Heartbeat:
    """Beats every millisecond on the loop and notes lateness in microseconds.

    Beats missed during a stall are not noted one by one;
    :func:`expand_stalls` puts them back.

    Parameters
    ----------
    gauges : read every 50 beats, e.g. the depth of a hidden queue.
    """

    def __init__(
        self,
        gauges: Callable[[], dict[str, float]],
    ) -> None:
        self._gauges = gauges
        self._lag_us = array("q")
        self._rows: list[dict[str, float]] = []

    def start(self) -> None:
        """Start to beat on the running loop."""
        self._loop = asyncio.get_running_loop()
        self._due_us = _now_us() + HEARTBEAT_US
        self._first_us = self._due_us
        self._loop.call_later(HEARTBEAT_US / 1e6, self._beat)

    def take(self) -> Heartbeats:
        """Return what was noted since the last call, and start anew."""
        # Called from another thread than the loop's: what is noted meanwhile stays at the end.
        beats, readings = len(self._lag_us), len(self._rows)
        lag_us, rows = self._lag_us[:beats].tolist(), self._rows[:readings]
        del self._lag_us[:beats], self._rows[:readings]
        at_us, due = self._first_us, []
        for lag in lag_us:
            due.append(at_us)
            at_us += HEARTBEAT_US * (1 + lag // HEARTBEAT_US)
        self._first_us = at_us
        return Heartbeats(due, lag_us, rows)

    def _beat(self) -> None:
        now_us = _now_us()
        lag_us = max(0, now_us - self._due_us)
        self._lag_us.append(lag_us)
        self._due_us += HEARTBEAT_US * (1 + lag_us // HEARTBEAT_US)
        if len(self._lag_us) % GAUGES_EVERY == 0:
            self._rows.append({"at_us": now_us, **self._gauges()})
        self._loop.call_later((self._due_us - now_us) / 1e6, self._beat)


def _now_us() -> int:
    return time.monotonic_ns() // 1000
