"""A pool of async connections whose waiters are served in the order in which they came.

SQLAlchemy's `AsyncAdaptedQueue` takes a connection that is free before it looks for who waits, and
`asyncio.Queue.get` puts a waiter that was woken in vain at the end of the line: under load
newcomers overtake, again and again, and some wait for seconds (docs/native-tail.md has the
evidence). Here a connection that is given back goes to the first waiter itself, so that no one can
take it meanwhile.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

from sqlalchemy.pool import AsyncAdaptedQueuePool
from sqlalchemy.util.concurrency import await_
from sqlalchemy.util.queue import AsyncAdaptedQueue, Empty, Full


class FairQueue(AsyncAdaptedQueue[Any]):
    """First come, first served; parameters as of :class:`AsyncAdaptedQueue`."""

    def __init__(self, maxsize: int = 0, use_lifo: bool = False) -> None:
        super().__init__(maxsize, use_lifo)
        self._free: deque[Any] = deque()
        self._waiters: deque[asyncio.Future[Any]] = deque()

    def empty(self) -> bool:
        """Return whether no connection is free."""
        return not self._free

    def full(self) -> bool:
        """Return whether there is no room."""
        return 0 < self.maxsize <= len(self._free)

    def qsize(self) -> int:
        """Return how many are free."""
        return len(self._free)

    def put_nowait(self, item: Any) -> None:
        """Hand a connection to the first waiter, or keep it.

        Raises
        ------
        Full : there is no room.
        """
        while self._waiters:
            first = self._waiters.popleft()
            if not first.done():
                first.set_result(item)
                return
        if self.full():
            raise Full
        self._free.append(item)

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        """Likewise: a pool never gives back more than it holds."""
        self.put_nowait(item)

    def get_nowait(self) -> Any:
        """Return a free connection, unless somebody waits for it.

        Raises
        ------
        Empty : none is free.
        """
        if not self._free or any(not each.done() for each in self._waiters):
            raise Empty
        return self._free.pop() if self.use_lifo else self._free.popleft()

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """Return a connection, once it is our turn.

        Raises
        ------
        Empty : none became free in time.
        """
        try:
            return self.get_nowait()
        except Empty:
            if not block:
                raise
        return await_(self._turn(timeout))

    async def _turn(self, timeout: float | None) -> Any:
        mine: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiters.append(mine)
        try:
            async with asyncio.timeout(timeout):
                return await mine
        except TimeoutError:
            self._return(mine)
            raise Empty from None
        except asyncio.CancelledError:
            self._return(mine)
            raise

    def _return(self, mine: asyncio.Future[Any]) -> None:
        """Pass on what was handed over to someone who has gone."""
        if mine.done() and not mine.cancelled():
            self.put_nowait(mine.result())
        else:
            mine.cancel()


class FairAsyncPool(AsyncAdaptedQueuePool):
    """A pool on :class:`FairQueue`."""

    _queue_class = FairQueue
