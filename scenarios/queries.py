"""`queries`: random rows of `world`, each by a query of its own, at `/queries?queries=N`."""

from __future__ import annotations

from dataclasses import dataclass
from random import sample
from typing import Any

from asyncdb_bench import OwnScenario, Route, ScenarioKnobs, Steps, clamped, knob, operation, sql
from asyncdb_bench.contract.data.worlds import MOST_QUERIES, READ, ROWS, WORLD, Queries, is_world


def right(params: Any, answer: Any) -> bool:
    """Return whether so many rows came."""
    return len(answer) == params["queries"] and all(map(is_world, answer))


@operation(
    check=right,
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


@dataclass(frozen=True, slots=True, kw_only=True)
class QueriesKnobs(ScenarioKnobs):
    """How many rows a request reads."""

    queries: int = knob(20, unit="queries", low=1, high=MOST_QUERIES, help="of a request")


class MultipleQueries(OwnScenario[QueriesKnobs]):
    """Statements that follow one another."""

    name = "queries"
    summary = "TechEmpower's multiple queries: random rows, each by a query of its own"
    Knobs = QueriesKnobs
    tables = WORLD
    asks_for = {queries: 1}
    p99_ms = 250
    loads = (5, 10, 20, 40, 60, 80, 100, 125, 150, 200, 250)

    def draw(self, operation: str, rng: Any) -> dict[str, Any]:
        """Ask for as many as the knob says."""
        return {"queries": self.knobs.queries}
