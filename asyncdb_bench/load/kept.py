"""The connections to one application that are kept open between its requests."""

from __future__ import annotations

from asyncdb_bench.load.connection import Address, Connection, Owner, Where, reachable
from asyncdb_bench.load.loop import Loop

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
