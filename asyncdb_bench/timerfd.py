"""Linux's timerfd: a timer to wait for like a socket, to the nanosecond.

Event loops round their own timers to a millisecond (libev, asyncio on epoll), and a wait that ends
late is an error in everything that is measured from it. Python has it from 3.13 on
(``os.timerfd_create``); see timerfd_create(2).
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
import time

TFD_NONBLOCK = 0o4000
TFD_TIMER_ABSTIME = 1


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _Itimerspec(ctypes.Structure):
    _fields_ = (("interval", _Timespec), ("value", _Timespec))


class TimerFd:
    """One timer on CLOCK_MONOTONIC; `fd` is -1 where the system has none."""

    def __init__(self) -> None:
        self.fd = -1
        if sys.platform == "linux":
            self._libc = ctypes.CDLL(None, use_errno=True)
            self.fd = self._libc.timerfd_create(time.CLOCK_MONOTONIC, TFD_NONBLOCK)
        self._when = _Itimerspec()

    def set(self, monotonic_ns: int) -> None:
        """Make `fd` readable when CLOCK_MONOTONIC reads `monotonic_ns`, at once where it has."""
        self._when.value.seconds, self._when.value.nanoseconds = divmod(
            max(monotonic_ns, 1), 1_000_000_000
        )
        self._libc.timerfd_settime(self.fd, TFD_TIMER_ABSTIME, ctypes.byref(self._when), None)

    def clear(self) -> None:
        """Take note that it went off, so that it is not readable any more."""
        with contextlib.suppress(BlockingIOError):
            os.read(self.fd, 8)

    def close(self) -> None:
        """Give the timer back."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
