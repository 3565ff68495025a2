"""`updates`: random rows of `world` read and written anew, at `/updates?queries=N`."""

from __future__ import annotations

from random import randint, sample

from asyncdb_bench import Route, Steps, clamped, operation, sql
from asyncdb_bench.contract.data.bases import WorldScenario, right_rows
from asyncdb_bench.contract.data.ready_tables import MOST_QUERIES, READ, ROWS, Queries

WRITE = "UPDATE world SET randomnumber = :number WHERE id = :id"


@operation(
    check=right_rows,
    rows=lambda params: 2 * params["queries"],
    route=Route("GET", "/updates", read=clamped("queries", 1, MOST_QUERIES)),
)
def updates(queries: Queries) -> Steps:
    """Read each row and give it another number, in the order of keys: no two wait in a circle."""
    rows = []
    for key in sorted(sample(range(1, ROWS + 1), queries)):
        row = (yield sql(READ, id=key)).one()
        number = randint(1, ROWS)
        yield sql(WRITE, id=row.id, number=number)
        rows.append({"id": row.id, "randomNumber": number})
    return rows


class Updates(WorldScenario):
    """Reads and writes that follow one another in a transaction."""

    name = "updates"
    summary = "TechEmpower's updates: random rows read and written, each by a query of its own"
    asks_for = {updates: 1}
    p99_ms = 500
    loads = (2, 5, 10, 15, 20, 30, 40, 50, 60, 80, 100)
