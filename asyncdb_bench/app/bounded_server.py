"""Tornado's HTTP server with bounds: what a stranger sends costs a bounded share of memory.

Nothing here runs for each request: a bound that cost something would be part of what is measured.
"""

from __future__ import annotations

import contextlib
import resource
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

    def sweep(self) -> None:
        """Close the connections whose requests were incomplete for too long."""
        incomplete = [conn for conn, request in self.reading.items() if is_incomplete(request)]
        self.late = {conn: self.late.get(conn, 0) + 1 for conn in incomplete}
        for conn, times in list(self.late.items()):
            if times >= PATIENCE:
                conn.stream.close()


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
