"""The Locust user of the chat: many WebSocket members, one scheduler of messages.

Messages arrive as an open Poisson process, as requests do elsewhere; an arrival is done when every
member of its room has it. Each member reads in a greenlet of its own.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import gevent
import gevent.socket
import msgspec
import numpy as np
from gevent.event import AsyncResult
from gevent.pool import Pool
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

from asyncdb_bench.contract.data.chat import HISTORY
from asyncdb_bench.contract.operation import Operation
from asyncdb_bench.load.alarm import Alarm
from asyncdb_bench.load.connection import BLOCK, ConnectionLostError
from asyncdb_bench.load.user import TIMEOUT_STATUS, WHOLE, Asked, OpenModelUser, Part
from asyncdb_bench.records.plan import LoadOrder
from asyncdb_bench.records.step import Outcome

JOINING = 32
"""Members that join at once."""
PING_EVERY_S = 0.1
PINGING = 10
"""Every tenth member pings."""


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

    def join(self) -> int:
        """Connect and read the history; return how long it took, nanoseconds.

        Raises
        ------
        OSError, ProtocolError : not let in.
        """
        began = time.monotonic_ns()
        self.connect()
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

    def connect(self) -> None:
        """Open the connection: TCP, then the WebSocket handshake (RFC 6455)."""
        host, port = self.user.address
        self.protocol = WSConnection(ConnectionType.CLIENT)
        self.socket: Any = gevent.socket.create_connection(
            (host, port), timeout=self.user.timeout_s
        )
        self.socket.setsockopt(gevent.socket.IPPROTO_TCP, gevent.socket.TCP_NODELAY, 1)
        asked = Request(host=f"{host}:{port}", target=f"/chat/{self.room}")
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


class ChatUser(OpenModelUser):
    """Serves steps over the members' connections."""

    abstract = True

    def on_start(self) -> None:
        """Make the members; they join before the first step."""
        super().on_start()
        self.members: list[Member] = []
        self.ping_times: list[tuple[int, int]] = []
        self.joins: dict[str, Any] = {"seconds": 0.0, "times_us": []}
        self.waiting: dict[str, tuple[int, AsyncResult[dict[str, Any]], int]] = {}
        self.steps = self.bytes_received = 0

    def serve(self, order: LoadOrder, part: Part = WHOLE) -> tuple[Any, int, Any]:
        """Serve one step; members that are not connected join first."""
        joined = self._join()
        count = round(order.rate_rps * order.window_s)
        size = self.scenario.knobs.room
        self.steps += 1
        self.ping_times, self.receipts = [], np.zeros((count, size), np.int64)
        self.disorder = self.duplicates = 0
        pinging = gevent.spawn(self._ping_all, order.window_s)
        found = super().serve(order, part)
        pinging.join()
        self.record.rows += joined * HISTORY
        self.record.bytes_received, self.bytes_received = self.bytes_received, 0
        self.record.extra = self._extra(joined)
        self.waiting.clear()
        return found

    def _join(self) -> int:
        wanted = self.scenario.knobs.connections
        if not self.members:
            self.members = [Member(self, place) for place in range(wanted)]
        absent = [each for each in self.members if not each.alive]
        if not absent:
            return 0
        began, pool, took = time.monotonic(), Pool(JOINING), []

        def join(member: Member) -> None:
            # who is not let in stays away; what he was to write fails, and is counted
            try:
                took.append(member.join() // 1000)
            except (OSError, ProtocolError, msgspec.DecodeError):
                member.alive = False

        for member in absent:
            pool.spawn(join, member)
        pool.join()
        self.joins = {"seconds": time.monotonic() - began, "times_us": took}
        return len(took)

    def _ping_all(self, window_s: float) -> None:
        alarm = Alarm()
        start = time.monotonic_ns()
        every = int(PING_EVERY_S * 1e9)
        try:
            for number in range(int(window_s * 1e9) // every):
                due = start + number * every
                alarm.wait_until(due)
                for member in self.members[::PINGING]:
                    if member.alive:
                        member.ping(due)
        except OSError:
            pass
        finally:
            alarm.close()

    def _prepare(self, names: list[str], chosen: Any, seed: tuple[int, ...]) -> list[Any]:
        rng = np.random.default_rng((*seed, 2))
        prepared = []
        for place, index in enumerate(chosen.tolist()):
            params = self.scenario.params(names[index], rng)
            key = f"{self.steps}.{place}"
            said = {"op": names[index], "id": key, "params": params}
            prepared.append((self.operations[names[index]], params, msgspec.json.encode(said)))
        return prepared

    def _serve_one(self, place: int, due_ns: int, asked: Asked | None) -> None:
        assert asked is not None
        operation, params, request = asked
        record = self.record
        record.attempted += 1
        member = self._author(params)
        answer: AsyncResult[dict[str, Any]] = AsyncResult()
        room = self._room(params["room"])
        expected = sum(each.alive for each in room) if operation.name == "post" else 0
        self.waiting[f"{self.steps}.{place}"] = (place, answer, expected)
        try:
            if member is None:
                raise ConnectionLostError("its member is not connected")
            record.sent_ns[place] = time.monotonic_ns()
            record.bytes_sent += member.send(TextMessage(data=request.decode()))
            found = answer.get(timeout=self.timeout_s)
            record.done_ns[place] = found["done_ns"]
            if found.get("timing"):
                record.told[place] = found["timing"]
            self._settle(place, operation, params, found)
        except gevent.Timeout:
            record.done_ns[place] = time.monotonic_ns()
            record.fail(
                place, Outcome.TIMEOUT, f"not with every member within {self.timeout_s:g} s"
            )
        except (OSError, ProtocolError) as error:
            record.done_ns[place] = time.monotonic_ns()
            record.fail(place, Outcome.ERROR, f"{type(error).__name__}: {error}")
        self._tell_locust(operation, record, place, due_ns)

    def _author(self, params: dict[str, Any]) -> Member | None:
        """Return who writes: the one named, or for a search the first of the room who is there."""
        name = params.get("author", "")
        candidates = self._room(params["room"])
        if name:
            candidates = [self.members[int(name.rpartition("-")[2])]]
        return next((each for each in candidates if each.alive), None)

    def _room(self, number: int) -> list[Member]:
        size = self.scenario.knobs.room
        return self.members[(number - 1) * size : number * size]

    def _settle(
        self, place: int, operation: Operation, params: dict[str, Any], found: dict[str, Any]
    ) -> None:
        record = self.record
        if found["type"] == "failed":
            outcome = Outcome.TIMEOUT if found["status"] == TIMEOUT_STATUS else Outcome.ERROR
            record.fail(place, outcome, f"{found['status']}: {found['error']}")
            return
        answer = found.get("answer") or {"id": found["number"], "room": params["room"]}
        if operation.check(params, answer):
            record.right(place, operation, params)
        else:
            record.wrong(place, operation.name)

    def received(self, member: Member, said: dict[str, Any], now: int) -> None:
        """Take what a member was sent."""
        if said["type"] == "message":
            self.disorder += said["sequence"] <= member.sequence
            member.sequence = said["sequence"]
        known = self.waiting.get(said["id"])
        if known is None:
            return
        place, answer, expected = known
        if said["type"] == "message":
            slot = member.place % self.scenario.knobs.room
            if self.receipts[place, slot]:
                self.duplicates += 1
                return
            self.receipts[place, slot] = now
            if "timing" in said:
                self.record.told[place] = said["timing"]
            if np.count_nonzero(self.receipts[place]) < expected:
                return
        if not answer.ready():
            answer.set(said | {"done_ns": now})

    def _extra(self, joined: int) -> dict[str, Any]:
        """Return what a chat's record has beside a request's."""
        now = time.monotonic_ns()
        missing = [(due, now - due) for each in self.members for due in each.pings.values()]
        for each in self.members:
            each.pings.clear()
        return {
            "receipts_ns": self.receipts,
            "is_post": self.record.operations == list(self.scenario.mix()).index("post"),
            "pings_ns": np.array(self.ping_times + missing, np.int64).reshape(-1, 2),
            "joins_us": np.array(self.joins["times_us"], np.int64),
            "join_s": np.array([self.joins["seconds"]]),
            "disorder": np.array([self.disorder, self.duplicates]),
            "members": np.array([sum(each.alive for each in self.members), len(self.members)]),
            "joined": np.array([joined]),
        }
