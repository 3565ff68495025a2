"""A TCP proxy that holds each direction of a connection back for a while: a round trip to measure.

``python delay_proxy.py SETTINGS``. Standard library only, so that it starts in a few milliseconds;
for Linux: its timer is a timerfd, since those of epoll round to a millisecond. It delays and does
not throttle: what was read at once is written at once, in order, however much is under way.

SETTINGS is a JSON file: ``control`` (path of a datagram socket to make) and ``lanes``, a list of
objects with ``port`` (of loopback, to listen on), ``host`` and ``target`` (a port: where
connections go on to). Nothing is delayed until a datagram says so: a JSON object of the delay of
each direction in nanoseconds by the listening port. It holds for open connections, too, from the
next bytes on, and is answered by ``ok``.
"""

from __future__ import annotations

import contextlib
import gc
import importlib.util
import json
import os
import select
import socket
import sys
import time
from collections import deque
from pathlib import Path
from typing import Any

AT_ONCE = 1 << 18
"""Bytes that are read at once."""
WAITING = 1 << 22
"""Bytes that may wait for a slow reader before its sender is not read any more."""
READ, WRITE = select.EPOLLIN, select.EPOLLOUT
PRIORITY = 1


class Lane:
    """All connections of one listener: what is due next stands first, since all wait equally long.

    Parameters
    ----------
    host, target : where its connections go on to.
    """

    def __init__(self, host: str, target: int) -> None:
        self.address = (host, target)
        self.delay_ns = 0
        self.due: deque[tuple[int, Flow, bytes]] = deque()


class Flow:
    """One direction of a connection: from `source` to `sink`.

    Attributes
    ----------
    waiting : what the sink did not take yet.
    stalled : so much of it that the source is not read meanwhile.
    ended : the source has ended; `over`: that has been passed on, or is once nothing waits.
    back : the other direction.
    """

    __slots__ = ("back", "ended", "lane", "over", "recv", "sink", "source", "stalled", "waiting")

    def __init__(self, source: socket.socket, sink: socket.socket, lane: Lane) -> None:
        self.source, self.sink, self.lane = source, sink, lane
        self.recv = source.recv
        self.waiting = bytearray()
        self.stalled = self.ended = self.over = False
        self.back: Flow = self


