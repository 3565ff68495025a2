"""One loop over ready sockets and due times: all that a load process does while it measures.

It waits beside gevent's hub, and no greenlet, timer or event is made for a request. Others of the
process (standard input, Locust's own messages) have their turn ten times a second.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from heapq import heappop, heappush
from itertools import count
from typing import Any

import gevent

from asyncdb_bench.load.connection import Connection
from asyncdb_bench.load.readiness import READ, WRITE, Events, Readiness, best

BLOCK = 65536
"""Bytes that are read at a time."""
AHEAD_NS = 30_000
"""What is due so soon is waited for without sleeping: to wake up takes as long."""
YIELD_NS = 100_000_000
"""How often others of the process get their turn."""
NEVER_NS = 1 << 62
TICK_S = 0.001
"""Between two looks where others share the loop and there is no descriptor to wait for."""


class Loop:
    """Watches connections, and calls what is due.

    Parameters
    ----------
    shares : greenlets of the process serve the load beside it, so it waits by gevent's hub.
    readiness : by what sockets are watched; None: the best that this system has.

    Attributes
    ----------
    idle : called where nothing is ready with the nanoseconds until something is due; returns
        whether it did something.
    """

    def __init__(self, *, shares: bool = False, readiness: Readiness | None = None) -> None:
        self.idle: Callable[[int], bool] | None = None
        self._connections: dict[int, Connection] = {}
        self._readiness = readiness or best()
        self._hub = gevent.get_hub() if shares else None
        fd = self._readiness.fd
        self._watcher = self._hub.loop.io(fd, READ) if self._hub and fd >= 0 else None
        # when, a number that makes each one differ, and what to call
        self._later: list[Any] = []
        self._next_ns = NEVER_NS
        self._number = count()

    def watch(self, connection: Connection, *, writing: bool) -> None:
        """Watch a connection for bytes that come, or until it takes some."""
        events = READ | WRITE if writing else READ
        if connection.fd in self._connections:
            self._readiness.change(connection.fd, events)
        else:
            self._connections[connection.fd] = connection
            self._readiness.add(connection.fd, events)

    def forget(self, connection: Connection) -> None:
        """Close a connection."""
        if connection.fd >= 0:
            del self._connections[connection.fd]
            self._readiness.remove(connection.fd)
            connection.close()

    def call_at(self, due_ns: int, what: Callable[[int], object]) -> None:
        """Call ``what(due_ns)`` when CLOCK_MONOTONIC reads `due_ns`."""
        heappush(self._later, (due_ns, next(self._number), what))
        self._next_ns = self._later[0][0]

    def call_each(self, due_ns: Iterable[int], what: Callable[[int], object]) -> None:
        """Call ``what(each)`` at each of ascending times."""
        following = iter(due_ns)

        def call_one(now_due_ns: int) -> None:
            if (after_ns := next(following, None)) is not None:
                self.call_at(after_ns, call_one)
            what(now_due_ns)

        if (first_ns := next(following, None)) is not None:
            self.call_at(first_ns, call_one)

    def begin(self) -> None:
        """Forget what was to be called, and hear of connections that were closed meanwhile."""
        self._later.clear()
        self._next_ns = NEVER_NS
        self.idle = None
        if self._hub is None:
            self.call_at(0, self._yield)
        while events := self._readiness.now():
            self._handle(events)

    def run(self, until_ns: int, is_over: Callable[[], bool] | None = None) -> None:
        """Go on until CLOCK_MONOTONIC reads `until_ns`, or until `is_over` says so."""
        clock = time.monotonic_ns
        self.call_at(until_ns, _wake)
        while (now_ns := clock()) < until_ns and not (is_over is not None and is_over()):
            if now_ns >= self._next_ns:
                self._call_due(now_ns)
            self._handle(self._ready())

    def close(self) -> None:
        """Close all connections, and what watches them."""
        for connection in list(self._connections.values()):
            self.forget(connection)
        self._readiness.close()

    def _ready(self) -> Events:
        """Wait until something is ready or due; return what is ready."""
        if self._hub is not None:
            self._share()
            return self._readiness.now()
        events = self._readiness.now()
        if events:
            return events
        left_ns = self._next_ns - time.monotonic_ns()
        if left_ns < AHEAD_NS or (self.idle is not None and self.idle(left_ns)):
            return events
        return self._readiness.wait(self._next_ns)

    def _share(self) -> None:
        """Let greenlets run until something is ready or due."""
        if self._watcher is not None:
            self._readiness.set_due(self._next_ns)
            gevent.get_hub().wait(self._watcher)
        else:
            gevent.sleep(min(max(0.0, (self._next_ns - time.monotonic_ns()) / 1e9), TICK_S))

    def _handle(self, events: Events) -> None:
        connections, clock = self._connections, time.monotonic_ns
        for fd, ready in events:
            connection = connections.get(fd)
            if connection is None:
                # the timer, or a connection that was closed just now
                continue
            if ready & WRITE:
                connection.owner.writable(connection)
                if not ready & READ or connection.fd != fd:
                    continue
            try:
                data = connection.recv(BLOCK)
            except BlockingIOError:
                continue
            except OSError as error:
                connection.owner.lost(connection, error)
                continue
            # before the answer is looked at: that is the client's time, not the server's
            now_ns = clock()
            connection.owner.received(connection, data, now_ns)
            if now_ns >= self._next_ns:
                self._call_due(now_ns)

    def _call_due(self, now_ns: int) -> None:
        later = self._later
        while later and later[0][0] <= now_ns:
            due_ns, _, what = heappop(later)
            what(due_ns)
        self._next_ns = later[0][0] if later else NEVER_NS

    def _yield(self, _: int) -> None:
        # not sleep(0), which comes back before timers and sockets are looked at
        gevent.idle()
        self.call_at(time.monotonic_ns() + YIELD_NS, self._yield)


def _wake(_: int) -> None:
    """End a wait."""
