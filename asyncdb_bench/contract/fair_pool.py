"""A pool of SQLAlchemy's that is served in order; imported by who asks for it alone.

SQLAlchemy's `AsyncAdaptedQueue` takes a connection that is free before it looks for who waits, and
`asyncio.Queue.get` puts a waiter that was woken in vain at the end of the line: under load
newcomers overtake, again and again, and some wait for seconds (docs/native-tail.md has the
evidence). A semaphore of asyncio is served in order.
"""

from __future__ import annotations

import asyncio
from typing import Any

from sqlalchemy import exc
from sqlalchemy.pool import AsyncAdaptedQueuePool, ConnectionPoolEntry

# the name that 2.0 has, too, of what 2.1 calls await_
from sqlalchemy.util.concurrency import await_only


class FairAsyncPool(AsyncAdaptedQueuePool):
    """SQLAlchemy's usual async pool; whoever waits for a connection has it in order of arrival."""

    def __init__(self, creator: Any, **options: Any) -> None:
        super().__init__(creator, **options)
        self._turns = asyncio.Semaphore(self.size())

    def _do_get(self) -> ConnectionPoolEntry:
        await_only(self._turn())
        try:
            return super()._do_get()
        except BaseException:
            self._turns.release()
            raise

    def _do_return_conn(self, record: ConnectionPoolEntry) -> None:
        super()._do_return_conn(record)
        self._turns.release()

    async def _turn(self) -> None:
        try:
            async with asyncio.timeout(self.timeout()):
                await self._turns.acquire()
        except TimeoutError:
            raise exc.TimeoutError(f"none came free in {self.timeout():g} s") from None