class Proxy:
    """Listeners and their connections.

    Parameters
    ----------
    settings : the file.
    timer : a :class:`asyncdb_bench.timerfd.TimerFd`.
    """

    def __init__(self, settings: Path, timer: Any) -> None:
        given = json.loads(settings.read_text())
        self.timer = timer
        self.epoll = select.epoll()
        self.epoll.register(timer.fd, READ)
        self.lanes: dict[int, Lane] = {}
        self.listeners: dict[int, tuple[socket.socket, Lane]] = {}
        self.flows: dict[int, Flow] = {}
        for each in given["lanes"]:
            lane = self.lanes[each["port"]] = Lane(each["host"], each["target"])
            listener = socket.create_server(("127.0.0.1", each["port"]), backlog=1024)
            listener.setblocking(False)
            self.listeners[listener.fileno()] = (listener, lane)
            self.epoll.register(listener.fileno(), READ)
        self.control = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.control.bind(given["control"])
        self.control.setblocking(False)
        self.epoll.register(self.control.fileno(), READ)

    def set_delays(self) -> None:
        """Take the delays that a datagram gives, and answer it."""
        with contextlib.suppress(OSError, ValueError, KeyError):
            said, sender = self.control.recvfrom(AT_ONCE)
            for port, delay_ns in json.loads(said).items():
                self.lanes[int(port)].delay_ns = int(delay_ns)
            self.control.sendto(b"ok", sender)

    def run(self) -> None:
        """Forward until killed."""
        poll, flows, timer_fd = self.epoll.poll, self.flows, self.timer.fd
        control_fd = self.control.fileno()
        armed = 0
        while True:
            for fd, event in poll():
                flow = flows.get(fd)
                if flow is not None:
                    if event & WRITE:
                        self.flush(flow.back)
                    if event & ~WRITE and not flow.ended:
                        self.read(flow)
                elif fd == timer_fd:
                    self.timer.clear()
                    armed = 0
                elif fd == control_fd:
                    self.set_delays()
                else:
                    self.accept(fd)
            first = self.release()
            if first and (not armed or first < armed):
                self.timer.set(first)
                armed = first

    def read(self, flow: Flow) -> None:
        """Take what has come, to be passed on when it is due."""
        try:
            data = flow.recv(AT_ONCE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            flow.ended = True
            self.watch(flow.source)
        lane = flow.lane
        if lane.delay_ns or lane.due:
            lane.due.append((time.monotonic_ns() + lane.delay_ns, flow, data))
        else:
            self.deliver(flow, data)

    def release(self) -> int:
        """Pass on what is due; return when the next is, CLOCK_MONOTONIC; 0: nothing waits."""
        first = 0
        for lane in self.lanes.values():
            due = lane.due
            while due and due[0][0] <= time.monotonic_ns():
                _, flow, data = due.popleft()
                self.deliver(flow, data)
            if due and (not first or due[0][0] < first):
                first = due[0][0]
        return first

    def accept(self, fd: int) -> None:
        """Take a connection and begin one to where it goes on to."""
        listener, lane = self.listeners[fd]
        try:
            client, _ = listener.accept()
        except OSError:
            return
        server = socket.socket(socket.AF_INET6 if ":" in lane.address[0] else socket.AF_INET)
        for each in (client, server):
            each.setblocking(False)
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # what arrives before it is connected waits, and a refusal is seen when it is read from
        server.connect_ex(lane.address)
        there, back = Flow(client, server, lane), Flow(server, client, lane)
        there.back, back.back = back, there
        self.flows[client.fileno()], self.flows[server.fileno()] = there, back
        for each in (client, server):
            self.epoll.register(each.fileno(), READ)

    def deliver(self, flow: Flow, data: bytes) -> None:
        """Write what is due, or pass an end on."""
        if flow.sink.fileno() < 0:
            return
        if not data:
            flow.over = True
            if not flow.waiting:
                self.end(flow)
            return
        if flow.waiting:
            flow.waiting += data
            return
        try:
            sent = flow.sink.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            # not connected yet is said by an error of its own
            sent = 0 if not self.broken(flow) else len(data)
        if sent < len(data):
            flow.waiting += data[sent:]
            flow.stalled = len(flow.waiting) > WAITING
            self.watch(flow.sink)
            self.watch(flow.source)

    def flush(self, flow: Flow) -> None:
        """Write what a slow reader has left waiting."""
        try:
            sent = flow.sink.send(flow.waiting) if flow.waiting else 0
        except BlockingIOError:
            return
        except OSError:
            self.close(flow)
            return
        del flow.waiting[:sent]
        flow.stalled = len(flow.waiting) > WAITING
        self.watch(flow.sink)
        self.watch(flow.source)
        if flow.over and not flow.waiting:
            self.end(flow)

    def end(self, flow: Flow) -> None:
        """Pass the end of one direction on; where both are over the connection is."""
        with contextlib.suppress(OSError):
            flow.sink.shutdown(socket.SHUT_WR)
        if flow.back.over and not flow.back.waiting:
            self.close(flow)

    def broken(self, flow: Flow) -> bool:
        """Return whether a connection is gone; then both of its sides are closed."""
        error = flow.sink.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        try:
            flow.sink.getpeername()
        except OSError:
            if not error:
                return False
        self.close(flow)
        return True

    def watch(self, each: socket.socket) -> None:
        """Have the kernel tell of what is waited for on one socket."""
        fd = each.fileno()
        flow = self.flows.get(fd)
        if flow is None:
            return
        wanted = (0 if flow.ended or flow.stalled else READ) | (WRITE if flow.back.waiting else 0)
        # a socket whose peer is gone would be told of again and again
        with contextlib.suppress(OSError):
            self.epoll.unregister(fd)
        if wanted:
            self.epoll.register(fd, wanted)

    def close(self, flow: Flow) -> None:
        """Close both sides of a connection."""
        for each in (flow.source, flow.sink):
            fd = each.fileno()
            if fd >= 0:
                self.flows.pop(fd, None)
                with contextlib.suppress(OSError):
                    self.epoll.unregister(fd)
                each.close()


def load_timer() -> Any:
    """Return a timerfd, from this package's module, without importing the package."""
    path = Path(__file__).resolve().parents[1] / "timerfd.py"
    spec = importlib.util.spec_from_file_location("timerfd", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.TimerFd()


def main() -> None:
    """Serve until killed."""
    # what is due is due now: where it is permitted the proxy does not wait for those it shares its
    # core with, as no network would
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(PRIORITY))
    except OSError:
        with contextlib.suppress(OSError):
            os.nice(-10)
    # nothing here makes cycles that matter, and a collection would be somebody's delay
    gc.disable()
    Proxy(Path(sys.argv[1]), load_timer()).run()


if __name__ == "__main__":
    main()
