"""Event-loop lag: a heartbeat that notes by how much it came late."""

from __future__ import annotations

import asyncio
import time
from array import array
from collections.abc import Callable

INTERVAL_US = 1000
GAUGES_EVERY = 50


class Heartbeat:
    """Beats every millisecond on the loop and notes lateness in microseconds.

    Beats missed during a stall are not noted one by one; :func:`asyncdb_bench.stats.expand_stalls`
    puts them back.

    Parameters
    ----------
    gauges : read every 50 beats, e.g. the depth of a hidden queue.
    """

    def __init__(self, gauges: Callable[[], dict[str, float]]) -> None:
        self._gauges = gauges
        self._reset()

    def start(self) -> None:
        """Start to beat on the running loop."""
        self._loop = asyncio.get_running_loop()
        self._due_us = _now_us() + INTERVAL_US
        self._schedule()

    def take(self) -> dict[str, object]:
        """Return what was noted since the last call, and start anew.

        Returns
        -------
        ``at_us`` and ``lag_us`` (one entry per beat, CLOCK_MONOTONIC), ``gauges`` (rows of time
        and values).
        """
        taken = {
            "at_us": self._at_us.tolist(),
            "lag_us": self._lag_us.tolist(),
            "gauges": self._rows,
        }
        self._reset()
        return taken

    def _reset(self) -> None:
        self._at_us = array("q")
        self._lag_us = array("q")
        self._rows: list[dict[str, float]] = []
        self._beats = 0

    def _schedule(self) -> None:
        self._loop.call_later(max(0, self._due_us - _now_us()) / 1e6, self._beat)

    def _beat(self) -> None:
        now_us = _now_us()
        lag_us = max(0, now_us - self._due_us)
        self._at_us.append(self._due_us)
        self._lag_us.append(lag_us)
        self._due_us += INTERVAL_US * (1 + lag_us // INTERVAL_US)
        self._beats += 1
        if self._beats % GAUGES_EVERY == 0:
            self._rows.append({"at_us": now_us, **self._gauges()})
        self._schedule()


def _now_us() -> int:
    return time.monotonic_ns() // 1000
