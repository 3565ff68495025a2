"""A base for strategies that run a blocking session on a pool of threads."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from asyncdb_bench.contract.knob import BUDGET, knob
from asyncdb_bench.contract.operation import Operation, Params, Pause, Steps, drive_async
from asyncdb_bench.contract.session_strategies import PoolKnobs, SessionStrategy
from asyncdb_bench.contract.together import together
from asyncdb_bench_attach.timing import hand_over, taken_back

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor


@dataclass(frozen=True, slots=True, kw_only=True)
class ThreadKnobs(PoolKnobs):
    """`threads` alone sets the pool too: a thread without a connection would only wait."""

    threads: int = knob(
        BUDGET, unit="threads", low=1, high=1000, help="size of the executor", split=True
    )
    pool: int = knob(
        0, unit="connections", low=0, high=1000, help="size of the pool; 0: threads", split=True
    )
    fanout: str = knob(
        "threads",
        choices=("threads", "one"),
        help="independent reads of a request: on a thread each, or one after another on one",
    )


T = TypeVar("T", bound=ThreadKnobs)


class ThreadStrategy(SessionStrategy[T]):
    """A session per request on one of `threads` threads; a subclass writes :meth:`run`."""

    Knobs = ThreadKnobs
    executor: ThreadPoolExecutor | None = None

    async def open(self) -> None:
        """Connect the pool and make the executor."""
        from concurrent.futures import ThreadPoolExecutor

        from tornado.concurrent import run_on_executor

        await super().open()
        self.executor = ThreadPoolExecutor(self.knobs.threads, thread_name_prefix=self.name)
        self._submit = run_on_executor(lambda _, call, *args: call(*args))

    async def submit(self, call: Callable[..., Any], *given: Any) -> Any:
        """Have a thread make a call, and await what it returns: Tornado's `run_on_executor`."""
        return await self._submit(self, call, *given)

    async def in_thread(self, operation: Operation, params: Params) -> Any:
        """Run an operation on a thread, or its parts on several, and note its phases."""
        if operation.independent and self.knobs.fanout == "threads":
            steps = operation.steps(**params)
            return await drive_async(steps, self._read, at_once=self._at_once)
        if operation.pauses:
            return await self._in_parts(operation, operation.steps(**params))
        answer: Any = await self._handed(self.execute, operation, params)
        return answer

    async def _handed(self, call: Callable[..., Any], *given: Any) -> Any:
        handed = hand_over(call)
        try:
            return await self.submit(handed, *given)
        finally:
            taken_back()

    async def _read(self, statement: Any) -> Any:
        return await self._handed(self.sessions.read, statement)

    async def _at_once(self, statements: tuple[Any, ...]) -> list[Any]:
        return await together(self._read(each) for each in statements)

    async def _in_parts(self, operation: Operation, steps: Steps) -> Any:
        """Give the thread back where the connection is, and go on on another."""
        while isinstance(
            came := await self._handed(self.sessions.advance, operation, steps), Pause
        ):
            await asyncio.sleep(came.seconds)
        answer: Any = came
        return answer

    async def close(self) -> None:
        """End the threads, then the pool."""
        if self.executor is not None:
            self.executor.shutdown(wait=True, cancel_futures=True)
        await super().close()

    def gauges(self) -> dict[str, float]:
        """Return the executor's hidden queue beside the pool in use."""
        if self.executor is None:
            return {}
        # concurrent.futures tells the depth of its queue nowhere else
        return super().gauges() | {"queue_depth": self.executor._work_queue.qsize()}

    @classmethod
    def budget(cls, knobs: T) -> int:
        """Return the pool's size."""
        return knobs.pool or knobs.threads

    @classmethod
    def limits(cls, knobs: T) -> dict[str, int]:
        """Return the pool's size and the threads."""
        return super().limits(knobs) | {"threads": knobs.threads}
