"""One loop over ready sockets and due times: all that a load process does while it measures.

On Linux an epoll with a timerfd in it: epoll's own timeouts are whole milliseconds. Elsewhere poll,
whose last millisecond is waited for without sleeping.

It waits beside gevent's hub, and no greenlet, timer or event is made for a request. Others of the
process (standard input, Locust's own messages) have their turn ten times a second.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Iterable
from heapq import heappop, heappush
from itertools import count
from typing import Any, Protocol

import gevent
from gevent.monkey import get_original

from asyncdb_bench.load.connection import Address, Connection, Owner, Where, reachable
from asyncdb_bench.timerfd import TimerFd


def cpu_s() -> float:
    """Return the CPU seconds that this process has used."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


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


IDEMPOTENT = frozenset({"GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE"})
"""What may be sent again when it is not known whether it was served (RFC 9110, 9.2.2)."""


class Kept:
    """The connections to one application; those that are idle serve the next requests.

    A server may close a connection that lies idle. The loop hears of it, so such a one is not used
    again; but the news may be under way when a request is sent. One that may be sent twice then is
    (see :class:`Asker`). For others, once a server was seen to do so, connections that lay idle
    between two windows are not used.

    Parameters
    ----------
    loop : watches them.
    address : host and port.
    timeout_s : how long an address may take to be tried, where a name has several.

    Attributes
    ----------
    opened : connections so far.
    closes_idle : the server was seen to close one that was kept.
    """

    def __init__(self, loop: Loop, address: Address, timeout_s: float) -> None:
        self.loop = loop
        self.address = address
        self.timeout_s = timeout_s
        self.opened = 0
        self.closes_idle = False
        self._window = 0
        self._idle: list[Connection] = []
        self._where: Where | None = None
        self._unknown = OSError(0, "its name was not looked up")
        self._look_up = True

    def begin(self) -> None:
        """Begin a window; where that is needed look the name up, which may wait."""
        self._window += 1
        if not self._look_up:
            return
        try:
            self._where, self._look_up = reachable(self.address, self.timeout_s), False
        except OSError as error:
            self._where, self._unknown = None, error

    def look_up_again(self) -> None:
        """Have the name looked up before the next window: nobody was there."""
        self._look_up = True

    def take(self, method: str) -> Connection | None:
        """Return an idle connection for a request; None: a new one is needed."""
        idle = self._idle
        while idle:
            last = idle[-1]
            if last.fd >= 0:
                if self.closes_idle and last.window != self._window and method not in IDEMPOTENT:
                    # all below it have lain idle for longer
                    return None
                return idle.pop()
            idle.pop()
        return None

    def open(self, owner: Owner) -> Connection:
        """Return a new connection, which may not be established yet.

        Raises
        ------
        OSError : it was refused at once, or the name is not known.
        """
        if self._where is None:
            raise self._unknown.with_traceback(None)
        connection = Connection(owner, self._where)
        self.opened += 1
        self.loop.watch(connection, writing=connection.connecting)
        return connection

    def give_back(self, connection: Connection) -> None:
        """Keep a connection that has served its request."""
        connection.owner = self
        connection.reused = True
        connection.window = self._window
        self._idle.append(connection)

    def writable(self, connection: Connection) -> None:
        """Nothing is sent on an idle connection."""

    def received(self, connection: Connection, data: bytes, now_ns: int) -> None:
        """Close an idle connection that the server has closed, or on which it says anything."""
        self.closes_idle = True
        self.loop.forget(connection)

    def lost(self, connection: Connection, error: OSError) -> None:
        """Close an idle connection that broke."""
        self.received(connection, b"", 0)
