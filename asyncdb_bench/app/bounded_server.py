"""Tornado's HTTP server with bounds: what a stranger sends costs a bounded share of memory.

Nothing here runs for each request: a bound that cost something would be part of what is measured.
"""

from __future__ import annotations

import asyncio
import contextlib
import resource
import time
from collections.abc import Callable
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.httputil import HTTPConnection, HTTPMessageDelegate
from tornado.ioloop import PeriodicCallback
from tornado.iostream import IOStream
from tornado.web import Application

MOST_CONNECTIONS = 8192
KEPT_FILES = 512
"""Of the files that a process may open, left to pools, workers' pipes and the event loop."""
LONGEST_BODY = 1024 * 1024
LONGEST_HEADERS = 16 * 1024
LONGEST_BUFFER = 2 * LONGEST_BODY
LONGEST_FRAME = 64 * 1024
"""Bytes of a WebSocket message."""
SWEEP_S = 5.0
PATIENCE = 4
"""Sweeps that a request may stay incomplete. They are counted, not timed: an application that was
stopped while others had their turn finds that no time of its own has passed."""

SETTLE_S = 0.5
"""How long connections may be quiet at the end: a client's next request may be on its way, and is
answered with ``Connection: close``."""
CLOSE_S = 2.0


class BoundedServer(HTTPServer):
    """Closes connections beyond a number, and those whose requests do not become complete.

    Parameters
    ----------
    application : what to serve.
    most : connections at a time; default: what the process's limit of open files leaves.
    sweep_s : between two looks at what is incomplete.
    """

    def initialize(  # type: ignore[override]
        self, application: Application, most: int = 0, sweep_s: float = SWEEP_S
    ) -> None:
        """Take the bounds."""
        super().initialize(
            application,
            max_body_size=LONGEST_BODY,
            max_header_size=LONGEST_HEADERS,
            max_buffer_size=LONGEST_BUFFER,
        )
        self.most = most or most_connections()
        self.reading: dict[Any, Any] = {}
        self.late: dict[Any, int] = {}
        self.refused = 0
        self._sweeper = PeriodicCallback(self.sweep, 1000 * sweep_s)

    def start_sweeping(self) -> None:
        """Begin to close what stays incomplete."""
        self._sweeper.start()

    def handle_stream(self, stream: IOStream, address: tuple[Any, ...]) -> None:
        """Serve a connection, or close it where there are too many."""
        if len(self._connections) >= self.most:
            self.refused += 1
            stream.close()
            return
        super().handle_stream(stream, address)

    def start_request(
        self, server_conn: object, request_conn: HTTPConnection
    ) -> HTTPMessageDelegate:
        """Note which request a connection is at."""
        self.reading[server_conn] = request_conn
        return super().start_request(server_conn, request_conn)

    def on_close(self, server_conn: object) -> None:
        """Forget a connection."""
        self.reading.pop(server_conn, None)
        self.late.pop(server_conn, None)
        super().on_close(server_conn)

    async def end(self, seconds: float, under_way: Callable[[], int]) -> int:
        """Take no more connections, answer what was asked, and close all.

        Parameters
        ----------
        seconds : for answering; 0: nothing more is answered.
        under_way : returns how many requests are being answered.

        Returns
        -------
        How many requests were cut off.
        """
        if seconds:
            self._take_those_that_wait()
        self.stop()
        # read at each request's beginning, by connections that there are already, too
        self.conn_params.no_keep_alive = True
        now = time.monotonic()
        until, quiet_since = now + seconds, now
        while self._connections and (now := time.monotonic()) < until:
            if under_way() or any(map(is_busy, self.reading.items())):
                quiet_since = now
            elif now - quiet_since > SETTLE_S:
                break
            await asyncio.sleep(0.02)
        cut_off = under_way() if seconds else 0
        await asyncio.wait_for(self.close_all_connections(), CLOSE_S)
        return cut_off

    def _take_those_that_wait(self) -> None:
        """Accept what the kernel has connected already: it would be reset with the socket."""
        for listening in list(self._sockets.values()):
            with contextlib.suppress(OSError):
                while True:
                    self._handle_connection(*listening.accept())

    def sweep(self) -> None:
        """Close the connections whose requests were incomplete for too long."""
        incomplete = [conn for conn, request in self.reading.items() if is_incomplete(request)]
        self.late = {conn: self.late.get(conn, 0) + 1 for conn in incomplete}
        for conn, times in list(self.late.items()):
            if times >= PATIENCE:
                conn.stream.close()


def is_busy(serving: tuple[Any, Any]) -> bool:
    """Return whether a connection reads a request or has yet to send an answer."""
    connection, request = serving
    return is_incomplete(request) or bool(connection.stream.writing())


def is_incomplete(request: Any) -> bool:
    """Return whether a request has begun to arrive and is not all there.

    Tornado has no public name for that: a request whose first line is known is being read until its
    body is, and before that bytes wait in the stream's buffer.
    """
    if request._request_start_line is not None:
        return not request._read_finished and request.stream is not None
    return request.stream is not None and request.stream._read_buffer_size > 0


def most_connections() -> int:
    """Return how many connections a process may hold, after it has raised its own limit of files.

    At that limit the loop would turn for nothing: a connection that cannot be accepted stays ready.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        soft = hard
    if soft == resource.RLIM_INFINITY:
        return MOST_CONNECTIONS
    return max(64, min(MOST_CONNECTIONS, soft - KEPT_FILES))
