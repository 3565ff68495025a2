"""`asyncpg_raw`: asyncpg and its own pool, without SQLAlchemy's engine and session."""

from __future__ import annotations

from typing import Any

from asyncdb_bench import DriverStrategy, PoolKnobs


class AsyncpgRaw(DriverStrategy[PoolKnobs]):
    """What the driver can do when nothing lies between it and the handler."""

    name = "asyncpg_raw"
    summary = "asyncpg's own pool; statements compiled once, no engine, no session"
    driver = "asyncpg"

    async def open_pool(self, url: str, size: int, **options: Any) -> Any:
        """Make a pool that connects on demand and sends no statements of its own."""
        from asyncpg import create_pool

        return await create_pool(
            url, min_size=0, max_size=size, reset=self.no_reset, init=self.json_as_values, **options
        )

    def acquire(self) -> Any:
        """Take a connection."""
        return self.pool.acquire(timeout=self.context.timeout_s)

    def transaction(self, connection: Any) -> Any:
        """Return asyncpg's transaction."""
        return connection.transaction()

    async def fetch(self, connection: Any, sql: str, values: Any) -> Any:
        """Run a prepared statement from the connection's cache."""
        return await connection.fetch(sql, *values)

    async def close_pool(self, pool: Any) -> None:
        """Close the connections, those in use as well."""
        pool.terminate()
