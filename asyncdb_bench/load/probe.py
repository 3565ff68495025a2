"""What a health check or a WebSocket ping would feel: a request on a timetable, beside the load.

The route does no database work, so its latency is the event loop's alone (and the network's).
Probes are an open model too: one that is not answered does not hold up the next.
"""

from __future__ import annotations

import time
from typing import Any

import gevent
import numpy as np
from gevent.pool import Pool

from asyncdb_bench.load.alarm import Alarm
from asyncdb_bench.load.connection import Connection, get_bytes
from asyncdb_bench.records.step import PROBE_EVERY_S

AT_ONCE = 400


class Probe:
    """Asks for a path that does no work every 50 ms.

    Parameters
    ----------
    address : host and port of the application.
    timeout_s : after how long a probe is given up; it counts with that time.
    path : what it asks for, ``/healthz``.
    """

    def __init__(self, address: tuple[str, int], timeout_s: float, path: str) -> None:
        self.address = address
        self.timeout_s = timeout_s
        self.request = get_bytes(*address, path)
        self.idle: list[Connection] = []

    def start(self, started_ns: int, window_s: float) -> None:
        """Begin to ask: from `started_ns` on CLOCK_MONOTONIC for `window_s`."""
        self.found: list[tuple[int, int]] = []
        self.pool = Pool(AT_ONCE)
        every_ns = int(PROBE_EVERY_S * 1e9)
        count = int(window_s * 1e9) // every_ns
        self.due = [started_ns + every_ns // 2 + number * every_ns for number in range(count)]
        self.scheduler = gevent.spawn(self._ask_all)

    def end(self) -> np.ndarray[Any, Any]:
        """Wait for what is under way and return intended start and latency, ns, shape (n, 2)."""
        self.scheduler.join()
        self.pool.join(timeout=self.timeout_s)
        self.pool.kill(block=True, timeout=2)
        return np.array(sorted(self.found), np.int64).reshape(-1, 2)

    def _ask_all(self) -> None:
        alarm = Alarm()
        try:
            for due_ns in self.due:
                alarm.wait_until(due_ns)
                self.pool.spawn(self._ask, due_ns)
        finally:
            alarm.close()

    def _ask(self, due_ns: int) -> None:
        connection, done_ns = None, 0
        try:
            connection = self.idle.pop() if self.idle else Connection(*self.address, self.timeout_s)
            connection.exchange(self.request)
            done_ns = connection.done_ns
        except OSError:
            # refused or given up: the load's own ledger tells of it, here it is a long wait
            pass
        finally:
            self.found.append((due_ns, (done_ns or time.monotonic_ns()) - due_ns))
        if connection is not None and connection.reusable:
            self.idle.append(connection)
