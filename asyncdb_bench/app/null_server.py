"""A server that does nothing, after a known delay: ``python -m asyncdb_bench.app.null_server``.

What the client is calibrated against: it answers the operation ``read`` from the account's number,
without a database. Delays are drawn beforehand from a seed, so the client's report can be held
against them. Its configuration is the first line of standard input.
"""

from __future__ import annotations

import asyncio
import heapq
import re
import time
from collections.abc import Callable
from typing import cast

import numpy as np
from numpy.typing import NDArray

from asyncdb_bench.contract.data.accounts import balance_of
from asyncdb_bench.records.messages import (
    Anew,
    NullConfig,
    Ready,
    answer_marks,
    decoded_config,
    read_line,
    say,
)
from asyncdb_bench.timerfd import TimerFd

ACCOUNT = re.compile(rb'"account":\s*(\d+)')
TAIL_FACTOR = 10


def draw(config: NullConfig) -> NDArray[np.float64]:
    """Return the delays in the order in which requests meet them, milliseconds."""
    rng = np.random.default_rng(1)
    if config.kind == "uniform":
        return rng.uniform(0.5 * config.ms, 1.5 * config.ms, config.count)
    delays = np.full(config.count, config.ms)
    if config.kind == "tail":
        delays[rng.permutation(config.count)[: round(config.count / 100)]] *= TAIL_FACTOR
    return delays


class Later:
    """Calls things at a given nanosecond, on a timer that is exact."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._timer = TimerFd()
        self._due: list[tuple[int, int, Callable[[], None]]] = []
        self._count = 0
        if self._timer.fd >= 0:
            loop.add_reader(self._timer.fd, self._go)

    def call(self, at_ns: int, what: Callable[[], None]) -> None:
        """Call `what` when CLOCK_MONOTONIC reads `at_ns`."""
        if self._timer.fd < 0:
            self._loop.call_later((at_ns - time.monotonic_ns()) / 1e9, what)
            return
        self._count += 1
        heapq.heappush(self._due, (at_ns, self._count, what))
        if self._due[0][1] == self._count:
            self._timer.set(at_ns)

    def _go(self) -> None:
        self._timer.clear()
        try:
            while self._due and self._due[0][0] <= time.monotonic_ns():
                heapq.heappop(self._due)[2]()
        finally:
            if self._due:
                self._timer.set(self._due[0][0])


class AnswerProtocol(asyncio.Protocol):
    """One answer for each request; requests do not come in pieces from our clients."""

    later: Later
    delays_ns: list[int]
    served = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        # uvloop's transports do not inherit from asyncio's
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """AnswerProtocol, now or later."""
        came_ns = time.monotonic_ns()
        found = ACCOUNT.search(data)
        account = int(found.group(1)) if found else 1
        body = b'{"id":%d,"balance":%d}' % (account, balance_of(account))
        answer = (
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
            % (len(body), body)
        )
        if found is None or not self.delays_ns:
            self.transport.write(answer)
            return
        cls = type(self)
        delay = cls.delays_ns[cls.served % len(cls.delays_ns)]
        cls.served += 1
        self.later.call(came_ns + delay, lambda: self._answer(answer))

    def _answer(self, answer: bytes) -> None:
        # a client may have gone before its time
        if not self.transport.is_closing():
            self.transport.write(answer)


def begin_anew() -> Anew:
    """Draw the delays from the start again: a new step."""
    AnswerProtocol.served = 0
    return Anew()


async def serve(config: NullConfig) -> None:
    """Serve until the parent ends standard input."""
    loop = asyncio.get_running_loop()
    AnswerProtocol.later = Later(loop)
    AnswerProtocol.delays_ns = (draw(config) * 1e6).astype(int).tolist() if config.ms > 0 else []
    stop = asyncio.Event()
    server = await loop.create_server(AnswerProtocol, "127.0.0.1", 0, backlog=4096)
    answer_marks(begin_anew, stop.set)
    say(Ready(port=server.sockets[0].getsockname()[1]))
    await stop.wait()


def main() -> None:
    """Read the configuration and serve."""
    import uvloop

    config = decoded_config(read_line(), NullConfig)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(config))


if __name__ == "__main__":
    main()
