"""Tables that are there: TechEmpower's, and one that stands in for queries not written yet.

Rows of ``world`` have the number that their key gives, rows of ``fortune`` the messages of the
benchmark's rules (techempower.com/benchmarks), so that answers can be checked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec

from asyncdb_bench.contract.data.sources import Sql, Tables
from asyncdb_bench.contract.raw_result import sql

if TYPE_CHECKING:
    from sqlalchemy import TextClause


ROWS = 10_000
MOST_QUERIES = 500
Queries = Annotated[int, msgspec.Meta(ge=1, le=MOST_QUERIES)]

MESSAGES = (
    "fortune: No such file or directory",
    "A computer scientist is someone who fixes things that aren''t broken.",
    "After enough decimal places, nobody gives a damn.",
    "A bad random number generator: 1, 1, 1, 1, 1, 4.33e+67, 1, 1, 1",
    "A computer program does what you tell it to do, not what you want it to do.",
    "Emacs is a nice operating system, but I prefer UNIX. — Tom Christaensen",
    "Any program that runs right is obsolete.",
    "A list is only as strong as its weakest link. — Donald Knuth",
    "Feature: A bug with seniority.",
    "Computers make very fast, very accurate mistakes.",
    '<script>alert("This should not be displayed in a browser alert box.");</script>',
    "フレームワークのベンチマーク",
)

TABLES = Tables(
    "techempower",
    Sql(
        "CREATE TABLE world (id integer PRIMARY KEY, randomnumber integer NOT NULL);"
        # the same numbers each time, and no pattern that an index would follow
        f"INSERT INTO world SELECT g, 1 + mod(g * 7919 + 12345, {ROWS})"
        f" FROM generate_series(1, {ROWS}) AS g"
    ),
    Sql(
        "CREATE TABLE fortune (id integer PRIMARY KEY, message varchar(2048) NOT NULL);"
        "INSERT INTO fortune VALUES "
        + ", ".join(f"({number}, '{text}')" for number, text in enumerate(MESSAGES, 1))
    ),
)
READ = "SELECT id, randomnumber FROM world WHERE id = :id"


def is_world(row: dict[str, int]) -> bool:
    """Return whether an answer is a row of `world`."""
    return set(row) == {"id", "randomNumber"} and all(1 <= each <= ROWS for each in row.values())


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
_READ = "SELECT id, body FROM stand_in WHERE id <= :rows"
_ASLEEP = " AND (SELECT pg_sleep(:seconds)) IS NOT NULL"
_WRITE = f"INSERT INTO stand_in_written (body) {_READ.replace('id, ', '')}"


def stand_in(rows: int, ms: float = 0.0, *, write: bool = False) -> TextClause:
    """Return a statement on :data:`STAND_INS` that does as another did.

    Parameters
    ----------
    rows : that it returns or writes, of some 100 bytes each; 10,000 at most.
    ms : time that the other took; it is spent asleep in the database, in which it takes no CPU. 0:
        the time that the rows take.
    write : it inserts rows.
    """
    statement = (_WRITE if write else _READ) + (_ASLEEP if ms else "")
    statement += " RETURNING id, body" if write else ""
    return sql(statement, rows=min(rows, MOST_ROWS), **({"seconds": ms / 1000} if ms else {}))
