"""``/chat/<room>``: history on joining, every message stored through the strategy, then broadcast.

Messages of a room are broadcast in the order in which they came, whatever the order in which the
database stored them: each waits for those before it, and no storing waits for another.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import msgspec
from tornado.iostream import StreamBufferFullError
from tornado.log import app_log
from tornado.websocket import WebSocketClosedError, WebSocketHandler

from asyncdb_bench.contract.operation import Operation
from asyncdb_bench.contract.strategy import Strategy
from asyncdb_bench.errors import RequestTimeoutError, UnavailableError
from asyncdb_bench_attach.timing import Phases, current

UNDER_WAY_MOST = 64
"""Messages of one member that are under way at once."""
BUFFER_BYTES = 256 * 1024
"""What may wait for a member who does not read; beyond it he is dropped."""

_encode = msgspec.json.Encoder().encode


class Said(msgspec.Struct, frozen=True):
    """What a member sends: an operation with its parameters, and an id to know the answer by."""

    op: str
    id: str
    params: dict[str, Any]


class Room:
    """The members of one room, and whose turn it is to be broadcast."""

    def __init__(self) -> None:
        self.members: set[ChatHandler] = set()
        self.sequence = 0
        self.turn: asyncio.Future[None] | None = None


def is_chat(operations: Mapping[str, Operation]) -> bool:
    """Return whether these operations are a chat's."""
    return {"history", "post", "search"} <= operations.keys()


class Rooms:
    """All rooms of this process.

    Parameters
    ----------
    strategy, operations : to store and read with.
    timeout_s : after how long an operation is given up.
    """

    def __init__(
        self, strategy: Strategy[Any], operations: Mapping[str, Operation], timeout_s: float
    ) -> None:
        self.strategy = strategy
        self.operations = operations
        self.decoders = {
            name: msgspec.json.Decoder(each.params_type) for name, each in operations.items()
        }
        self.timeout_s = timeout_s
        self.rooms: dict[int, Room] = {}
        self.dropped = 0

    def room(self, number: int) -> Room:
        """Return a room, made when it is first entered."""
        return self.rooms.setdefault(number, Room())

    def gauges(self) -> dict[str, float]:
        """Return who is there, and how many were dropped since they did not read."""
        members = sum(len(room.members) for room in self.rooms.values())
        return {"chat_members": members, "chat_dropped": self.dropped}

    async def run(self, name: str, params: dict[str, Any]) -> dict[str, Any]:
        """Run an operation through the strategy, within the time given."""
        async with asyncio.timeout(self.timeout_s):
            answer: dict[str, Any] = await self.strategy.run(self.operations[name], params)
            return answer


