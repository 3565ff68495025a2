"""Bases for strategies with a connection pool: SQLAlchemy's session, blocking or async."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from asyncdb_bench.contract.abandoning import GENERAL, Canceller, carried
from asyncdb_bench.contract.engine import (
    DISTRIBUTIONS,
    AsyncSessions,
    fill_async_pool,
    make_async_engine,
    open_sessions,
)
from asyncdb_bench.contract.knob import BUDGET, knob
from asyncdb_bench.contract.operation import Operation, Params, drive_apart, drive_parts
from asyncdb_bench.contract.strategy import Knobs, Strategy
from asyncdb_bench_attach.timing import Phases, current, hand_over, taken_back

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

    from sqlalchemy import Engine
    from sqlalchemy.ext.asyncio import AsyncEngine


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolKnobs(Knobs):
    """Knobs of a strategy with a connection pool of its own."""

    pool: int = knob(
        BUDGET, unit="connections", low=1, high=1000, help="size of the pool", split=True
    )


P = TypeVar("P", bound=PoolKnobs)


class PooledStrategy(Strategy[P]):
    """A strategy whose budget is the size of its pool; it names its driver."""

    Knobs = PoolKnobs
    driver: ClassVar[str]
    """``"asyncpg"`` or ``"psycopg"``."""
    libraries: ClassVar[tuple[str, ...]] = ("tornado", "sqlalchemy")
    """What it installs beside the driver, as pip reads it."""

    def __init_subclass__(cls, **options: Any) -> None:
        """Let `packages` follow from the driver, where the subclass does not say."""
        super().__init_subclass__(**options)
        if "driver" in vars(cls) and "packages" not in vars(cls):
            cls.packages = (*cls.libraries, DISTRIBUTIONS.get(cls.driver, cls.driver))

    @classmethod
    def budget(cls, knobs: P) -> int:
        """Return the pool's size."""
        return knobs.pool

    @classmethod
    def limits(cls, knobs: P) -> dict[str, int]:
        """Return the pool's size."""
        return {"connections": cls.budget(knobs)}


class EngineStrategy(PooledStrategy[P]):
    """A pooled strategy on a SQLAlchemy engine, blocking or async."""

    engine: Any = None
    sessions: Any = None
    """What runs operations, see :mod:`asyncdb_bench.contract.engine`; set by :meth:`open`."""

    @property
    def session(self) -> Any:
        """What makes sessions, for strategies that begin one themselves."""
        return self.sessions.usual

    def gauges(self) -> dict[str, float]:
        """Return how many connections of the pool are checked out."""
        pool: Any = self.engine.pool if self.engine is not None else None
        return {"pool_in_use": pool.checkedout()} if pool is not None else {}


class SessionStrategy(EngineStrategy[P]):
    """Blocking SQLAlchemy; a subclass writes :meth:`run`, which says where `execute` runs."""

    driver = "psycopg"
    engine: Engine | None = None

    async def open(self) -> None:
        """Connect the whole pool."""
        self.sessions = open_sessions(
            self.context.database_url,
            self.budget(self.knobs),
            self.context.timeout_s,
            self.knobs,
            self.driver,
        )
        self.engine = self.sessions.engine

    def execute(self, operation: Operation, params: Params) -> Any:
        """Run one operation in one session; blocks the calling thread."""
        return self.sessions.run(operation, params)

    async def close(self) -> None:
        """Close the pool."""
        if self.engine is not None:
            self.engine.dispose()


@dataclass(frozen=True, slots=True, kw_only=True)
class AsyncPoolKnobs(PoolKnobs):
    """Knobs of a strategy on SQLAlchemy's async pool."""

    fair: bool = knob(
        False, help="who waits for a connection has it in the order of arrival (not SQLAlchemy's)"
    )


