"""`slow`: a query that takes 50 ms in the database, the case that makes people reach for async."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from asyncdb_bench import Objective, SlowKnobs, StandardScenario, loads_at_once

if TYPE_CHECKING:
    import numpy as np


class Slow(StandardScenario[SlowKnobs]):
    """Capacity is what runs at once over the query's time: threads, pool or workers."""

    name = "slow"
    summary = "a query that takes 50 ms in the database"
    Knobs = SlowKnobs

    def work(self) -> str:
        """Return it in words."""
        return f"one query of {self.knobs.ms:g} ms"

    def asks(self) -> dict[str, float]:
        """Return one query, and its time."""
        return {"queries": 1, "ms": self.knobs.ms, "rows": 1}

    def mix(self) -> dict[str, float]:
        """Only slow queries."""
        return {"slow": 1.0}

    def params(self, operation: str, rng: np.random.Generator) -> dict[str, Any]:
        """Add the query's time."""
        return super().params(operation, rng) | {"seconds": self.knobs.ms / 1000}

    def objective(self) -> Objective:
        """Five times the query's own time, and never under 100 ms."""
        return Objective.of_query(self.knobs.ms)

    def ladder(self) -> tuple[float, ...]:
        """Return loads that keep 0.25 to 64 queries running at once."""
        return loads_at_once(self.knobs.ms)