class ChatHandler(WebSocketHandler):
    """One member's connection."""

    def initialize(self, rooms: Rooms) -> None:
        """Take what the application was made with."""
        self.rooms = rooms
        self.waiting: list[bytes] | None = []
        self.numbers: list[int] = []
        self.slots = asyncio.Semaphore(UNDER_WAY_MOST)

    def check_origin(self, origin: str) -> bool:
        """Let any page connect: there is nothing here to protect."""
        return True

    async def open(self, number: str) -> None:
        """Join, and send the last messages; what is broadcast meanwhile follows them."""
        self.set_nodelay(True)
        connection: Any = self.ws_connection
        connection.stream.max_write_buffer_size = BUFFER_BYTES
        self.room = self.rooms.room(int(number))
        self.room.members.add(self)
        try:
            past = await self.rooms.run("history", {"room": int(number)})
        except Exception as error:
            self.send(_encode({"type": "failed", "id": "", **_status(error)}))
            self.close(1013, "no history")
            return
        known = {each["id"] for each in past["messages"]}
        self.send(_encode({"type": "history", **past}))
        held, self.waiting = self.waiting or [], None
        for stored, message in zip(self.numbers, held, strict=True):
            if stored not in known:
                self.send(message)

    async def on_message(self, message: str | bytes) -> None:
        """Store and broadcast a message, or answer a search.

        Where too many of this member's are under way, no more is read of him until one is done.
        """
        try:
            said = msgspec.json.decode(message, type=Said)
            decoder = self.rooms.decoders[said.op]
            params = msgspec.structs.asdict(decoder.decode(_encode(said.params)))
        except (msgspec.MsgspecError, KeyError, ValueError, RecursionError) as error:
            self.send(_encode({"type": "failed", "id": "", "status": 400, "error": str(error)}))
            return
        await self.slots.acquire()
        phases = Phases() if self.rooms.strategy.knobs.timing else None
        current.set(phases)
        if said.op == "post":
            # the next message of this member need not wait for this one to be stored
            task = asyncio.ensure_future(self._post(said.id, params, phases))
        else:
            task = asyncio.ensure_future(self._answer(said, params, phases))
        UNDER_WAY.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        UNDER_WAY.discard(task)
        self.slots.release()

    def on_close(self) -> None:
        """Leave the room."""
        if hasattr(self, "room"):
            self.room.members.discard(self)

    async def _post(self, key: str, params: dict[str, Any], phases: Phases | None) -> None:
        room = self.room
        before, mine = room.turn, asyncio.get_running_loop().create_future()
        room.turn = mine
        failed, stored = None, 0
        try:
            stored = (await self.rooms.run("post", params))["id"]
        except Exception as error:
            failed = error
        try:
            if before is not None:
                await before
            if failed is not None:
                self.send(_encode({"type": "failed", "id": key, **_status(failed)}))
                return
            room.sequence += 1
            found = {"type": "message", "id": key, "number": stored, "sequence": room.sequence}
            found |= {"author": params["author"], "body": params["body"]}
            message = _encode(found)
            own = _encode(found | {"timing": phases.header()}) if phases else message
            for member in list(room.members):
                member.deliver(stored, own if member is self else message)
        finally:
            mine.set_result(None)

    async def _answer(self, said: Said, params: dict[str, Any], phases: Phases | None) -> None:
        try:
            found = await self.rooms.run(said.op, params)
        except Exception as error:
            self.send(_encode({"type": "failed", "id": said.id, **_status(error)}))
            return
        timing = phases.header() if phases else ""
        self.send(_encode({"type": "answer", "id": said.id, "answer": found, "timing": timing}))

    def deliver(self, number: int, message: bytes) -> None:
        """Send a broadcast, or keep it until the history has been sent."""
        if self.waiting is None:
            self.send(message)
        else:
            self.waiting.append(message)
            self.numbers.append(number)

    def send(self, message: bytes) -> None:
        """Send without waiting; drop a member who does not read what he is sent."""
        try:
            written = self.write_message(message)
        except WebSocketClosedError:
            return
        except StreamBufferFullError:
            self.drop()
            return
        # a member who has left while he was written to is no error
        written.add_done_callback(lambda done: done.cancelled() or done.exception())

    def drop(self) -> None:
        """End the connection of a member who does not read; what waits is dropped."""
        if self in self.room.members:
            self.room.members.discard(self)
            self.rooms.dropped += 1
            connection: Any = self.ws_connection
            if connection is not None:
                connection.stream.close()


UNDER_WAY: set[asyncio.Task[None]] = set()
"""Messages that are being stored: the loop itself keeps only weak references."""


def _status(error: Exception) -> dict[str, Any]:
    """Return the HTTP status that stands for a failure, and its reason."""
    if isinstance(error, RequestTimeoutError | TimeoutError):
        return {"status": 504, "error": str(error) or "no answer in time"}
    if isinstance(error, UnavailableError):
        return {"status": 503, "error": str(error)}
    app_log.error("a message failed", exc_info=error)
    return {"status": 500, "error": f"{type(error).__name__}: {error}"}
