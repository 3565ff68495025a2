"""A strategy and a scenario that come with a package."""

from __future__ import annotations

from typing import Any

from asyncdb_bench import (
    Operation,
    OwnScenario,
    Params,
    PoolKnobs,
    ScenarioKnobs,
    SessionStrategy,
    Sql,
    Steps,
    Tables,
    operation,
    sql,
)


class Ours(SessionStrategy[PoolKnobs]):
    """On the loop, as `blocking`."""

    name = "ours"
    summary = "a strategy of a package"

    async def run(self, operation: Operation, params: Params) -> Any:
        """Run on the loop."""
        return self.execute(operation, params)

    @classmethod
    def limits(cls, knobs: PoolKnobs) -> dict[str, int]:
        """Say that it holds the loop."""
        return {"handler": 1, "connections": knobs.pool}


@operation(check=lambda _, answer: answer == [1, 2, 3], rows=3, reads=True)
def numbers() -> Steps:
    """Read three rows."""
    return [row.n for row in (yield sql("SELECT n FROM number ORDER BY n"))]


class OurWork(OwnScenario[ScenarioKnobs]):
    """Three rows."""

    name = "our_work"
    summary = "a scenario of a package"
    tables = Tables(
        "numbers", Sql("CREATE TABLE number (n int); INSERT INTO number VALUES (1), (2), (3)")
    )
    asks_for = {numbers: 1}
    loads = (50, 100)
