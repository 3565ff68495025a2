"""Waking a greenlet at a given nanosecond."""

from __future__ import annotations

import time

import gevent

from asyncdb_bench.timerfd import TimerFd


class Alarm:
    """One greenlet's alarm clock; gevent's own timer where there is no timerfd."""

    def __init__(self) -> None:
        self._timer = TimerFd()
        if self._timer.fd >= 0:
            hub = gevent.get_hub()
            self._wait = hub.wait
            self._watcher = hub.loop.io(self._timer.fd, 1)

    def wait_until(self, monotonic_ns: int) -> None:
        """Sleep until CLOCK_MONOTONIC reads `monotonic_ns`; yield once if that is past."""
        left_ns = monotonic_ns - time.monotonic_ns()
        if left_ns <= 0:
            gevent.sleep(0)
        elif self._timer.fd < 0:
            gevent.sleep(left_ns / 1e9)
        else:
            self._timer.set(monotonic_ns)
            self._wait(self._watcher)
            self._timer.clear()

    def close(self) -> None:
        """Give the timer back."""
        if self._timer.fd >= 0:
            self._watcher.close()
            self._timer.close()
