"""A server that answers as a script says, byte by byte, and the client asked in this process."""

from __future__ import annotations

import asyncio
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from types import SimpleNamespace
from typing import Any

from asyncdb_bench.contract.data.accounts import balance_of
from asyncdb_bench.contract.operation import Operation, Steps, operation
from asyncdb_bench.contract.route import Route
from asyncdb_bench.contract.scenario import Users
from asyncdb_bench.load.judging import Judge
from asyncdb_bench.load.loop import Kept, Loop
from asyncdb_bench.load.measured import ClosedLoop, Measured, OpenModel, Probe
from asyncdb_bench.load.recorder import Recorder
from asyncdb_bench.load.requests import Asked, Requests, Ring
from tests.in_thread import running

END = "end"
"""The connection is closed."""
RESET = "reset"
"""It is reset."""
Part = bytes | float | str
"""What is sent, for how many seconds nothing is, or how the connection ends."""
Script = Callable[[int, int, bytes], Sequence[Part]]
"""Of the connection's number, of the request's number on it, both from 0, and of the request."""
ACCOUNT = re.compile(rb'"account": ?(\d+)')
LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)
PATIENCE_S = 60.0
"""A machine may be busy with other work."""


class Server:
    """The server, in a thread of its own.

    Parameters
    ----------
    script : says what is answered.

    Attributes
    ----------
    came : of each request its connection's number and all of its bytes, in order.
    stamps : of each answer when its request was there and when it went out, CLOCK_MONOTONIC.
    gone : of each connection that the client ended, its number.
    """

    def __init__(self, script: Script) -> None:
        self.script = script
        self.port = 0
        self.came: list[tuple[int, bytes]] = []
        self.stamps: list[tuple[int, int]] = []
        self.gone: list[int] = []
        self.connections = 0

    async def serve(self, ready: threading.Event, stop: asyncio.Event) -> None:
        """Serve until told to stop."""
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0, backlog=1000)
        self.port = server.sockets[0].getsockname()[1]
        ready.set()
        await stop.wait()
        server.close()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number, asked = self.connections, 0
        self.connections += 1
        with suppress(ConnectionError):
            while request := await _request(reader):
                came_ns = time.monotonic_ns()
                self.came.append((number, request))
                for part in self.script(number, asked, request):
                    if part == RESET:
                        linger = struct.pack("ii", 1, 0)
                        connection = writer.get_extra_info("socket")
                        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                    if isinstance(part, str):
                        writer.close()
                        return
                    if isinstance(part, float):
                        await asyncio.sleep(part)
                    else:
                        gone_ns = time.monotonic_ns()
                        writer.write(part)
                        await writer.drain()
                self.stamps.append((came_ns, gone_ns))
                asked += 1
        self.gone.append(number)
        writer.close()


async def _request(reader: asyncio.StreamReader) -> bytes:
    """Return a whole request; nothing where the client has ended the connection."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        length = LENGTH.search(head)
        return head + (await reader.readexactly(int(length[1])) if length else b"")
    except asyncio.IncompleteReadError:
        return b""


@contextmanager
def serving(script: Script) -> Iterator[Server]:
    """Serve in a thread."""
    made = Server(script)
    with running(made.serve):
        yield made


def answer(body: bytes = b'{"n": 1}', *head: str, status: str = "200 OK") -> bytes:
    """Return an answer that tells its length."""
    lines = [f"HTTP/1.1 {status}", "Content-Type: application/json", *head]
    return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode() + body


def read_answer(request: bytes) -> bytes:
    """Return the right answer to a read."""
    found = ACCOUNT.search(request)
    account = int(found[1]) if found else 0
    return answer(b'{"id": %d, "balance": %d, "owner": ""}' % (account, balance_of(account)))


def after(delay_s: float) -> Script:
    """Return a script that answers rightly after a fixed delay."""
    return lambda _connection, _number, request: [delay_s, read_answer(request)]


def asking(method: str = "GET", path: str = "/n", **traits: Any) -> Operation:
    """Return an operation of which ``{"n": 1}`` is the right answer."""

    @operation(check=lambda _, found: found["n"] == 1, route=Route(method, path, **traits))
    def n() -> Steps:
        """Is asked for, and never run."""
        yield from ()

    return n


def environment(told: list[dict[str, Any]]) -> Any:
    """Return what stands for Locust's environment; requests that it is told of are kept."""
    request = SimpleNamespace(fire=lambda **event: told.append(event))
    return SimpleNamespace(events=SimpleNamespace(request=request))


class Client:
    """Our client, asked in this process.

    Parameters
    ----------
    port : of the server.
    timeout_s : after how long a request is given up.

    Attributes
    ----------
    told : what Locust was told of each request.
    probe : asks beside it; None: nothing does.
    """

    def __init__(self, port: int, timeout_s: float = PATIENCE_S) -> None:
        self.port = port
        self.timeout_s = timeout_s
        self.loop = Loop()
        self.kept = Kept(self.loop, ("127.0.0.1", port), timeout_s)
        self.told: list[dict[str, Any]] = []
        self.model: Measured | None = None
        self.probe: Probe | None = None

    def request(self, asked: Operation) -> Asked:
        """Return a request for an operation without parameters."""
        return Asked(0, asked, {}, asked.request({}).sent_to("127.0.0.1", self.port))

    def open(
        self,
        requests: Requests,
        due_s: Sequence[float],
        limit: int = 1000,
        users: Users | None = None,
    ) -> Recorder:
        """Ask at given times from the start, and wait for all answers."""
        record = Recorder([int(each * 1e9) for each in due_s], [0] * len(due_s))
        judge = Judge(record, environment(self.told))
        asks = (self.loop, self.kept, self.timeout_s, record, requests, judge, users)
        return self._run(OpenModel(*asks, limit=limit), max(due_s) + 0.001, record)

    def closed(
        self,
        requests: Requests,
        connections: int,
        window_s: float,
        users: Users | None = None,
    ) -> Recorder:
        """Ask again and again on each connection, and wait for all answers."""
        record = Recorder()
        judge = Judge(record, environment(self.told))
        asks = (self.loop, self.kept, self.timeout_s, record, requests, judge, users)
        return self._run(ClosedLoop(*asks, connections=connections), window_s, record)

    def each(self, *asked: Operation, window_s: float = 0.2) -> Recorder:
        """Ask for these one after another on one connection, again and again."""
        return self.closed(Ring([self.request(one) for one in asked]), 1, window_s)

    def _run(self, model: Measured, window_s: float, record: Recorder) -> Recorder:
        self.model = model
        self.loop.begin()
        at_work: list[Measured | Probe] = [model, *([self.probe] if self.probe else [])]
        for each in at_work:
            each.begin()
        self.started_ns = time.monotonic_ns()
        until_ns = self.started_ns + int(window_s * 1e9)
        for each in at_work:
            each.ask_from(self.started_ns, until_ns)
        self.loop.run(until_ns)
        given_up_ns = until_ns + int(2 * PATIENCE_S * 1e9)
        self.loop.run(given_up_ns, lambda: all(each.is_idle() for each in at_work))
        model.end()
        assert record.ledger().adds_up
        assert len(self.told) == record.attempted - record.ledger().undrained
        self.told.clear()
        return record


@contextmanager
def client(port: int, timeout_s: float = PATIENCE_S) -> Iterator[Client]:
    """Make a client, and close its connections."""
    made = Client(port, timeout_s)
    try:
        yield made
    finally:
        made.loop.close()
