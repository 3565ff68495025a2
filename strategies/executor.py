"""`executor`: Tornado's `run_on_executor` over a thread pool."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from asyncdb_bench.knob import BUDGET, knob
from asyncdb_bench.operation import Operation, Params
from asyncdb_bench.phases import hand_over, taken_back
from asyncdb_bench.session import PoolKnobs, SessionStrategy

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutorKnobs(PoolKnobs):
    """`threads` alone sets the pool too: a thread without a connection would only wait."""

    threads: int = knob(
        BUDGET, unit="threads", low=1, high=1000, help="size of the executor", split=True
    )
    pool: int = knob(
        0, unit="connections", low=0, high=1000, help="size of the pool; 0: threads", split=True
    )


class Executor(SessionStrategy[ExecutorKnobs]):
    """The way that the author of 2017 chose, with four threads."""

    name = "executor"
    summary = "sync SQLAlchemy on psycopg in a ThreadPoolExecutor (run_on_executor)"
    Knobs = ExecutorKnobs
    executor: ThreadPoolExecutor | None = None

    async def open(self) -> None:
        """Connect the pool and make the executor."""
        from concurrent.futures import ThreadPoolExecutor

        from tornado.concurrent import run_on_executor

        await super().open()
        self.executor = ThreadPoolExecutor(self.knobs.threads, thread_name_prefix="executor")
        self.in_thread = run_on_executor(lambda _, call, *args: call(*args))

    async def run(self, operation: Operation, params: Params) -> dict[str, Any]:
        """Run the operation on a thread and await its future."""
        call = hand_over(self.execute)
        try:
            answer: dict[str, Any] = await self.in_thread(self, call, operation, params)
        finally:
            taken_back()
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
        return super().gauges() | {"queue_depth": self.executor._work_queue.qsize()}

    @classmethod
    def budget(cls, knobs: ExecutorKnobs) -> int:
        """Return the pool's size."""
        return knobs.pool or knobs.threads

    @classmethod
    def limits(cls, knobs: ExecutorKnobs) -> dict[str, int]:
        """Return the pool's size and the threads."""
        return super().limits(knobs) | {"threads": knobs.threads}
