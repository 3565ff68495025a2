"""`psycopg_async`: SQLAlchemy's `AsyncSession` on psycopg 3, the driver of the blocking ways."""

from __future__ import annotations

from asyncdb_bench import AsyncPoolKnobs, AsyncSessionStrategy


class PsycopgAsync(AsyncSessionStrategy[AsyncPoolKnobs]):
    """As `native`, on the other async driver."""

    name = "psycopg_async"
    summary = "async SQLAlchemy (AsyncSession) on psycopg 3"
    driver = "psycopg"
    abandons = (*AsyncSessionStrategy.abandons, "query")
