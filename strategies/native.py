"""`native`: SQLAlchemy's `AsyncSession` on asyncpg; the loop never waits for the database."""

from __future__ import annotations

from asyncdb_bench import AsyncPoolKnobs, AsyncSessionStrategy


class Native(AsyncSessionStrategy[AsyncPoolKnobs]):
    """Async from the handler to the driver."""

    name = "native"
    summary = "async SQLAlchemy (AsyncSession) on asyncpg"
    driver = "asyncpg"
