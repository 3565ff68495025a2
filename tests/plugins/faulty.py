"""Strategies with one fault each, which the conformance suite must find; a careless scenario."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from asyncdb_bench import (
    AsyncSessions,
    AsyncSessionStrategy,
    DriverStrategy,
    Objective,
    Operation,
    Params,
    PoolKnobs,
    SessionStrategy,
    StandardKnobs,
    StandardScenario,
    Workload,
    make_async_engine,
)
from asyncdb_bench.contract.operation import operation as operation_of
from strategies.asyncpg_raw import AsyncpgRaw


class Silent(AsyncSessionStrategy[PoolKnobs]):
    """Notes no phases: its engine is not timed."""

    name = "silent"
    summary = "notes no phases"
    driver = "asyncpg"

    async def open(self) -> None:
        """Make an engine that nobody times."""
        url, size = self.context.database_url, self.knobs.pool
        self.engine = make_async_engine(url, size, self.context.timeout_s)
        self.sessions = AsyncSessions(self.engine)


class Twofold(AsyncSessionStrategy[PoolKnobs]):
    """Notes its phases twice."""

    name = "twofold"
    summary = "counts its phases twice"
    driver = "asyncpg"

    async def run(self, operation: Operation, params: Params) -> Any:
        """Run it, and count the time in the database again."""
        from asyncdb_bench_attach.timing import current

        answer = await super().run(operation, params)
        phases = current.get()
        if phases is not None:
            phases.database *= 2
        return answer


class Strange(AsyncSessionStrategy[PoolKnobs]):
    """Declares a limit that means nothing."""

    name = "strange"
    summary = "names a limit that nobody knows"
    driver = "asyncpg"

    @classmethod
    def limits(cls, knobs: PoolKnobs) -> dict[str, int]:
        """Return a misspelt name."""
        return {"conections": knobs.pool}


class Holding(SessionStrategy[PoolKnobs]):
    """Holds the loop and does not say so."""

    name = "holding"
    summary = "blocks the loop without a word"

    async def run(self, operation: Operation, params: Params) -> Any:
        """Run on the loop."""
        return self.execute(operation, params)


class Misnamed(AsyncSessionStrategy[PoolKnobs]):
    """Connects by another driver than it names."""

    name = "misnamed"
    summary = "says asyncpg and uses psycopg"
    driver = "psycopg"
    packages = ("tornado", "sqlalchemy[asyncio]", "asyncpg")


class Leaking(AsyncSessionStrategy[PoolKnobs]):
    """Loses connections where `open` fails half-way."""

    name = "leaking"
    summary = "does not give back what it had when open failed"
    driver = "asyncpg"
    kept: tuple[Any, ...] = ()

    async def open(self) -> None:
        """Connect one by one, into a list that `close` does not know of."""
        import asyncpg

        for _ in range(self.knobs.pool):
            self.kept = (*self.kept, await asyncpg.connect(self.context.database_url, ssl=False))
        for each in self.kept:
            await each.close()
        await super().open()


class Resetting(AsyncpgRaw):
    """Lets asyncpg's pool reset each connection that is given back."""

    name = "resetting"
    summary = "sends statements of its own"
    no_reset = None  # type: ignore[assignment]


class PsycopgRaw(DriverStrategy[PoolKnobs]):
    """Not faulty: the smallest strategy on psycopg itself, with a pool of an asyncio queue."""

    name = "psycopg_raw"
    summary = "psycopg without SQLAlchemy's engine"
    packages = ("tornado", "sqlalchemy", "psycopg[binary]")
    driver = "psycopg"

    async def open_pool(self, url: str, size: int, **options: Any) -> Any:
        """Connect all, give back what there is where one fails."""
        import psycopg

        self.all: list[Any] = []
        free: asyncio.Queue[Any] = asyncio.Queue()
        try:
            for _ in range(size):
                self.all.append(await psycopg.AsyncConnection.connect(url, **options))
        except BaseException:
            await self.close_pool(free)
            raise
        for each in self.all:
            free.put_nowait(each)
        return free

    def acquire(self) -> Any:
        """Wait for a free connection."""
        return Taken(self.pool, self.context.timeout_s)

    def transaction(self, connection: Any) -> Any:
        """Return psycopg's transaction."""
        return connection.transaction()

    async def fetch(self, connection: Any, sql: str, values: Any) -> Any:
        """Run a statement; psycopg prepares it at its fifth run."""
        cursor = await connection.execute(sql, values)
        return await cursor.fetchall() if cursor.description else []

    async def close_pool(self, pool: Any) -> None:
        """Close all."""
        for each in self.all:
            await each.close()


