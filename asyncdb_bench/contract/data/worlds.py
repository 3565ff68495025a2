"""The tables of TechEmpower's database tests: `world` and `fortune`, as its requirements say.

Source: TechEmpower Framework Benchmarks, "Test types", database tests 2, 3, 4 and 5.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from asyncdb_bench.contract.data.sources import Sql, Tables

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
