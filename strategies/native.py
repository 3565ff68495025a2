"""`native`: SQLAlchemy's `AsyncSession` on asyncpg; the loop never waits for the database."""

from __future__ import annotations

from typing import Any

from asyncdb_bench.operation import Operation, Params, drive_async
from asyncdb_bench.session import APPLICATION_NAME, PoolKnobs, dialect_url, translated
from asyncdb_bench.strategy import Strategy


class Native(Strategy[PoolKnobs]):
    """Async all the way down."""

    name = "native"
    summary = "async SQLAlchemy (AsyncSession) on asyncpg"
    Knobs = PoolKnobs
    packages = ("tornado", "sqlalchemy[asyncio]", "asyncpg")
    engine: Any = None

    async def open(self) -> None:
        """Connect the whole pool."""
        from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
        from sqlalchemy.pool import AsyncAdaptedQueuePool

        from asyncdb_bench.timed import TimedAsyncPool, watch

        target, ssl_mode = dialect_url(self.context.database_url, "asyncpg")
        timed = self.knobs.timing > 0
        self.engine = create_async_engine(
            target,
            poolclass=TimedAsyncPool if timed else AsyncAdaptedQueuePool,
            pool_size=self.knobs.pool,
            max_overflow=0,
            pool_timeout=self.context.timeout_s,
            connect_args={
                "server_settings": {"application_name": APPLICATION_NAME},
                "ssl": ssl_mode,
                "timeout": 5,
            },
        )
        if timed:
            watch(self.engine.sync_engine)
        self.session = async_sessionmaker(self.engine)
        connections = [await self.engine.connect() for _ in range(self.knobs.pool)]
        for connection in connections:
            await connection.close()

    async def run(self, operation: Operation, params: Params) -> dict[str, Any]:
        """Run the operation in an async session."""
        with translated():
            async with self.session.begin() as session:
                return await drive_async(operation.steps(**params), session.execute)

    async def close(self) -> None:
        """Close the pool."""
        if self.engine is not None:
            await self.engine.dispose()

    def gauges(self) -> dict[str, float]:
        """Return how many connections of the pool are checked out."""
        return {"pool_in_use": self.engine.pool.checkedout()}

    @classmethod
    def budget(cls, knobs: PoolKnobs) -> int:
        """Return the pool's size."""
        return knobs.pool

    @classmethod
    def limits(cls, knobs: PoolKnobs) -> dict[str, int]:
        """Return the pool's size."""
        return {"connections": knobs.pool}