class AsyncSessionStrategy(EngineStrategy[P]):
    """SQLAlchemy's `AsyncSession`; a subclass names its `driver` and is done."""

    Knobs = AsyncPoolKnobs
    abandons: ClassVar[tuple[str, ...]] = (*GENERAL, "cancel", "statement")

    libraries = ("tornado", "sqlalchemy[asyncio]")
    engine: AsyncEngine | None = None
    canceller: Canceller | None = None

    async def open(self) -> None:
        """Connect the whole pool."""
        url, timeout_s = self.context.database_url, self.context.timeout_s
        size, knobs = self.budget(self.knobs), self.knobs
        self.engine = make_async_engine(
            url,
            size,
            timeout_s,
            timed=knobs.timing > 0,
            driver=self.driver,
            isolation=knobs.isolation,
            fair=isinstance(knobs, AsyncPoolKnobs) and knobs.fair,
        )
        self.sessions = AsyncSessions(self.engine, autocommit=knobs.autocommit)
        if knobs.abandon == "query":
            self.canceller = Canceller(size)
        await fill_async_pool(self.engine, size)

    async def run(self, operation: Operation, params: Params) -> Any:
        """Run the operation in an async session."""
        if self.canceller is not None:
            return await self.canceller.run_async(self.sessions.run, operation, params)
        return await self.sessions.run(operation, params)

    async def close(self) -> None:
        """Close the pool."""
        if self.engine is not None:
            await self.engine.dispose()


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
    abandons: ClassVar[tuple[str, ...]] = (*GENERAL, "query", "statement")
    executor: ThreadPoolExecutor | None = None
    canceller: Canceller | None = None

    async def open(self) -> None:
        """Connect the pool and make the executor."""
        from concurrent.futures import ThreadPoolExecutor

        from tornado.concurrent import run_on_executor

        await super().open()
        self._given_up: list[Phases] = []
        self.executor = ThreadPoolExecutor(self.knobs.threads, thread_name_prefix=self.name)
        self._submit = run_on_executor(lambda _, call, *args: call(*args))
        if self.knobs.abandon == "query":
            self.canceller = Canceller(self.knobs.threads)

    async def submit(self, call: Callable[..., Any], *given: Any) -> Any:
        """Have a thread make a call, and await what it returns: Tornado's `run_on_executor`."""
        return await self._submit(self, call, *given)

    async def in_thread(self, operation: Operation, params: Params) -> Any:
        """Run an operation on a thread, or its parts on several, and note its phases."""
        if operation.independent and self.knobs.fanout == "threads":
            return await drive_apart(operation.steps(**params), self._read)
        if operation.pauses:
            steps = operation.steps(**params)
            return await drive_parts(lambda: self._handed(self.sessions.advance, operation, steps))
        return await self._handed(self.execute, operation, params)

    async def _handed(self, call: Callable[..., Any], *given: Any) -> Any:
        handed = hand_over(carried(call))
        try:
            if self.canceller is not None:
                return await self.canceller.run(self.submit, handed, *given)
            return await self.submit(handed, *given)
        except BaseException:
            if (phases := current.get()) is not None and not phases.ended:
                self._given_up.append(phases)
            raise
        finally:
            taken_back()

    async def _read(self, statement: Any) -> Any:
        return await self._handed(self.sessions.read, statement)

    async def close(self) -> None:
        """End the threads, then the pool."""
        if self.executor is not None:
            self.executor.shutdown(wait=True, cancel_futures=True)
        if self.canceller is not None:
            self.canceller.close()
        await super().close()

    def gauges(self) -> dict[str, float]:
        """Return the executor's hidden queue beside the pool in use."""
        if self.executor is None:
            return {}
        # nobody awaits these: they began, and have not ended
        self._given_up = [each for each in self._given_up if each.queue and not each.ended]
        # concurrent.futures tells the depth of its queue nowhere else
        queued = self.executor._work_queue.qsize()
        return super().gauges() | {"queue_depth": queued, "threads_abandoned": len(self._given_up)}

    @classmethod
    def budget(cls, knobs: T) -> int:
        """Return the pool's size."""
        return knobs.pool or knobs.threads

    @classmethod
    def limits(cls, knobs: T) -> dict[str, int]:
        """Return the pool's size and the threads."""
        return super().limits(knobs) | {"threads": knobs.threads}
