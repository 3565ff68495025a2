"""A base for scenarios on the standard data: what they share, without importing the database."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from asyncdb_bench.contract.knob import knob
from asyncdb_bench.contract.scenario import Scenario, ScenarioKnobs, Workload

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, slots=True, kw_only=True)
class StandardKnobs(ScenarioKnobs):
    """The size of the data."""

    rows: int = knob(100_000, unit="rows", low=1, high=50_000_000, help="accounts in the database")


@dataclass(frozen=True, slots=True, kw_only=True)
class SlowKnobs(StandardKnobs):
    """The size of the data and the slow query's time."""

    ms: float = knob(50.0, unit="ms", low=0, high=10_000, help="time the slow query takes")


S = TypeVar("S", bound=StandardKnobs)


class StandardScenario(Scenario[S]):
    """Accounts and counters, as in :mod:`asyncdb_bench.contract.data.accounts`."""

    Knobs = StandardKnobs

    def workload(self) -> Workload:
        """Return the standard data and operations."""
        from asyncdb_bench.contract.data.accounts import OPERATIONS, StandardData

        return Workload(data=StandardData(self.knobs.rows), operations=OPERATIONS)

    def params(self, operation: str, rng: np.random.Generator) -> dict[str, Any]:
        """Draw an account to read or a counter to add to, uniformly."""
        if operation == "write":
            return {"counter": int(rng.integers(1, 1001)), "amount": int(rng.integers(1, 100))}
        return {"account": int(rng.integers(1, self.knobs.rows + 1))}
