"""What each value of `abandon` must hold, tried over HTTP on the application's own routes.

After requests that nobody waited for the database is idle within the time that is declared, each
connection is usable or gone, the pool is whole, and nobody gets another request's rows.
"""

from __future__ import annotations

import asyncio
import json
import random
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets

from asyncdb_bench.app.application import make_application
from asyncdb_bench.contract.abandoning import ENDS_S, ENDS_WORK, MORE_STATEMENTS
from asyncdb_bench.contract.route import REQUEST_TIMEOUT

if TYPE_CHECKING:
    from asyncdb_bench.contract.strategy import Strategy
    from asyncdb_bench.extensions.check.conformance import Subject

ABANDONED = 100
"""Requests that are left by their clients before the pool is looked at."""
AT_ONCE = 8
LEFT_WITHIN_S = 0.03
LEAVING = 2
LONG_S, SHORT_S = 12.0, 0.4
"""Queries that outlast the time that is declared, and that do not."""
OWN_MS = 300
PATIENCE_S = 20.0
OTHERS = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    " AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
)
BUSY = f"{OTHERS} AND state <> 'idle'"
ASLEEP = f"{OTHERS} AND wait_event = 'PgSleep'"
IN_TRANSACTION = f"{OTHERS} AND state LIKE 'idle in transaction%'"


