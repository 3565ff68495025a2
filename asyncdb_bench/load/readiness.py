"""Which sockets are ready, waited for until a given nanosecond; without gevent's hub.

On Linux an epoll with a timerfd in it: epoll's own timeouts are whole milliseconds. Elsewhere poll,
whose last millisecond is waited for without sleeping.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Protocol

from gevent.monkey import get_original

from asyncdb_bench.timerfd import TimerFd

READ, WRITE = 1, 4
"""Of epoll and of poll: gevent has taken the names out of the module `select`."""
MOST_EVENTS = 64
"""Of a pass, so that what is due meanwhile need not wait for long."""
EDGE = 1 << 31
"""EPOLLET: a timer that has gone off is told of once, and needs no reading."""
Events = list[tuple[int, int]]
"""Descriptors, and what each is ready for."""


class Readiness(Protocol):
    """Watches sockets.

    Attributes
    ----------
    fd : readable where something is ready or due, for others to wait for; -1: there is none.
    now : returns what is ready, without waiting.
    """

    fd: int
    now: Callable[[], Events]

    def add(self, fd: int, events: int) -> None:
        """Watch a socket."""

    def change(self, fd: int, events: int) -> None:
        """Watch a socket for something else."""

    def remove(self, fd: int) -> None:
        """Watch a socket no more; before it is closed."""

    def set_due(self, due_ns: int) -> None:
        """Have `fd` be readable when CLOCK_MONOTONIC reads `due_ns`."""

    def wait(self, due_ns: int) -> Events:
        """Wait until something is ready, or until CLOCK_MONOTONIC reads `due_ns`."""

    def close(self) -> None:
        """Give it back."""


class Epoll:
    """By epoll and timerfd; Linux.

    Parameters
    ----------
    timer : that the system has.
    """

    def __init__(self, timer: TimerFd) -> None:
        self._epoll = get_original("select", "epoll")()
        self._timer = timer
        self._epoll.register(self._timer.fd, READ | EDGE)
        self._due_ns = 0
        self.fd: int = self._epoll.fileno()
        poll = self._epoll.poll
        self.now: Callable[[], Events] = lambda: poll(0, MOST_EVENTS)
        self.add = self._epoll.register
        self.change = self._epoll.modify

    def remove(self, fd: int) -> None:
        """Do nothing: what is closed is watched no more."""

    def set_due(self, due_ns: int) -> None:
        """Set the timer."""
        if self._due_ns != due_ns:
            self._due_ns = due_ns
            self._timer.set(due_ns)

    def wait(self, due_ns: int) -> Events:
        """Wait until something is ready or due."""
        self.set_due(due_ns)
        found: Events = self._epoll.poll(-1, MOST_EVENTS)
        return found

    def close(self) -> None:
        """Close both descriptors."""
        self._timer.close()
        self._epoll.close()


class Poll:
    """By poll; any POSIX."""

    fd = -1

    def __init__(self) -> None:
        self._poll: Any = get_original("select", "poll")()
        self.now: Callable[[], Events] = lambda: self._poll.poll(0)[:MOST_EVENTS]
        self.add = self._poll.register
        self.change = self._poll.modify
        self.remove = self._poll.unregister

    def set_due(self, due_ns: int) -> None:
        """Do nothing: there is no descriptor to wait for."""

    def wait(self, due_ns: int) -> Events:
        """Wait until something is ready, or until less than a millisecond is left."""
        left_ms = max(0, (due_ns - time.monotonic_ns()) // 1_000_000)
        found: Events = self._poll.poll(min(left_ms, 1000))[:MOST_EVENTS]
        return found

    def close(self) -> None:
        """Do nothing: it has no descriptor."""


def best() -> Readiness:
    """Return what this system has."""
    timer = TimerFd()
    return Epoll(timer) if timer.fd >= 0 else Poll()
