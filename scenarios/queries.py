"""`queries`: random rows of `world`, each by a query of its own, at `/queries?queries=N`."""

from __future__ import annotations

from random import sample

from asyncdb_bench import Route, Steps, clamped, operation, sql
from asyncdb_bench.contract.data.bases import WorldScenario, right_rows
from asyncdb_bench.contract.data.ready_tables import MOST_QUERIES, READ, ROWS, Queries


@operation(
    check=right_rows,
    rows=lambda params: params["queries"],
    reads=True,
    route=Route("GET", "/queries", read=clamped("queries", 1, MOST_QUERIES)),
)
def queries(queries: Queries) -> Steps:
    """Read rows, one after another."""
    rows = []
    for key in sample(range(1, ROWS + 1), queries):
        row = (yield sql(READ, id=key)).one()
        rows.append({"id": row.id, "randomNumber": row.randomnumber})
    return rows


class MultipleQueries(WorldScenario):
    """Statements that follow one another."""

    name = "queries"
    summary = "TechEmpower's multiple queries: random rows, each by a query of its own"
    asks_for = {queries: 1}
    p99_ms = 250
    loads = (5, 10, 20, 40, 60, 80, 100, 125, 150, 200, 250)
