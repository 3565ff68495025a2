"""Connections to an application: plain non-blocking sockets."""

from __future__ import annotations

import _socket
import errno
import os
import socket
from collections.abc import Callable
from typing import Protocol

from asyncdb_bench.contract.route import host_of
from asyncdb_bench.load.http_message import Incoming

Address = tuple[str, int]
"""Host and port."""
Where = tuple[int, tuple[object, ...]]
"""A family of addresses, and an address as its sockets have it."""


class Owner(Protocol):
    """Who is told what happens on a connection."""

    def writable(self, connection: Connection) -> None:
        """Go on: the connection is established, or takes more bytes."""

    def received(self, connection: Connection, data: bytes, now_ns: int) -> None:
        """Take bytes that came; none: the server has closed the connection."""

    def lost(self, connection: Connection, error: OSError) -> None:
        """Take note that the connection broke."""


class Connection:
    """A TCP connection that serves one request at a time.

    Parameters
    ----------
    owner : whose it is first.
    where : whom it reaches, as of :func:`reachable`.

    Attributes
    ----------
    connecting : it is not established yet.
    reused : it has served a request before.
    window : in which it was used last.
    key, method, request : what is asked; `unsent` is what the socket did not take yet.
    asked_ns, sent_ns, done_ns : when the request was given to it, when it went out and when its
        answer was there; 0: it did not, it was not.
    incoming : the answer, where it did not come at once; None: nothing has come.

    Raises
    ------
    OSError : it was refused at once.
    """

    __slots__ = (
        "asked_ns",
        "connecting",
        "done_ns",
        "fd",
        "incoming",
        "key",
        "method",
        "owner",
        "recv",
        "request",
        "reused",
        "send",
        "sent_ns",
        "socket",
        "unsent",
        "window",
    )

    def __init__(self, owner: Owner, where: Where) -> None:
        family, address = where
        self.owner = owner
        # not gevent's, which waits and switches greenlets
        self.socket = _socket.socket(family, _socket.SOCK_STREAM)
        self.socket.setblocking(False)
        self.fd = self.socket.fileno()
        self.recv: Callable[[int], bytes] = self.socket.recv
        self.send: Callable[[bytes | memoryview], int] = self.socket.send
        self.reused = False
        self.window = self.key = self.asked_ns = self.sent_ns = self.done_ns = 0
        self.method, self.request = "", b""
        self.unsent: bytes | memoryview = b""
        self.incoming: Incoming | None = None
        self.socket.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)
        code = self.socket.connect_ex(address)
        self.connecting = code == errno.EINPROGRESS
        if code and not self.connecting:
            self.close()
            raise OSError(code, os.strerror(code))

    def establish(self) -> None:
        """See that connecting has succeeded.

        Raises
        ------
        OSError : it has not.
        """
        code = self.socket.getsockopt(_socket.SOL_SOCKET, _socket.SO_ERROR)
        if code:
            raise OSError(code, os.strerror(code))
        self.connecting = False

    def close(self) -> None:
        """Close the socket; `fd` is -1 from then on."""
        self.fd = -1
        self.socket.close()


def reachable(address: Address, timeout_s: float) -> Where:
    """Return where an address is: of a name that has several, the first that takes a connection.

    Parameters
    ----------
    address : a name, or a number of IPv4 or IPv6, and the port.
    timeout_s : how long each of several is tried; the last counts untried.

    Raises
    ------
    OSError : the name is not known.
    """
    try:
        # without gevent's threads, which a number does not need
        numeric = _socket.getaddrinfo(*address, 0, _socket.SOCK_STREAM, 0, _socket.AI_NUMERICHOST)
        return numeric[0][0], numeric[0][4]
    except OSError:
        found = socket.getaddrinfo(*address, type=socket.SOCK_STREAM)
    for family, _, _, _, where in found[:-1]:
        with socket.socket(family, socket.SOCK_STREAM) as trial:
            trial.settimeout(timeout_s)
            if trial.connect_ex(where) == 0:
                return family, where
    return found[-1][0], found[-1][4]


def get_bytes(address: Address, path: str) -> bytes:
    """Return the whole HTTP/1.1 request of a GET."""
    return f"GET {path} HTTP/1.1\r\nHost: {host_of(address[0])}:{address[1]}\r\n\r\n".encode()
