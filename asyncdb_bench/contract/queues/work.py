"""What a worker does with a task, whichever library brought it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self

import msgspec

from asyncdb_bench.contract.engine import (
    AsyncSessions,
    fill_async_pool,
    make_async_engine,
    open_sessions,
)
from asyncdb_bench.contract.operation import Operation, Params
from asyncdb_bench.contract.queues.texts import Task, answer_text, error_text
from asyncdb_bench.contract.route import portable
from asyncdb_bench.contract.strategy import Knobs
from asyncdb_bench.errors import UnavailableError
from asyncdb_bench_attach.timing import Phases, current, report


class Running:
    """A task from the moment that it came until its reply; its errors become the reply, too."""

    def __init__(self, text: str, operations: Mapping[str, Operation]) -> None:
        self.received_ns = time.monotonic_ns()
        self.task = msgspec.json.decode(text, type=Task)
        self.operations = operations
        self.phases = Phases() if self.task.timed else None
        self.answer: Any = None
        self.reply = ""

    def __enter__(self) -> Self:
        self._token = current.set(self.phases)
        return self

    def __exit__(
        self, _: object, error: BaseException | None, _trace: TracebackType | None
    ) -> bool:
        current.reset(self._token)
        if isinstance(error, Exception):
            self.reply = error_text(error)
        elif error is None:
            stamps = self.task.published_ns, self.received_ns
            told = report(self.phases, *stamps) if self.phases else None
            self.reply = answer_text(portable(self.answer), told)
        return isinstance(error, Exception)

    def asked(self) -> tuple[Operation, Params]:
        """Return the operation and its parameters.

        Raises
        ------
        UnavailableError : nobody waits for it any more, or there is no such operation.
        """
        if time.time() > self.task.deadline:
            raise UnavailableError("abandoned: nobody waits for it any more")
        operation = self.operations.get(self.task.name)
        if operation is None:
            raise UnavailableError(f"no operation {self.task.name!r} in this worker's scenario")
        return operation, operation.typed(self.task.params)


class AsyncWork:
    """Runs tasks on the worker's loop, each in an `AsyncSession` on asyncpg.

    Parameters
    ----------
    operations : by name.
    """

    def __init__(self, operations: Mapping[str, Operation]) -> None:
        self.operations = operations

    async def open(self, url: str, pool: int, timeout_s: float, knobs: Knobs) -> None:
        """Connect; parameters as :func:`open_sessions`."""
        timed, isolation = knobs.timing > 0, knobs.isolation
        engine = make_async_engine(url, pool, timeout_s, timed=timed, isolation=isolation)
        await fill_async_pool(engine, pool)
        self.sessions = AsyncSessions(engine, autocommit=knobs.autocommit)

    def runner(self) -> Callable[[str], Any]:
        """Return the coroutine function that runs a task and returns its reply."""

        async def run(text: str) -> str:
            with Running(text, self.operations) as running:
                running.answer = await self.sessions.run(*running.asked())
            return running.reply

        return run


class BlockingWork:
    """Runs tasks on threads, each in a `Session` on psycopg; as :class:`AsyncWork`."""

    def __init__(self, operations: Mapping[str, Operation]) -> None:
        self.operations = operations

    async def open(self, url: str, pool: int, timeout_s: float, knobs: Knobs) -> None:
        """Connect."""
        self.sessions = open_sessions(url, pool, timeout_s, knobs)

    def runner(self) -> Callable[[str], Any]:
        """Return the function that does."""

        def run(text: str) -> str:
            with Running(text, self.operations) as running:
                running.answer = self.sessions.run(*running.asked())
            return running.reply

        return run
