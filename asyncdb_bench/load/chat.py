"""The Locust user of the chat: many WebSocket members, one scheduler of messages.

Messages arrive as an open Poisson process, as requests do elsewhere; an arrival is done when every
member of its room has it. Each member reads in a greenlet of its own.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import gevent
import gevent.socket
import msgspec
import numpy as np
from gevent.event import AsyncResult
from gevent.pool import Pool
from wsproto import ConnectionType, WSConnection
from wsproto.events import CloseConnection, Ping, Pong, RejectConnection, Request, TextMessage
from wsproto.utilities import ProtocolError

from asyncdb_bench.contract.data.chat import HISTORY
from asyncdb_bench.contract.operation import Operation
from asyncdb_bench.contract.route import host_of
from asyncdb_bench.load.arrivals import drawn
from asyncdb_bench.load.connection import Address
from asyncdb_bench.load.http_message import ConnectionLostError
from asyncdb_bench.load.judging import TIMEOUT_STATUS, tell_locust
from asyncdb_bench.load.recorder import Recorder
from asyncdb_bench.load.user import WHOLE, Model, OpenModelUser, Part, same_clock
from asyncdb_bench.records.plan import LoadOrder
from asyncdb_bench.records.step import Outcome

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


JOINING = 32
"""Members that join at once."""
PING_NS = 100_000_000
"""Between two pings of a member."""
PINGING = 10
"""Every tenth member pings."""
LOOK_NS = 5_000_000
"""How often it is looked at the end whether all have come, which is no event of the loop."""


class Message(NamedTuple):
    """What a member will write.

    Parameters
    ----------
    place : in the record.
    operation, params : what is asked.
    text : of the frame.
    """

    place: int
    operation: Operation
    params: dict[str, Any]
    text: str


class Messages:
    """The arrivals of a step, each served by a greenlet of its own.

    Parameters
    ----------
    user : whose members write.
    messages : in the order of the arrivals.
    limit : so many are under way at most; arrivals above it are skipped.
    window_s : for so long before the end, members ping.
    """

    def __init__(
        self, user: ChatUser, messages: Sequence[Message], limit: int, window_s: float
    ) -> None:
        self.user = user
        self.record = user.record
        self._coming = iter(messages)
        self._left = len(messages)
        self._pool = Pool(limit)
        self._window_ns = int(window_s * 1e9)
        self._started_ns = 0

    def begin(self) -> None:
        """Nothing is to be done before: members are connected."""

    def ask_from(self, started_ns: int, until_ns: int) -> None:
        """Write at the intended arrivals, and ping within the window."""
        self._started_ns = started_ns
        loop = self.user.loop
        loop.call_each((started_ns + each for each in self.record.intended_ns), self._arrive)
        loop.call_each(range(until_ns - self._window_ns, until_ns, PING_NS), self.user.ping)
        loop.call_at(until_ns, self._look)

    def is_idle(self) -> bool:
        """Return whether all have arrived and none is under way."""
        return not self._left and not self._pool

    def end(self) -> None:
        """Wait no longer."""
        self._pool.kill(block=True, timeout=2)

    def _arrive(self, _: int) -> None:
        message = next(self._coming)
        self._left -= 1
        if self._pool.full():
            why = "as many requests under way as permitted"
            self.record.fail(message.place, Outcome.SKIPPED, why)
        else:
            self._pool.spawn(self.user.send, message, self._started_ns)

    def _look(self, _: int) -> None:
        self.user.loop.call_at(time.monotonic_ns() + LOOK_NS, self._look)


class ChatUser(OpenModelUser):
    """Serves steps over the members' connections."""

    abstract = True
    operations: Mapping[str, Operation]
    shares_loop = True

    def on_start(self) -> None:
        """Make the members; they join before the first step."""
        super().on_start()
        self.record = Recorder()
        self.receipts = np.zeros((0, 0), np.int64)
        self.members: list[Member] = []
        self.ping_times: list[tuple[int, int]] = []
        self.joins: dict[str, Any] = {"seconds": 0.0, "times_us": []}
        self.waiting: dict[str, tuple[int, AsyncResult[dict[str, Any]], int]] = {}
        self.steps = self.bytes_received = 0

    def serve(self, order: LoadOrder, part: Part = WHOLE) -> tuple[Recorder, int, Any]:
        """Serve one step; members that are not connected join first."""
        joined = self._join(self.address_of(order))
        self.steps += 1
        self.ping_times = []
        self.disorder = self.duplicates = 0
        found = super().serve(order, part)
        self.record.rows += joined * HISTORY
        self.record.bytes_received, self.bytes_received = self.bytes_received, 0
        self.record.extra = self._extra(joined)
        self.waiting.clear()
        return found

    def _open_model(self, order: LoadOrder, part: Part) -> Model:
        plan = part.plan or drawn(order, self.scenario.mix())
        self.record = Recorder(plan.intended_ns, plan.chosen, same_clock=same_clock(order))
        self.receipts = np.zeros((len(plan.intended_ns), self.scenario.knobs.room), np.int64)
        rng = np.random.default_rng((*order.seed, 2))
        messages = []
        for place, index in enumerate(plan.chosen.tolist()):
            name = plan.names[index]
            params = self.scenario.params(name, rng)
            said = {"op": name, "id": f"{self.steps}.{place}", "params": params}
            message = msgspec.json.encode(said).decode()
            messages.append(Message(place, self.operations[name], params, message))
        limit = max(1, self.outstanding // part.workers)
        return Messages(self, messages, limit, order.window_s)

    def _join(self, address: Address) -> int:
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
                took.append(member.join(address) // 1000)
            except (OSError, ProtocolError, msgspec.DecodeError):
                member.alive = False

        for member in absent:
            pool.spawn(join, member)
        pool.join()
        self.joins = {"seconds": time.monotonic() - began, "times_us": took}
        return len(took)

    def ping(self, due_ns: int) -> None:
        """Have every tenth member send a ping, which is due at `due_ns`."""
        for member in self.members[::PINGING]:
            if member.alive:
                with contextlib.suppress(OSError, ProtocolError):
                    member.ping(due_ns)

    def send(self, message: Message, started_ns: int) -> None:
        """Send a message, and wait until those have it who should."""
        place, operation, params, text = message
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
            record.bytes_sent += member.send(TextMessage(data=text))
            found = answer.get(timeout=self.timeout_s)
            record.done_ns[place] = found["done_ns"]
            self._settle(place, operation, params, found)
        except gevent.Timeout:
            record.done_ns[place] = time.monotonic_ns()
            record.fail(
                place, Outcome.TIMEOUT, f"not with every member within {self.timeout_s:g} s"
            )
        except (OSError, ProtocolError) as error:
            record.done_ns[place] = time.monotonic_ns()
            record.fail(place, Outcome.ERROR, f"{type(error).__name__}: {error}")
        tell_locust(self.environment, record, operation, place, started_ns)

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
        if said.get("timing"):
            self.record.told.note(place, said["timing"])
        if said["type"] == "message":
            slot = member.place % self.scenario.knobs.room
            if self.receipts[place, slot]:
                self.duplicates += 1
                return
            self.receipts[place, slot] = now
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
        post = list(self.scenario.mix()).index("post")
        return {
            "receipts_ns": self.receipts,
            "is_post": np.asarray(self.record.operations) == post,
            "pings_ns": np.array(self.ping_times + missing, np.int64).reshape(-1, 2),
            "joins_us": np.array(self.joins["times_us"], np.int64),
            "join_s": np.array([self.joins["seconds"]]),
            "disorder": np.array([self.disorder, self.duplicates]),
            "members": np.array([sum(each.alive for each in self.members), len(self.members)]),
            "joined": np.array([joined]),
        }
