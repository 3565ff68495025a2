"""Waking a greenlet at a given nanosecond.

libev's timers round to whole milliseconds; a Linux timerfd does not, and a late send is an error
in everything that is measured from it.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
import time

import gevent

TFD_NONBLOCK = 0o4000
TFD_TIMER_ABSTIME = 1


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _Itimerspec(ctypes.Structure):
    _fields_ = (("interval", _Timespec), ("value", _Timespec))


class Alarm:
    """One greenlet's alarm clock; gevent's own timer where there is no timerfd."""

    def __init__(self) -> None:
        self._fd = -1
        if sys.platform == "linux":
            self._libc = ctypes.CDLL(None, use_errno=True)
            self._fd = self._libc.timerfd_create(time.CLOCK_MONOTONIC, TFD_NONBLOCK)
        if self._fd >= 0:
            hub = gevent.get_hub()
            self._wait = hub.wait
            self._watcher = hub.loop.io(self._fd, 1)
            self._when = _Itimerspec()

    def wait_until(self, monotonic_ns: int) -> None:
        """Sleep until CLOCK_MONOTONIC reads `monotonic_ns`; yield once if that is past."""
        left_ns = monotonic_ns - time.monotonic_ns()
        if left_ns <= 0:
            gevent.sleep(0)
        elif self._fd < 0:
            gevent.sleep(left_ns / 1e9)
        else:
            self._when.value.seconds, self._when.value.nanoseconds = divmod(
                monotonic_ns, 1_000_000_000
            )
            self._libc.timerfd_settime(self._fd, TFD_TIMER_ABSTIME, ctypes.byref(self._when), None)
            self._wait(self._watcher)
            with contextlib.suppress(BlockingIOError):
                os.read(self._fd, 8)

    def close(self) -> None:
        """Give the timer back."""
        if self._fd >= 0:
            self._watcher.close()
            os.close(self._fd)
            self._fd = -1
