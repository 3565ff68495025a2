"""For queues that lie in PostgreSQL: a database of their own, and replies told by NOTIFY.

A database of their own, since statements, transactions and connections are counted in the other.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

from asyncdb_bench.contract.engine import connect_arguments, connection_target
from asyncdb_bench.contract.urls import name_beside
from asyncdb_bench.errors import UnavailableError

MAKING = 7_203_115
"""Key of the advisory lock that is held meanwhile, by worker or application, as they start."""
TABLE = "CREATE TABLE reply (key text PRIMARY KEY, reply text, made timestamptz DEFAULT now())"
STORE = (
    "WITH kept AS (INSERT INTO reply (key, reply) VALUES (%(key)s, %(reply)s) RETURNING key)"
    " SELECT pg_notify('reply', key) FROM kept"
)
"""What a worker sends with `key` and `reply`."""
TAKE = "DELETE FROM reply WHERE key = %(key)s RETURNING reply"
SWEEP = "DELETE FROM reply WHERE made < now() - interval '60 s'"
LOOK_S = 0.25


@asynccontextmanager
async def beside(url: str) -> AsyncIterator[tuple[dict[str, Any], bool]]:
    """Lend what psycopg connects by to a database beside another, to one process at a time.

    Parameters
    ----------
    url : of the other.

    Yields
    ------
    Keyword arguments of `connect`, and whether the database is new.

    Raises
    ------
    UnavailableError : a pooler in transaction mode lies between, which passes no NOTIFY on.
    """
    import psycopg

    target = connection_target(url)
    if target.pooled:
        raise UnavailableError("LISTEN needs a session of its own: leave via=pgbouncer out")
    given: dict[str, Any] = {**target.place, **connect_arguments("psycopg", target)}
    name = name_beside(given["dbname"])
    async with await psycopg.AsyncConnection.connect(**given, autocommit=True) as connection:
        await connection.execute("SELECT pg_advisory_lock(%s)", [MAKING])
        found = await connection.execute("SELECT FROM pg_database WHERE datname = %s", [name])
        new = await found.fetchone() is None
        if new:
            await connection.execute(
                psycopg.sql.SQL("CREATE DATABASE {}").format(psycopg.sql.Identifier(name))
            )
        yield given | {"dbname": name}, new


class Replies:
    """Hears of replies, and counts meanwhile what waits; on a connection of its own.

    Parameters
    ----------
    place : keyword arguments of psycopg's `connect`.
    depth : SQL that counts the tasks that wait.
    """

    def __init__(self, place: dict[str, Any], depth: str) -> None:
        self.place = place
        self.depth = depth
        self.waiting = 0
        self._futures: dict[str, asyncio.Future[None]] = {}
        self._listening = asyncio.Event()
        self._task = asyncio.create_task(self._listen())

    async def open(self, closing: contextlib.AsyncExitStack) -> Callable[[], int]:
        """Wait until it listens.

        Parameters
        ----------
        closing : on which it is closed.

        Returns
        -------
        What tells how many tasks wait.
        """
        closing.push_async_callback(self.close)
        await self._listening.wait()
        return lambda: self.waiting

    @contextlib.contextmanager
    def expecting(self, key: str) -> Iterator[asyncio.Future[None]]:
        """Lend the future that is done once there is a reply of this key."""
        future = self._futures[key] = asyncio.get_running_loop().create_future()
        try:
            yield future
        finally:
            del self._futures[key]

    async def close(self) -> None:
        """Disconnect."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _listen(self) -> None:
        import psycopg

        while True:
            try:
                async with await psycopg.AsyncConnection.connect(
                    **self.place, autocommit=True
                ) as connection:
                    await connection.execute("LISTEN reply")
                    self._listening.set()
                    await self._hear(connection)
            except psycopg.Error:
                await asyncio.sleep(LOOK_S)

    async def _hear(self, connection: Any) -> None:
        while True:
            async for told in connection.notifies(timeout=LOOK_S):
                future = self._futures.get(told.payload)
                if future is not None and not future.done():
                    future.set_result(None)
            await connection.execute(SWEEP)
            found = await connection.execute(self.depth)
            (self.waiting,) = await found.fetchone()
