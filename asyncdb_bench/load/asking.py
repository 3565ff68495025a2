"""Requests to one application: each on a connection of its own, until its answer or its end."""

from __future__ import annotations

import errno
import time
from abc import ABC, abstractmethod

from asyncdb_bench.load.connection import Connection
from asyncdb_bench.load.http_message import Incoming, told_length
from asyncdb_bench.load.loop import IDEMPOTENT, Kept, Loop
from asyncdb_bench.records.step import Outcome

UNABLE = frozenset({errno.EMFILE, errno.ENFILE, errno.EADDRNOTAVAIL, errno.ENOBUFS})
"""Reasons of the client's own machine why a connection cannot be opened."""


class Asker(ABC):
    """Sends requests, and is told what became of each.

    A connection that was kept may end before the first byte of an answer: the server has closed it
    meanwhile. The request is then sent again on a new one, if that does no harm, and stays one
    request: it counts from when it was first asked.

    Parameters
    ----------
    loop : in which it is called.
    kept : connections to the application.
    timeout_s : after how long a request is given up.

    Attributes
    ----------
    under_way : connections by the keys of their requests, in the order of asking.
    resent : how many requests were sent again.
    unopened : how many were not sent, since this machine had no connection left for them.
    """

    def __init__(self, loop: Loop, kept: Kept, timeout_s: float) -> None:
        self.loop = loop
        self.kept = kept
        self.timeout_s = timeout_s
        self.under_way: dict[int, Connection] = {}
        self.resent = self.unopened = 0
        self._timeout_ns = int(timeout_s * 1e9)

    @abstractmethod
    def answered(self, key: int, connection: Connection, answer: bytes, status: int) -> None:
        """Take a whole answer, of whatever status; the connection says when what was."""

    @abstractmethod
    def failed(self, key: int, connection: Connection | None, outcome: Outcome, why: str) -> None:
        """Take note that no answer came; without a connection where none could be opened."""

    def is_idle(self) -> bool:
        """Return whether nothing is under way."""
        return not self.under_way

    def begin(self) -> None:
        """Begin a window: from now on requests that take too long are given up."""
        self.kept.begin()
        self.loop.call_at(time.monotonic_ns() + self._timeout_ns, self._give_up)

    def ask(self, key: int, request: bytes, method: str) -> None:
        """Send a request, at once where a connection is idle.

        Parameters
        ----------
        key : names the request among those under way.
        request, method : whole, and its method.
        """
        connection = self.kept.take(method)
        if connection is None:
            try:
                connection = self.kept.open(self)
            except OSError as error:
                self.kept.look_up_again()
                self.unopened += error.errno in UNABLE
                self.failed(key, None, Outcome.ERROR, said_by(error))
                return
        else:
            connection.owner = self
        connection.asked_ns = time.monotonic_ns()
        self._begin(connection, key, request, method)

    def abandon(self) -> list[tuple[int, Connection]]:
        """Close the connections of all that is under way; return those by their keys."""
        given_up = list(self.under_way.items())
        self.under_way.clear()
        for _, connection in given_up:
            self.loop.forget(connection)
        return given_up

    def _begin(self, connection: Connection, key: int, request: bytes, method: str) -> None:
        connection.key, connection.request, connection.method = key, request, method
        connection.unsent = request
        connection.sent_ns = 0
        self.under_way[key] = connection
        if not connection.connecting:
            self._send(connection)

    def _send(self, connection: Connection) -> None:
        unsent = connection.unsent
        if not connection.sent_ns:
            connection.sent_ns = time.monotonic_ns()
        try:
            sent = connection.send(unsent)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            self.lost(connection, error)
            return
        if sent == len(unsent):
            connection.unsent = b""
        else:
            connection.unsent = memoryview(unsent)[sent:]
            self.loop.watch(connection, writing=True)

    def writable(self, connection: Connection) -> None:
        """Send what is left, or all where the connection is established only now."""
        if connection.connecting:
            try:
                connection.establish()
            except OSError as error:
                self.lost(connection, error)
                return
        self._send(connection)
        if not connection.unsent and connection.fd >= 0:
            self.loop.watch(connection, writing=False)

    def received(self, connection: Connection, data: bytes, now_ns: int) -> None:
        """Take a piece of an answer, most often all of it."""
        incoming = connection.incoming
        if incoming is None and data and told_length(data) == len(data):
            answer, status, keeps = data, int(data[9:12]), not connection.unsent
        else:
            if incoming is None:
                incoming = Incoming(connection.method)
                # nothing has come where the connection just ends
                connection.incoming = incoming if data else None
            try:
                whole = incoming.take(data)
            except OSError as error:
                self.lost(connection, error)
                return
            if not whole:
                return
            answer, status = incoming.raw(), incoming.status
            keeps = incoming.keeps and not connection.unsent
            connection.incoming = None
        del self.under_way[connection.key]
        connection.done_ns = now_ns
        if keeps:
            self.kept.give_back(connection)
        else:
            self.loop.forget(connection)
        self.answered(connection.key, connection, answer, status)

    def lost(self, connection: Connection, error: OSError) -> None:
        """Send again, or note the failure of, a request whose connection broke."""
        self.loop.forget(connection)
        key, why = connection.key, said_by(error)
        if connection.connecting:
            self.kept.look_up_again()
        if connection.reused and connection.incoming is None:
            self.kept.closes_idle = True
            if connection.method in IDEMPOTENT:
                try:
                    fresh = self.kept.open(self)
                except OSError as refused:
                    why = said_by(refused)
                else:
                    self.resent += 1
                    fresh.asked_ns = connection.asked_ns
                    self._begin(fresh, key, connection.request, connection.method)
                    return
        del self.under_way[key]
        self.failed(key, connection, Outcome.ERROR, why)

    def _give_up(self, _: int) -> None:
        """Give up those that were asked too long ago; the oldest is the first."""
        now_ns = oldest_ns = time.monotonic_ns()
        while self.under_way:
            key, connection = next(iter(self.under_way.items()))
            oldest_ns = connection.asked_ns
            if oldest_ns + self._timeout_ns > now_ns:
                break
            self.loop.forget(connection)
            del self.under_way[key]
            self.failed(key, connection, Outcome.TIMEOUT, f"no answer within {self.timeout_s:g} s")
            oldest_ns = now_ns
        self.loop.call_at(oldest_ns + self._timeout_ns, self._give_up)


def said_by(error: OSError) -> str:
    """Return an error in words, by its kind."""
    return f"{type(error).__name__}: {error.strerror or error}"