@dataclass(frozen=True, slots=True)
class Asked:
    """A strategy behind the application's routes, in this process."""

    bench: Subject
    strategy: Strategy[Any]
    port: int

    @property
    def ends_work(self) -> bool:
        """Whether it declares that abandoned queries end."""
        return self.strategy.knobs.abandon in ENDS_WORK

    async def sent(
        self, name: str, params: dict[str, Any], timeout_ms: int = 0
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Send a request and return its connection."""
        body = json.dumps(params)
        own = f"{REQUEST_TIMEOUT}: {timeout_ms}\r\n" if timeout_ms else ""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(
            f"POST /op/{name} HTTP/1.1\r\nHost: check\r\nConnection: close\r\n{own}"
            f"Content-Length: {len(body)}\r\n\r\n{body}".encode()
        )
        return reader, writer

    async def answer(
        self, name: str, params: dict[str, Any], timeout_ms: int = 0
    ) -> tuple[int, Any]:
        """Return status and body of an answer."""
        reader, writer = await self.sent(name, params, timeout_ms)
        try:
            head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        finally:
            writer.close()
        return int(head.split()[1]), json.loads(body)

    async def left(self, name: str, params: dict[str, Any], after_s: float) -> None:
        """Send a request and close its connection."""
        _, writer = await self.sent(name, params)
        await asyncio.sleep(after_s)
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()

    async def count(self, sql: str) -> int:
        """Return a count from the database, beside the loop."""
        return int(await asyncio.to_thread(self.bench.value, sql))

    async def comes(self, sql: str, right: Callable[[int], bool], seconds: float) -> int | None:
        """Return the first count that is wrong until it is right; None: it became so in time."""
        until = time.monotonic() + seconds
        while not right(found := await self.count(sql)):
            if time.monotonic() > until:
                return found
            await asyncio.sleep(0.02)
        return None

    async def most_at_once(self) -> int:
        """Return how many requests are seen in the database at once, of as many as it may have."""
        params = {"account": 1, "seconds": SHORT_S}
        work = asyncio.gather(
            *(self.answer("slow", params) for _ in range(self.bench.variant.budget))
        )
        ended = threading.Event()
        counted = asyncio.create_task(asyncio.to_thread(self._most_until, ended))
        try:
            answers = await work
        finally:
            ended.set()
            most = await counted
        for status, body in answers:
            _require(status == 200, f"a request was answered by {status}: {body}")
        return most

    def _most_until(self, ended: threading.Event) -> int:
        """Count on a thread: the strategy may hold the loop."""
        most = 0
        while not ended.wait(0.02):
            most = max(most, int(self.bench.value(BUSY)))
        return most


@asynccontextmanager
async def asked(bench: Subject, strategy: Strategy[Any], timeout_s: float) -> AsyncIterator[Asked]:
    """Serve a strategy that is open, meanwhile."""
    server = HTTPServer(make_application(strategy, bench.operations, timeout_s))
    sockets = bind_sockets(0, "127.0.0.1")
    server.add_sockets(sockets)
    try:
        yield Asked(bench, strategy, sockets[0].getsockname()[1])
    finally:
        server.stop()
        await server.close_all_connections()


async def abandons(
    bench: Subject, strategy: Strategy[Any], timeout_s: float, times: int = ABANDONED
) -> None:
    """Abandon requests of a strategy that is open and see what stays of them.

    Parameters
    ----------
    timeout_s : the application's own time-out.
    times : how many requests their clients leave.

    Raises
    ------
    NonconformityError : something does.
    """
    async with asked(bench, strategy, timeout_s) as app:
        before = await app.most_at_once()
        await _sends_what_it_declares(app)
        await _ends_in_time(app, min(LEAVING, before))
        await _times_out(app)
        draw = random.Random(1)
        for _ in range(0, times, AT_ONCE):
            await asyncio.gather(*(_left_somewhere(app, draw) for _ in range(AT_ONCE)))
            await _right_rows(app)
        await _idle(app, PATIENCE_S)
        stuck = await app.count(IN_TRANSACTION)
        _require(not stuck, f"{stuck} connections stay in a transaction")
        after = max([await app.most_at_once() for _ in range(2)])
        _require(
            after >= before,
            f"after {times} requests whose clients left {after} run at once, {before} did before:"
            " the pool is not whole",
        )
        connections = await app.comes(OTHERS, lambda n: n <= bench.variant.budget, ENDS_S)
        _require(
            connections is None,
            f"{connections} connections are open, {bench.variant.budget} declared",
        )


async def _sends_what_it_declares(app: Asked) -> None:
    """Send so many statements beside the operation's as are declared, where they are counted."""
    from asyncdb_bench.extensions.check.conformance import BESIDE, uncounted

    if uncounted(app.bench.database):
        return
    before = await app.count(BESIDE)
    for _ in range(3):
        await app.answer("read", {"account": 3})
    sent = await app.count(BESIDE) - before
    declared = 3 * MORE_STATEMENTS.get(app.strategy.knobs.abandon, 0)
    _require(
        sent == declared, f"3 x read sent {sent} statements beside its own, {declared} declared"
    )


async def _ends_in_time(app: Asked, at_once: int) -> None:
    """Have clients leave while their queries run.

    Not sooner: a driver's cancel request may overtake the query, which then runs to its end
    (``findings/cancel_overtakes_query.sh``).
    """
    server_ends = app.strategy.knobs.abandon == "statement"
    seconds = LONG_S if app.ends_work and not server_ends else SHORT_S
    params = {"account": 1, "seconds": seconds}
    clients = await asyncio.gather(*(app.sent("slow", params) for _ in range(LEAVING)))
    await app.comes(ASLEEP, lambda n: n >= at_once, PATIENCE_S if app.ends_work else SHORT_S)
    for _, writer in clients:
        writer.close()
    await _idle(app, ENDS_S if app.ends_work else PATIENCE_S)


async def _times_out(app: Asked) -> None:
    """Have the application give a request up."""
    seconds = LONG_S if app.ends_work else SHORT_S + OWN_MS / 1000
    status, body = await app.answer("slow", {"account": 2, "seconds": seconds}, OWN_MS)
    usual = {504} if app.ends_work else {200, 504}
    _require(status in usual, f"a request of {OWN_MS} ms was answered by {status}: {body}")
    await _idle(app, ENDS_S if app.ends_work else PATIENCE_S)


async def _idle(app: Asked, seconds: float) -> None:
    busy = await app.comes(BUSY, lambda n: n == 0, seconds)
    _require(
        busy is None,
        f"{busy} connections still work {seconds:g} s after nobody waits for them any more",
    )


async def _left_somewhere(app: Asked, draw: random.Random) -> None:
    """Leave a request at any moment: before its query, in it, in the commit, after it."""
    name, params = draw.choice(
        (
            ("slow", {"account": draw.randint(500, 600), "seconds": 0.01}),
            ("write", {"counter": draw.randint(1, 9), "amount": 1}),
            ("several", {"account": draw.randint(500, 600), "queries": 3, "seconds": 0.002}),
        )
    )
    await app.left(name, params, draw.uniform(0, LEFT_WITHIN_S))


async def _right_rows(app: Asked) -> None:
    """Ask for a row each, and see that each gets its own."""
    params = [{"account": each} for each in range(1, app.bench.variant.budget + 1)]
    answers = await asyncio.gather(*(app.answer("read", each) for each in params))
    check = app.bench.operations["read"].check
    for each, (status, body) in zip(params, answers, strict=True):
        _require(status == 200, f"the next request was answered by {status}: {body}")
        _require(check(each, body), f"read({each['account']}) was answered by {body}: another's")


def _require(condition: bool, text: str) -> None:
    from asyncdb_bench.extensions.check.conformance import require

    require(condition, text)
