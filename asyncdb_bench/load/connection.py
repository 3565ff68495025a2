"""One keep-alive HTTP connection: bytes out, status and body back, with both times noted."""

from __future__ import annotations

import time
from typing import Any

import gevent.socket
from geventhttpclient.response import HTTPResponse

from asyncdb_bench.contract.timing import HEADER

BLOCK = 16384
TIMING = HEADER.lower()


class ConnectionLostError(OSError):
    """The server closed the connection before its answer was complete."""


class Connection:
    """A connection that serves one request at a time.

    Parameters
    ----------
    host, port : of the application.
    timeout_s : per wait on the socket.
    """

    def __init__(self, host: str, port: int, timeout_s: float) -> None:
        self.socket: Any = gevent.socket.create_connection((host, port), timeout=timeout_s)
        self.socket.setsockopt(gevent.socket.IPPROTO_TCP, gevent.socket.TCP_NODELAY, 1)
        self.reusable = True
        self.sent_ns = 0
        self.done_ns = 0
        self.received = 0
        self.content_type = ""

    def exchange(self, request: bytes, method: str = "POST") -> tuple[int, bytes, str]:
        """Send a request and read its answer to the last byte.

        Parameters
        ----------
        request : whole.
        method : its own, which says whether the answer has a body.

        Returns
        -------
        Status code, body, and the ``Server-Timing`` header, empty where there is none; `sent_ns`,
        `done_ns`, `received` (bytes) and `content_type` are set on the way.

        Raises
        ------
        OSError : no answer within the timeout, or the connection broke.
        """
        self.reusable = False
        self.sent_ns = 0
        self.received = 0
        response = HTTPResponse(method)
        self.sent_ns = time.monotonic_ns()
        self.socket.sendall(request)
        while not response.message_complete:
            data = self.socket.recv(BLOCK)
            # before the answer is parsed: that is the client's time, not the server's
            self.done_ns = time.monotonic_ns()
            if not data:
                raise ConnectionLostError("connection closed before the answer was complete")
            self.received += len(data)
            response.feed(data)
        self.reusable = response.should_keep_alive()
        timing = response.get(TIMING, "")
        self.content_type = str(response.get("content-type", ""))
        return response.status_code, bytes(response._body_buffer), str(timing)

    def close(self) -> None:
        """Close the socket."""
        self.socket.close()


def get_bytes(host: str, port: int, path: str) -> bytes:
    """Return the whole HTTP/1.1 request of a GET."""
    return f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode()
