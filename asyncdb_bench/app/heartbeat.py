"""Event-loop lag: what the heartbeat noted, as a message."""

from __future__ import annotations

from collections.abc import Callable

from asyncdb_bench.records.messages import Heartbeats
from asyncdb_bench.records.step import HEARTBEAT_US
from asyncdb_bench_attach.application import Beating


class Heartbeat:
    """Beats on the application's loop.

    Parameters
    ----------
    gauges : read every 50 beats, e.g. the depth of a hidden queue.
    """

    def __init__(self, gauges: Callable[[], dict[str, float]]) -> None:
        self._beating = Beating(gauges, 0, HEARTBEAT_US)

    def start(self) -> None:
        """Start to beat on the running loop."""
        self._beating.start()

    def take(self) -> Heartbeats:
        """Return what was noted since the last call, and start anew."""
        return Heartbeats(*self._beating.take())
