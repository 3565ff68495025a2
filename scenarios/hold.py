"""`hold`: a session that stays open while the request waits for something else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from asyncdb_bench import Objective, PostKnobs, PostScenario, knob, loads_at_once

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldKnobs(PostKnobs):
    """How long, and whether the connection is given back meanwhile."""

    ms: float = knob(100.0, unit="ms", low=0, high=10_000, help="time for the other service")
    release: bool = knob(False, help="give the connection back meanwhile")


class Hold(PostScenario[HoldKnobs]):
    """The habit that exhausts pools: a query, 100 ms for another service, a second query."""

    name = "hold"
    summary = "a query, 100 ms for another service with the session open, a second query"
    Knobs = HoldKnobs

    def mix(self) -> dict[str, float]:
        """Only these."""
        return {"released" if self.knobs.release else "hold": 1.0}

    def params(self, operation: str, rng: np.random.Generator) -> dict[str, Any]:
        """Draw the posts to read."""
        return {"first": self.first(rng, 2), "seconds": self.knobs.ms / 1000}

    def objective(self) -> Objective:
        """Five times what the other service takes, and never under 100 ms."""
        return Objective.of_query(self.knobs.ms)

    def ladder(self) -> tuple[float, ...]:
        """Return loads that keep 0.25 to 64 requests waiting at once."""
        return loads_at_once(self.knobs.ms)
