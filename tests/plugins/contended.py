"""A scenario whose transactions wait for one another in the database, for tests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select, update

from asyncdb_bench.contract.data.accounts import Counter, StandardData
from asyncdb_bench.contract.operation import Steps, operation
from asyncdb_bench.contract.scenario import Scenario, ScenarioKnobs, Workload
from asyncdb_bench.records.plan import Objective

if TYPE_CHECKING:
    import numpy as np


@operation(check=lambda _params, answer: answer["done"], rows=2)
def contend() -> Steps:
    """Change one row that everybody wants, and keep it for 15 ms."""
    yield update(Counter).where(Counter.id == 1).values(total=Counter.total + 1)
    yield select(func.pg_sleep(0.015))
    return {"done": True}


class Contended(Scenario[ScenarioKnobs]):
    """One row for all."""

    name = "contended"
    summary = "transactions that wait for one row"

    def workload(self) -> Workload:
        """Return the standard data and the one operation."""
        return Workload(data=StandardData(1000), operations={"contend": contend})

    def mix(self) -> Mapping[str, float]:
        """Return that operation alone."""
        return {"contend": 1.0}

    def params(self, operation: str, rng: np.random.Generator) -> dict[str, Any]:
        """Return nothing: it takes no parameters."""
        return {}

    def objective(self) -> Objective:
        """Return a p99 of 100 ms."""
        return Objective(p99_ms=100)

    def ladder(self) -> tuple[float, ...]:
        """Return loads below and above what one row permits (1 / 15 ms = 67/s)."""
        return (10, 90)
