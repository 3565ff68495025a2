"""One keep-alive HTTP connection: bytes out, status and body back, with both times noted."""

from __future__ import annotations

import time
from typing import Any

import gevent.socket
from geventhttpclient.response import HTTPResponse

BLOCK = 16384


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

    def exchange(self, request: bytes) -> tuple[int, bytes]:
        """Send a request and read its answer to the last byte.

        Returns
        -------
        Status code and body; `sent_ns` and `done_ns` are set on the way.

        Raises
        ------
        OSError : no answer within the timeout, or the connection broke.
        """
        self.reusable = False
        self.sent_ns = 0
        response = HTTPResponse("POST")
        self.sent_ns = time.monotonic_ns()
        self.socket.sendall(request)
        while not response.message_complete:
            data = self.socket.recv(BLOCK)
            if not data:
                raise ConnectionLostError("connection closed before the answer was complete")
            response.feed(data)
        self.done_ns = time.monotonic_ns()
        self.reusable = response.should_keep_alive()
        return response.status_code, bytes(response._body_buffer)

    def close(self) -> None:
        """Close the socket."""
        self.socket.close()


def request_bytes(host: str, port: int, operation: str, body: bytes) -> bytes:
    """Return the whole HTTP/1.1 request of an operation."""
    head = (
        f"POST /op/{operation} HTTP/1.1\r\nHost: {host}:{port}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body
