"""What a health check or a WebSocket ping would feel: a request on a timetable, beside the load.

The route does no database work, so its latency is the event loop's alone (and the network's).
Probes are an open model too: one that is not answered does not hold up the next.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from asyncdb_bench.load.asking import Asker
from asyncdb_bench.load.connection import Connection, get_bytes
from asyncdb_bench.load.kept import Kept
from asyncdb_bench.load.loop import Loop
from asyncdb_bench.records.step import PROBE_EVERY_S, Outcome

EVERY_NS = int(PROBE_EVERY_S * 1e9)


class Probe(Asker):
    """Asks for a path that does no work every 50 ms.

    Parameters
    ----------
    loop, kept, timeout_s : see :class:`Asker`; the connections are its own. One that is given up
        counts with the time until then.
    path : what it asks for, ``/healthz``.
    """

    def __init__(self, loop: Loop, kept: Kept, timeout_s: float, path: str) -> None:
        super().__init__(loop, kept, timeout_s)
        self._request = get_bytes(kept.address, path)
        self._found: list[tuple[int, int]] = []
        self._left = 0

    def ask_from(self, started_ns: int, until_ns: int) -> None:
        """Ask within a window, CLOCK_MONOTONIC."""
        self._left = (until_ns - started_ns) // EVERY_NS
        first_ns = started_ns + EVERY_NS // 2
        due_ns = (first_ns + number * EVERY_NS for number in range(self._left))
        self.loop.call_each(due_ns, self._probe)

    def is_idle(self) -> bool:
        """Return whether all were asked and nothing is under way."""
        return not self._left and super().is_idle()

    def end(self) -> np.ndarray[Any, Any]:
        """Wait no longer; return intended start and latency of each, ns, shape (n, 2)."""
        for due_ns, _ in self.abandon():
            self._note(due_ns, time.monotonic_ns())
        return np.array(sorted(self._found), np.int64).reshape(-1, 2)

    def answered(self, key: int, connection: Connection, answer: bytes, status: int) -> None:
        """Note how long it took, from when it was due; whatever the answer is."""
        self._note(key, connection.done_ns)

    def failed(self, key: int, connection: Connection | None, outcome: Outcome, why: str) -> None:
        """Note it as a long wait: why, the load's own ledger tells."""
        self._note(key, time.monotonic_ns())

    def _probe(self, due_ns: int) -> None:
        self._left -= 1
        self.ask(due_ns, self._request, "GET")

    def _note(self, due_ns: int, done_ns: int) -> None:
        self._found.append((due_ns, done_ns - due_ns))
