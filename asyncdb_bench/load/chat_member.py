"""A member of the chat: one WebSocket connection, read by a greenlet of its own."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import gevent
import gevent.socket
import msgspec
from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    CloseConnection,
    Ping,
    Pong,
    RejectConnection,
    Request,
    TextMessage,
)
from wsproto.utilities import ProtocolError

from asyncdb_bench.contract.route import host_of
from asyncdb_bench.load.connection import Address
from asyncdb_bench.load.http_message import ConnectionLostError

if TYPE_CHECKING:
    from asyncdb_bench.load.chat import ChatUser

BLOCK = 16384


class Member:
    """One WebSocket connection, read by a greenlet of its own.

    Parameters
    ----------
    user : whose messages are received.
    place : of this member, from 0.
    """

    def __init__(self, user: ChatUser, place: int) -> None:
        self.user = user
        self.place = place
        self.room = place // user.scenario.knobs.room + 1
        self.sequence = 0
        self.alive = False
        self.pings: dict[bytes, int] = {}

    def join(self, address: Address) -> int:
        """Connect and read the history; return how long it took, nanoseconds.

        Parameters
        ----------
        address : of the application.

        Raises
        ------
        OSError, ProtocolError : not let in.
        """
        began = time.monotonic_ns()
        self.connect(address)
        past = next(self._texts(until_one=True), None)
        said = msgspec.json.decode(past[0]) if past else {}
        right = said.get("type") == "history"
        if not right or not self.user.operations["history"].check({"room": self.room}, said):
            raise ConnectionLostError(f"no history on joining: {said.get('error', 'wrong')}")
        took = time.monotonic_ns() - began
        self.socket.settimeout(None)
        self.alive = True
        gevent.spawn(self._read)
        return took

    def connect(self, address: Address) -> None:
        """Open the connection: TCP, then the WebSocket handshake (RFC 6455)."""
        self.protocol = WSConnection(ConnectionType.CLIENT)
        self.socket: Any = gevent.socket.create_connection(address, timeout=self.user.timeout_s)
        self.socket.setsockopt(gevent.socket.IPPROTO_TCP, gevent.socket.TCP_NODELAY, 1)
        host = f"{host_of(address[0])}:{address[1]}"
        asked = Request(host=host, target=f"/chat/{self.room}")
        self.socket.sendall(self.protocol.send(asked))
        self.held: list[str] = []

    def send(self, event: Any) -> int:
        """Send a frame and return how many bytes it took."""
        frame = self.protocol.send(event)
        self.socket.sendall(frame)
        return len(frame)

    def _texts(self, *, until_one: bool = False) -> Iterator[tuple[str, int]]:
        """Yield whole messages with when their last byte was read, until the connection ends."""
        while True:
            data = self.socket.recv(BLOCK)
            # before anything is parsed: that is the client's time, not the server's
            now = time.monotonic_ns()
            self.user.bytes_received += len(data)
            self.protocol.receive_data(data or None)
            for event in self.protocol.events():
                if isinstance(event, TextMessage):
                    self.held.append(event.data)
                    if event.message_finished:
                        whole, self.held = "".join(self.held), []
                        yield whole, now
                        if until_one:
                            return
                elif isinstance(event, Pong):
                    self._ponged(bytes(event.payload), now)
                elif isinstance(event, CloseConnection | RejectConnection):
                    return

    def _read(self) -> None:
        with suppress(OSError, ProtocolError):
            for text, now in self._texts():
                self.user.received(self, msgspec.json.decode(text), now)
        self.alive = False

    def ping(self, due_ns: int) -> None:
        """Send a ping that was due at `due_ns`."""
        key = str(due_ns).encode()
        self.pings[key] = due_ns
        self.send(Ping(payload=key))

    def _ponged(self, key: bytes, now: int) -> None:
        due = self.pings.pop(key, None)
        if due is not None:
            self.user.ping_times.append((due, now - due))