class Taken:
    """A connection taken from a queue, and put back whatever happens."""

    def __init__(self, free: asyncio.Queue[Any], timeout_s: float) -> None:
        self.free, self.timeout_s = free, timeout_s

    async def __aenter__(self) -> Any:
        """Wait for one."""
        async with asyncio.timeout(self.timeout_s):
            self.connection = await self.free.get()
        return self.connection

    async def __aexit__(self, *failure: object) -> None:
        """Put it back."""
        self.free.put_nowait(self.connection)


class Lost(Taken):
    """Likewise, but for the first that is cancelled."""

    def __init__(self, of: Losing) -> None:
        super().__init__(of.pool, of.context.timeout_s)
        self.of = of

    async def __aexit__(self, *failure: object) -> None:
        """Put it back, or lose it."""
        if failure[0] is asyncio.CancelledError and not self.of.lost:
            self.of.lost = True
            return
        await super().__aexit__(*failure)


class Deaf(AsyncSessionStrategy[PoolKnobs]):
    """Goes on with its query when it is cancelled."""

    name = "deaf"
    summary = "cannot be cancelled, and says that it can"
    driver = "asyncpg"

    async def run(self, operation: Operation, params: Params) -> Any:
        """Run it in a task that nobody cancels."""
        work = asyncio.ensure_future(super().run(operation, params))
        work.add_done_callback(lambda done: done.cancelled() or done.exception())
        return await asyncio.shield(work)


class Losing(PsycopgRaw):
    """Loses a connection of its pool at the first request that is cancelled."""

    name = "losing"
    summary = "does not put back what was cancelled"
    lost = False

    def acquire(self) -> Any:
        """Wait for a free connection."""
        return Lost(self)


class Mixing(AsyncSessionStrategy[PoolKnobs]):
    """Answers the request after one that was cancelled with what that one had asked for."""

    name = "mixing"
    summary = "gives an abandoned request's rows to the next"
    driver = "asyncpg"
    left: Params | None = None

    async def run(self, operation: Operation, params: Params) -> Any:
        """Run it with the parameters of who has left."""
        left, self.left = self.left, None
        if operation.name == "read" and left is not None and "account" in left:
            params = {"account": left["account"]}
        try:
            return await super().run(operation, params)
        except asyncio.CancelledError:
            self.left = params
            raise


class Boundless(AsyncSessionStrategy[PoolKnobs]):
    """Sets no time-out for its transactions, and declares that it does."""

    name = "boundless"
    summary = "forgets statement_timeout"
    driver = "asyncpg"

    async def run(self, operation: Operation, params: Params) -> Any:
        """Forget what bounds it."""
        from asyncdb_bench.contract.abandoning import bound

        bound.set(None)
        return await super().run(operation, params)


@operation_of(check=lambda _params, _answer: True, rows=2)
def careless(account: int) -> Any:
    """Read one row and declare two; take any answer for right."""
    from sqlalchemy import select

    from asyncdb_bench.contract.data.accounts import Account

    found = (yield select(Account.id).where(Account.id == account)).scalar_one()
    return {"id": found}


class Careless(StandardScenario[StandardKnobs]):
    """Draws by the clock, and its operation says nothing right."""

    name = "careless"
    summary = "everything that a scenario can get wrong"

    def workload(self) -> Workload:
        """Return the standard data and the careless operation."""
        made = super().workload()
        return Workload(made.data, {"careless": careless})

    def mix(self) -> dict[str, float]:
        """Return shares that do not sum to 1."""
        return {"careless": 0.5}

    def params(self, operation: str, rng: Any) -> dict[str, Any]:
        """Draw by the clock instead of by `rng`."""
        return {"account": time.monotonic_ns() % 1000 + 1}

    def objective(self) -> Objective:
        """Return any."""
        return Objective(p99_ms=100)

    def ladder(self) -> tuple[float, ...]:
        """Return loads that do not ascend."""
        return (200, 100)
