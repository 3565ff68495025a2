"""`updates`: random rows of `world` read and written anew, at `/updates?queries=N`."""

from __future__ import annotations

from dataclasses import dataclass
from random import randint, sample
from typing import Any

from asyncdb_bench import OwnScenario, Route, ScenarioKnobs, Steps, clamped, knob, operation, sql
from asyncdb_bench.contract.data.worlds import MOST_QUERIES, READ, ROWS, WORLD, Queries, is_world

WRITE = "UPDATE world SET randomnumber = :number WHERE id = :id"


def right(params: Any, answer: Any) -> bool:
    """Return whether so many rows came."""
    return len(answer) == params["queries"] and all(map(is_world, answer))


@operation(
    check=right,
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


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdatesKnobs(ScenarioKnobs):
    """How many rows a request writes."""

    queries: int = knob(20, unit="queries", low=1, high=MOST_QUERIES, help="of a request")


class Updates(OwnScenario[UpdatesKnobs]):
    """Reads and writes that follow one another in a transaction."""

    name = "updates"
    summary = "TechEmpower's updates: random rows read and written, each by a query of its own"
    Knobs = UpdatesKnobs
    tables = WORLD
    asks_for = {updates: 1}
    p99_ms = 500
    loads = (2, 5, 10, 15, 20, 30, 40, 50, 60, 80, 100)

    def draw(self, operation: str, rng: Any) -> dict[str, Any]:
        """Ask for as many as the knob says."""
        return {"queries": self.knobs.queries}
