"""What becomes of a request's work in the database when nobody waits for its answer any more.

The knob ``abandon`` chooses; a strategy names in `abandons` what it can. Here is what works where
the database is asked: a time-out that the server keeps, and a query that is cancelled from outside.
What works before a strategy is asked is in :mod:`asyncdb_bench.app.admission`.
"""

from __future__ import annotations

import math
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from contextlib import suppress
from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING, Any

from asyncdb_bench.errors import RequestTimeoutError

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

WHY_NOT = {
    "cancel": "what a thread, a process or a worker does goes on when the handler is cancelled, and"
    " a loop that waits for the database hears of nothing",
    "query": "it has no connection of psycopg's on which something else than its user could cancel"
    " the query: asyncpg's cancels with the task (abandon=cancel)",
    "statement": "it has no session that could set statement_timeout for the transaction",
    "wait": "no request waits in the application: the loop serves one at a time",
    "refuse": "no request waits in the application: the loop serves one at a time",
    "expire": "it sends no messages that could expire",
}
"""Why a strategy that does not name a choice in its `abandons` cannot do it."""
CHOICES = ("run", *WHY_NOT)
GENERAL = ("run", "wait", "refuse")
"""What the application does by itself, before it asks a strategy that leaves the loop free."""
ENDS_WORK = frozenset({"cancel", "query", "statement"})
ENDS_S = 5.0
"""After so long at most, seconds, no query of an abandoned request runs, with one of these."""

MORE_STATEMENTS = {"statement": 1}
"""What a choice sends in each transaction beside the operation's statements."""

deadline: ContextVar[float] = ContextVar("deadline", default=math.inf)
"""When this request's time is over, on :func:`time.monotonic`, where its strategy looks at it."""
bound: ContextVar[Bound | AsyncBound | None] = ContextVar("bound", default=None)
"""What bounds this request's statements; None: nothing does."""


def rest_s(timeout_s: float) -> float:
    """Return the seconds that this request has left, `timeout_s` at most; never less than 1 ms."""
    return max(0.001, min(timeout_s, deadline.get() - time.monotonic()))


class Bound(ABC):
    """Bounds the statements of one request in a blocking session."""

    @abstractmethod
    def execute(self, session: Any, statement: Any) -> Any:
        """Run a statement."""


class AsyncBound(ABC):
    """Bounds the statements of one request in an async session."""

    @abstractmethod
    async def execute_async(self, session: Any, statement: Any) -> Any:
        """Run a statement."""


LEAST_MS = 10
"""Where less is left the database is not asked: COMMIT has the same time-out as each statement, and
one that fails leaves its transaction to who has the connection next
(``findings/sqlalchemy_commit_cancelled.sh``)."""


class Deadline(Bound, AsyncBound):
    """The server ends each statement that runs beyond a request's time.

    One statement more in each transaction, with a round trip of its own.

    Parameters
    ----------
    at_s : when that time is over, on :func:`time.monotonic`.
    """

    def __init__(self, at_s: float) -> None:
        self.at_s = at_s

    def setting(self) -> Any:
        """Return what is sent first: SET LOCAL as a query, so that it is prepared once; no rows.

        Raises
        ------
        RequestTimeoutError : hardly any time is left.
        """
        from asyncdb_bench.contract.raw_result import sql

        left_ms = math.ceil((self.at_s - time.monotonic()) * 1000)
        if left_ms < LEAST_MS:
            raise RequestTimeoutError("its time was over before the database was asked")
        return sql(
            "SELECT 1 FROM set_config('statement_timeout', :ms, true) AS was WHERE was IS NULL",
            ms=str(left_ms),
        )

    def execute(self, session: Any, statement: Any) -> Any:
        """Run a statement; the first of a transaction follows the setting."""
        if not session.in_transaction():
            session.execute(self.setting())
        return session.execute(statement)

    async def execute_async(self, session: Any, statement: Any) -> Any:
        """Likewise."""
        if not session.in_transaction():
            await session.execute(self.setting())
        return await session.execute(statement)


class AbandonedError(Exception):
    """Ends the work of an abandoned request between two of its statements."""


