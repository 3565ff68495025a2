"""Statements that stand in for others: as many rows, as much time in the database."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asyncdb_bench.contract.data.sources import Sql, Tables
from asyncdb_bench.contract.raw_result import sql

if TYPE_CHECKING:
    from sqlalchemy import TextClause

MOST_ROWS = 10_000
STAND_INS = Tables(
    "stand_ins",
    Sql(
        "CREATE TABLE stand_in (id bigint PRIMARY KEY, body text NOT NULL);"
        "INSERT INTO stand_in SELECT g, repeat(md5(CAST(g AS text)), 3)"
        f" FROM generate_series(1, {MOST_ROWS}) AS g;"
        "CREATE TABLE stand_in_written (id bigserial PRIMARY KEY, body text NOT NULL)"
    ),
)
READ = "SELECT id, body FROM stand_in WHERE id <= :rows"
SLOW = "SELECT id, body FROM stand_in WHERE id <= :rows AND (SELECT pg_sleep(:seconds)) IS NOT NULL"
WRITE = (
    "INSERT INTO stand_in_written (body) SELECT body FROM stand_in WHERE id <= :rows"
    " RETURNING id, body"
)
SLOW_WRITE = (
    "INSERT INTO stand_in_written (body) SELECT body FROM stand_in WHERE id <= :rows"
    " AND (SELECT pg_sleep(:seconds)) IS NOT NULL RETURNING id, body"
)


def stand_in(rows: int, ms: float = 0.0, *, write: bool = False) -> TextClause:
    """Return a statement on :data:`STAND_INS` that does as another did.

    Parameters
    ----------
    rows : that it returns or writes, of some 100 bytes each; 10,000 at most.
    ms : time that the other took; it is spent asleep in the database, in which it takes no CPU. 0:
        the time that the rows take.
    write : it inserts rows.
    """
    count = min(rows, MOST_ROWS)
    if ms:
        return sql(SLOW_WRITE if write else SLOW, rows=count, seconds=ms / 1000)
    return sql(WRITE if write else READ, rows=count)
