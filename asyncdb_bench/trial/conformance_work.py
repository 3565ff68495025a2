"""The work that the conformance suite asks for: the standard operations, and some that fail."""

from __future__ import annotations

from typing import Any

from sqlalchemy import insert, text

from asyncdb_bench.contract.data import accounts as dataset
from asyncdb_bench.contract.operation import Steps, operation
from asyncdb_bench.contract.scenario import Scenario, ScenarioKnobs, Workload
from asyncdb_bench.records.plan import Objective

ROWS = 1000


class DeliberateError(Exception):
    """What :func:`write_then_fail` raises."""


@operation(check=lambda _params, _answer: False)
def write_then_fail(counter: dataset.CounterId) -> Steps:
    """Insert an entry, then fail: the entry must not stay."""
    yield insert(dataset.Entry).values(counter_id=counter, amount=1)
    raise DeliberateError("deliberate")


@operation(check=lambda _params, _answer: False)
def wrong_sql() -> Steps:
    """Ask for something that PostgreSQL refuses."""
    yield text("SELECT 1 / 0")
    return {}


class Conformance(Scenario[ScenarioKnobs]):
    """Not a scenario to measure: its operations are what the suite runs."""

    name = "conformance"
    summary = "operations of the conformance suite"

    def workload(self) -> Workload:
        """Return a small copy of the standard data, and operations that fail beside the usual."""
        failing = {each.name: each for each in (write_then_fail, wrong_sql)}
        return Workload(dataset.StandardData(ROWS), dataset.OPERATIONS | failing)

    def mix(self) -> dict[str, float]:
        """Only reads."""
        return {"read": 1.0}

    def params(self, operation: str, rng: Any) -> dict[str, Any]:
        """Draw an account."""
        return {"account": int(rng.integers(1, ROWS + 1))}

    def objective(self) -> Objective:
        """Nothing in particular."""
        return Objective(p99_ms=1000)

    def ladder(self) -> tuple[float, ...]:
        """One load."""
        return (10.0,)