class Cancellable(Bound):
    """The statements of one request, on a thread, which another thread may cancel.

    A cancel request is sent while a statement runs, and the thread does not go on before it was
    taken: so it meets no COMMIT, and no statement of who has the connection next.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._connection: Any = None
        self._abandoned = False

    def execute(self, session: Any, statement: Any) -> Any:
        """Run a statement, unless the request was abandoned.

        Raises
        ------
        AbandonedError : it was.
        """
        # taken from the pool before: an error within the pool's own events costs the connection
        connection = session.connection().connection.driver_connection
        with self._changed:
            if self._abandoned:
                raise AbandonedError
            self._connection = connection
        try:
            return session.execute(statement)
        finally:
            with self._changed:
                self._connection = None
                self._changed.notify_all()

    def abandon(self) -> bool:
        """Let no further statement begin; return whether one runs."""
        with self._changed:
            self._abandoned = True
            return self._connection is not None

    def cancel(self, patience_s: float) -> bool:
        """Send a cancel request where a statement runs; return whether none does any more.

        Parameters
        ----------
        patience_s : how long to wait for its end.

        Raises
        ------
        psycopg.Error : the request was not taken.
        """
        with self._changed:
            if self._connection is None:
                return True
            self._connection.cancel_safe(timeout=CANCEL_S)
            return self._changed.wait_for(lambda: self._connection is None, patience_s)


class AsyncCancellable(AsyncBound):
    """Likewise on the loop, for psycopg: the task is left to end, so the connection is kept."""

    def __init__(self) -> None:
        import asyncio

        # several, where reads run at once
        self._connections: set[Any] = set()
        self._abandoned = False
        self._cancelling = asyncio.Lock()
        self._idle = asyncio.Event()

    async def execute_async(self, session: Any, statement: Any) -> Any:
        """Run a statement, unless the request was abandoned.

        Raises
        ------
        AbandonedError : it was.
        """
        checked_out = await session.connection()
        if self._abandoned:
            raise AbandonedError
        connection = checked_out.sync_connection.connection.driver_connection
        self._connections.add(connection)
        self._idle.clear()
        try:
            return await session.execute(statement)
        finally:
            self._connections.discard(connection)
            if not self._connections:
                self._idle.set()
            async with self._cancelling:
                # a request that is on its way meets nothing else
                pass

    async def cancel(self, tell: Callable[[str], None]) -> None:
        """Let no further statement begin, and cancel the one that runs.

        Parameters
        ----------
        tell : what is called with the reason where it runs on.
        """
        import asyncio

        self._abandoned = True
        for patience_s in PATIENCES_S:
            async with self._cancelling:
                if not self._connections:
                    return
                try:
                    for each in list(self._connections):
                        await each.cancel_safe(timeout=CANCEL_S)
                except Exception as error:
                    tell(str(error).strip() or type(error).__name__)
                    return
            with suppress(TimeoutError):
                await asyncio.wait_for(self._idle.wait(), patience_s)
                return
        tell(RUNS_ON)


CANCEL_S = 5.0
RUNS_ON = "it runs on"
PATIENCES_S = (0.05, 0.1, 0.25, 0.6)
"""A request that comes before its statement does nothing: it is sent again after these."""


class Canceller:
    """Cancels the queries of abandoned requests in the database, on threads of its own.

    Parameters
    ----------
    most : how many at once.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._threads: ThreadPoolExecutor | None = None
        self._under_way: set[Any] = set()
        self.failed = 0

    async def run(
        self, submit: Callable[..., Awaitable[Any]], call: Callable[..., Any], *given: Any
    ) -> Any:
        """Have a thread make a call, and cancel its query where nobody awaits it any more.

        Parameters
        ----------
        submit : hands a call to a thread and returns what it returns.
        call, given : what to call.
        """
        work = Cancellable()
        try:
            return await submit(partial(_under, work, call), *given)
        except BaseException:
            if work.abandon():
                self._pool().submit(self._cancel, work)
            raise

    async def run_async(self, call: Callable[..., Awaitable[Any]], *given: Any) -> Any:
        """Await a call that works in an async session, likewise."""
        import asyncio

        work = AsyncCancellable()
        bound.set(work)
        task = asyncio.ensure_future(call(*given))
        # who was answered long ago is not told how it ended
        task.add_done_callback(lambda done: done.cancelled() or done.exception())
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            cancelling = asyncio.ensure_future(work.cancel(self._tell))
            self._under_way.add(cancelling)
            cancelling.add_done_callback(self._under_way.discard)
            raise

    def close(self) -> None:
        """End the threads."""
        if self._threads is not None:
            self._threads.shutdown(wait=True)

    def _pool(self) -> ThreadPoolExecutor:
        from concurrent.futures import ThreadPoolExecutor

        if self._threads is None:
            self._threads = ThreadPoolExecutor(self._most, thread_name_prefix="cancel")
        return self._threads

    def _cancel(self, work: Cancellable) -> None:
        why = RUNS_ON
        try:
            if any(work.cancel(each) for each in PATIENCES_S):
                return
        except Exception as error:
            why = str(error).strip() or type(error).__name__
        self._tell(why)

    def _tell(self, why: str) -> None:
        """Say that cancelling failed: at the first time, the tenth, the hundredth and so on."""
        import logging

        self.failed += 1
        if 10 ** round(math.log10(self.failed)) == self.failed:
            logging.getLogger(__name__).warning(
                "abandon=query: %d queries of abandoned requests were not cancelled in the"
                " database, by the latest: %s; does a pooler between forbid it?",
                self.failed,
                why,
            )


def carried(call: Callable[..., Any]) -> Callable[..., Any]:
    """Return a call that is bound on another thread as it would be here."""
    within = bound.get()
    return call if within is None else partial(_under, within, call)


def _under(within: Bound | AsyncBound, call: Callable[..., Any], *given: Any) -> Any:
    token = bound.set(within)
    try:
        return call(*given)
    finally:
        bound.reset(token)


def executing(session: Any) -> Callable[[Any], Any]:
    """Return what runs a statement in a blocking session, bound as this request is."""
    within = bound.get()
    return partial(within.execute, session) if isinstance(within, Bound) else session.execute


def executing_async(session: Any) -> Callable[[Any], Awaitable[Any]]:
    """Return what runs a statement in an async session, bound as this request is."""
    within = bound.get()
    return (
        partial(within.execute_async, session)
        if isinstance(within, AsyncBound)
        else session.execute
    )
